# Figures, tables and the report: from result files alone, in seconds, so they run where Snakemake runs.


wildcard_constraints:
    source="[a-z][a-z0-9-]*",


if layout.paper_points != layout.committed_paper_points:

    rule paper_points:
        input:
            points=layout.committed_paper_points,
        output:
            points=layout.paper_points,
        log:
            f"{W}/logs/paper-points.log",
        localrule: True
        conda:
            "../../environment.yml"
        shell:
            "cp {input.points:q} {output.points:q} 2> {log:q}"


rule figure:
    input:
        code=layout.code_of,
        results=layout.points_of,
    output:
        multiext(f"{RESULTS}/{{source}}/figures/{{artifact}}", ".svg", ".pdf", ".csv"),
    log:
        f"{W}/logs/{{source}}-{{artifact}}.log",
    wildcard_constraints:
        artifact="figure[0-9]+",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=layout.source_option,
        results=layout.results_option,
        decides=layout.definition_of,
    shell:
        "python -m analysis.{wildcards.artifact} {params.source:q} {params.results:q} > {log:q} 2>&1"


rule table:
    input:
        code=layout.code_of,
        results=layout.points_of,
    output:
        multiext(f"{RESULTS}/{{source}}/tables/{{artifact}}", ".md", ".tex", ".csv"),
    log:
        f"{W}/logs/{{source}}-{{artifact}}.log",
    wildcard_constraints:
        artifact="[a-z]+[0-9]*",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=layout.source_option,
        results=layout.results_option,
        decides=layout.definition_of,
    shell:
        "python -m analysis.{wildcards.artifact} {params.source:q} {params.results:q} > {log:q} 2>&1"


rule claims:
    input:
        code=layout.code_of_checks(),
        claims="config/claims.yaml",
        results=layout.numbers(),
    output:
        layout.checks("claims"),
    log:
        f"{W}/logs/claims.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        shown=layout.shown,
        decides=layout.definitions,
    shell:
        "python -m analysis.claims {params.shown:q} > {log:q} 2>&1"


# Run files that cannot be trusted are findings here; it is the target `audit` that fails for them.
rule findings:
    input:
        code=layout.code_of_checks(),
        claims="config/claims.yaml",
        results=layout.numbers(),
        drawn=layout.drawings(),
        seal=layout.seals(),
    output:
        layout.checks("audit"),
    log:
        f"{W}/logs/findings.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        shown=layout.shown,
        decides=layout.definitions,
    shell:
        "python -m analysis.audit --record {params.shown:q} > {log:q} 2>&1"


# What was just measured is sealed, and only then: showing results must not bless what happened to them since.
if not layout.draws_only:

    rule seal:
        input:
            results=layout.run_files(),
        output:
            digests=layout.seal,
        log:
            f"{W}/logs/seal.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            study=STUDY,
            results=layout.results_option,
        shell:
            "python -m analysis.audit --seal --study {params.study:q} {params.results:q} > {log:q} 2>&1"


if layout.paper_points == layout.committed_paper_points:

    rule report_of_paper:
        input:
            code=layout.code_of_report(),
            points=layout.paper_points,
            drawn=layout.drawn(),
            checks=[layout.checks(name) for name in ("claims", "audit")],
        output:
            report=f"{RESULTS}/paper/report.html",
        log:
            f"{W}/logs/report-of-paper.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            results=layout.results_option,
        shell:
            "python -m analysis.report --study paper {params.results:q} > {log:q} 2>&1"


rule report:
    input:
        code=layout.code_of_report(),
        checks=[f"{R}/claims.json", f"{R}/audit.json"],
        results=layout.run_files(),
        stages=layout.published(),
        drawn=layout.drawn(),
    output:
        report=f"{R}/report.html",
    log:
        f"{W}/logs/report.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        study=STUDY,
        results=layout.results_option,
        reference=layout.reference_option(),
    shell:
        "python -m analysis.report --study {params.study:q} {params.results:q} {params.reference:q}" " > {log:q} 2>&1"

# Figures, tables, checks and reports: from result files alone, in seconds, so they run where Snakemake runs.


wildcard_constraints:
    source="|".join(drawing.sources),


if drawing.paper_points != drawing.committed_paper_points:

    rule paper_points:
        input:
            points=drawing.committed_paper_points,
        output:
            points=drawing.paper_points,
        log:
            f"{LOGS}/paper-points.log",
        localrule: True
        conda:
            "../../environment.yml"
        shell:
            "cp {input.points:q} {output.points:q} 2> {log:q}"


# One job an artifact, for all sources at once: starting Python and its libraries costs more than drawing a picture.
for artifact in drawing.artifacts:

    rule:
        name:
            artifact
        input:
            code=drawing.code_of(artifact),
            results=drawing.points_of(artifact),
        output:
            drawing.files_of(artifact),
        log:
            f"{LOGS}/{artifact}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            module=f"analysis.{artifact}",
            sources=drawing.options_of(artifact),
            decides=drawing.definition_of(artifact),
        shell:
            "python -m {params.module} {params.sources:q} > {log:q} 2>&1"


rule ledger:
    input:
        code=drawing.code_of_checks,
        claims="config/claims.yaml",
        results=drawing.numbers_of,
    output:
        claims=f"{RESULTS}/{{source}}/claims.json",
    log:
        f"{LOGS}/{{source}}-claims.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=drawing.option_of,
        decides=drawing.definitions_of,
    shell:
        "python -m analysis.claims {params.source:q} > {log:q} 2>&1"


# Run files that cannot be trusted are findings here; it is the target `audit` that fails for them.
rule findings:
    input:
        code=drawing.code_of_checks,
        claims="config/claims.yaml",
        results=drawing.numbers_of,
        drawn=drawing.drawn_numbers_of,
        seal=drawing.seal_of,
    output:
        audit=f"{RESULTS}/{{source}}/audit.json",
    log:
        f"{LOGS}/{{source}}-audit.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=drawing.option_of,
        decides=drawing.definitions_of,
    shell:
        "python -m analysis.audit --record {params.source:q} > {log:q} 2>&1"


# What was just measured is sealed, and only then: showing results must not bless what happened to them since.
if not layout.draws_only:

    rule seal:
        input:
            results=layout.run_files(),
        output:
            digests=layout.seal,
        log:
            f"{LOGS}/{STUDY}-seal.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            study=STUDY,
            results=["--results", RESULTS],
        shell:
            "python -m analysis.audit --seal --study {params.study:q} {params.results:q} > {log:q} 2>&1"


rule page:
    input:
        code=drawing.code_of_report,
        configuration=drawing.configuration_of,
        checks=[f"{RESULTS}/{{source}}/claims.json", f"{RESULTS}/{{source}}/audit.json"],
        results=drawing.numbers_of,
        stages=drawing.published_of,
        drawn=drawing.pictures_of,
    output:
        report=f"{RESULTS}/{{source}}/report.html",
    log:
        f"{LOGS}/{{source}}-report.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=drawing.report_option_of,
    shell:
        "python -m analysis.report {params.source:q} > {log:q} 2>&1"


# The record of all of it for archives, with a copy of the workflow beside it.
rule crate:
    input:
        code=drawing.code_of_crate,
        configuration=drawing.configuration_of,
        results=drawing.numbers_of,
        stages=drawing.published_of,
        seal=drawing.seal_of,
        drawn=drawing.files_of_source,
        documents=[f"{RESULTS}/{{source}}/{name}" for name in ("claims.json", "audit.json", "report.html")],
    output:
        record=f"{RESULTS}/{{source}}/ro-crate-metadata.json",
        workflow=f"{RESULTS}/{{source}}/workflow/Snakefile",
    log:
        f"{LOGS}/{{source}}-crate.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=drawing.option_of,
    shell:
        "python -m analysis.crate {params.source:q} > {log:q} 2>&1"


# Shows what is recorded; fails where run files cannot be trusted, or are no longer those that were recorded.
rule audit:
    input:
        drawing.each("audit.json"),
    log:
        f"{LOGS}/audit.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        sources=drawing.option_of_all,
    shell:
        "python -m analysis.audit --check {params.sources:q} 2>&1 | tee {log:q}"

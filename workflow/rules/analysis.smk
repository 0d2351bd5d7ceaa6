# Figures, tables and the report: from result files alone, in seconds, so they run where Snakemake runs.


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


rule report:
    input:
        code=layout.code_of_report(),
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

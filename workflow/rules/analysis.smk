# Figures, tables, checks and reports: from result files alone, in seconds, so they run where Snakemake runs.
from workflow.drawing import CHECK_CODE, CRATE_CODE, REPORT_CODE, code, description, paper_points
from workflow.ending import summary
from workflow.options import COMMITTED


wildcard_constraints:
    source="|".join(drawing.sources),
    paper="[a-z0-9-]+",


if layout.draws_only:

    onsuccess:
        print(summary(drawing.results, drawing.sources, LOGS))


if paper_points(drawing.results) != paper_points(COMMITTED):

    rule paper_points:
        input:
            points=paper_points(COMMITTED),
        output:
            points=paper_points(drawing.results),
        log:
            f"{LOGS}/paper-points.log",
        localrule: True
        conda:
            "../../environment.yml"
        shell:
            "cp {input.points:q} {output.points:q}.partial 2> {log:q}"
            " && mv {output.points:q}.partial {output.points:q} 2>> {log:q}"


# One job an artifact, for all sources at once: starting Python and its libraries costs more than drawing a picture.
for artifact in drawing.artifacts:

    rule:
        name:
            artifact.name
        input:
            code=artifact.code,
            results=artifact.points,
        output:
            artifact.files,
        log:
            f"{LOGS}/{artifact.name}.log",
        localrule: True
        conda:
            "../../environment.yml"
        params:
            drawn=artifact.options,
            decides=artifact.definition,
        shell:
            "glimmer figures {params.drawn:q} > {log:q} 2>&1"


rule ledger:
    input:
        code=code(*CHECK_CODE),
        claims="config/claims.yaml",
        paper=paper_points(drawing.results),
        results=drawing.of_study("every_run_file"),
    output:
        claims=f"{RESULTS}/{{source}}/claims.json",
    log:
        f"{LOGS}/{{source}}-claims.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=drawing.of("options"),
        decides=drawing.of("definition"),
    shell:
        "glimmer claims {params.source:q} > {log:q} 2>&1"


# Run files that cannot be trusted are findings here; it is the target `audit` that fails for them.
rule findings:
    input:
        code=code(*CHECK_CODE),
        claims="config/claims.yaml",
        description=description("glimmer"),
        paper=paper_points(drawing.results),
        results=drawing.of_study("every_run_file"),
        stages=drawing.of_study("published"),
        drawn=drawing.of("drawn_points"),
        seal=drawing.of_study("seals"),
    output:
        audit=f"{RESULTS}/{{source}}/audit.json",
    log:
        f"{LOGS}/{{source}}-audit.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=drawing.of("options"),
        decides=drawing.of("definition"),
    shell:
        "glimmer audit --record {params.source:q} > {log:q} 2>&1"


# Papers of others, as folders describe them.
rule described:
    input:
        code=code(*CHECK_CODE),
        description=lambda wildcards: description(wildcards.paper),
    output:
        audit=f"{RESULTS}/papers/{{paper}}/audit.json",
        claims=f"{RESULTS}/papers/{{paper}}/claims.json",
        page=f"{RESULTS}/papers/{{paper}}/findings.md",
    log:
        f"{LOGS}/described-{{paper}}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        paper=lambda wildcards: ["--paper", f"config/papers/{wildcards.paper}", "--results", RESULTS],
    shell:
        "glimmer audit {params.paper:q} > {log:q} 2>&1"


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
            source=drawing.sources[STUDY].options,
        shell:
            "glimmer audit --seal {params.source:q} > {log:q} 2>&1"


rule page:
    input:
        code=code(*REPORT_CODE),
        configuration=drawing.of("configuration"),
        checks=[f"{RESULTS}/{{source}}/claims.json", f"{RESULTS}/{{source}}/audit.json"],
        paper=paper_points(drawing.results),
        results=drawing.of_study("every_run_file"),
        stages=drawing.of_study("published"),
        drawn=drawing.of("pictures"),
    output:
        report=f"{RESULTS}/{{source}}/report.html",
    log:
        f"{LOGS}/{{source}}-report.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        source=drawing.of("options"),
        reference=drawing.of_study("reference_option"),
    shell:
        "glimmer report {params.source:q} {params.reference:q} > {log:q} 2>&1"


# What leads to every study's page, those drawn earlier too.
rule overview:
    input:
        code=code(*REPORT_CODE),
        reports=drawing.each("report.html"),
    output:
        index=f"{RESULTS}/index.html",
    log:
        f"{LOGS}/index.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        results=["--results", RESULTS],
    shell:
        "glimmer report --index {params.results:q} > {log:q} 2>&1"


# The record of all of it for archives, with a copy of the workflow beside it.
rule record:
    input:
        code=code(*CRATE_CODE),
        configuration=drawing.of("configuration"),
        paper=paper_points(drawing.results),
        results=drawing.of_study("every_run_file"),
        stages=drawing.of_study("published"),
        seal=drawing.of_study("seals"),
        drawn=drawing.of("drawn"),
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
        source=drawing.of("options"),
    shell:
        "glimmer crate {params.source:q} > {log:q} 2>&1"


# Shows what is recorded; fails where run files cannot be trusted, or are no longer those that were recorded.
rule audit:
    input:
        drawing.each("audit.json"),
        drawing.described,
    log:
        f"{LOGS}/audit.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        sources=drawing.options,
    shell:
        "glimmer audit --check {params.sources:q} > {log:q} 2>&1 || {{ cat {log:q}; exit 1; }}"

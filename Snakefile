# From a corpus to the report: `snakemake` runs a study, `snakemake figures audit claims report` show what is cached.
# Options: --config study=NAME data=DIR checkpoint=DIR results=DIR work=DIR (workflow/README.md).
import sys

from snakemake.utils import min_version

from workflow.layout import layout as find_layout

min_version("9.0")
layout = find_layout(config, sys.argv[1:])
STUDY, W, R, RESULTS = layout.study.name, layout.work, layout.results, str(layout.study.results)

# What only shows results does not even load the rules that measure, so it cannot trigger them.
if not layout.draws_only:
    for stage in ("data", "passages", "tokenizer", "initial", "retrieval", "filter", "training", "evaluation"):

        include: f"workflow/rules/{stage}.smk"


include: "workflow/rules/analysis.smk"


rule all:
    default_target: True
    input:
        layout.run_files(),
        layout.drawn(),
        layout.reports(),
    localrule: True


rule figures:
    input:
        layout.drawn(),
    localrule: True


rule audit:
    input:
        layout.checks("audit"),
    log:
        f"{W}/logs/audit.log",
    localrule: True
    conda:
        "environment.yml"
    params:
        shown=layout.shown,
    shell:
        "python -m analysis.audit --check {params.shown:q} 2>&1 | tee {log:q}"

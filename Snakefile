# From a corpus to the report: `snakemake` runs a study, `snakemake figures` and `snakemake report` show what is cached.
# Options: --config study=NAME data=DIR checkpoint=DIR results=DIR work=DIR (workflow/README.md).
import sys

from snakemake.utils import min_version

from workflow.layout import layout as find_layout

min_version("9.0")
layout = find_layout(config, sys.argv[1:])
STUDY = layout.study.name
W = layout.work
R = layout.results
RESULTS = str(layout.study.results)


wildcard_constraints:
    run="[0-9a-f]{12}",
    source="[a-z][a-z0-9-]*",


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
        f"{R}/report.html",
    localrule: True


rule figures:
    input:
        layout.drawn(),
    localrule: True

# From a corpus to the report: `snakemake` runs a study, `snakemake figures audit claims report crate` show what is cached.
# Options: --config study=NAME data=DIR checkpoint=DIR results=DIR work=DIR container=FILE ... (workflow/README.md).
import sys

from snakemake.utils import min_version

from workflow.start import start

min_version("9.0")
layout, drawing = start(config, sys.argv[1:])
# W and PUBLISHED are patterns in {replicate} where the study has replicates.
STUDY, W, R, PUBLISHED = layout.study.name, layout.work, layout.results, layout.published_results
RESULTS, LOGS = str(layout.study.results), f"{layout.study.work}/logs"


container: config.get("container")


for rules_of_a_stage in layout.rule_files():

    include: rules_of_a_stage


rule all:
    default_target: True
    input:
        layout.run_files(),
        drawing.pictures,
        drawing.each("report.html", "ro-crate-metadata.json"),
    localrule: True


# `audit`, which also fails, stands among the rules.
TARGETS = {
    "figures": drawing.pictures,
    "claims": drawing.each("claims.json"),
    "report": [*drawing.each("report.html"), f"{RESULTS}/index.html"],
    "checkpoints": layout.published_checkpoints,  # of no other target: a study without them makes its own
    "crate": drawing.each("ro-crate-metadata.json"),
}
for target in TARGETS:

    rule:
        name:
            target
        input:
            TARGETS[target],
        localrule: True

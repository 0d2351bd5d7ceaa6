# Training: one job a run, whose id names its files.


wildcard_constraints:
    run="[0-9a-f]{12}",
    replicate="[0-9]+",


# One reader of the study's grid. Its inputs are ancient: the run's id digests all that decides the result, so what stands
# under that id is current, whatever the clock says. Checkpoints lie beside `trained`, out of Snakemake's reach, to resume.
rule train:
    input:
        data=ancient(lambda wildcards: layout.at(wildcards).files_of_data),
        initial=ancient(lambda wildcards: layout.at(wildcards).initial_of(wildcards.run)),
        stages=ancient(lambda wildcards: layout.at(wildcards).stages),
    output:
        trained=directory(f"{W}/runs/{{run}}/trained"),
    log:
        f"{W}/logs/train/{{run}}.log",
    benchmark:
        f"{W}/benchmarks/train/{{run}}.tsv"
    conda:
        "../../environment.yml"
    threads: layout.needs("train")["threads"]
    resources:
        **layout.resources("train"),
    params:
        study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
        data=lambda wildcards: layout.at(wildcards).data,
        work=lambda wildcards: layout.at(wildcards).work,
    # exec: a signal to stop would end a shell at once, and its job, while the command still saves. Over several nodes
    # `srun` starts it on each.
    shell:
        "exec {resources.launch} glimmer train --study {params.study:q} --set results={resources.results:q}"
        " --run {wildcards.run} --work {params.work:q} --data {params.data:q}"
        " --init {input.initial:q} --out {output.trained:q}"
        " --threads {threads} {resources.processes} > {log:q} 2>&1"

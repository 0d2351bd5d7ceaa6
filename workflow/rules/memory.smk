# The memory of a reader's passages, by several jobs before it answers; evaluation makes what they have left out.
# Blocks lie beside `trained`, out of Snakemake's reach: each says itself whether it is whole, and whose. A stamp says that
# a part was done.
if layout.parts("remember") > 1:

    rule remember:
        input:
            data=ancient(lambda wildcards: layout.at(wildcards).files_of_data),
            initial=ancient(lambda wildcards: layout.at(wildcards).initial_of(wildcards.run)),
            stages=ancient(lambda wildcards: layout.at(wildcards).stages),
            trained=ancient(lambda wildcards: layout.at(wildcards).trained(wildcards.run)),
        output:
            stamp=temp(touch(f"{W}/runs/{{run}}/memory.parts/{{part}}-of-{layout.parts('remember')}")),
        log:
            f"{W}/logs/remember/{{run}}-{{part}}.log",
        benchmark:
            f"{W}/benchmarks/remember/{{run}}-{{part}}.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("remember")["threads"]
        resources:
            **layout.resources("remember"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            data=lambda wildcards: layout.at(wildcards).data,
            work=lambda wildcards: layout.at(wildcards).work,
            of=layout.parts("remember"),
        # exec: a signal to stop would end a shell at once, and its job, while the command still saves. Over several
        # nodes `srun` starts it on each.
        shell:
            "exec {resources.launch} glimmer remember --study {params.study:q} --set results={resources.results:q}"
            " --run {wildcards.run} --work {params.work:q} --data {params.data:q} --init {input.initial:q}"
            " --trained {input.trained:q} --part {wildcards.part:q}/{params.of:q}"
            " --threads {threads} {resources.processes} > {log:q} 2>&1"

# The result file of one reader.
rule evaluate:
    input:
        data=ancient(lambda wildcards: layout.at(wildcards).files_of_data),
        initial=ancient(lambda wildcards: layout.at(wildcards).initial_of(wildcards.run)),
        stages=ancient(lambda wildcards: layout.at(wildcards).stages),
        trained=ancient(lambda wildcards: layout.at(wildcards).trained(wildcards.run)),
        memory=ancient(lambda wildcards: layout.at(wildcards).remembered(wildcards.run)),
    output:
        result=f"{R}/runs/{{run}}.json",
    log:
        f"{layout.study.work_directory}/logs/evaluate/{{run}}.log",
    benchmark:
        f"{layout.study.work_directory}/benchmarks/evaluate/{{run}}.tsv"
    conda:
        "../../environment.yml"
    threads: layout.needs("evaluate")["threads"]
    resources:
        **layout.resources("evaluate"),
    params:
        study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
        data=lambda wildcards: layout.at(wildcards).data,
        work=lambda wildcards: layout.at(wildcards).work,
    # exec: a signal to stop would end a shell at once, and its job, while the command still saves. Over several nodes
    # `srun` starts it on each.
    shell:
        "exec {resources.launch} glimmer evaluate --study {params.study:q} --set results={resources.results:q}"
        " --run {wildcards.run} --work {params.work:q} --data {params.data:q}"
        " --init {input.initial:q} --trained {input.trained:q} --out {output.result:q}"
        " --threads {threads} {resources.processes} > {log:q} 2>&1"

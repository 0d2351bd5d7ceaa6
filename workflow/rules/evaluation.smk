# The result file of one reader.
rule evaluate:
    input:
        data=ancient(layout.files_of_data),
        initial=ancient(lambda wildcards: layout.initial_of(wildcards.run)),
        stages=ancient(layout.stages),
        trained=ancient(f"{W}/runs/{{run}}/trained"),
    output:
        result=f"{R}/runs/{{run}}.json",
    log:
        f"{W}/logs/evaluate/{{run}}.log",
    benchmark:
        f"{W}/benchmarks/evaluate/{{run}}.tsv"
    conda:
        "../../environment.yml"
    threads: layout.needs("evaluate")["threads"]
    resources:
        **layout.resources("evaluate"),
    params:
        study=STUDY,
        data=lambda wildcards: layout.data,
        work=lambda wildcards: W,
    shell:
        "glimmer evaluate --study {params.study:q} --set results={resources.results:q}"
        " --run {wildcards.run} --work {params.work:q} --data {params.data:q}"
        " --init {input.initial:q} --trained {input.trained:q} --out {output.result:q} --threads {threads} > {log:q} 2>&1"

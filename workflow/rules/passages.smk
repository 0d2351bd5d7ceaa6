# Pages to passages.
rule chunk:
    input:
        data=layout.files_of_data,
    output:
        passages=directory(f"{W}/passages"),
    log:
        f"{W}/logs/chunk.log",
    benchmark:
        f"{W}/benchmarks/chunk.tsv"
    conda:
        "../../environment.yml"
    threads: layout.needs("chunk")["threads"]
    resources:
        **layout.resources("chunk"),
    params:
        study=STUDY,
        decides=layout.decides("chunk"),
        data=lambda wildcards: layout.data,
    shell:
        "glimmer chunk --study {params.study:q} --set results={resources.results:q}"
        " --data {params.data:q} --out {output.passages:q} > {log:q} 2>&1"

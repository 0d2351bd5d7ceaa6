# Pages to passages.
rule chunk:
    input:
        data=lambda wildcards: layout.at(wildcards).files_of_data,
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
        study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
        decides=lambda wildcards: layout.at(wildcards).decides("chunk"),
        data=lambda wildcards: layout.at(wildcards).data,
    shell:
        "glimmer chunk --study {params.study:q} --set results={resources.results:q}"
        " --data {params.data:q} --out {output.passages:q} > {log:q} 2>&1"


if layout.study.retriever_has_world:

    rule chunk_for_retriever:
        input:
            data=f"{W}/retriever-world/data",
        output:
            passages=directory(f"{W}/retriever-world/passages"),
        log:
            f"{W}/logs/chunk-for-retriever.log",
        benchmark:
            f"{W}/benchmarks/chunk-for-retriever.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("chunk_for_retriever")["threads"]
        resources:
            **layout.resources("chunk_for_retriever"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            decides=lambda wildcards: layout.at(wildcards).decides("chunk_for_retriever"),
        shell:
            "glimmer chunk --study {params.study:q} --set results={resources.results:q}"
            " --data {input.data:q} --out {output.passages:q} > {log:q} 2>&1"

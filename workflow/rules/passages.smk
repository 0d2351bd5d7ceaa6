# Pages to passages, by one job, or by one a part of the pages and one that puts their passages together.
wildcard_constraints:
    part="[0-9]+",


if layout.parts("chunk") == 1:

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

else:

    rule chunk:
        input:
            data=lambda wildcards: layout.at(wildcards).files_of_data,
        output:
            stamp=temp(layout.stamp("passages", "chunk")),
        log:
            f"{W}/logs/chunk/{{part}}.log",
        benchmark:
            f"{W}/benchmarks/chunk/{{part}}.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("chunk")["threads"]
        resources:
            **layout.resources("chunk"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            decides=lambda wildcards: layout.at(wildcards).decides("chunk"),
            data=lambda wildcards: layout.at(wildcards).data,
            passages=lambda wildcards: layout.at(wildcards).path("passages"),
            of=layout.parts("chunk"),
        shell:
            "glimmer chunk --study {params.study:q} --set results={resources.results:q}"
            " --data {params.data:q} --part {wildcards.part:q}/{params.of:q}"
            " --out {params.passages:q} > {log:q} 2>&1"

    rule gather_passages:
        input:
            data=lambda wildcards: layout.at(wildcards).files_of_data,
            stamps=layout.stamps("passages", "chunk"),
        output:
            passages=directory(f"{W}/passages"),
        log:
            f"{W}/logs/gather-passages.log",
        benchmark:
            f"{W}/benchmarks/gather-passages.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("gather_passages")["threads"]
        resources:
            **layout.resources("gather_passages"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            decides=lambda wildcards: layout.at(wildcards).decides("chunk"),
            data=lambda wildcards: layout.at(wildcards).data,
            of=layout.parts("chunk"),
        shell:
            "glimmer chunk --study {params.study:q} --set results={resources.results:q}"
            " --data {params.data:q} --gather {params.of:q}"
            " --out {output.passages:q} > {log:q} 2>&1"


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

# What every question retrieves, by GTR or by BM25.
GTR = layout.study.retriever.kind == "gtr"


if GTR:

    rule train_retriever:
        input:
            initial=layout.initial_of_retriever,
            passages=layout.passages_of_retriever,
            data=layout.files_of_retriever_data,
        output:
            gtr=directory(f"{W}/gtr"),
        log:
            f"{W}/logs/train-retriever.log",
        benchmark:
            f"{W}/benchmarks/train-retriever.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("train_retriever")["threads"]
        resources:
            **layout.resources("train_retriever"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            decides=lambda wildcards: layout.at(wildcards).decides("train_retriever"),
            data=lambda wildcards: layout.at(wildcards).data_of_retriever,
        shell:
            "glimmer train-retriever --study {params.study:q} --set results={resources.results:q}"
            " --init {input.initial:q} --passages {input.passages:q}"
            " --data {params.data:q} --out {output.gtr:q} --threads {threads} > {log:q} 2>&1"

    if layout.parts("embed") == 1:

        rule embed:
            input:
                gtr=f"{W}/gtr",
                passages=f"{W}/passages",
            # Only the file of each tower that is written last: Snakemake deletes what a rule names before it runs it again,
            # and shards that an interrupted call has left are to be resumed.
            output:
                meta=layout.embedded,
            log:
                f"{W}/logs/embed.log",
            benchmark:
                f"{W}/benchmarks/embed.tsv"
            conda:
                "../../environment.yml"
            threads: layout.needs("embed")["threads"]
            resources:
                **layout.resources("embed"),
            params:
                study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
                decides=lambda wildcards: layout.at(wildcards).decides("embed"),
                embeddings=lambda wildcards: layout.at(wildcards).path("embeddings"),
            shell:
                "glimmer embed --study {params.study:q} --set results={resources.results:q}"
                " --gtr {input.gtr:q} --passages {input.passages:q}"
                " --out {params.embeddings:q} --threads {threads} > {log:q} 2>&1"

    else:

        rule embed:
            input:
                gtr=f"{W}/gtr",
                passages=f"{W}/passages",
            output:
                stamp=temp(layout.stamp("embeddings", "embed")),
            log:
                f"{W}/logs/embed/{{part}}.log",
            benchmark:
                f"{W}/benchmarks/embed/{{part}}.tsv"
            conda:
                "../../environment.yml"
            threads: layout.needs("embed")["threads"]
            resources:
                **layout.resources("embed"),
            params:
                study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
                decides=lambda wildcards: layout.at(wildcards).decides("embed"),
                embeddings=lambda wildcards: layout.at(wildcards).path("embeddings"),
                of=layout.parts("embed"),
            shell:
                "glimmer embed --study {params.study:q} --set results={resources.results:q}"
                " --gtr {input.gtr:q} --passages {input.passages:q}"
                " --part {wildcards.part:q}/{params.of:q}"
                " --out {params.embeddings:q} --threads {threads} > {log:q} 2>&1"

        rule gather_embeddings:
            input:
                gtr=f"{W}/gtr",
                passages=f"{W}/passages",
                stamps=layout.stamps("embeddings", "embed"),
            output:
                meta=layout.embedded,
            log:
                f"{W}/logs/gather-embeddings.log",
            benchmark:
                f"{W}/benchmarks/gather-embeddings.tsv"
            conda:
                "../../environment.yml"
            threads: layout.needs("gather_embeddings")["threads"]
            resources:
                **layout.resources("gather_embeddings"),
            params:
                study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
                decides=lambda wildcards: layout.at(wildcards).decides("embed"),
                embeddings=lambda wildcards: layout.at(wildcards).path("embeddings"),
                of=layout.parts("embed"),
            shell:
                "glimmer embed --study {params.study:q} --set results={resources.results:q}"
                " --gtr {input.gtr:q} --passages {input.passages:q} --gather {params.of:q}"
                " --out {params.embeddings:q} --threads {threads} > {log:q} 2>&1"


rule retrieve:
    input:
        data=lambda wildcards: layout.at(wildcards).files_of_data,
        passages=f"{W}/passages",
        gtr=[f"{W}/gtr", *layout.embedded] if GTR else [],
    output:
        retrieved=directory(f"{W}/retrieved"),
    log:
        f"{W}/logs/retrieve.log",
    benchmark:
        f"{W}/benchmarks/retrieve.tsv"
    conda:
        "../../environment.yml"
    threads: layout.needs("retrieve")["threads"]
    resources:
        **layout.resources("retrieve"),
    params:
        study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
        decides=lambda wildcards: layout.at(wildcards).decides("retrieve"),
        data=lambda wildcards: layout.at(wildcards).data,
        gtr=lambda wildcards: layout.at(wildcards).tower_options,
    shell:
        "glimmer retrieve --study {params.study:q} --set results={resources.results:q}"
        " --data {params.data:q} --passages {input.passages:q} {params.gtr:q}"
        " --out {output.retrieved:q} --threads {threads} > {log:q} 2>&1"


rule publish_retrieval:
    input:
        retrieved=f"{W}/retrieved",
    output:
        metrics=f"{PUBLISHED}/retrieval.json",
    log:
        f"{W}/logs/publish-retrieval.log",
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "cp {input.retrieved:q}/metrics.json {output.metrics:q}.partial 2> {log:q}"
        " && mv {output.metrics:q}.partial {output.metrics:q} 2>> {log:q}"

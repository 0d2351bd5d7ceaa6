# The corpus and the tasks of a study that makes them; otherwise the user's KILT files are used where they lie.
if layout.study.data.kind == "generated":

    rule generate:
        output:
            data=directory(f"{W}/data"),
        log:
            f"{W}/logs/generate.log",
        benchmark:
            f"{W}/benchmarks/generate.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("generate")["threads"]
        resources:
            **layout.resources("generate"),
        params:
            sizes=lambda wildcards: layout.generated_sizes(layout.at(wildcards).study.data),
            decides=lambda wildcards: layout.at(wildcards).decides("generate"),
        shell:
            "glimmer generate --out {output.data:q} {params.sizes:q} > {log:q} 2>&1"


# Another world, for a retriever that is trained: it must not have seen the questions that it serves.
if layout.study.retriever_has_world:

    rule generate_for_retriever:
        output:
            data=directory(f"{W}/retriever-world/data"),
        log:
            f"{W}/logs/generate-for-retriever.log",
        benchmark:
            f"{W}/benchmarks/generate-for-retriever.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("generate_for_retriever")["threads"]
        resources:
            **layout.resources("generate_for_retriever"),
        params:
            sizes=lambda wildcards: layout.generated_sizes(layout.at(wildcards).study.data.of_retriever),
            decides=lambda wildcards: layout.at(wildcards).decides("generate_for_retriever"),
        shell:
            "glimmer generate --out {output.data:q} {params.sizes:q} > {log:q} 2>&1"


if layout.takes_subset:

    rule subset:
        input:
            files=layout.users_files,
        output:
            data=directory(f"{W}/data"),
        log:
            f"{W}/logs/subset.log",
        benchmark:
            f"{W}/benchmarks/subset.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("subset")["threads"]
        resources:
            **layout.resources("subset"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            decides=lambda wildcards: layout.at(wildcards).decides("subset"),
            users=lambda wildcards: layout.users_data,
        shell:
            "glimmer subset --study {params.study:q} --set results={resources.results:q}"
            " --data {params.users:q} --out {output.data:q} > {log:q} 2>&1"

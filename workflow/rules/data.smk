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
            sizes=layout.generated_sizes,
            decides=layout.decides("generate"),
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
            study=STUDY,
            decides=layout.decides("subset"),
            users=lambda wildcards: layout.users_data,
        shell:
            "glimmer subset --study {params.study:q} --set results={resources.results:q}"
            " --data {params.users:q} --out {output.data:q} > {log:q} 2>&1"

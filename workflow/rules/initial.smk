# The initial checkpoint that all readers share, where the study pretrains it.
if layout.study.initial.kind == "pretrain":

    rule pretrain:
        input:
            tokenizer=f"{W}/tokenizer/tokenizer.json",
        output:
            initial=directory(f"{W}/init"),
        log:
            f"{W}/logs/pretrain.log",
        benchmark:
            f"{W}/benchmarks/pretrain.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("pretrain")["threads"]
        resources:
            **layout.resources("pretrain"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            decides=lambda wildcards: layout.at(wildcards).decides("pretrain"),
            # Below results, whose own place is no parameter: see `Layout.resources`.
            published=lambda wildcards: f"{layout.at(wildcards).place_among_results}init",
        shell:
            "glimmer pretrain --study {params.study:q} --set results={resources.results:q}"
            " --tokenizer {input.tokenizer:q} --out {output.initial:q} --published {resources.results:q}/{params.published:q}"
            " --threads {threads} > {log:q} 2>&1"

    rule publish_reading:
        input:
            initial=f"{W}/init",
        output:
            reading=f"{PUBLISHED}/reading.json",
        log:
            f"{W}/logs/publish-reading.log",
        localrule: True
        conda:
            "../../environment.yml"
        shell:
            "cp {input.initial:q}/reading.json {output.reading:q}.partial 2> {log:q}"
            " && mv {output.reading:q}.partial {output.reading:q} 2>> {log:q}"

    rule publish_initial:
        input:
            initial=f"{W}/init",
        output:
            initial=directory(f"{PUBLISHED}/init"),
        log:
            f"{W}/logs/publish-initial.log",
        localrule: True
        conda:
            "../../environment.yml"
        shell:
            "rm -rf {output.initial:q}.partial"
            " && cp -r {input.initial:q} {output.initial:q}.partial 2> {log:q}"
            " && mv {output.initial:q}.partial {output.initial:q} 2>> {log:q}"

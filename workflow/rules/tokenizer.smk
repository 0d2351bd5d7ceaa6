# The vocabulary, from the checkpoint or trained on the corpus, and the passages in it.
if layout.study.tokenizer.kind == "checkpoint":

    rule tokenizer:
        input:
            checkpoint=layout.initial,
        output:
            tokenizer=f"{W}/tokenizer/tokenizer.json",
        log:
            f"{W}/logs/tokenizer.log",
        benchmark:
            f"{W}/benchmarks/tokenizer.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("tokenizer")["threads"]
        resources:
            **layout.resources("tokenizer"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            decides=lambda wildcards: layout.at(wildcards).decides("copy_tokenizer"),
        shell:
            "glimmer tokenizer --study {params.study:q} --set results={resources.results:q}"
            " --checkpoint {input.checkpoint:q} --out {output.tokenizer:q} > {log:q} 2>&1"

else:

    rule tokenizer:
        input:
            data=lambda wildcards: layout.at(wildcards).files_of_data,
            passages=f"{W}/passages",
        output:
            tokenizer=f"{W}/tokenizer/tokenizer.json",
        log:
            f"{W}/logs/tokenizer.log",
        benchmark:
            f"{W}/benchmarks/tokenizer.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("tokenizer")["threads"]
        resources:
            **layout.resources("tokenizer"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            decides=lambda wildcards: layout.at(wildcards).decides("train_vocabulary"),
            data=lambda wildcards: layout.at(wildcards).data,
        shell:
            "glimmer vocabulary --study {params.study:q} --set results={resources.results:q}"
            " --data {params.data:q} --passages {input.passages:q}"
            " --out {output.tokenizer:q} > {log:q} 2>&1"


if layout.parts("tokenize") == 1:

    rule tokenize:
        input:
            passages=f"{W}/passages",
            tokenizer=f"{W}/tokenizer/tokenizer.json",
        output:
            tokens=directory(f"{W}/tokens"),
        log:
            f"{W}/logs/tokenize.log",
        benchmark:
            f"{W}/benchmarks/tokenize.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("tokenize")["threads"]
        resources:
            **layout.resources("tokenize"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            decides=lambda wildcards: layout.at(wildcards).decides("tokenize"),
        shell:
            "glimmer tokenize --study {params.study:q} --set results={resources.results:q}"
            " --tokenizer {input.tokenizer:q} --passages {input.passages:q}"
            " --out {output.tokens:q} > {log:q} 2>&1"

else:

    rule tokenize:
        input:
            passages=f"{W}/passages",
            tokenizer=f"{W}/tokenizer/tokenizer.json",
        output:
            stamp=temp(layout.stamp("tokens", "tokenize")),
        log:
            f"{W}/logs/tokenize/{{part}}.log",
        benchmark:
            f"{W}/benchmarks/tokenize/{{part}}.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("tokenize")["threads"]
        resources:
            **layout.resources("tokenize"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            decides=lambda wildcards: layout.at(wildcards).decides("tokenize"),
            tokens=lambda wildcards: layout.at(wildcards).path("tokens"),
            of=layout.parts("tokenize"),
        shell:
            "glimmer tokenize --study {params.study:q} --set results={resources.results:q}"
            " --tokenizer {input.tokenizer:q} --passages {input.passages:q}"
            " --part {wildcards.part:q}/{params.of:q} --out {params.tokens:q} > {log:q} 2>&1"

    rule gather_tokens:
        input:
            passages=f"{W}/passages",
            tokenizer=f"{W}/tokenizer/tokenizer.json",
            stamps=layout.stamps("tokens", "tokenize"),
        output:
            tokens=directory(f"{W}/tokens"),
        log:
            f"{W}/logs/gather-tokens.log",
        benchmark:
            f"{W}/benchmarks/gather-tokens.tsv"
        conda:
            "../../environment.yml"
        threads: layout.needs("gather_tokens")["threads"]
        resources:
            **layout.resources("gather_tokens"),
        params:
            study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
            decides=lambda wildcards: layout.at(wildcards).decides("tokenize"),
            of=layout.parts("tokenize"),
        shell:
            "glimmer tokenize --study {params.study:q} --set results={resources.results:q}"
            " --tokenizer {input.tokenizer:q} --passages {input.passages:q}"
            " --gather {params.of:q} --out {output.tokens:q} > {log:q} 2>&1"

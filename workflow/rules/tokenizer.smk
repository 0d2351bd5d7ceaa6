# The vocabulary, from the checkpoint or trained on the corpus, and the passages in it.
rule tokenizer:
    input:
        data=layout.files_of_data,
        passages=f"{W}/passages",
        checkpoint=layout.vocabulary,
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
        study=STUDY,
        data=lambda wildcards: layout.data,
        checkpoint=layout.vocabulary_option,
        decides=layout.settings("tokenizer", "initial"),
    shell:
        "glimmer tokenizer --study {params.study:q} {params.checkpoint:q} --data {params.data:q}"
        " --passages {input.passages:q} --out {output.tokenizer:q} > {log:q} 2>&1"


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
        study=STUDY,
        decides=layout.settings("lengths", "templates"),
    shell:
        "glimmer tokenize --study {params.study:q} --tokenizer {input.tokenizer:q} --passages {input.passages:q}"
        " --out {output.tokens:q} > {log:q} 2>&1"

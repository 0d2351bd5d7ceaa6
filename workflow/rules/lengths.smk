# What the study's lengths cut off: no reader needs it, so nothing waits for it but the report and the audit.
rule lengths:
    input:
        data=lambda wildcards: layout.at(wildcards).files_of_data,
        passages=f"{W}/passages",
        tokenizer=f"{W}/tokenizer/tokenizer.json",
    output:
        counts=f"{W}/lengths.json",
    log:
        f"{W}/logs/lengths.log",
    benchmark:
        f"{W}/benchmarks/lengths.tsv"
    conda:
        "../../environment.yml"
    threads: layout.needs("lengths")["threads"]
    resources:
        **layout.resources("lengths"),
    params:
        study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
        decides=lambda wildcards: layout.at(wildcards).decides("lengths"),
        data=lambda wildcards: layout.at(wildcards).data,
    shell:
        "glimmer lengths --study {params.study:q} --set results={resources.results:q}"
        " --data {params.data:q} --passages {input.passages:q} --tokenizer {input.tokenizer:q}"
        " --out {output.counts:q} > {log:q} 2>&1"


rule publish_lengths:
    input:
        counts=f"{W}/lengths.json",
    output:
        counts=f"{PUBLISHED}/lengths.json",
    log:
        f"{W}/logs/publish-lengths.log",
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "cp {input.counts:q} {output.counts:q}.partial 2> {log:q}"
        " && mv {output.counts:q}.partial {output.counts:q} 2>> {log:q}"

# The relevance filter: which train examples stay.
rule filter_by_relevance:
    input:
        retrieved=f"{W}/retrieved",
    output:
        filtered=directory(f"{W}/filtered"),
    log:
        f"{W}/logs/filter.log",
    benchmark:
        f"{W}/benchmarks/filter.tsv"
    conda:
        "../../environment.yml"
    threads: layout.needs("filter_by_relevance")["threads"]
    resources:
        **layout.resources("filter_by_relevance"),
    params:
        study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
        decides=lambda wildcards: layout.at(wildcards).decides("filter_by_relevance"),
    shell:
        "glimmer filter --study {params.study:q} --set results={resources.results:q}"
        " --retrieved {input.retrieved:q} --out {output.filtered:q} > {log:q} 2>&1"


rule publish_filter:
    input:
        filtered=f"{W}/filtered",
    output:
        counts=f"{PUBLISHED}/filter.json",
    log:
        f"{W}/logs/publish-filter.log",
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "cp {input.filtered:q}/counts.json {output.counts:q}.partial 2> {log:q}"
        " && mv {output.counts:q}.partial {output.counts:q} 2>> {log:q}"

# What the most frequent answers score: no reader needs it, so nothing waits for it but the report.
rule priors:
    input:
        data=lambda wildcards: layout.at(wildcards).files_of_data,
    output:
        counts=f"{W}/priors.json",
    log:
        f"{W}/logs/priors.log",
    benchmark:
        f"{W}/benchmarks/priors.tsv"
    conda:
        "../../environment.yml"
    threads: layout.needs("priors")["threads"]
    resources:
        **layout.resources("priors"),
    params:
        study=lambda wildcards: [STUDY, *layout.at(wildcards).option],
        decides=lambda wildcards: layout.at(wildcards).decides("priors"),
        data=lambda wildcards: layout.at(wildcards).data,
    shell:
        "glimmer priors --study {params.study:q} --set results={resources.results:q}"
        " --data {params.data:q}"
        " --out {output.counts:q} > {log:q} 2>&1"


rule publish_priors:
    input:
        counts=f"{W}/priors.json",
    output:
        counts=f"{PUBLISHED}/priors.json",
    log:
        f"{W}/logs/publish-priors.log",
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        "cp {input.counts:q} {output.counts:q}.partial 2> {log:q}"
        " && mv {output.counts:q}.partial {output.counts:q} 2>> {log:q}"

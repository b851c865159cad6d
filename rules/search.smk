VECTORS = f"{RESULTS}/fingerprints/{{run}}/epoch={{epoch}}"


rule build_index:
    """Build one index over the dummy and the database fingerprints."""
    input:
        dummy=f"{VECTORS}/dummy.npy",
        db=f"{VECTORS}/test_db.npy",
        code=code("build_index"),
    output:
        index=directory(f"{RESULTS}/indexes/{{run}}/epoch={{epoch}}/{{index}}"),
        facts=f"{RESULTS}/indexes/{{run}}/epoch={{epoch}}/{{index}}.json",
    log:
        log_of("build_index/{run}/epoch={epoch}/{index}"),
    benchmark:
        benchmark_of("build_index/{run}/epoch={epoch}/{index}")
    conda:
        "../envs/search.yaml"
    threads: 2
    resources:
        mem="8GB",
        runtime="12h",
    params:
        options=lambda wildcards: config["indexes"][wildcards.index],
        seed=config["search"]["seed"],
        train_max=config["search"]["train_max"],
    message:
        "building {wildcards.index} for {wildcards.run}"
    script:
        "../scripts/build_index.py"


rule score:
    """Search all test sequences in one index and count the hits."""
    input:
        index=f"{RESULTS}/indexes/{{run}}/epoch={{epoch}}/{{index}}",
        facts=f"{RESULTS}/indexes/{{run}}/epoch={{epoch}}/{{index}}.json",
        dummy=f"{VECTORS}/dummy.npy",
        db=f"{VECTORS}/test_db.npy",
        query=f"{VECTORS}/test_query.npy",
        clips=f"{RESULTS}/data/packed/test_query.csv",
        songs=[f"{RESULTS}/data/packed/{split}.csv" for split in ("dummy", "test_db")],
        test_ids=(
            []
            if config["search"]["test_ids"] == "all" or isinstance(config["search"]["test_ids"], int)
            else config["search"]["test_ids"]
        ),
        code=code("score"),
    output:
        cell=f"{RESULTS}/scores/{{run}}/epoch={{epoch}}/{{index}}.json",
        hits=f"{RESULTS}/scores/{{run}}/epoch={{epoch}}/{{index}}.hits.parquet",
    log:
        log_of("score/{run}/epoch={epoch}/{index}"),
    benchmark:
        benchmark_of("score/{run}/epoch={epoch}/{index}")
    conda:
        "../envs/search.yaml"
    threads: 2
    resources:
        mem="8GB",
        runtime="12h",
    params:
        dataset=DATASET,
        fields=run_fields,
        options=lambda wildcards: config["indexes"][wildcards.index],
        search={name: config["search"][name] for name in ("lengths", "protocol", "test_ids", "seed")},
    message:
        "searching {wildcards.index} for {wildcards.run}"
    script:
        "../scripts/score.py"

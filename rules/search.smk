SEARCH = {name: value for name, value in config["search"].items() if name not in ("index", "epoch")}
ICASSP_IDS = f"{RESULTS}/data/test_ids_icassp2021.npy"
match SEARCH["test_ids"]:
    case "all" | int():
        TEST_IDS = []
    case "icassp":
        TEST_IDS = ICASSP_IDS
    case file:
        TEST_IDS = file
# What test sequences are: all that the answers of a method depend on, so that another device or index asks for no new ones.
ASKED = {name: SEARCH[name] for name in ("lengths", "protocol", "seed")} | {"test_ids": TEST_IDS or SEARCH["test_ids"]}
ASKED_SETS = list(dict.fromkeys([grid.FILES, *(cell.query_set for study in CELLS.values() for cell in study)]))
SEARCHED = ("dummy", "db", "shards")  # inputs that decide on a job's memory and time


rule fetch_test_ids:
    """The 2,000 places in the paper's test queries where its test sequences start."""
    output:
        ids=ICASSP_IDS,
    log:
        log_of("fetch_test_ids"),
    retries: 3
    localrule: True
    conda:
        "../envs/search.yaml"
    params:
        url=(
            "https://raw.githubusercontent.com/mimbres/neural-audio-fp/"
            "b724e512b7415699e3d942c2d2dbf8ca1a057a37/eval/test_ids_icassp2021.npy"
        ),
        sha256=ICASSP_IDS_SHA256,
    message:
        "downloading the test ids of the paper"
    script:
        "../scripts/fetch_test_ids.py"


rule build_index:
    """Build one index over the dummy and the database fingerprints."""
    input:
        dummy=dummy_vectors,
        db=vectors("test_db"),
        shards=shards(DISTRACTORS, "test_db"),
    output:
        index=directory(f"{RESULTS}/indexes/{{run}}/epoch={{epoch}}/{{index}}"),
        facts=f"{RESULTS}/indexes/{{run}}/epoch={{epoch}}/{{index}}.json",
    log:
        log_of("build_index/{run}/epoch={epoch}/{index}"),
    benchmark:
        benchmark_of("build_index/{run}/epoch={epoch}/{index}")
    conda:
        search_environment
    threads: search_threads
    resources:
        gpu=gpus_of_search,
        mem_mb=search_mb("build_index"),
        runtime=scale_with_input(60, 0.05, of=SEARCHED),
    params:
        code=code("build_index"),
        options=building_options,
        seed=config["search"]["seed"],
        train_max=config["search"]["train_max"],
        device=config["search"]["device"],
    message:
        "building {wildcards.index} for {wildcards.run}"
    script:
        "../scripts/build_index.py"


rule score:
    """Search all test sequences in one index and count the hits."""
    input:
        index=f"{RESULTS}/indexes/{{run}}/epoch={{epoch}}/{{index}}",
        facts=f"{RESULTS}/indexes/{{run}}/epoch={{epoch}}/{{index}}.json",
        dummy=vectors(DISTRACTORS),
        db=vectors("test_db"),
        query=query_vectors,
        shards=shards(DISTRACTORS, "test_db", query_split),
        clips=clips_of_queries,
        songs=[f"{RESULTS}/data/packed/{split}.csv" for split in (DISTRACTORS, "test_db")],
        test_ids=TEST_IDS,
    output:
        cell=f"{RESULTS}/scores/{{run}}/epoch={{epoch}}/{{queries}}{{index}}.json",
        hits=f"{RESULTS}/scores/{{run}}/epoch={{epoch}}/{{queries}}{{index}}.hits.parquet",
    log:
        log_of("score/{run}/epoch={epoch}/{queries}{index}"),
    benchmark:
        benchmark_of("score/{run}/epoch={epoch}/{queries}{index}")
    conda:
        search_environment
    threads: search_threads
    resources:
        gpu=gpus_of_search,
        mem_mb=search_mb("score"),
        runtime=scale_with_input(60, 0.02, of=SEARCHED),
    params:
        code=code("score"),
        dataset=DATASET,
        fields=run_fields,
        queries=about_queries,
        grid=grid_of_run,
        options=index_options,
        distractors=DISTRACTORS,
        search={**ASKED, "device": SEARCH["device"]},
    message:
        "searching {wildcards.index} for {wildcards.run}"
    script:
        "../scripts/score.py"


rule answer:
    """Let a method that needs no index answer all test sequences, and count the hits."""
    input:
        dummy=packed("dummy"),
        db=packed("test_db"),
        query=answered_queries,
        files=method_inputs,
        test_ids=TEST_IDS,
    output:
        cell=f"{RESULTS}/scores/method={{name}}/{{queries}}answers.json",
        hits=f"{RESULTS}/scores/method={{name}}/{{queries}}answers.hits.parquet",
    log:
        log_of("answer/{name}/{queries}answers"),
    benchmark:
        benchmark_of("answer/{name}/{queries}answers")
    wildcard_constraints:
        name="|".join(config["methods"]) or "none",
    conda:
        method_environment
    threads: THREADS
    resources:
        mem_mb=scale_with_input(4000, 0.1, of=("dummy", "db")),  # audio stays on the disk, tables of it are small
        runtime=scale_with_input(240, 0.02, of=("dummy", "db")),
    params:
        code=method_code,
        dataset=DATASET,
        method=method_options,
        queries=about_queries,
        search=ASKED,
    message:
        "letting {wildcards.name} answer"
    script:
        "../scripts/answer.py"


rule list_queries:
    """The queries that studies ask, and the songs, as tables: for a system that hands in its answers."""
    input:
        queries=[packed(split_of_set(name)) for name in ASKED_SETS],
        songs=[packed(split) for split in ("dummy", "test_db")],
        test_ids=TEST_IDS,
    output:
        queries=f"{RESULTS}/exchange/queries.csv",
        songs=f"{RESULTS}/exchange/songs.csv",
    log:
        log_of("list_queries"),
    conda:
        "../envs/search.yaml"
    resources:
        mem_mb=scale_with_input(2000),
        runtime=scale_with_input(30),
    params:
        code=code("list_queries"),
        query_sets=ASKED_SETS,
        search=ASKED,
    message:
        "listing the queries"
    script:
        "../scripts/list_queries.py"


rule measure_scale:
    """Search one index over growing parts of the dummy database."""
    input:
        dummy=fewest_dummy_vectors,
        db=vectors("test_db"),
        query=vectors("test_query"),
        shards=shards("dummy", "test_db", "test_query"),
        clips=f"{RESULTS}/data/packed/test_query.csv",
        songs=[f"{RESULTS}/data/packed/{split}.csv" for split in ("dummy", "test_db")],
        test_ids=TEST_IDS,
    output:
        hits=f"{RESULTS}/scores/{{run}}/epoch={{epoch}}/{{index}}.scale.parquet",
        table=f"{RESULTS}/scores/{{run}}/epoch={{epoch}}/{{index}}.scale.csv",
    log:
        log_of("measure_scale/{run}/epoch={epoch}/{index}"),
    benchmark:
        benchmark_of("measure_scale/{run}/epoch={epoch}/{index}")
    conda:
        search_environment
    threads: search_threads
    resources:
        mem_mb=scale_with_input(*MEMORY["measure_scale"], of=SEARCHED),
        runtime=scale_with_input(60, 0.2, of=SEARCHED),
    params:
        code=code("measure_scale"),
        options=index_options,
        fractions=config["scale"]["fractions"],
        search={**ASKED, "train_max": SEARCH["train_max"]},
    message:
        "searching {wildcards.index} for {wildcards.run} in databases of several sizes"
    script:
        "../scripts/measure_scale.py"


rule extrapolate:
    """Predict the hit rates in databases larger than the data, and check the predictions on it."""
    input:
        dummy=queried_dummy_vectors,
        db=vectors("test_db"),
        query=vectors("test_query"),
        shards=shards("dummy", "test_db", "test_query"),
        clips=f"{RESULTS}/data/packed/test_query.csv",
        songs=[f"{RESULTS}/data/packed/{split}.csv" for split in ("dummy", "test_db")],
        test_ids=TEST_IDS,
    output:
        table=f"{RESULTS}/scores/{{run}}/epoch={{epoch}}/extrapolation.csv",
    log:
        log_of("extrapolate/{run}/epoch={epoch}"),
    benchmark:
        benchmark_of("extrapolate/{run}/epoch={epoch}")
    conda:
        "../envs/search.yaml"
    threads: search_threads
    resources:
        mem_mb=scale_with_input(3000, 0.5, of=SEARCHED),
        runtime=scale_with_input(60, 0.05, of=SEARCHED),
    params:
        code=code("extrapolate"),
        indexes={name: config["indexes"][name] for name in config["scale"]["index"]},
        plan={**config["scale"]["beyond"], "fractions": config["scale"]["fractions"]},
        search=ASKED,
    message:
        "extrapolating the hit rates of {wildcards.run} to larger databases"
    script:
        "../scripts/extrapolate.py"

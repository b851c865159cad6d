rule fingerprint:
    """Fingerprint every segment of a split, or of one shard of it, with one trained model."""
    input:
        weights=f"{RESULTS}/runs/{{run}}/epoch={{epoch}}.safetensors",
        audio=packed("{split}"),
        clips=f"{RESULTS}/data/packed/{{split}}.csv",
    output:
        vectors=f"{RESULTS}/fingerprints/{{run}}/epoch={{epoch}}/{{split}}{{shard}}.npy",
    log:
        log_of("fingerprint/{run}/epoch={epoch}/{split}{shard}"),
    benchmark:
        benchmark_of("fingerprint/{run}/epoch={epoch}/{split}{shard}")
    wildcard_constraints:
        run=MODELS,
        split=r"(?!generated\b)\w+",
        shard=r"(/\d+-of-\d+)?",
    conda:
        "../envs/train.yaml"
    threads: MODEL_THREADS
    resources:
        gpu=1,
        mem_mb=fingerprint_mb,
        runtime=fingerprint_minutes,
    params:
        code=code("fingerprint"),
        model=model_settings,
        shard=shard_numbers,
    message:
        "fingerprinting {wildcards.split}{wildcards.shard} with {wildcards.run}"
    script:
        "../scripts/fingerprint.py"


rule list_distractors:
    """The songs that are generated as distractors, as a table like that of a packed split."""
    output:
        clips=f"{RESULTS}/data/packed/generated.csv",
    log:
        log_of("list_distractors"),
    localrule: True
    conda:
        "../envs/search.yaml"
    params:
        code=code("list_distractors"),
        songs=generated_number("songs"),
        samples=generated_number("samples"),
    message:
        "listing the generated distractors"
    script:
        "../scripts/list_distractors.py"


rule generate_distractors:
    """Draw a shard of distractors from a model of the dummy songs' fingerprints, for a database larger than the data."""
    input:
        dummy=vectors("dummy"),
        shards=shards("dummy"),
        clips=f"{RESULTS}/data/packed/dummy.csv",
    output:
        vectors=f"{RESULTS}/fingerprints/{{run}}/epoch={{epoch}}/generated{{shard}}.npy",
    log:
        log_of("generate_distractors/{run}/epoch={epoch}/generated{shard}"),
    benchmark:
        benchmark_of("generate_distractors/{run}/epoch={epoch}/generated{shard}")
    wildcard_constraints:
        run=MODELS,
        shard=r"(/\d+-of-\d+)?",
    conda:
        "../envs/search.yaml"
    resources:
        mem_mb=scale_with_input(*MEMORY["generate_distractors"], of=["dummy", "shards"]),
        runtime=scale_with_input(60),
    params:
        code=code("generate_distractors"),
        songs=generated_number("songs"),
        samples=generated_number("samples"),
        shard=shard_numbers,
        seed=config["search"]["seed"],
    message:
        "generating distractors {wildcards.shard}"
    script:
        "../scripts/generate_distractors.py"


rule gather_fingerprints:
    """Name the shards of a split, which are then read as one array."""
    input:
        shards=shards_to_gather,
    output:
        vectors=f"{RESULTS}/fingerprints/{{run}}/epoch={{epoch}}/{{split}}.json",
    log:
        log_of("gather_fingerprints/{run}/epoch={epoch}/{split}"),
    wildcard_constraints:
        run=MODELS,
    localrule: True
    conda:
        "../envs/search.yaml"
    params:
        code=code("gather_fingerprints"),
    message:
        "gathering the shards of {wildcards.split}"
    script:
        "../scripts/gather_fingerprints.py"


rule import_fingerprints:
    """Take fingerprints made elsewhere, in the original code's format, as those of a run called external=NAME."""
    input:
        exchanged=exchanged,
        clips=f"{RESULTS}/data/packed/{{split}}.csv",
    output:
        vectors=f"{RESULTS}/fingerprints/external={{name}}/epoch=last/{{split}}.npy",
    log:
        log_of("import_fingerprints/{name}/{split}"),
    wildcard_constraints:
        split="|".join((*EXCHANGED, "query_.+")),
    conda:
        "../envs/search.yaml"
    resources:
        mem_mb=scale_with_input(2000),
        runtime=scale_with_input(240),
    params:
        code=code("import_fingerprints"),
        theirs=external_options,
    message:
        "taking {wildcards.split} of {wildcards.name}"
    script:
        "../scripts/import_fingerprints.py"


rule export:
    """The fingerprints of the default run in the original code's format: {db,query,dummy_db}.mm and their shapes."""
    input:
        **{split: fingerprints_of(DEFAULT_RUN, EPOCH, split) for split in TEST_SPLITS},
        shards=[shard for split in TEST_SPLITS for shard in shards_of(DEFAULT_RUN, EPOCH, split)],
    output:
        **{part: f"{RESULTS}/exchange/{DEFAULT_RUN}/epoch={EPOCH}/{part}.mm" for part in EXCHANGED.values()},
        shapes=[f"{RESULTS}/exchange/{DEFAULT_RUN}/epoch={EPOCH}/{part}_shape.npy" for part in EXCHANGED.values()],
    log:
        log_of("export"),
    conda:
        "../envs/search.yaml"
    resources:
        mem_mb=scale_with_input(2000),
        runtime=scale_with_input(30, 0.005, of=["dummy", "shards"]),
    params:
        code=code("export"),
    message:
        "writing the fingerprints of {DEFAULT_RUN} in the original code's format"
    script:
        "../scripts/export.py"

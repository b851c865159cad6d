# One's own music: snakemake identify --config library=FOLDER queries=FOLDER


rule identify:
    """Which song of a folder (library) is each recording of another (queries), and from when to when."""
    input:
        weights=f"{RESULTS}/runs/{DEFAULT_RUN}/epoch={EPOCH}.safetensors",
        settings=f"{RESULTS}/runs/{DEFAULT_RUN}/config.yaml",
    output:
        f"{RESULTS}/identify/matches.csv",
    log:
        log_of("identify"),
    benchmark:
        benchmark_of("identify")
    conda:
        "../envs/identify.yaml"
    threads: THREADS
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=growing(720),
    params:
        code=code("identify"),
        folders=own_folders,
        states=lambda wildcards: [state_of(config.get(name)) for name in ("library", "queries")],
        limits=config["identify"],
        index_options=config["indexes"][config["identify"]["index"]],
        run=lambda wildcards, input: str(Path(input.weights).parent),
        epoch=EPOCH,
        store=f"{RESULTS}/identify/library",
    message:
        "identifying the recordings in {params.folders[queries]}"
    script:
        "../scripts/identify.py"

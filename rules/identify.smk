# One's own music: snakemake identify --config library=FOLDER queries=FOLDER


def state_of(folder):
    """How many files a folder holds and when the newest was written: what makes ``identify`` run again."""
    if not folder or not os.path.exists(folder):
        return None
    files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names] or [folder]
    return [len(files), int(max(map(os.path.getmtime, files)))]


def own_folders(wildcards):
    """The folders that the target works on, as params; a sentence if they were not given."""
    if not (config.get("library") and config.get("queries")):
        raise WorkflowError("identify: say what to search: --config library=FOLDER queries=FOLDER")
    return {name: config[name] for name in ("library", "queries")}


rule identify:
    """Which song of a folder (library) is each recording of another (queries), and from when to when."""
    input:
        weights=f"{RESULTS}/runs/{DEFAULT_RUN}/epoch={EPOCH}.safetensors",
        settings=f"{RESULTS}/runs/{DEFAULT_RUN}/config.yaml",
        code=code("identify"),
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
        mem="8GB",
        runtime="12h",
    params:
        folders=own_folders,
        states=lambda wildcards: [state_of(config.get(name)) for name in ("library", "queries")],
        limits=config["identify"],
        run=f"{RESULTS}/runs/{DEFAULT_RUN}",
        epoch=EPOCH,
        store=f"{RESULTS}/identify/library",
    message:
        "identifying the recordings in {params.folders[queries]}"
    script:
        "../scripts/identify.py"

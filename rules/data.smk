# From files to packed splits.
if IS_DEMO:

    rule compose_demo:
        """Compose the demo corpus: songs, noises, impulse responses, babble."""
        input:
            code=code("compose_demo"),
        output:
            aug=directory(f"{CORPUS}/aug"),
            train=directory(f"{CORPUS}/{SPLITS['train']}"),
            val_db=directory(f"{CORPUS}/{SPLITS['val_db']}"),
            test_db=directory(f"{CORPUS}/{SPLITS['test_db']}"),
            dummy=directory(f"{CORPUS}/{SPLITS['dummy']}"),
        log:
            log_of("compose_demo"),
        benchmark:
            benchmark_of("compose_demo")
        conda:
            "../envs/data.yaml"
        threads: THREADS
        resources:
            mem_mb=growing(4000),
            runtime=growing(60),
        params:
            root=lambda wildcards, output: str(Path(output.aug).parent),
            songs=config["demo"]["songs"],
            seed=config["demo"]["seed"],
            clip_s=config["demo"]["clip_s"],
        message:
            "composing the demo corpus"
        script:
            "../scripts/compose_demo.py"

    rule synthesise_queries:
        """Degrade the songs of the validation or test split into queries, with sounds that training never hears."""
        input:
            songs=f"{CORPUS}/music/{{part}}-query-db-500-30s/db",
            aug=f"{CORPUS}/aug",
            code=code("synthesise_queries"),
        output:
            directory(f"{CORPUS}/music/{{part}}-query-db-500-30s/query"),
        log:
            log_of("synthesise_queries/{part}"),
        benchmark:
            benchmark_of("synthesise_queries/{part}")
        wildcard_constraints:
            part="val|test",
        conda:
            "../envs/train.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=growing(60),
        params:
            root=lambda wildcards, input: str(Path(input.aug).parent),
            steps=lambda wildcards: config["demo"]["queries"][wildcards.part],
            pools=lambda wildcards: chain_pools(config["demo"]["queries"][wildcards.part]),
            seed=config["demo"]["seed"],
        message:
            "degrading the {wildcards.part} songs into queries"
        script:
            "../scripts/synthesise_queries.py"


rule verify:
    """Check every file of the data set and list all that is wrong."""
    input:
        folders=[f"{CORPUS}/{folder}" for folder in ("aug", *map(SPLITS.get, MUSIC)) if IS_DEMO],
        code=code("verify"),
    output:
        manifest=f"{RESULTS}/data/manifest.csv",
        verification=f"{RESULTS}/data/verification.json",
    log:
        log_of("verify"),
    benchmark:
        benchmark_of("verify")
    conda:
        "../envs/data.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(*MEMORY["verify"]),
        runtime=growing(360),
    params:
        root=lambda wildcards: CORPUS,
    message:
        "checking every file below {params.root}"
    script:
        "../scripts/verify.py"


rule pack:
    """Write a split as one array and a clip table."""
    input:
        manifest=f"{RESULTS}/data/manifest.csv",
        code=code("pack"),
    output:
        array=packed("{split}"),
        table=f"{RESULTS}/data/packed/{{split}}.csv",
    log:
        log_of("pack/{split}"),
    benchmark:
        benchmark_of("pack/{split}")
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=growing(*MEMORY["pack"]),
        runtime=growing(360),
    params:
        root=lambda wildcards: CORPUS,
    message:
        "packing {wildcards.split}"
    script:
        "../scripts/pack.py"

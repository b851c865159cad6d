# From files to packed splits. SOURCE, of nafp.datasets.sources, says which rules bring or make the files.
MADE = [*(["aug"] if QUERY_CHAINS else [TIME_MAP]), *map(SPLITS.get, SOURCE.splits)] if SOURCE.maker else []
WANTED = ("dummy", "expected", "strict", "as_published", "md5", "manifest")  # what a data set should be

if SOURCE.maker == "compose_demo":

    rule compose_demo:
        """Compose the demo corpus: songs, noises, impulse responses, babble."""
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
            mem_mb=scale_with_input(4000),
            runtime=scale_with_input(60),
        params:
            code=code("compose_demo"),
            root=corpus,
            songs=config["demo"]["songs"],
            seed=config["demo"]["seed"],
            clip_s=config["demo"]["clip_s"],
            sounds=config["demo"]["sounds"],
        message:
            "composing the demo corpus"
        script:
            "../scripts/compose_demo.py"


if SOURCE.maker == "import_audio":

    rule import_audio:
        """Decode one's own music and sounds, leave copies out, and divide the songs among the splits."""
        output:
            aug=directory(f"{CORPUS}/aug"),
            train=directory(f"{CORPUS}/{SPLITS['train']}"),
            val_db=directory(f"{CORPUS}/{SPLITS['val_db']}"),
            test_db=directory(f"{CORPUS}/{SPLITS['test_db']}"),
            dummy=directory(f"{CORPUS}/{SPLITS['dummy']}"),
            table=f"{RESULTS}/data/imported.csv",
            states=IMPORTED,
        log:
            log_of("import_audio"),
        benchmark:
            benchmark_of("import_audio")
        conda:
            "../envs/data.yaml"
        threads: THREADS
        resources:
            mem_mb=scale_with_input(4000),
            runtime=scale_with_input(1440, resumes=True),
        params:
            code=code("import_audio"),
            root=corpus,
            cache=f"{RESULTS}/data/decoded",
            options={name: value for name, value in DATA["own"].items() if name != "queries"},
            states=states_of_sources,
        message:
            "importing the audio of {DATASET}"
        script:
            "../scripts/import_audio.py"


if SOURCE.maker == "import_recordings":

    rule import_recordings:
        """Cut annotated recordings into queries, beside their songs and distractors."""
        output:
            test_db=directory(f"{CORPUS}/{SPLITS['test_db']}"),
            test_query=directory(f"{CORPUS}/{SPLITS['test_query']}"),
            dummy=directory(f"{CORPUS}/{SPLITS['dummy']}"),
            time_map=f"{CORPUS}/{TIME_MAP}",
            table=f"{RESULTS}/data/imported.csv",
        log:
            log_of("import_recordings"),
        benchmark:
            benchmark_of("import_recordings")
        conda:
            "../envs/data.yaml"
        threads: THREADS
        resources:
            mem_mb=scale_with_input(4000),
            runtime=scale_with_input(720),
        params:
            code=code("import_recordings"),
            root=corpus,
            dataset={name: DATA[name] for name in ("source", *SOURCE.options) if name in DATA},
            states=states_of_recordings,
        message:
            "importing the recordings of {DATASET}"
        script:
            "../scripts/import_recordings.py"


if QUERY_CHAINS:

    rule synthesise_queries:
        """Degrade the songs of the validation or test split into queries, with sounds that training never hears."""
        input:
            songs=f"{CORPUS}/music/{{part}}-query-db-500-30s/db",
            aug=f"{CORPUS}/aug",
            mixed_in=songs_of_part,
        output:
            queries=directory(f"{CORPUS}/music/{{part}}-query-db-500-30s/query"),
        log:
            log_of("synthesise_queries/{part}"),
        benchmark:
            benchmark_of("synthesise_queries/{part}")
        wildcard_constraints:
            part="val|test",
        conda:
            "../envs/train.yaml"
        resources:
            mem_mb=scale_with_input(4000),
            runtime=scale_with_input(60),
        params:
            code=code("synthesise_queries"),
            root=corpus,
            steps=steps_of_part,
            pools=pools_of_part,
            seed=SEED,
        message:
            "degrading the {wildcards.part} songs into queries"
        script:
            "../scripts/synthesise_queries.py"


if SOURCE.bring:

    # Without code as input: what is downloaded and unpacked stays good when the code changes, its checksums say so.
    rule download:
        """Bring the data set's archive here: download it, going on where an earlier call stopped, or find the user's."""
        output:
            archives=f"{RESULTS}/data/archives.json",
        log:
            log_of("download"),
        localrule: True
        conda:
            "../envs/data.yaml"
        params:
            root=corpus,
            options={
                name: DATA[name]
                for name in ("source", *SOURCE.options)
                if name in DATA and name not in ("keep_archive", "archive_gb")
            },
        message:
            "bringing the archive of {DATASET} here"
        script:
            "../scripts/download.py"

    rule unpack:
        """Unpack the archive, going on where an earlier call stopped."""
        input:
            archives=f"{RESULTS}/data/archives.json",
        output:
            unpacked=f"{RESULTS}/data/unpacked.json",
        log:
            log_of("unpack"),
        conda:
            "../envs/data.yaml"
        resources:
            mem_mb=scale_with_input(4000),
            runtime=scale_with_input(1440, resumes=True),
        params:
            root=corpus,
            unpacked_gb=DATA.get("unpacked_gb"),
        message:
            "unpacking the archive into {params.root}"
        script:
            "../scripts/unpack.py"


rule verify:
    """Check every file of the data set and list all that is wrong."""
    input:
        made=[f"{CORPUS}/{place}" for place in MADE],
        prepared=f"{RESULTS}/data/unpacked.json" if SOURCE.bring else [],
        named=manifest_named,
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
        mem_mb=scale_with_input(*MEMORY["verify"]),
        runtime=scale_with_input(360),
    params:
        code=code("verify"),
        root=corpus,
        archives=f"{RESULTS}/data/archives.json" if SOURCE.bring else None,
        wanted={name: DATA[name] for name in WANTED if name in DATA} | {"splits": list(SOURCE.splits)},
    message:
        "checking every file below {params.root}"
    script:
        "../scripts/verify.py"


if SOURCE.bring:

    rule remove_archive:
        """Delete a downloaded archive when its files are verified, unless it is to be kept."""
        input:
            archives=f"{RESULTS}/data/archives.json",
            verification=f"{RESULTS}/data/verification.json",
        output:
            removed=REMOVED,
        log:
            log_of("remove_archive"),
        localrule: True
        conda:
            "../envs/data.yaml"
        params:
            keep=DATA.get("keep_archive", False),
        message:
            "deleting the archive of {DATASET}, unless it was not downloaded or is to be kept"
        script:
            "../scripts/remove_archive.py"


rule pack:
    """Write a split as one array and a clip table."""
    input:
        manifest=manifest_of_split,
        removed=ancient(REMOVED) if SOURCE.bring else [],
    output:
        array=packed("{split}"),
        table=f"{RESULTS}/data/packed/{{split}}.csv",
    log:
        log_of("pack/{split}"),
    benchmark:
        benchmark_of("pack/{split}")
    wildcard_constraints:
        split="|".join(SPLITS),
    conda:
        "../envs/data.yaml"
    threads: THREADS
    resources:
        mem_mb=scale_with_input(*MEMORY["pack"]),
        runtime=scale_with_input(360),
    params:
        code=code("pack"),
        root=corpus,
    message:
        "packing {wildcards.split}"
    script:
        "../scripts/pack.py"


rule degrade_queries:
    """One of the query sets of the config: the test songs, degraded with sounds that training never hears."""
    input:
        songs=packed("test_db"),
        sounds=sounds_of_set,
    output:
        array=packed("query_{query_set}"),
        table=f"{RESULTS}/data/packed/query_{{query_set}}.csv",
    log:
        log_of("degrade_queries/{query_set}"),
    benchmark:
        benchmark_of("degrade_queries/{query_set}")
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=scale_with_input(*MEMORY["degrade_queries"]),
        runtime=scale_with_input(60, 0.05, of=["songs"]),
    params:
        code=code("degrade_queries"),
        steps=steps_of_set,
        pools=pools_of_set,
        seed=SEED,
    message:
        "degrading the test songs into the query set {wildcards.query_set}"
    script:
        "../scripts/degrade_queries.py"


rule write_augmented:
    """Augmented copies of a split as WAV, to listen to."""
    input:
        songs=packed(config["augmented"]["split"]),
        sounds=sounds_of_copies,
    output:
        copies=directory(AUGMENTED),
    log:
        log_of("write_augmented"),
    benchmark:
        benchmark_of("write_augmented")
    conda:
        "../envs/train.yaml"
    resources:
        mem_mb=scale_with_input(4000),
        runtime=scale_with_input(60, 0.05, of=["songs"]),
    params:
        code=code("write_augmented"),
        steps=config["chains"][config["augmented"]["aug"]],
        pools=chain_pools(config["chains"][config["augmented"]["aug"]]),
        every_s=config["augmented"]["every_s"],
        seed=config["augmented"]["seed"],
    message:
        "writing augmented copies to {output.copies}"
    script:
        "../scripts/write_augmented.py"

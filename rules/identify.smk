# One's own music: snakemake identify --config library=FOLDER queries=FOLDER


rule calibrate:
    """When a model's answers can be believed: what validation songs score in a library that does not hold them."""
    input:
        weights=f"{RESULTS}/runs/{{run}}/epoch={{epoch}}.safetensors",
        settings=f"{RESULTS}/runs/{{run}}/config.yaml",
        songs=packed("val_db"),
        queries=packed("val_query"),
        others=packed("train"),
    output:
        limits=f"{RESULTS}/runs/{{run}}/epoch={{epoch}}.limits.json",
    log:
        log_of("calibrate/{run}/epoch={epoch}"),
    benchmark:
        benchmark_of("calibrate/{run}/epoch={epoch}")
    wildcard_constraints:
        run=MODELS,
    conda:
        "../envs/identify.yaml"
    threads: THREADS
    resources:
        gpu=1,
        mem_mb=scale_with_input(4000),
        runtime=scale_with_input(120),
    params:
        code=code("calibrate"),
        songs=500,
        windows=options_in(config["identify"]).windows,
    message:
        "learning the limits of {wildcards.run}"
    script:
        "../scripts/calibrate.py"


rule identify:
    """Which song of a folder (library) is each recording of another (queries), and from when to when."""
    input:
        weights=identified_by("safetensors"),
        limits=limits_of_identifying,
        settings=f"{RESULTS}/runs/{IDENTIFYING_RUN}/config.yaml",
    output:
        matches=f"{IDENTIFIED}/matches.csv",
        answers=f"{IDENTIFIED}/answers.txt",
    log:
        log_of("identify"),
    benchmark:
        benchmark_of("identify")
    conda:
        "../envs/identify.yaml"
    threads: THREADS
    resources:
        gpu=1,
        mem_mb=scale_with_input(8000),
        runtime=scale_with_input(720),
    params:
        code=code("identify"),
        task=identify_task,
        paths=identify_paths,
        states=states_of_own_folders,
    message:
        "identifying the recordings in {params.task[recordings]}"
    script:
        "../scripts/identify.py"

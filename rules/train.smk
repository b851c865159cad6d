rule train:
    """Train one run of the grid; an interrupted job goes on where it was."""
    input:
        unpack(training_splits),
    output:
        last=f"{RESULTS}/runs/{{run}}/epoch=last.safetensors",
        best=f"{RESULTS}/runs/{{run}}/epoch=best.safetensors",
        history=f"{RESULTS}/runs/{{run}}/history.csv",
        config=f"{RESULTS}/runs/{{run}}/config.yaml",
        provenance=f"{RESULTS}/runs/{{run}}/provenance.json",
    log:
        log_of("train/{run}"),
    benchmark:
        benchmark_of("train/{run}")
    wildcard_constraints:
        run="aug=.+",
    conda:
        "../envs/train.yaml"
    threads: of_gpus(MODEL_THREADS)
    resources:
        gpu=of_gpus(1),
        nodes=1,  # else SLURM may spread the GPUs over several
        mem_mb=training_memory,
        runtime=training_minutes,
    params:
        code=code("train"),
        modules=[os.path.relpath(module, SCRIPTS) for module in modules("train", SCRIPTS)],
        settings=training_settings,
    message:
        "training {wildcards.run}"
    script:
        "../scripts/train.py"


rule take_checkpoint:
    """The weights after one epoch by its number, if train.checkpoints keeps them."""
    input:
        weights=trained_weights,
    output:
        weights=f"{RESULTS}/runs/{{run}}/epoch={{epoch}}.safetensors",
    log:
        log_of("take_checkpoint/{run}/epoch={epoch}"),
    wildcard_constraints:
        run="aug=.+",
        epoch="\\d+",
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        code=code("take_checkpoint"),
    message:
        "taking epoch {wildcards.epoch} of {wildcards.run}"
    script:
        "../scripts/take_checkpoint.py"


rule import_pretrained:
    """Make weights that others trained a run: download them if need be, check and convert them."""
    input:
        files=pretrained_files,
    output:
        last=f"{RESULTS}/runs/pretrained={{name}}/epoch=last.safetensors",
        best=f"{RESULTS}/runs/pretrained={{name}}/epoch=best.safetensors",
        config=f"{RESULTS}/runs/pretrained={{name}}/config.yaml",
        provenance=f"{RESULTS}/runs/pretrained={{name}}/provenance.json",
    log:
        log_of("import_pretrained/{name}"),
    benchmark:
        benchmark_of("import_pretrained/{name}")
    localrule: True
    conda:
        "../envs/train.yaml"
    params:
        code=code("import_pretrained"),
        options=pretrained_options,
        store="data/pretrained",
    message:
        "importing the weights {wildcards.name}"
    script:
        "../scripts/import_pretrained.py"

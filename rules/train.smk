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
    conda:
        "../envs/train.yaml"
    threads: of_gpus(THREADS)
    resources:
        gpu=of_gpus(1),
        mem_mb=scale_with_input(*MEMORY["train"], of=["train"]),
        runtime=training_minutes,
    params:
        code=code("train"),
        modules=modules("train"),
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

rule train:
    """Train one run of the grid; an interrupted job goes on after its last finished epoch."""
    input:
        unpack(training_splits),
        code=code("train"),
    output:
        last=f"{RESULTS}/runs/{{run}}/epoch=last.safetensors",
        best=f"{RESULTS}/runs/{{run}}/epoch=best.safetensors",
        history=f"{RESULTS}/runs/{{run}}/history.csv",
        config=f"{RESULTS}/runs/{{run}}/config.yaml",
    log:
        log_of("train/{run}"),
    benchmark:
        benchmark_of("train/{run}")
    conda:
        "../envs/train.yaml"
    threads: THREADS
    resources:
        gpu=1,
        mem="8GB",
        runtime="36h",
    params:
        settings=lambda wildcards: {
            **{name: value for name, value in run_fields(wildcards).items() if name != "aug"},
            **config["train"],
            "features": config["features"],
            "model": config["model"],
            "chain": config["chains"][run_fields(wildcards)["aug"]],
            "loss_options": config["losses"][run_fields(wildcards)["loss"]],
        },
    message:
        "training {wildcards.run}"
    script:
        "../scripts/train.py"

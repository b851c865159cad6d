rule fingerprint:
    """Fingerprint every segment of a split with one trained model."""
    input:
        weights=f"{RESULTS}/runs/{{run}}/epoch={{epoch}}.safetensors",
        audio=packed("{split}"),
        clips=f"{RESULTS}/data/packed/{{split}}.csv",
        code=code("fingerprint"),
    output:
        f"{RESULTS}/fingerprints/{{run}}/epoch={{epoch}}/{{split}}.npy",
    log:
        log_of("fingerprint/{run}/epoch={epoch}/{split}"),
    benchmark:
        benchmark_of("fingerprint/{run}/epoch={epoch}/{split}")
    conda:
        "../envs/train.yaml"
    threads: THREADS
    resources:
        gpu=1,
        mem="8GB",
        runtime="12h",
    params:
        features=lambda wildcards: recipe(wildcards)["features"],
        model=lambda wildcards: recipe(wildcards)["model"],
        dim=lambda wildcards: run_fields(wildcards)["dim"],
    message:
        "fingerprinting {wildcards.split} with {wildcards.run}"
    script:
        "../scripts/fingerprint.py"

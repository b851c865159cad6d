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
    wildcard_constraints:
        run="aug=.+",
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


rule import_fingerprints:
    """Take fingerprints made elsewhere, in the published code's format, as those of a run called external=NAME."""
    input:
        lambda wildcards: [
            f"{config['external'][wildcards.name]}/{EXCHANGED[wildcards.split]}{end}" for end in (".mm", "_shape.npy")
        ],
        code=code("import_fingerprints"),
    output:
        f"{RESULTS}/fingerprints/external={{name}}/epoch=last/{{split}}.npy",
    log:
        log_of("import_fingerprints/{name}/{split}"),
    wildcard_constraints:
        split="|".join(EXCHANGED),
    conda:
        "../envs/search.yaml"
    params:
        folder=lambda wildcards: config["external"][wildcards.name],
    message:
        "taking {wildcards.split} from {params.folder}"
    script:
        "../scripts/import_fingerprints.py"


rule export:
    """The fingerprints of the default run in the published code's format: {db,query,dummy_db}.mm and their shapes."""
    input:
        **{split: f"{RESULTS}/fingerprints/{DEFAULT_RUN}/epoch={EPOCH}/{split}.npy" for split in TEST_SPLITS},
        code=code("export"),
    output:
        **{part: f"{RESULTS}/exchange/{DEFAULT_RUN}/epoch={EPOCH}/{part}.mm" for part in EXCHANGED.values()},
        shapes=[f"{RESULTS}/exchange/{DEFAULT_RUN}/epoch={EPOCH}/{part}_shape.npy" for part in EXCHANGED.values()],
    log:
        log_of("export"),
    conda:
        "../envs/search.yaml"
    message:
        "writing the fingerprints of {DEFAULT_RUN} in the published code's format"
    script:
        "../scripts/export.py"

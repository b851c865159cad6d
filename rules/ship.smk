# A model for others: snakemake ship


rule ship:
    """The default run as one small file with its settings and calibration inside, and its model card."""
    input:
        weights=f"{RESULTS}/runs/{DEFAULT_RUN}/epoch={EPOCH}.safetensors",
        limits=f"{RESULTS}/runs/{DEFAULT_RUN}/epoch={EPOCH}.limits.json",
        history=f"{RESULTS}/runs/{DEFAULT_RUN}/history.csv",
        provenance=f"{RESULTS}/runs/{DEFAULT_RUN}/provenance.json",
        cells=measured_cells(),
        hits=hits_of(measured_cells()),
    output:
        weights=f"{RESULTS}/shipped/{DATASET}.safetensors",
        card=f"{RESULTS}/shipped/{DATASET}.md",
    log:
        log_of("ship"),
    benchmark:
        benchmark_of("ship")
    localrule: True
    conda:
        "../envs/ship.yaml"
    params:
        code=code("ship"),
        name=DATASET,
        data=about_training_data(),
        composed=DATA["source"] == "demo",
        epoch=EPOCH,
    message:
        "packing {DEFAULT_RUN} for others"
    script:
        "../scripts/ship.py"

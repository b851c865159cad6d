rule make_table:
    """One study's table, with the published numbers beside it."""
    input:
        cells=lambda wildcards: cells_of(wildcards.study),
        published=HERE / "published/nafp.csv",
        code=code("make_table"),
    output:
        csv=f"{RESULTS}/scoreboard/{{study}}.csv",
        markdown=f"{RESULTS}/scoreboard/{{study}}.md",
    log:
        log_of("make_table/{study}"),
    benchmark:
        benchmark_of("make_table/{study}")
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        varied=lambda wildcards: VARIED[wildcards.study],
    message:
        "writing the table of {wildcards.study}"
    script:
        "../scripts/make_table.py"


rule plot:
    """One figure of a study: hit_rate, speed or learning."""
    input:
        cells=lambda wildcards: cells_of(wildcards.study),
        histories=lambda wildcards: [f"{RESULTS}/runs/{run}/history.csv" for run in runs_of(wildcards.study)],
        published=HERE / "published/nafp.csv",
        code=code("plot"),
    output:
        f"{RESULTS}/scoreboard/{{study}}.{{figure}}.svg",
    log:
        log_of("plot/{study}.{figure}"),
    benchmark:
        benchmark_of("plot/{study}.{figure}")
    wildcard_constraints:
        figure="hit_rate|speed|learning",
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        varied=lambda wildcards: VARIED[wildcards.study],
        runs=lambda wildcards: runs_of(wildcards.study),
    message:
        "drawing {wildcards.study}.{wildcards.figure}"
    script:
        "../scripts/plot.py"


rule build_page:
    """The page that shows all studies, and the lines that a run of the workflow ends with."""
    input:
        cells=[cell for study in STUDIES for cell in cells_of(study)],
        figures=[figure for study in STUDIES for figure in figures_of(study).values()],
        published=HERE / "published/nafp.csv",
        code=code("build_page"),
    output:
        page=f"{RESULTS}/scoreboard/index.html",
        summary=f"{RESULTS}/scoreboard/summary.txt",
    log:
        log_of("build_page"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        dataset=DATASET,
        studies={
            study: {
                "question": STUDIES[study].get("question", study.replace("_", " ")),
                "varied": VARIED[study],
                "cells": cells_of(study),
                "figures": figures_of(study),
            }
            for study in STUDIES
        },
        config=dict(config),
        benchmarks=f"{RESULTS}/benchmarks",
    message:
        "building the scoreboard page"
    script:
        "../scripts/build_page.py"


rule plot_scale:
    """Hit rate and search time over the size of the database, and what they predict for a larger one."""
    input:
        tables=[f"{RESULTS}/scores/{DEFAULT_RUN}/epoch={EPOCH}/{index}.scale.csv" for index in config["scale"]["index"]],
        code=code("plot_scale"),
    output:
        f"{RESULTS}/scoreboard/scale.svg",
    log:
        log_of("plot_scale"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    message:
        "drawing the scale study"
    script:
        "../scripts/plot_scale.py"

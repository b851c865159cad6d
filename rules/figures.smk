# Figures of the scoreboard: of each study, and of no single one.


rule plot:
    """One figure of a study, as files and as a chart for the page: hit_rate, over a field, open_set, costs or strengths."""
    input:
        cells=study_cells,
        hits=study_hits,
        table=f"{BOARD}/{{study}}.csv",
        published=ancient(PUBLISHED),  # compared by its content, below
    output:
        svg=report(
            f"{BOARD}/{{study}}.{{figure}}.svg",
            caption="../report/plot.rst",
            category="Plots",
            labels={"study": "{study}", "figure": "{figure}"},
        ),
        png=f"{BOARD}/{{study}}.{{figure}}.png",
        pdf=f"{BOARD}/{{study}}.{{figure}}.pdf",
        chart=f"{BOARD}/{{study}}.{{figure}}.vl.json",
    log:
        log_of("plot/{study}.{figure}"),
    benchmark:
        benchmark_of("plot/{study}.{figure}")
    wildcard_constraints:
        figure="|".join(captions.OF_STUDIES),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("plot"),
        published=content_of(PUBLISHED),
        study=study_facts,
        look=study_look,
    message:
        "drawing {wildcards.study}.{wildcards.figure}"
    script:
        "../scripts/plot.py"


rule plot_heat_map:
    """The heat map of a study: hit rates by degradation and strength."""
    input:
        cells=study_cells,
        hits=study_hits,
    output:
        svg=report(
            f"{BOARD}/{{study}}.heat_map.svg",
            caption="../report/plot.rst",
            category="Plots",
            labels={"study": "{study}", "figure": "heat_map"},
        ),
        png=f"{BOARD}/{{study}}.heat_map.png",
        pdf=f"{BOARD}/{{study}}.heat_map.pdf",
    log:
        log_of("plot_heat_map/{study}"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("plot_heat_map"),
        study=study_facts,
    message:
        "drawing {wildcards.study}.heat_map"
    script:
        "../scripts/plot_heat_map.py"


rule plot_learning:
    """Loss and validation over the epochs, of all trained runs."""
    input:
        histories=all_histories(),
    output:
        svg=report(
            f"{BOARD}/learning.svg",
            caption="../report/learning.rst",
            category="Plots",
            labels={"study": "all", "figure": "learning"},
        ),
        png=f"{BOARD}/learning.png",
        pdf=f"{BOARD}/learning.pdf",
        chart=f"{BOARD}/learning.vl.json",
    log:
        log_of("plot_learning"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("plot_learning"),
        look=look_of(STUDIES),
    message:
        "drawing learning curves"
    script:
        "../scripts/plot_learning.py"


rule plot_scale:
    """Hit rate and search time over the size of the database, and what they predict for a larger one."""
    input:
        tables=scale_tables(),
    output:
        svg=report(
            f"{BOARD}/scale.svg",
            caption="../report/scale.rst",
            category="Plots",
            labels={"study": "scale", "figure": "database size"},
        ),
        png=f"{BOARD}/scale.png",
        pdf=f"{BOARD}/scale.pdf",
        chart=f"{BOARD}/scale.vl.json",
    log:
        log_of("plot_scale"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("plot_scale"),
        look=look_of(STUDIES),
    message:
        "drawing the scale study"
    script:
        "../scripts/plot_scale.py"


rule plot_beyond:
    """Hit rates in databases larger than the data, by each method that predicts them."""
    input:
        table=extrapolation_table(),
    output:
        svg=report(
            f"{BOARD}/beyond.svg",
            caption="../report/beyond_figure.rst",
            category="Plots",
            labels={"study": "beyond the data", "figure": "database size"},
        ),
        png=f"{BOARD}/beyond.png",
        pdf=f"{BOARD}/beyond.pdf",
        chart=f"{BOARD}/beyond.vl.json",
    log:
        log_of("plot_beyond"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("plot_beyond"),
    message:
        "drawing what is beyond the data"
    script:
        "../scripts/plot_beyond.py"


rule plot_misses:
    """Where the answers lie: right, next to it, elsewhere in the song, in another song, in silence."""
    input:
        cells=[cell_of(run) for run in detailed_runs()],
        hits=hits_of(map(cell_of, detailed_runs())),
        packed=[packed(split) for split in TEST_SPLITS],
    output:
        svg=report(
            f"{BOARD}/misses.svg",
            caption="../report/misses.rst",
            category="Plots",
            labels={"study": "all", "figure": "misses"},
        ),
        png=f"{BOARD}/misses.png",
        pdf=f"{BOARD}/misses.pdf",
        chart=f"{BOARD}/misses.vl.json",
        csv=f"{BOARD}/misses.csv",
    log:
        log_of("plot_misses"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("plot_misses"),
        packed={split: packed(split) for split in TEST_SPLITS},
    message:
        "drawing where the misses are"
    script:
        "../scripts/plot_misses.py"


rule plot_similarity:
    """How alike the queries of a song are to its segments."""
    input:
        cells=[cell_of(run) for run in detailed_runs()],
        vectors=[file for run in detailed_runs() for part in arrays_of(run) for file in part],
        clips=[packed(split) for split in ("test_db", "test_query")],
    output:
        svg=report(
            f"{BOARD}/similarity.svg",
            caption="../report/similarity.rst",
            category="Plots",
            labels={"study": "all", "figure": "similarity"},
        ),
        png=f"{BOARD}/similarity.png",
        pdf=f"{BOARD}/similarity.pdf",
        chart=f"{BOARD}/similarity.vl.json",
    log:
        log_of("plot_similarity"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("plot_similarity"),
        vectors={run: arrays_of(run) for run in detailed_runs()},
    message:
        "drawing similarity matrices"
    script:
        "../scripts/plot_similarity.py"

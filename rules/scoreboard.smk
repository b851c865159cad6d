# From cells to tables, plots and the page: of all cells, and of those there are.


rule make_table:
    """One study's table as CSV, Markdown and LaTeX, with the published numbers beside it."""
    input:
        cells=study_cells,
        hits=study_hits,
        published=ancient(PUBLISHED),  # compared by its content, below
    output:
        csv=report(
            f"{BOARD}/{{study}}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"study": "{study}"},
        ),
        markdown=f"{BOARD}/{{study}}.md",
        latex=f"{BOARD}/{{study}}.tex",
    log:
        log_of("make_table/{study}"),
    benchmark:
        benchmark_of("make_table/{study}")
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("make_table"),
        published=content_of(PUBLISHED),
        study=study_facts,
    message:
        "writing the table of {wildcards.study}"
    script:
        "../scripts/make_table.py"


rule find_limits:
    """Hit rates by degradation and strength, and the strengths at which half of the queries are found."""
    input:
        cells=study_cells,
        hits=study_hits,
    output:
        rates=f"{BOARD}/{{study}}.heat_map.csv",
        limits=report(
            f"{BOARD}/{{study}}.limits.csv",
            caption="../report/limits.rst",
            category="Tables",
            labels={"study": "{study}, limits"},
        ),
    log:
        log_of("find_limits/{study}"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("find_limits"),
        study=study_facts,
    message:
        "finding the limits of {wildcards.study}"
    script:
        "../scripts/find_limits.py"


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
        figure="hit_rate|bsz|dim|aug|snr_db|open_set|costs|strengths",
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


rule tabulate_beyond:
    """Hit rates in databases larger than the data, by each method and with their checks, as CSV and Markdown."""
    input:
        table=extrapolation_table(),
    output:
        csv=report(
            f"{BOARD}/beyond.csv",
            caption="../report/beyond.rst",
            category="Tables",
            labels={"study": "beyond the data"},
        ),
        markdown=f"{BOARD}/beyond.md",
    log:
        log_of("tabulate_beyond"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("tabulate_beyond"),
    message:
        "writing the table of what is beyond the data"
    script:
        "../scripts/tabulate_beyond.py"


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
        clips=packed("test_db"),
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


rule listen:
    """A few test segments, degraded at known levels, and what each run answers: sounds and pictures for the page."""
    input:
        runs=[file for run in detailed_runs() for file in files_to_listen_to(run)],
        packed=packed_for_listening,
    output:
        listening=f"{BOARD}/listening.json",
    log:
        log_of("listen"),
    benchmark:
        benchmark_of("listen")
    conda:
        "../envs/listen.yaml"
    threads: 2
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("listen"),
        demo=whole_demo,
    message:
        "letting the runs answer some segments to listen to"
    script:
        "../scripts/listen.py"


rule hear_misses:
    """Queries that the default run misses, what was answered and what is right, as sounds and pictures; which songs are hard."""
    input:
        cells=cells_of_misses,
        hits=hits_of_misses,
        packed=packed_for_misses,
        weights=weights_for_misses,
    output:
        misses=f"{BOARD}/heard_misses.json",
        songs=f"{BOARD}/hard_songs.csv",
    log:
        log_of("hear_misses"),
    benchmark:
        benchmark_of("hear_misses")
    conda:
        "../envs/listen.yaml"
    threads: 2
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("hear_misses"),
        replay=all_misses,
    message:
        "looking for missed queries to hear"
    script:
        "../scripts/hear_misses.py"


rule build_page:
    """The page that shows all studies, and the lines that a run of the workflow ends with."""
    input:
        cells=ALL_CELLS,
        hits=hits_of(ALL_CELLS),
        tables=[file for study in STUDIES for file in tables_of(study)],
        charts=[
            chart_of(svg)
            for figures in (*map(all_figures, STUDIES), detail_figures())
            for name, svg in figures.items()
            if name != "heat_map"
        ],
        beyond=beyond_table(),
        listening=f"{BOARD}/listening.json",
        misses=f"{BOARD}/heard_misses.json",
        songs=f"{BOARD}/hard_songs.csv",
    output:
        page=report(
            f"{BOARD}/index.html",
            caption="../report/page.rst",
            category="Page",
            labels={"page": "all studies, with sound"},
        ),
        summary=f"{BOARD}/summary.txt",
    log:
        log_of("build_page"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("build_page"),
        origin=ORIGIN,
        studies={study: shown_on_page(study) for study in STUDIES},
        closer=detail_figures(),
    message:
        "building the scoreboard page"
    script:
        "../scripts/build_page.py"


rule scoreboard:
    """The scoreboard of whatever has finished: nothing is trained or searched for it; what is missing is said."""
    output:
        board=directory(f"{BOARD}/so_far"),
    log:
        log_of("scoreboard"),
    benchmark:
        benchmark_of("scoreboard")
    conda:
        "../envs/so_far.yaml"
    threads: 2
    resources:
        mem_mb=scale_with_input(4000),
        runtime=scale_with_input(60),
    params:
        code=code("scoreboard"),
        published=content_of(PUBLISHED),
        board=board_so_far,
        demo=demo_so_far,
        misses=misses_so_far,
        mtimes=mtimes_so_far,
    message:
        "writing the scoreboard of what has finished"
    script:
        "../scripts/scoreboard.py"

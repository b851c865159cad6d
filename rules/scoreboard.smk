# From cells to tables, sounds and the page: of all cells, and of those there are.


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

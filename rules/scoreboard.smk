# From cells to tables, plots and the page. {board} is scoreboard, of all cells, or scoreboard/so_far, of those there are.
ALL_CELLS = list(dict.fromkeys(cell for study in STUDIES for cell in cells_of(study)))
PUBLISHED = str(HERE / "published/nafp.csv")


rule make_table:
    """One study's table as CSV, Markdown and LaTeX, with the published numbers beside it."""
    input:
        cells=lambda wildcards: due(wildcards, cells_of(wildcards.study)),
        hits=lambda wildcards: due(wildcards, hits_of(cells_of(wildcards.study))),
        published=ancient(PUBLISHED),  # compared by its content, below
    output:
        csv=report(
            f"{RESULTS}/{{board}}/{{study}}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"study": "{study}"},
        ),
        markdown=f"{RESULTS}/{{board}}/{{study}}.md",
        latex=f"{RESULTS}/{{board}}/{{study}}.tex",
    log:
        log_of("make_table/{board}/{study}"),
    benchmark:
        benchmark_of("make_table/{board}/{study}")
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("make_table"),
        published=content_of(PUBLISHED),
        study=lambda wildcards: study_of(wildcards.study),
        cells=lambda wildcards: there(wildcards, cells_of(wildcards.study)),
        age=lambda wildcards: age(wildcards, cells_of(wildcards.study)),
    message:
        "writing the table of {wildcards.study}"
    script:
        "../scripts/make_table.py"


rule plot:
    """One figure of a study: hit_rate, over a field, open_set, costs or learning."""
    input:
        cells=lambda wildcards: due(wildcards, cells_of(wildcards.study)),
        hits=lambda wildcards: due(wildcards, hits_of(cells_of(wildcards.study))),
        histories=lambda wildcards: due(wildcards, map(history_of, runs_of(wildcards.study))),
        published=ancient(PUBLISHED),  # compared by its content, below
    output:
        svg=report(
            f"{RESULTS}/{{board}}/{{study}}.{{figure}}.svg",
            caption="../report/plot.rst",
            category="Plots",
            labels={"study": "{study}", "figure": "{figure}"},
        ),
        png=f"{RESULTS}/{{board}}/{{study}}.{{figure}}.png",
    log:
        log_of("plot/{board}/{study}.{figure}"),
    benchmark:
        benchmark_of("plot/{board}/{study}.{figure}")
    wildcard_constraints:
        figure="hit_rate|bsz|dim|aug|snr_db|open_set|costs|learning",
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("plot"),
        published=content_of(PUBLISHED),
        study=lambda wildcards: study_of(wildcards.study),
        cells=lambda wildcards: there(wildcards, cells_of(wildcards.study)),
        histories=lambda wildcards: there(wildcards, map(history_of, runs_of(wildcards.study))),
        age=lambda wildcards: age(wildcards, [*cells_of(wildcards.study), *map(history_of, runs_of(wildcards.study))]),
        chains=list(config["chains"]),
        validation=config["train"]["validation"]["segments"],
    message:
        "drawing {wildcards.study}.{wildcards.figure}"
    script:
        "../scripts/plot.py"


rule plot_scale:
    """Hit rate and search time over the size of the database, and what they predict for a larger one."""
    input:
        tables=lambda wildcards: due(wildcards, scale_tables()),
    output:
        svg=report(
            f"{RESULTS}/{{board}}/scale.svg",
            caption="../report/scale.rst",
            category="Plots",
            labels={"study": "scale", "figure": "database size"},
        ),
        png=f"{RESULTS}/{{board}}/scale.png",
    log:
        log_of("plot_scale/{board}"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("plot_scale"),
        tables=lambda wildcards: there(wildcards, scale_tables()),
        age=lambda wildcards: age(wildcards, scale_tables()),
    message:
        "drawing the scale study"
    script:
        "../scripts/plot_scale.py"


rule plot_misses:
    """Where the answers lie: right, next to it, elsewhere in the song, in another song, in silence."""
    input:
        cells=lambda wildcards: due(wildcards, map(cell_of, detailed_runs())),
        hits=lambda wildcards: due(wildcards, hits_of(map(cell_of, detailed_runs()))),
        packed=lambda wildcards: due(wildcards, map(packed, TEST_SPLITS)),
    output:
        svg=report(
            f"{RESULTS}/{{board}}/misses.svg",
            caption="../report/misses.rst",
            category="Plots",
            labels={"study": "all", "figure": "misses"},
        ),
        png=f"{RESULTS}/{{board}}/misses.png",
        csv=f"{RESULTS}/{{board}}/misses.csv",
    log:
        log_of("plot_misses/{board}"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("plot_misses"),
        cells=lambda wildcards: there(wildcards, map(cell_of, detailed_runs())),
        age=lambda wildcards: age(wildcards, map(cell_of, detailed_runs())),
        packed={split: packed(split) for split in TEST_SPLITS},
    message:
        "drawing where the misses are"
    script:
        "../scripts/plot_misses.py"


rule plot_similarity:
    """How alike the queries of a song are to its segments."""
    input:
        cells=lambda wildcards: due(wildcards, map(cell_of, detailed_runs())),
        vectors=lambda wildcards: due(
            wildcards, [file for run in detailed_runs() for part in arrays_of(run) for file in part]
        ),
        clips=lambda wildcards: due(wildcards, [packed("test_db")]),
    output:
        svg=report(
            f"{RESULTS}/{{board}}/similarity.svg",
            caption="../report/similarity.rst",
            category="Plots",
            labels={"study": "all", "figure": "similarity"},
        ),
        png=f"{RESULTS}/{{board}}/similarity.png",
    log:
        log_of("plot_similarity/{board}"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("plot_similarity"),
        cells=lambda wildcards: there(wildcards, map(cell_of, detailed_runs())),
        age=lambda wildcards: age(wildcards, map(cell_of, detailed_runs())),
        vectors=lambda wildcards: with_fingerprints(wildcards.board),
        clips=packed("test_db"),
    message:
        "drawing similarity matrices"
    script:
        "../scripts/plot_similarity.py"


rule listen:
    """A few test segments, degraded at known levels, and what each run answers: sounds and pictures for the page."""
    input:
        runs=lambda wildcards: due(wildcards, [file for run in detailed_runs() for file in files_to_listen_to(run)]),
        packed=lambda wildcards: due(wildcards, map(packed, listening_splits())),
    output:
        f"{RESULTS}/{{board}}/listening.json",
    log:
        log_of("listen/{board}"),
    benchmark:
        benchmark_of("listen/{board}")
    conda:
        "../envs/listen.yaml"
    threads: 2
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("listen"),
        runs=lambda wildcards: {
            run: listening_run(run)
            for run in detailed_runs()
            if len(there(wildcards, files_to_listen_to(run))) == len(files_to_listen_to(run))
        },
        packed=lambda wildcards: {
            split: packed(split)
            for split in listening_splits()
            if len(there(wildcards, map(packed, listening_splits()))) == len(listening_splits())
        },
        age=lambda wildcards: age(wildcards, [file for run in detailed_runs() for file in files_to_listen_to(run)]),
        segments=config["scoreboard"]["listen"]["segments"],
        snr_db=config["scoreboard"]["listen"]["snr_db"],
        chain=config["chains"][config["run"]["aug"]],
        features=config["features"],
        seed=config["search"]["seed"],
    message:
        "letting the runs answer some segments to listen to"
    script:
        "../scripts/listen.py"


rule build_page:
    """The page that shows all studies, and the lines that a run of the workflow ends with."""
    input:
        cells=lambda wildcards: due(wildcards, ALL_CELLS),
        hits=lambda wildcards: due(wildcards, hits_of(ALL_CELLS)),
        tables=lambda wildcards: [f"{RESULTS}/{wildcards.board}/{study}.csv" for study in STUDIES],
        figures=lambda wildcards: [f for study in STUDIES for f in figures_of(study, wildcards.board).values()],
        closer=lambda wildcards: list(closer_of(wildcards.board).values()),
        listening=f"{RESULTS}/{{board}}/listening.json",
    output:
        page=report(
            f"{RESULTS}/{{board}}/index.html",
            caption="../report/page.rst",
            category="Page",
            labels={"page": "all studies, with sound"},
        ),
        summary=f"{RESULTS}/{{board}}/summary.txt",
    log:
        log_of("build_page/{board}"),
    conda:
        "../envs/scoreboard.yaml"
    resources:
        mem_mb=scale_with_input(3000),
        runtime=scale_with_input(30),
    params:
        code=code("build_page"),
        dataset=DATASET,
        cells=lambda wildcards: there(wildcards, ALL_CELLS),
        age=lambda wildcards: age(wildcards, ALL_CELLS),
        planned=len(ALL_CELLS),
        studies=lambda wildcards: {
            study: {"question": study_of(study)["question"], "figures": figures_of(study, wildcards.board)}
            for study in STUDIES
        },
        closer=lambda wildcards: closer_of(wildcards.board),
        verification=f"{RESULTS}/data/verification.json",
        config=dict(config),
        benchmarks=f"{RESULTS}/benchmarks",
    message:
        "building the scoreboard page"
    script:
        "../scripts/build_page.py"

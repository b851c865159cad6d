# What the scoreboard, whole or of what has finished, is made of. No rules.


def study_of(study):
    """What the table and plots of a study show (nafp.report.tables.study.Study)."""
    chosen = grid.baseline(STUDIES[study], config)
    return {
        "name": study,
        "question": STUDIES[study].get("question", study.replace("_", " ")),
        "varied": VARIED[study],
        **{name: STUDIES[study][name] for name in ("matches",) if name in STUDIES[study]},
        "planned": [
            {"run": c.run, "index": c.index, "query_set": c.query_set, **grid.parse_run(c.run)} for c in CELLS[study]
        ],
        "baseline": [chosen.run, chosen.index, chosen.query_set],
    }


def detailed_runs():
    """The trained runs that are looked at closely: the default one and the first ones of the studies."""
    runs = dict.fromkeys(run for study in STUDIES for run in runs_of(study))
    return sorted(runs, key=lambda run: run != DEFAULT_RUN)[: config["scoreboard"]["runs"]]


def hits_of(cells):
    """The per-query tables beside cells."""
    return [cell.removesuffix(".json") + ".hits.parquet" for cell in cells]


def due(wildcards, paths):
    """Files as input of a scoreboard's job: the whole one waits for all of them, the one of what has finished for none."""
    return list(paths) if wildcards.board == "scoreboard" else []


def there(wildcards, paths):
    """The files that a scoreboard's job works on: all of them, or those that there are."""
    return [path for path in paths if wildcards.board == "scoreboard" or os.path.exists(path)]


def age(wildcards, paths):
    """When the files that there are were written: what makes a scoreboard of what has finished again."""
    return (
        None if wildcards.board == "scoreboard" else {path: os.path.getmtime(path) for path in there(wildcards, paths)}
    )


def figures_of(study, board="scoreboard"):
    """Figure -> file, for a study: what it varies decides which ones say something, and on a partial board what is there."""
    drawable = board == "scoreboard" or any(map(os.path.exists, cells_of(study)))
    histories = [run for run in runs_of(study) if board == "scoreboard" or os.path.exists(history_of(run))]
    figures = ["hit_rate"] + [name for name in ("bsz", "dim", "aug", "snr_db") if name in VARIED[study]]
    figures += ["open_set"]
    figures += ["costs"] if "index" in VARIED[study] else []
    figures = figures * drawable + (["learning"] if len(histories) > 1 and drawable else [])
    return {figure: f"{RESULTS}/{board}/{study}.{figure}.svg" for figure in figures}


def history_of(run):
    """The learning curve of a run."""
    return f"{RESULTS}/runs/{run}/history.csv"


def closer_of(board="scoreboard"):
    """Figure -> file, for what is drawn of no single study."""
    figures = {}
    if board == "scoreboard" or any(os.path.exists(cell_of(run)) for run in detailed_runs()):
        figures["misses"] = f"{RESULTS}/{board}/misses.svg"
    if with_fingerprints(board):
        figures["similarity"] = f"{RESULTS}/{board}/similarity.svg"
    if DEFAULT_RUN in detailed_runs() and (board == "scoreboard" or any(map(os.path.exists, scale_tables()))):
        figures["scale"] = f"{RESULTS}/{board}/scale.svg"
    return figures


def cell_of(run):
    """The cell of a run with the default index."""
    return f"{RESULTS}/scores/{run}/epoch={EPOCH}/{config['search']['index']}.json"


def scale_tables():
    """The results of the scale study."""
    return [f"{RESULTS}/scores/{DEFAULT_RUN}/epoch={EPOCH}/{index}.scale.csv" for index in config["scale"]["index"]]


def vectors_of(run):
    """Split -> the fingerprints of a run."""
    return {split: fingerprints_of(run, EPOCH, split) for split in TEST_SPLITS}


def arrays_of(run):
    """The arrays that the fingerprints of the test songs and of their queries by a run consist of: a list each."""
    return [shards_of(run, EPOCH, split) or [fingerprints_of(run, EPOCH, split)] for split in ("test_db", "test_query")]


def with_fingerprints(board):
    """Run -> its ``arrays_of``, of the runs looked at: all, or those that have a cell and all of their fingerprints."""
    runs = {run: arrays_of(run) for run in detailed_runs()}
    if board == "scoreboard":
        return runs
    return {
        run: arrays
        for run, arrays in runs.items()
        if all(map(os.path.exists, [cell_of(run), *(file for part in arrays for file in part)]))
    }


def weights_of(run):
    """The weights that are searched with."""
    return f"{RESULTS}/runs/{run}/epoch={EPOCH}.safetensors"


def files_to_listen_to(run):
    """All that a run needs to answer."""
    return [weights_of(run), vectors_of(run)["dummy"], vectors_of(run)["test_db"]]


def listening_splits():
    """The splits that the sound demo is cut from."""
    splits = ["test_db", "dummy", "train", *(split for split in ("bg_test", "ir_test") if has_sounds(split))]
    return splits + [f"{pool}_train" for pool in chain_pools(config["chains"][config["run"]["aug"]])]


def listening_run(run):
    """What is needed to compute a run's fingerprints and to search them."""
    fields = grid.parse_run(run)
    sections = overlay.of_recipe(config, fields["recipe"])
    vectors = vectors_of(run)
    return {
        "weights": weights_of(run),
        "dummy": vectors["dummy"],
        "db": vectors["test_db"],
        "dim": fields["dim"],
        "features": sections["features"],
        "model": sections["model"],
    }


def study_files(study, board="scoreboard"):
    """All that a study produces."""
    tables = [f"{RESULTS}/{board}/{study}.{kind}" for kind in ("csv", "md", "tex")]
    return tables + list(figures_of(study, board).values())


def board_files(board="scoreboard"):
    """All that a scoreboard consists of."""
    return [f"{RESULTS}/{board}/index.html", *(file for study in STUDIES for file in study_files(study, board))]

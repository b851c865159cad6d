# What the scoreboard, whole or of what has finished, is made of. No rules.
BOARD = f"{RESULTS}/scoreboard"
ALL_CELLS = list(dict.fromkeys(cell for study in STUDIES for cell in cells_of(study)))
PUBLISHED = str(HERE / "published/nafp.csv")
LOOK = {
    "chains": list(config["chains"]),
    "validation": config["train"]["validation"]["segments"],
    "index": config["search"]["index"],
}
COLOURS = colour.of_board([(CELLS[study], VARIED[study]) for study in STUDIES])
ORIGIN = {
    "dataset": DATASET,
    "planned": len(ALL_CELLS),
    "default": [DEFAULT_RUN, config["search"]["index"]],
    "kinds": {name: what_it_is(name, options) for name, options in config["indexes"].items()},
    "config": dict(config),
    "verification": f"{RESULTS}/data/verification.json",
    "benchmarks": f"{RESULTS}/benchmarks",
}


def study_of(study):
    """What the table and plots of a study show (nafp.report.tables.study.Study)."""
    chosen = grid.baseline(STUDIES[study], config, CELLS[study])
    return {
        "name": study,
        "question": STUDIES[study].get("question", study.replace("_", " ")),
        "varied": VARIED[study],
        **{name: STUDIES[study][name] for name in ("matches",) if name in STUDIES[study]},
        **({"ladders": LADDERS[study]} if LADDERS[study] else {}),
        "planned": [
            {"run": c.run, "index": c.index, "query_set": c.query_set, **grid.parse_run(c.run)} for c in CELLS[study]
        ],
        "baseline": [chosen.run, chosen.index, chosen.query_set],
    }


def detailed_runs():
    """The trained runs that are looked at closely: the default one and the first ones of the studies."""
    runs = [run for study in STUDIES for run in runs_of(study)]
    return list(dict.fromkeys([*(run for run in runs if run == DEFAULT_RUN), *runs]))[: config["scoreboard"]["runs"]]


def hits_of(cells):
    """The per-query tables beside cells."""
    return [cell.removesuffix(".json") + ".hits.parquet" for cell in cells]


def available(paths):
    """Those of some files that are there."""
    return list(filter(os.path.exists, paths))


def study_cells(wildcards):
    """The cells of the job's study, as input."""
    return cells_of(wildcards.study)


def study_hits(wildcards):
    """The per-query tables of the job's study, as input."""
    return hits_of(cells_of(wildcards.study))


def study_facts(wildcards):
    """What the job's table or figure shows."""
    return study_of(wildcards.study)


def look_of(studies):
    """What the figures of some studies are drawn with (nafp.report.figures.job.Look): of the colours only those that they show."""
    keys = colour.board_keys([(CELLS[study], VARIED[study]) for study in studies])
    return {**LOOK, "colours": {key: COLOURS[key] for key in keys}}


def study_look(wildcards):
    """What the job's figure is drawn with."""
    return look_of([wildcards.study])


def figures_of(study, cells):
    """The figures of a study that say something: by what it varies, and what the cells that there are have of that."""
    if not cells:
        return []
    if LADDERS[study]:
        return ["heat_map", *(["strengths"] if any(ladder["curve"] for ladder in LADDERS[study]) else [])]
    keys = dict(zip(cells_of(study), CELLS[study]))
    known = {name for cell in cells for name in fields_of_cell(keys[cell])} & set(VARIED[study])
    figures = ["hit_rate", *(name for name in captions.OVER_FIELDS if name in known), "open_set"]
    return figures + (["costs"] if "index" in known else [])


@cache
def fields_of_cell(key):
    """The names of the fields that a cell has: a method has no batch size, the data set's own queries state no level."""
    level = grid.snr_of(config["query_sets"].get(key.query_set, []))
    return {*grid.parse_run(key.run), *(["index"] if key.index else []), *([] if level is None else ["snr_db"])}


def all_figures(study):
    """Figure -> file, of a study on the whole scoreboard."""
    names = figures_of(study, cells_of(study))
    return {figure: f"{BOARD}/{study}.{figure}.svg" for figure in names}


def chart_of(svg):
    """The chart for the page beside a figure."""
    return svg.removesuffix(".svg") + ".vl.json"


def all_histories():
    """The learning curves of all trained runs."""
    return list(dict.fromkeys(history_of(run) for study in STUDIES for run in runs_of(study)))


def history_of(run):
    """The learning curve of a run."""
    return f"{RESULTS}/runs/{run}/history.csv"


def detail_figures():
    """Figure -> file, for what is drawn of no single study."""
    names = ["learning"] if len(all_histories()) > 1 else []
    names += ["misses"] if placed_runs() and not GENERATED else []  # generated distractors have no audio
    names += ["similarity"] if placed_runs() else []
    names += ["scale", "beyond"] if DEFAULT_RUN in placed_runs() else []
    return {name: f"{BOARD}/{name}.svg" for name in names}


def placed_runs():
    """The runs that are looked at closely, if it is known where in their songs all queries are."""
    return detailed_runs() if knows_places() else []


def cell_of(run):
    """The cell of a run with the default index."""
    return f"{RESULTS}/scores/{run}/epoch={EPOCH}/{config['search']['index']}.json"


def scale_tables():
    """The results of the scale study."""
    return [f"{RESULTS}/scores/{DEFAULT_RUN}/epoch={EPOCH}/{index}.scale.csv" for index in config["scale"]["index"]]


def extrapolation_table():
    """The extrapolations of the default run."""
    return f"{RESULTS}/scores/{DEFAULT_RUN}/epoch={EPOCH}/extrapolation.csv"


def beyond_table():
    """What the page shows of them, as a list; empty where the default run is not looked at."""
    return [f"{BOARD}/beyond.csv"] if DEFAULT_RUN in placed_runs() else []


def vectors_of(run):
    """Split -> the fingerprints of a run."""
    return {split: fingerprints_of(run, EPOCH, split) for split in TEST_SPLITS}


def arrays_of(run):
    """The arrays that the fingerprints of the test songs and of their queries by a run consist of: a list each."""
    return [shards_of(run, EPOCH, split) or [fingerprints_of(run, EPOCH, split)] for split in ("test_db", "test_query")]


def weights_of(run):
    """The weights that are searched with."""
    return f"{RESULTS}/runs/{run}/epoch={EPOCH}.safetensors"


def files_to_listen_to(run):
    """All that a run needs to answer."""
    return [weights_of(run), vectors_of(run)["dummy"], vectors_of(run)["test_db"]]


def heard_query_sets():
    """Query set -> its packed queries, for the strengths of ladders that the page lets one hear."""
    sets = dict.fromkeys(name for study in STUDIES for ladder in LADDERS[study] for name in ladder["sets"])
    return {name: packed(f"query_{name}") for name in sets if name != grid.FILES}


def listening_splits():
    """The splits that the sound demo is cut from: none if there is no run to listen to."""
    if not detailed_runs():
        return []
    splits = ["test_db", "dummy", "train", *(split for split in ("bg_test", "ir_test") if has_sounds(split))]
    pools = chain_pools(config["chains"][config["run"]["aug"]])
    return list(dict.fromkeys([*splits, *(sounds_split(pool, "train") for pool in pools)]))


def listening_run(run):
    """What is needed to compute a run's fingerprints and to search them."""
    fields = grid.parse_run(run)
    sections = sections_of(fields["recipe"])
    vectors = vectors_of(run)
    return {
        "weights": weights_of(run),
        "dummy": vectors["dummy"],
        "db": vectors["test_db"],
        "dim": fields["dim"],
        "features": sections["features"],
        "model": sections["model"],
    }


def sound_demo(runs, splits, query_sets):
    """The page's sound demo (nafp.report.page.sound_demo.Demo): what runs answer to segments of packed splits, and query sets."""
    none = {} if detailed_runs() else {"note": "it is for runs that are trained here, and the studies have none"}
    return {
        **none,
        "runs": {run: listening_run(run) for run in runs},
        "packed": {split: packed(split) for split in splits},
        **config["scoreboard"]["listen"],
        "chain": config["chains"][config["run"]["aug"]],
        "features": sections_of(config["run"]["recipe"])["features"],
        "seed": config["search"]["seed"],
        "query_sets": query_sets,
    }


def packed_for_listening(wildcards):
    """The splits that the sound demo is cut from, as input."""
    return [*map(packed, listening_splits()), *heard_query_sets().values()]


def whole_demo(wildcards):
    """The sound demo of all runs that are looked at closely."""
    return sound_demo(detailed_runs(), listening_splits(), heard_query_sets())


def tables_of(study):
    """The tables of a study that its page shows."""
    return [f"{BOARD}/{study}.{kind}" for kind in ("csv", *(("heat_map.csv", "limits.csv") if LADDERS[study] else ()))]


def shown_on_page(study):
    """What the page shows of a study besides its tables."""
    return {"question": study_of(study)["question"], "figures": all_figures(study), "ladders": LADDERS[study]}


def study_files(study):
    """All that a study produces."""
    return [*tables_of(study), *(f"{BOARD}/{study}.{kind}" for kind in ("md", "tex")), *all_figures(study).values()]


def board_files():
    """All that the scoreboard consists of."""
    return [f"{BOARD}/index.html", *(file for study in STUDIES for file in study_files(study))]


# ---------------------------------------------------------------- what has finished


def demo_so_far(wildcards):
    """The sound demo of the runs that have finished."""
    runs = [run for run in detailed_runs() if len(available(files_to_listen_to(run))) == len(files_to_listen_to(run))]
    splits = listening_splits()
    complete = len(available(map(packed, splits))) == len(splits)
    sets = {name: file for name, file in heard_query_sets().items() if os.path.exists(file)}
    return sound_demo(runs, splits if complete else [], sets)


def board_so_far(wildcards):
    """What there is for the tables and figures of a scoreboard (nafp.report.board.write_board)."""
    cells = available(map(cell_of, placed_runs()))
    arrays = {run: arrays_of(run) for run in placed_runs()}
    vectors = {
        run: parts for run, parts in arrays.items() if all(map(os.path.exists, [cell_of(run), *parts[0], *parts[1]]))
    }
    tables = available(scale_tables()) if DEFAULT_RUN in placed_runs() else []
    histories = available(all_histories())
    beyond = available([extrapolation_table()]) if DEFAULT_RUN in placed_runs() else []
    return {
        "origin": ORIGIN,
        "look": look_of(STUDIES),
        "published": PUBLISHED,
        "studies": {study: study_so_far(study) for study in STUDIES},
        "cells": available(ALL_CELLS),
        "learning": {"histories": histories} if len(histories) > 1 else None,
        "misses": (
            {"cells": cells, "packed": {split: packed(split) for split in TEST_SPLITS}}
            if cells and not GENERATED
            else None
        ),
        "similarity": (
            {"cells": cells, "vectors": vectors, "clips": [packed("test_db"), packed("test_query")]}
            if vectors
            else None
        ),
        "scale": {"tables": tables} if tables else None,
        "beyond": {"table": beyond[0]} if beyond else None,
    }


def study_so_far(study):
    """What there is of a study."""
    cells = available(cells_of(study))
    return {"study": study_of(study), "cells": cells, "figures": figures_of(study, cells)}


def mtimes_so_far(wildcards):
    """When the files that there are were written: what makes a scoreboard of what has finished again."""
    files = [*ALL_CELLS, *all_histories(), *scale_tables(), extrapolation_table()]
    files += [file for run in detailed_runs() for file in files_to_listen_to(run)]
    files += [file for run in detailed_runs() for part in arrays_of(run) for file in part]
    return {file: os.path.getmtime(file) for file in available(dict.fromkeys(files))}


def summaries():
    """The texts for the terminal that are there, and when each was written."""
    files = [*Path(RESULTS).glob("scoreboard/**/summary.txt"), *Path(RESULTS).glob("identify/*/answers.txt")]
    return {file: file.stat().st_mtime_ns for file in files}

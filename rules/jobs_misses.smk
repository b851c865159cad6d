# What the job of missed queries asks for and is told. No rules.


def heard_systems():
    """Whose misses are heard: the runs that are looked at closely, the first one's, and beside it as many other methods."""
    others = [cell.run for study in STUDIES for cell in CELLS[study] if not kind_of(cell.run).trained]
    return [*detailed_runs(), *list(dict.fromkeys(others))[: config["scoreboard"]["runs"]]]


def degradation_of(name):
    """What the queries of a set went through, and how strongly: by its ladder, by the level of its noise, or by its name."""
    ladders = [ladder for study in STUDIES for ladder in LADDERS[study] if ladder["limits"] and name in ladder["sets"]]
    if ladders:
        words = {"degradation": ladders[0]["title"], "unit": ladders[0]["unit"]}
        return words | {"strength": ladders[0]["sets"][name]}
    level = None if name == grid.FILES else grid.snr_of(config["query_sets"][name])
    words = {"degradation": name.replace("_", " "), "unit": "" if level is None else "dB SNR"}
    return words | {"strength": "" if level is None else level}


def misses_to_hear(there=lambda files: True):
    """The page's missed queries (nafp.report.misses.replay.Replay): of the query sets and cells whose files are ``there``.

    A run's cell is the one with the default index where studies have that. None among generated distractors, which have no audio.
    """
    keys, found = [] if GENERATED else [cell for study in STUDIES for cell in CELLS[study]], {}
    preferred = sorted(keys, key=lambda key: (key.query_set != grid.FILES, key.index != config["search"]["index"]))
    systems = heard_systems()
    for key in preferred:
        cell = f"{RESULTS}/scores/{grid.path_of(key, EPOCH)}"
        if key.run in systems and there([cell, *hits_of([cell]), packed(split_of_set(key.query_set))]):
            found.setdefault(key.query_set, {}).setdefault(key.run, cell)
    answering = [run for run in systems if any(run in cells for cells in found.values())]
    splits = {split: packed(split) for split in ("dummy", "test_db")}
    heard = {name: cells for name, cells in found.items() if answering[0] in cells and there(splits.values())}
    sets = [
        {
            **{"name": name, "packed": packed(split_of_set(name)), **degradation_of(name)},
            "cells": {run: cells[run] for run in systems if run in cells},
        }
        for name, cells in heard.items()
    ]
    numbers = {**config["scoreboard"]["misses"], "seed": config["search"]["seed"]}
    if GENERATED:
        numbers["note"] = "answers may be generated distractors, which have no audio"
    return {"sets": sets, "packed": splits, **features_seen_by(answering[0] if heard else None), **numbers}


def features_seen_by(run):
    """The log-mel images of a run: their settings, or the weights that state them; the config's for one without a network."""
    kind = kind_of(run) if run else None
    if kind and kind.network and not kind.trained:
        return {"features": f"{RESULTS}/runs/{run}/epoch={kind.epoch}.safetensors", "seen": True}
    seen = bool(kind and kind.trained)
    return {"features": (sections_of(grid.parse_run(run)["recipe"]) if seen else config)["features"], "seen": seen}


def all_misses(wildcards):
    """The missed queries of all cells."""
    return misses_to_hear()


def cells_of_misses(wildcards):
    """The cells that missed queries are chosen from, as input."""
    return [cell for one in misses_to_hear()["sets"] for cell in one["cells"].values()]


def hits_of_misses(wildcards):
    """The per-query tables beside them, as input."""
    return hits_of(cells_of_misses(wildcards))


def weights_for_misses(wildcards):
    """The weights that state what the pictures are to be like, as input."""
    features = misses_to_hear()["features"]
    return features if isinstance(features, str) else []


def packed_for_misses(wildcards):
    """The splits that missed queries and the answers to them are cut from, as input."""
    heard = misses_to_hear()
    return [*heard["packed"].values(), *(one["packed"] for one in heard["sets"])]


def misses_so_far(wildcards):
    """The missed queries of the cells that there are."""
    return misses_to_hear(lambda files: all(map(os.path.exists, files)))

"""Made-up results: cells with the per-query tables beside them, and pages built of them, without any training."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from nafp.audio.pools import AudioPool
from nafp.audio.splits import Split
from nafp.evaluation.cell import Cell, table_beside
from nafp.evaluation.hits import RANKS, per_query_table
from nafp.grid import run_name
from nafp.model.fingerprint import fingerprint_clips
from nafp.model.model import build_model
from nafp.report.page import listening
from nafp.report.tables.cells import load_cells
from nafp.report.tables.published import load_published
from nafp.report.tables.study import Study, study_table
from nafp.search.result import Result
from nafp.search.vectors import Database

PUBLISHED = Path(__file__).parents[2] / "published/nafp.csv"
LENGTHS = [1, 3, 5, 9, 11, 19]
SONGS, ROWS_A_SONG = 40, 59
DUMMY_SONGS = 68
DUMMY_ROWS = DUMMY_SONGS * ROWS_A_SONG
FIELDS = {"aug": "full", "bsz": 120, "dim": 64, "loss": "ntxent", "recipe": "base", "seed": 0}


def skills() -> Iterator[float]:
    """How good a system is: a number for each, spread over what models reach."""
    return iter(np.random.default_rng(5).permutation(np.linspace(-1.5, 1.5, 997)).tolist() * 10)


def made_up_hits(queries: int, skill: float, seed: int, lengths: Sequence[int] = LENGTHS) -> pd.DataFrame:
    """A per-query table of a system of some skill; some songs and some queries are hard for all systems."""
    rng = np.random.default_rng(seed)
    rows = SONGS * ROWS_A_SONG
    starts = np.sort(
        np.random.default_rng(1).choice(rows - max(lengths), queries, replace=queries > rows - max(lengths))
    )
    truth, songs = starts + DUMMY_ROWS, np.arange(DUMMY_ROWS + rows) // ROWS_A_SONG
    hard = 0.6 * np.random.default_rng(2).normal(size=SONGS)[starts // ROWS_A_SONG]
    hard += 0.8 * np.random.default_rng(0).normal(size=queries)
    results = []
    for length in lengths:
        ease = skill + 0.9 * np.log2(length) - hard + 0.5 * rng.normal(size=queries)
        place = rng.integers(0, DUMMY_ROWS + rows, (queries, RANKS))
        near = truth + rng.choice([-1, 1], queries)
        elsewhere = truth - rng.integers(2, 40, queries)
        place[:, 0] = np.select([ease > 0, ease > -0.3, ease > -0.7], [truth, near, elsewhere], place[:, 0])
        score = -np.sort(-rng.random((queries, RANKS)), axis=1)
        other = rng.integers(0, DUMMY_ROWS, queries), 0.9 * rng.random(queries)
        results.append(Result(length, place, score, *other, 0.1 * length, 0.05))
    names = [f"song {i}" for i in range(DUMMY_SONGS + SONGS)]
    return per_query_table(results, starts, truth, songs, names)


def write_cell(
    folder: Path, fields: Mapping, index: str = "l2", queries: int = 500, skill: float = 0.0, seed: int = 0, **over
) -> Path:
    """A cell and its per-query table; ``over`` replaces fields of the cell."""
    fields = FIELDS | dict(fields)
    run = over.pop("run", run_name(fields))
    path = folder / run.replace("/", "-")[:120] / "epoch=best" / f"{index[:40].replace('/', '-')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = made_up_hits(queries, skill, seed)
    size = DUMMY_ROWS + SONGS * ROWS_A_SONG
    cell = Cell.count(
        table,
        dataset="demo",
        run=run,
        fields=fields,
        epoch="best",
        index=index,
        index_options={},
        protocol="clip",
        test_ids=queries,
        audio="made up",
        database={"dummy": DUMMY_ROWS, "db": SONGS * ROWS_A_SONG},
        recall={"nearest": 0.9 + 0.01 * (seed % 10)},
        build_s=0.5 + seed % 7,
        index_bytes=size * (32 + 16 * (seed % 13)),
        memory_bytes=size * (40 + 16 * (seed % 13)),
        ms_per_segment=round(0.05 * (1 + seed % 5), 4),
        ms_per_query=[round(0.05 * (1 + seed % 5) * length, 4) for length in LENGTHS],
    )
    replace(cell, **over).write(path, table)
    return path


def facts(**changes) -> dict:
    """Facts of a job, as it stores them (jobfacts.job_facts); ``numpy``: another version of that."""
    packages = {"numpy": changes.pop("numpy", "2.4.6")}
    made = {"commit": "5333ce5cb4af", "changed": False, "packages": packages, "processor": "EPYC", "threads": 2}
    return made | {"date": "2026-11-26T13:00:00+00:00"} | changes


def write_run(folder: Path, run: str, jobs: Sequence[Mapping]) -> None:
    """What made a run, beside the cells in ``folder``/scores."""
    path = folder / "runs" / run / "provenance.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"jobs": list(jobs)}))


def write_grid(folder: Path, runs: Sequence[Mapping], indexes: Sequence[str], queries: int = 500) -> list[Path]:
    """A cell for every run and index."""
    return [
        write_cell(folder, fields, index, queries, skill, seed)
        for seed, ((fields, index), skill) in enumerate(zip(product(runs, indexes), skills(), strict=False))
    ]


def tabulated(paths: Sequence[Path], study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells of some files, and a study's table of them."""
    cells = load_cells(paths)
    return cells, study_table(cells, load_published(PUBLISHED), study)


def heard(names: Sequence[str], songs: Sequence[str] = ("a", "b", "c"), segments: int = 3) -> dict:
    """A sound demo of noisy tones and networks that were never trained."""
    rng = np.random.default_rng(0)

    def clips(titles: Sequence[str], seconds: int = 4) -> Split:
        t = np.arange(8000 * seconds) / 8000
        tones = [sum(np.sin(2 * np.pi * f * t) for f in rng.uniform(200, 3000, 4)) for _ in titles]
        return Split.of_clips(
            [(tone * 4000).astype(np.int16) for tone in tones], [f"x/{title}.wav" for title in titles]
        )

    dummy, db, noise = clips(["d1", "d2"]), clips(songs), clips(["n"])
    features, model, runs = {"n_mels": 64}, {"variant": "release", "width": 2}, []
    for seed, name in enumerate(names):
        torch.manual_seed(seed)
        network = build_model(features, model, 16).eval()
        vectors = [
            fingerprint_clips(network, [split.audio[s : s + 32000] for s in split.clips["start"]], torch.device("cpu"))
            for split in (dummy, db)
        ]
        runs.append(listening.Run(name, network, Database(*vectors)))
    pools = {"bg": AudioPool(noise)}
    shown = listening.listen(
        runs, listening.HeardSongs(dummy, db), listening.choose(db, segments, 0), [0, 10], pools, 0
    )
    chain = [{"time_offset": {"max_s": 0.2}}, {"background": {"snr_db": [0, 10]}}, {"frequency_mask": {"mels": [5, 9]}}]
    shown["steps"] = listening.chain_steps(db, chain, pools, runs[0].network.features, 0)
    return shown | {"f_min": 300, "f_max": 4000}


LADDERS = [
    {"name": "for comparison", "title": "for comparison", "unit": "", "scale": "linear"}
    | {"curve": False, "limits": False, "sets": {"files": "files"}},
    {"name": "noise", "title": "background noise", "unit": "dB SNR", "scale": "linear", "curve": True, "limits": True}
    | {"sets": {"noise_m10": -10, "noise_m5": -5, "noise_0": 0, "noise_10": 10}},
    {"name": "low_pass", "title": "low-pass", "unit": "Hz", "scale": "log", "curve": True, "limits": True}
    | {"sets": {"low_pass_500": 500, "low_pass_1000": 1000, "low_pass_2000": 2000, "low_pass_3500": 3500}},
    {"name": "speed", "title": "speed", "unit": "%", "scale": "linear", "curve": True, "limits": True}
    | {"sets": {f"speed_{n}": p for n, p in (("m20", -20), ("m5", -5), ("m1", -1), ("1", 1), ("5", 5), ("20", 20))}},
    {"name": "codec", "title": "codec", "unit": "", "scale": "linear", "curve": False, "limits": True}
    | {"sets": {"codec_mp3": "mp3", "codec_gsm": "gsm"}},
    {"name": "gain", "title": "gain", "unit": "dB", "scale": "linear", "curve": False, "limits": True}
    | {"sets": {"gain_m20": -20}},
]
EASE = {  # how much easier than a query of the data set's own: by query set
    **{
        "files": 0,
        "noise_m10": -3,
        "noise_m5": -1.5,
        "noise_0": 0.5,
        "noise_10": 2,
        "codec_mp3": 1.5,
        "codec_gsm": -2.5,
    },
    **{"low_pass_500": -4, "low_pass_1000": -1.2, "low_pass_2000": 0.7, "low_pass_3500": 2.5, "gain_m20": 2.5},
    **{"speed_m20": -4, "speed_m5": -1, "speed_m1": 1.5, "speed_1": 1.4, "speed_5": -1.2, "speed_20": -4.5},
}


def write_ladders(
    folder: Path, systems: Sequence[tuple[Mapping, float]], missing: Sequence[str] = ()
) -> tuple[list[Path], Study]:
    """Cells of systems, (fields, skill) each, for every strength of LADDERS but the missing query sets, and their study.

    Fields of a trained run are what they change; others (``{"method": "marks"}``) are all there are.
    """
    cells, planned = [], []
    for number, (given, skill) in enumerate(systems):
        fields = dict(given) if "method" in given else FIELDS | dict(given)
        index = "" if "method" in given else "l2"
        for query_set, ease in EASE.items():
            planned.append({"run": run_name(fields), "index": index, "query_set": query_set, **fields})
            if query_set in missing:
                continue
            of_set = {} if query_set == "files" else {"query_set": query_set, "query_chain": []}
            path = write_cell(
                folder / query_set, given, "l2", 400, skill + ease, number, run=run_name(fields), **of_set
            )
            if "method" in given:
                replace(Cell.read(path), fields=fields, index="", epoch=None, index_options=None, recall=None).write(
                    path, pd.read_parquet(table_beside(path))
                )
            cells.append(path)
    baseline = (planned[0]["run"], planned[0]["index"], "files")
    return cells, Study("robustness", ["query_set"], "What is survived?", ["exact"], planned, baseline, LADDERS)

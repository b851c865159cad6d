"""What search at several rates finds of queries that are faster or slower, and what it costs: two tables.

PYTHONPATH=scripts python benchmarks/speed_search.py results/NAME aug=... [--tempo] >> benchmarks/speed_search.md

The test songs of a data set, played at another speed (or tempo, at the same pitch) and otherwise clean, are searched exhaustively
with the fingerprints of one run, among its test songs and distractors. Every segment is a start that leaves room for the longest
query. Times are CPU time of one thread for a query, the neighbour search included, of all lengths in one call.
"""

import argparse
import datetime
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import torch

from nafp.audio.segments import sequence_seconds
from nafp.audio.songs import songs_of_rows
from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.augment.queries import pack_queries
from nafp.evaluation.asked import Asked
from nafp.evaluation.hits import first_and_last_rows, per_query_table
from nafp.jobfacts import processor
from nafp.model.fingerprint import fingerprint_clips
from nafp.model.model import Model
from nafp.model.weights import load_model
from nafp.search.index import build_index, read_index
from nafp.search.sequences import search_sequences
from nafp.search.vectors import Database

PERCENT = (0, 2, -2, 5, -5, 10, -10)  # faster, slower
LENGTHS = (1, 5, 9, 19)  # segments: 1, 3, 5, 10 s
RATES = {
    "1 rate": [1.0],
    "3 rates, ± 5 %": [0.95, 1.0, 1.05],
    "5 rates, ± 10 %": [0.9, 0.95, 1.0, 1.05, 1.1],
    "11 rates, ± 10 %": np.linspace(0.9, 1.1, 11).round(2).tolist(),
}
SEARCH = {"test_ids": "all", "protocol": "clip", "lengths": LENGTHS, "seed": 0}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="results/NAME, with its packed test songs and a run")
    parser.add_argument("run", help="name of the run")
    parser.add_argument("--tempo", action="store_true", help="keep the pitch")
    return parser.parse_args()


def fingerprints(network: Model, split: Split) -> np.ndarray:
    """(n, d) of all segments of a split, clip after clip."""
    clips = zip(split.clips["start"], split.clips["samples"], strict=True)
    parts = [
        fingerprint_clips(network, [split.audio[start : start + samples]], torch.device("cpu"))
        for start, samples in clips
    ]
    return np.concatenate(parts)


def queries_at(percent: float, tempo: bool, songs: Split, folder: Path) -> Split:
    """The songs at another speed or tempo."""
    factor = 1 + percent / 100
    step = {"tempo": {"factor": [factor, factor]}} if tempo else {"speed": {"percent": [percent, percent]}}
    chain = Chain([step] if percent else [], for_queries=True)
    pack_queries(songs, folder / "query.npy", folder / "query.csv", chain, 0)
    return Split.open(folder / "query.npy")


def main(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    network = load_model(options.results / f"runs/{options.run}/epoch=best.safetensors").eval()
    dummy, db = (Split.open(options.results / f"data/packed/{name}.npy") for name in ("dummy", "test_db"))
    database = Database(fingerprints(network, dummy), fingerprints(network, db))
    songs = songs_of_rows(dummy.clips["samples"], db.clips["samples"])
    names = [*dummy.clips["path"], *db.clips["path"]]
    hits, costs = [], []
    with tempfile.TemporaryDirectory() as folder:
        build_index("l2", {}, database, Path(folder) / "l2")
        index = read_index("l2", {}, Path(folder) / "l2", database)
        for percent in PERCENT:
            query = queries_at(percent, options.tempo, db, Path(folder))
            vectors, asked = fingerprints(network, query), Asked.of(db.clips, query.clips, SEARCH)
            truth = asked.right + len(database.dummy)
            how = {"own": first_and_last_rows(songs, songs[truth]), "progress": False}
            for name, rates in RATES.items():
                began = time.process_time()
                found = search_sequences(index, database, vectors, asked.starts, LENGTHS, rates=rates, **how)
                costs.append({"rates": name, "ms": 1000 * (time.process_time() - began) / len(asked.starts)})
                table = per_query_table(found, asked.starts, truth, songs, names, asked.moved)
                rows = table.groupby("length", sort=False)[["top1_exact", "top1_near", "top1_song"]].mean().mul(100)
                for length, rate in rows.iterrows():
                    hits.append(
                        {"speed": f"{percent:+d} %", "rates": name, "query": f"{sequence_seconds(length):g} s", **rate}
                    )
    print(f"\n## {datetime.date.today()}, {processor()}, 1 thread\n")
    about = f"{len(database):,} fingerprints of {database.dim} dimensions, {len(names)} songs"
    print(f"`{options.results.name}`, `{options.run}`, {'tempo' if options.tempo else 'speed'}: {about}.\n")
    columns = {"top1_exact": "exact", "top1_near": "near", "top1_song": "song"}
    table = pd.DataFrame(hits).rename(columns=columns)
    table["exact / near / song, %"] = [
        f"{a:.1f} / {b:.1f} / {c:.1f}" for a, b, c in table[[*columns.values()]].to_numpy()
    ]
    shown = table.pivot(index=["speed", "rates"], columns="query", values="exact / near / song, %")
    order = [(f"{percent:+d} %", name) for percent in PERCENT for name in RATES]
    lengths = [f"{sequence_seconds(length):g} s" for length in LENGTHS]
    print(shown.loc[order, lengths].reset_index().to_markdown(index=False), "\n")
    ms = pd.DataFrame(costs).groupby("rates", sort=False).min().round(2)
    print("A query of all lengths:\n")
    print(ms.reset_index().to_markdown(index=False))


if __name__ == "__main__":
    main(arguments())

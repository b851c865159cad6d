"""Hit rates beyond the data, from the fingerprints of a finished run: the table, its check, and what it takes.

PYTHONPATH=scripts python benchmarks/beyond.py results/corpus pretrained=composed/epoch=last noise_m5 >> benchmarks/beyond.md

The query sets are those of the names given, `files` for the data set's own; all sequences of 1 to 10 s. Set OMP_NUM_THREADS=1 and
OPENBLAS_NUM_THREADS=1 for the CPU time of one core.
"""

import argparse
import datetime
import time
from pathlib import Path

import pandas as pd

from nafp.audio.songs import songs_of_rows
from nafp.evaluation.asked import Asked
from nafp.evaluation.extrapolation import Plan, extrapolate
from nafp.evaluation.protocol import PROTOCOLS
from nafp.jobfacts import processor
from nafp.report.tables.beyond import Beyond, to_markdown
from nafp.search.vectors import Database, open_vectors

LENGTHS = [1, 3, 5, 9, 11, 19]
SEGMENTS = [1e5, 1e6, 1e7, 1e8, 1e9, 1e10]
FRACTIONS = [0.01, 0.03, 0.1, 0.3, 1.0]


def main() -> None:
    """One section a query set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="results of a data set")
    parser.add_argument("run", help="run and epoch, below fingerprints/")
    parser.add_argument("query_sets", nargs="+")
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--tail", type=int, default=50)
    parser.add_argument("--parts", type=int, default=5)
    parser.add_argument("--generated", type=float, default=1e5, help="segments of generated songs")
    options = parser.parse_args()
    at = options.results / "fingerprints" / options.run
    database = Database(open_vectors(at / "dummy.npy"), open_vectors(at / "test_db.npy"))
    dummy, test_db = (clips_of(options.results, split) for split in ("dummy", "test_db"))
    songs = songs_of_rows(dummy["samples"], test_db["samples"])
    search = {"test_ids": "all", "protocol": "clip", "lengths": LENGTHS, "seed": 0}
    plan = Plan(SEGMENTS, options.tail, options.share, options.parts, FRACTIONS, options.generated)
    print(f"\n## {datetime.date.today()}, {options.run}, {processor()}")
    for name in options.query_sets:
        split = "test_query" if name == "files" else f"query_{name}"
        asked = Asked.of(test_db, clips_of(options.results, split), search)
        query, began = open_vectors(at / f"{split}.npy"), time.process_time()
        table = extrapolate(database, songs, query, asked, LENGTHS, PROTOCOLS["clip"], plan)
        seconds = time.process_time() - began
        print(f"\n### {name}: {len(asked.starts):,} queries, {len(database):,} segments, {seconds:.0f} s of CPU time\n")
        print(to_markdown(Beyond(table)))


def clips_of(results: Path, split: str) -> pd.DataFrame:
    """The table of clips of a split."""
    return pd.read_csv(results / f"data/packed/{split}.csv")


if __name__ == "__main__":
    main()

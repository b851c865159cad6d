"""How many test songs a difference needs to be seen: nafp power PILOT_A.json PILOT_B.json --points 2 5

The pilot is two cells that answered the same queries, of the two configurations that are to be compared or of ones like them:
they tell how much the songs vary. Power is that of the test that the tables make, by simulation.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from nafp.errors import UserError
from nafp.evaluation.metrics import METRICS, with_paired_tests
from nafp.evaluation.power import MOST, songs_needed
from nafp.evaluation.statistics import LEVEL, fewest_differing
from nafp.report.tables.comparison import answers_of, no_hits, read_cell, why_not_paired

UNKNOWN, FEWEST_DIFFERING = "–", fewest_differing()  # songs: with fewer no test by song can tell a difference


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog=__doc__.split("\n\n")[1])
    parser.add_argument("a", type=Path, help="a cell, results/NAME/scores/RUN/epoch=best/INDEX.json")
    parser.add_argument("b", type=Path, help="another one")
    parser.add_argument("--points", nargs="+", type=float, default=[1, 2, 5], help="differences to be seen (1 2 5)")
    parser.add_argument("--match", choices=with_paired_tests(), default="exact", help="kind of hits (%(default)s)")
    parser.add_argument("--power", type=float, default=0.8, help="probability to see it (%(default)s)")
    parser.add_argument(
        "--tests", type=int, default=1, help="tests in the table, for which p is corrected (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulation (%(default)s)")
    return parser.parse_args()


def needed(differences: np.ndarray, queries: np.ndarray, points: float, options: argparse.Namespace) -> str:
    """The number of songs in words."""
    if np.count_nonzero(differences) < FEWEST_DIFFERING:
        return UNKNOWN
    songs = songs_needed(differences, queries, points / 100, options.power, LEVEL / options.tests, options.seed)
    return f">{MOST:,}" if songs is None else f"{songs:,}"


def main(options: argparse.Namespace) -> None:
    for path in (options.a, options.b):
        if not path.is_file():
            raise UserError(f"{path}: no such cell")
        if METRICS[options.match].column not in read_cell(path).hits:
            raise UserError(f"{path}: {no_hits(options.match)}")
    if not (0 < options.power < 1 and options.tests >= 1 and min(options.points) > 0):
        raise UserError("--power is between 0 and 1, --tests at least 1, and --points are positive")
    if reason := why_not_paired(options.a, options.b):
        raise UserError(f"{options.a} and {options.b} cannot be a pilot: they {reason}")
    a, b = answers_of(options.a), answers_of(options.b)
    rows = []
    for seconds in a.seconds:
        hits = a.of(options.match, seconds), b.of(options.match, seconds)
        row = {"query_s": seconds, "a_pct": 100 * hits[0].sum() / a.queries.sum()}
        row |= {"b_pct": 100 * hits[1].sum() / a.queries.sum(), "songs that differ": int((hits[0] != hits[1]).sum())}
        rows.append(row | {f"{x:g} points": needed(hits[1] - hits[0], a.queries, x, options) for x in options.points})
    print(f"Pilot: {len(a.queries):,} songs, {a.queries.mean():.3g} queries each, {options.match} hits.")
    print(
        f"Songs needed to see a difference with probability {options.power:g} (p < {LEVEL:g}, {options.tests} test(s)):"
    )
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    if any(UNKNOWN in row.values() for row in rows):
        print(
            f"{UNKNOWN}: fewer than {FEWEST_DIFFERING} songs of the pilot differ, too few to tell how much songs vary"
        )

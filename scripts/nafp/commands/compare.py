"""Which cells of two result folders differ beyond chance: nafp compare --help"""

import argparse
from pathlib import Path

from nafp.report.tables.comparison import compare


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare two result folders cell by cell, where both answered the same queries, by an exact permutation "
        "test of songs, corrected for the number of tests by Holm's method."
    )
    parser.add_argument("a", type=Path, help="results/NAME, or a folder below it")
    parser.add_argument("b", type=Path, help="the one it is compared with")
    parser.add_argument(
        "--match",
        default="exact",
        help="kinds of hits: exact, near, song, top3, top10 or all (%(default)s)",
    )
    parser.add_argument("--level", type=float, default=0.05, help="significance level of the corrected p (%(default)s)")
    parser.add_argument("--all", action="store_true", help="also show cells that do not differ")
    parser.add_argument("--csv", type=Path, help="write the whole comparison to this file")
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    found = compare(options.a, options.b, options.match)
    if options.csv:
        found.table.to_csv(options.csv, index=False)
    differ = found.table[found.table["p_holm"] < options.level]
    shown = found.table if options.all else differ
    if len(shown):
        print(shown.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    print(
        f"{len(differ)} of {len(found.table)} numbers in {found.cells} cells differ beyond chance (p < {options.level:g})."
    )
    for line in found.remarks:
        print(line)

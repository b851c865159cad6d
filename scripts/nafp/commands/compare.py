"""Which cells of result folders differ beyond chance: nafp compare --help"""

import argparse
from pathlib import Path

import pandas as pd

from nafp.errors import UserError
from nafp.files import atomic_write
from nafp.report.page.comparison import render_comparison
from nafp.report.tables.compared import in_order_of_date, verdict
from nafp.report.tables.comparison import LineUp, compare, line_up, read_boards


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare result folders cell by cell, where they answered the same queries, by an exact permutation "
        "test of songs, corrected for the number of tests by Holm's method."
    )
    parser.add_argument("a", type=Path, help="results/NAME, a folder below it, or a snapshot (nafp snapshot)")
    parser.add_argument("b", type=Path, help="the one it is compared with")
    parser.add_argument("more", type=Path, nargs="*", help="more of them: with --page, a history in order of date")
    parser.add_argument(
        "--match",
        default="exact",
        help="kinds of hits: exact, near, song, top3, top10 or all (%(default)s)",
    )
    parser.add_argument("--level", type=float, default=0.05, help="significance level of the corrected p (%(default)s)")
    parser.add_argument("--all", action="store_true", help="also print cells that do not differ")
    parser.add_argument("--csv", type=Path, help="write the whole comparison to this file")
    parser.add_argument("--page", type=Path, help="write a page to this file: an HTML file that needs no other")
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    if options.page:
        write_page(options)
    elif options.more:
        raise UserError("more than two folders are compared on a page: add --page FILE.html")
    else:
        print_table(options)


def print_table(options: argparse.Namespace) -> None:
    """What differs, as text."""
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


def write_page(options: argparse.Namespace) -> None:
    """The page, and its verdict as text."""
    boards = read_boards([options.a, options.b, *options.more])
    found = line_up(in_order_of_date(boards) if options.more else boards, options.match, options.level)
    with atomic_write(options.page) as part:
        part.write_text(render_comparison(found, options.level), encoding="utf-8")
    if options.csv:
        whole(found).to_csv(options.csv, index=False)
    print(verdict(found, options.level), *found.remarks, f"page  {options.page.resolve()}", sep="\n")


def whole(found: LineUp) -> pd.DataFrame:
    """The line-up for a CSV file: without the paths of its files."""
    return found.table.drop(columns=["file", "answers"])

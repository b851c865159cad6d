"""Keep what a later scoreboard can be compared with: nafp snapshot results/demo"""

import argparse
from pathlib import Path

from nafp.report.snapshot import HISTORY, contents, take_snapshot


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Copy the small files of a result folder that nafp compare reads: cells, which queries are hits, what made "
        "them, and the tables of studies."
    )
    parser.add_argument("results", type=Path, help="results/NAME")
    parser.add_argument(
        "folder", type=Path, nargs="?", help=f"where to ({HISTORY}/NAME/DATE-COMMIT, of the last search, if not given)"
    )
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    folder = take_snapshot(options.results, options.folder)
    sizes = [len(content) for content in contents(folder).values()]
    print(f"{folder}: {len(sizes)} files, {sum(sizes) / 1e6:.2f} MB")

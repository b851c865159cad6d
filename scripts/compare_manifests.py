"""Which files differ between two copies of a data set: python scripts/compare_manifests.py ONE.csv OTHER.csv

A manifest is results/{dataset}/data/manifest.csv, or data/{dataset}.manifest.csv of the first verified download.
"""

import argparse
import sys
from pathlib import Path

from nafp.datasets.manifest import changed_files, read_manifest
from nafp.errors import UserError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].split(":")[0])
    parser.add_argument("one", type=Path, help="manifest of the copy that is right")
    parser.add_argument("other", type=Path, help="manifest of the copy that you suspect")
    arguments = parser.parse_args()
    one, other = read_manifest(arguments.one), read_manifest(arguments.other)
    found = changed_files(one, other)
    if found.empty:
        print(f"the same: {len(one):,} files")
        return 0
    print(found.to_string(index=False))
    counts = found["difference"].value_counts()
    print(", ".join(f"{counts.get(kind, 0):,} {kind}" for kind in ("changed", "missing", "added")))
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")

"""The job that checks a data set: every file, their checksums, their numbers; then the manifest and a report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from nafp.datasets.digests import Journal, digest_files, directory_md5
from nafp.datasets.layout import MUSIC
from nafp.datasets.manifest import make_manifest, with_digests
from nafp.datasets.obtain import record_first
from nafp.datasets.sources import Place
from nafp.datasets.verification import advised, checksum_problems, content_problems, content_warnings, judge, refuse
from nafp.walk import unescaped_path


@dataclass(frozen=True)
class Wanted:
    """What a data set should be, as the config's ``dataset`` says it; by default any whose files are good."""

    dummy: str | int = "all"
    expected: Mapping[str, int] = field(default_factory=dict)
    strict: bool = True
    as_published: bool = True
    md5: str | None = None
    manifest: str | None = None
    splits: Sequence[str] = MUSIC


def verify(root: Path, wanted: Wanted, manifest: Path, report: Path, archives: Path | None, threads: int) -> None:
    """Check the data set in ``root`` and write its ``manifest`` and a ``report``; UserError with all that is wrong.

    ``archives``: the file that names the archives it was unpacked from; the first verified ones are recorded.
    """
    folder, place = manifest.parent, Place(root, manifest.parent)
    problems = folder / "problems.txt"
    checked = make_manifest(root, threads)
    verdict = judge(checked, root, wanted.expected, wanted.dummy, wanted.strict, wanted.as_published, wanted.splits)
    refuse(verdict.fatal, root, problems)

    lost: dict[str, str] = {}
    journal = Journal(place.journal if archives else folder / "files.tsv")
    digests = digest_files(root, journal, threads, unreadable=lost)
    whole, md5 = with_digests(checked, digests), directory_md5(digests)
    first = place.manifest if archives and place.manifest.exists() else None  # what there is after a first verification
    other = content_problems(whole, [wanted.manifest, first])
    checksum = checksum_problems(md5, wanted.md5)
    if wanted.strict:
        refuse((advised(checksum) if wanted.as_published else []) + other, root, problems)
    table = with_digests(verdict.manifest, digests)
    accepted = [] if wanted.strict and wanted.as_published else checksum
    warnings = verdict.warnings + content_warnings(table, root) + accepted + ([] if wanted.strict else other)
    stated = set(checked["path"])
    warnings += [f"{root / unescaped_path(path)}: {why}" for path, why in lost.items() if path not in stated]
    for warning in warnings:
        print(f"warning: {warning}")

    table.drop(columns="problem").to_csv(manifest, index=False)
    splits = size_of_splits(table)
    facts = {"root": str(root), "splits": splits.to_dict("index"), "md5": md5, "published_md5": wanted.md5}
    report.write_text(json.dumps({**facts, "warnings": warnings}, indent=2) + "\n", encoding="utf-8")
    print(splits.to_string())
    if archives:
        record_first(json.loads(archives.read_text(encoding="utf-8")), manifest, place)


def size_of_splits(manifest: pd.DataFrame) -> pd.DataFrame:
    """A row for each split of a manifest: its clips and hours."""
    splits = manifest[manifest["split"] != ""].groupby("split", sort=False)
    sizes = splits.agg(clips=("path", "size"), hours=("seconds", "sum"))
    sizes["hours"] = (sizes["hours"] / 3600).round(3)
    return sizes

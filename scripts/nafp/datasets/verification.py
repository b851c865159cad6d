"""All problems of a data set in the paper's layout, in one report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nafp.audio.segments import SAMPLE_RATE
from nafp.audio.wav import onset, read_wav
from nafp.datasets.layout import MUSIC, QUERY_OF, SPLITS, TIME_MAP
from nafp.datasets.manifest import DUMMIES, differences, read_time_map, select_dummies
from nafp.errors import UserError
from nafp.files import atomic_write
from nafp.walk import unescaped_path

VITAL = ("val_db", "val_query", "test_db", "test_query")  # splits whose segments are matched by number
SHOWN = 30  # problems in a message; the report has all
OTHER_COPY = (
    "if nothing is missing in your copy (users of the full data set count 93,458 dummy songs, and get another checksum), go "
    "on with it: --config 'dataset={as_published: false}', which still refuses bad files"
)
LATE_MS = 50  # delay of the direct sound of an impulse response; a tenth of the hop between segments


def bad_files(manifest: pd.DataFrame, root: Path) -> list[str]:
    """One sentence a file that cannot be used."""
    return [f"{root / row.path}: {row.problem}" for row in manifest[manifest["problem"] != ""].itertuples()]


def broken_pairs(manifest: pd.DataFrame, root: Path, splits: Sequence[str] = MUSIC) -> list[str]:
    """Empty ones of the music ``splits``, queries without a song, songs without a query, and pairs of unequal length."""
    present, mapped = set(manifest["split"]), (root / TIME_MAP).is_file()
    problems = [f"{root / SPLITS[split]}: no WAV files (split {split!r})" for split in splits if split not in present]
    for db, query in QUERY_OF.items():
        if query == "test_query" and mapped:
            problems += misplaced(manifest, root)
        elif {db, query} <= present:
            problems += unpaired(manifest, root, db, query)
    return problems


def misplaced(manifest: pd.DataFrame, root: Path) -> list[str]:
    """Test queries that the time map does not place inside a test song, and rows of it without a query."""
    songs, queries = (manifest[manifest["split"] == split].set_index("path") for split in ("test_db", "test_query"))
    try:
        places = read_time_map(root)
    except UserError as error:
        return [str(error)]
    problems = [f"{root / path}: is not in {root / TIME_MAP}" for path in queries.index.difference(places.index)]
    for path, row in places.iterrows():
        if path not in queries.index or row["song"] not in songs.index:
            lost = path if path not in queries.index else row["song"]
            problems.append(f"{root / TIME_MAP}: {path!r}: there is no {root / str(lost)}")
            continue
        begin, seconds = row["song_start_s"], songs.at[row["song"], "samples"] / SAMPLE_RATE
        if begin < 0 or begin > seconds:
            where = "before the beginning" if begin < 0 else "after the end"
            problems.append(f"{root / TIME_MAP}: {path!r}: begins at {begin:g} s, {where} of its song")
    return problems


def unpaired(manifest: pd.DataFrame, root: Path, db: str, query: str) -> list[str]:
    """A query clip must have its song's name and length, because segment i of one answers segment i of the other."""
    lengths = {
        split: {Path(r.path).relative_to(SPLITS[split]).as_posix(): r.samples for r in rows.itertuples()}
        for split, rows in manifest.groupby("split")
        if split in (db, query)
    }
    problems = []
    for name in sorted(lengths[db].keys() | lengths[query].keys()):
        in_db, in_query = lengths[db].get(name), lengths[query].get(name)
        if in_db is None or in_query is None:
            has, lacks = (query, db) if in_db is None else (db, query)
            problems.append(f"{root / SPLITS[has] / name}: has no counterpart {root / SPLITS[lacks] / name}")
        elif in_db != in_query:
            problems.append(f"{root / SPLITS[query] / name}: {in_query} samples, but its song has {in_db}")
    return problems


def count_problems(manifest: pd.DataFrame, root: Path, expected: Mapping[str, int], dummy: str | int) -> list[str]:
    """Splits with another number of clips than expected, and dummy songs of another number or length."""
    counts = manifest["split"].value_counts()
    wanted = dict(expected)
    if dummy != "all":
        wanted["dummy"] = DUMMIES[dummy][0] if dummy in DUMMIES else dummy
    problems = [
        f"{root / SPLITS[split]}: {counts.get(split, 0):,} clips, expected {count:,}"
        for split, count in wanted.items()
        if counts.get(split, 0) != count
    ]
    seconds = DUMMIES[dummy][1] if dummy in DUMMIES else None
    dummies = manifest.loc[manifest["split"] == "dummy", "seconds"]
    other = int(((dummies - seconds).abs() > 1).sum()) if seconds else 0
    if other:
        problems.append(
            f"{root / SPLITS['dummy']}: {other:,} songs are not {seconds} s long, but dummy is {dummy}, a data set of such "
            f"songs; 'dummy: {DUMMIES[dummy][0]}' takes as many in the length that they have"
        )
    return problems


def content_warnings(manifest: pd.DataFrame, root: Path) -> list[str]:
    """Warnings about usable files, one sentence each: songs in several splits, impulse responses that begin late."""
    return same_audio(manifest) + late_responses(manifest, root)


def same_audio(manifest: pd.DataFrame) -> list[str]:
    """Files of training that are, byte for byte, in the validation or test split too, one sentence each."""
    music = manifest[manifest["split"].isin(MUSIC)]
    groups = music[music.duplicated("sha256", keep=False)].groupby("sha256", sort=False)
    return [
        f"the same file in several splits: {', '.join(rows['path'])}"
        for _, rows in groups
        if rows["split"].nunique() > 1
    ]


def late_responses(manifest: pd.DataFrame, root: Path) -> list[str]:
    """The impulse responses that begin with silence, which delays what is convolved with them: one sentence, or none."""
    paths = manifest.loc[manifest["split"].isin(("ir_train", "ir_test")) & (manifest["problem"] == ""), "path"]
    onsets_ms = {path: 1000 * onset(read_wav(root / unescaped_path(path))) / SAMPLE_RATE for path in paths}
    late = {path: ms for path, ms in onsets_ms.items() if ms > LATE_MS}
    if not late:
        return []
    return [
        f"the direct sound of {len(late)} of {len(paths)} impulse responses comes later than {LATE_MS} ms, and delays what "
        "they are convolved with (after 250 ms, half a hop, the next segment is nearer); training uses them as they are, unless "
        "impulse_response has trim: true; queries made here start them at the direct sound: "
        + ", ".join(f"{path} ({ms:.0f} ms)" for path, ms in late.items())
    ]


@dataclass(frozen=True)
class Verdict:
    """Result of a verification: ``fatal`` problems, and non-fatal ``warnings``."""

    fatal: list[str]
    warnings: list[str]
    manifest: pd.DataFrame  # usable files only


def judge(
    manifest: pd.DataFrame,
    root: Path,
    expected: Mapping[str, int],
    dummy: str | int = "all",
    strict: bool = True,
    as_published: bool = True,
    splits: Sequence[str] = MUSIC,
) -> Verdict:
    """Find all problems of a data set.

    ``as_published=False`` turns unexpected counts into warnings; ``strict=False`` bad files too, but never an empty music
    split, or a missing query or query song.
    """
    chosen = select_dummies(manifest, dummy)
    vital = chosen["split"].isin(VITAL)
    usable = chosen[chosen["problem"] == ""]
    fatal = bad_files(chosen[vital], root) + broken_pairs(chosen if strict else usable_or_vital(chosen), root, splits)
    bad, counts = bad_files(chosen[~vital], root), count_problems(chosen, root, expected, dummy)
    if not strict:
        return Verdict(fatal, bad + counts, usable)
    if not as_published:
        return Verdict(bad + fatal, counts, usable)
    return Verdict(bad + advised(counts) + fatal, [], usable)


def advised(problems: list[str]) -> list[str]:
    """Differences from the published data set, with advice for those who have another edition of it."""
    return [*problems[:-1], f"{problems[-1]}; {OTHER_COPY}"] if problems else []


def usable_or_vital(manifest: pd.DataFrame) -> pd.DataFrame:
    return manifest[(manifest["problem"] == "") | manifest["split"].isin(VITAL)]


def refuse(problems: list[str], root: Path, report: Path) -> None:
    """Raise UserError if there are problems; all of them are in ``report``, the first ones in the message."""
    report.unlink(missing_ok=True)
    if problems:
        with atomic_write(report) as part:
            part.write_text("\n".join(problems) + "\n", encoding="utf-8", errors="backslashreplace")
        more = f"\n... and {len(problems) - SHOWN} more: all are in {report}" if len(problems) > SHOWN else ""
        shown = "\n".join(problems[:SHOWN])
        raise UserError(f"{root} cannot be used, {len(problems)} problem(s):\n{shown}{more}")


def checksum_problems(md5: str, published_md5: str | None) -> list[str]:
    """One sentence if a data set differs from its published checksum (None: there is none)."""
    if published_md5 and md5 != published_md5:
        return [f"the MD5 of all files is {md5}, published is {published_md5}"]
    return []


def content_problems(manifest: pd.DataFrame, expected: Sequence[Path | str | None]) -> list[str]:
    """Differences of a data set from manifests (None: there is none), one sentence each; UserError if one cannot be read."""
    return [problem for path in expected if path for problem in differences(manifest, Path(path))]

"""Folders of any audio, made into a data set in the paper's layout: decoded once, every recording in one split only."""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from nafp.audio.landmarks import landmarks, similar
from nafp.audio.open import open_audio
from nafp.audio.segments import SEGMENT
from nafp.audio.wav import check_wav, opened, read_wav, write_blocks
from nafp.datasets.checks import SHARES, Folders, check_folders, folders_of
from nafp.datasets.digests import Journal, digest_files
from nafp.datasets.layout import SPLITS, plain_name
from nafp.errors import UserError, lasting_problem
from nafp.files import atomic_write
from nafp.text import for_spreadsheets
from nafp.walk import escaped_path, is_audio, unescaped_path

# part -> split, in order of priority: the first one keeps a song that several of them hold
SONG_SPLITS = {"test": "test_db", "val": "val_db", "train": "train", "dummy": "dummy"}
SOUNDS = {"noise": "bg", "impulse_responses": "ir", "speech": "speech"}  # role -> prefix of its splits
HELD_OUT = 0.25  # share of the sounds that validation and test queries are made with
COLUMNS = ["source", "split", "path", "problem", "same_as", "note", "sha256"]
LEFT_OUT = "left_out.csv"  # table of all files found, written where too few can be used
SHOWN = 3  # files in a message
BLOCK = 2**20  # samples in memory at a time, per thread
EDGES = 160  # samples that resampling changes at the edges of a constant signal
SILENT = "silent"


def import_audio(options: Mapping, root: Path, cache: Path, threads: int) -> pd.DataFrame:
    """Build the data set's folder from the folders of ``options`` (the config's ``dataset.own``), queries excepted.

    Returns a row for each source file: source, split, path (below ``root``; '' if left out), problem, same_as (the file
    that was taken instead), note (what is odd about a file that was taken), sha256. Names are as ``nafp.walk.escaped_path`` has
    them. Files are decoded once, even if they are renamed: ``cache`` holds them by their content. Raises UserError if a
    split stays empty, after writing the table of the files found so far to LEFT_OUT beside the cache; sounds, which are
    few, are checked before the music is. UserError also if the system cannot read a file or folder just now: a data set without
    it would count as complete.
    """
    report = cache.with_name(LEFT_OUT)
    report.unlink(missing_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    check_folders(options)
    tables = {}
    for role in filter(options.get, (*SOUNDS, "music")):
        tables[role] = prepared(role, options, cache, threads)
        require(role, pd.concat(tables.values(), ignore_index=True), report)
    files = pd.concat([tables.pop("music"), *tables.values()], ignore_index=True)
    place(files, root, cache)
    return files[COLUMNS]


def prepared(role: str, options: Mapping, cache: Path, threads: int) -> pd.DataFrame:
    """The files of a role, decoded and divided into splits, a row each; ``problem`` says why a file is left out."""
    files = listed(role, options[role], cache, threads)
    decode(files, cache, threads)
    leave_out_copies(files, cache, threads)
    shares = {**SHARES, **options.get("shares", {})} if role == "music" else {"test": HELD_OUT}
    unassigned = files[(files["problem"] == "") & (files["part"] == "")]
    files.loc[unassigned.index, "part"] = divided(unassigned["audio"], shares, options.get("seed", 0))
    files["split"] = [split_of(role, part) for part in files["part"]]
    return files.assign(path="")


def listed(role: str, folders: Folders, cache: Path, threads: int) -> pd.DataFrame:
    """Every audio file of a role: role, part (train, test, ...; '' if it is to be drawn), file, source, name, sha256, problem.

    ``file`` is its path; ``source`` and ``name`` (below the folder) are text. An unreadable file has no sha256; folders that
    cannot be read are listed like such files.
    """
    rows = []
    for part, folder in folders_of(folders):
        journal = Journal(cache / f"{hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]}.tsv")
        problems: dict[str, str] = {}
        digests = digest_files(folder, journal, threads, is_audio, problems)
        known = dict(zip(digests["path"], digests["sha256"], strict=True))
        for name in sorted({**known, **problems}):
            file = folder / unescaped_path(name)
            rows.append((role, part, file, escaped_path(file), name, known.get(name, ""), problems.get(name, "")))
    return pd.DataFrame(rows, columns=["role", "part", "file", "source", "name", "sha256", "problem"])


def decoded(cache: Path, sha256: str) -> Path:
    """Path of the 8 kHz WAV file of this content; notes on it are beside it, as .txt."""
    return cache / sha256[:2] / f"{sha256}.wav"


def decode(files: pd.DataFrame, cache: Path, threads: int) -> None:
    """Decode what the cache lacks. Fills ``problem``; adds audio (hash of the decoded samples), samples, note, same_as."""

    def one(source: Path, sha256: str) -> tuple[str, str, int, str]:
        path = decoded(cache, sha256)
        try:
            if check_wav(path).problem:
                write_decoded(source, path)
        except UserError as error:
            return lasting_problem(error, source), "", 0, ""
        note = path.with_suffix(".txt")
        return *described(path), note.read_text(encoding="utf-8") if note.exists() else ""

    once = files[files["problem"] == ""].drop_duplicates("sha256")
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(one, once["file"], once["sha256"])
        found = list(tqdm(found, total=len(once), desc=f"decoding {'/'.join(files['role'].unique())}", unit="file"))
    table = pd.DataFrame(found, columns=["problem", "audio", "samples", "note"], index=once["sha256"])
    known = table.reindex(files["sha256"]).fillna({"audio": "", "samples": 0, "note": ""}).reset_index(drop=True)
    files["problem"] = files["problem"].where(files["problem"] != "", known["problem"])
    for column, kind in {"audio": str, "samples": int, "note": str}.items():
        files[column] = known[column].astype(kind)
    files["same_as"] = ""
    short = (files["samples"] < SEGMENT) & (files["role"] != "impulse_responses") & files["problem"].isin(("", SILENT))
    files.loc[short, "problem"] = "shorter than 1 s"


def write_decoded(source: Path, path: Path) -> None:
    """Decode a file into the cache, block by block. UserError if it cannot be read."""
    with open_audio(source) as audio, atomic_write(path) as part:
        write_blocks(part, audio.blocks())
        if audio.note:  # written first: once the WAV file is there, the entry counts as complete
            path.with_suffix(".txt").write_text(audio.note, encoding="utf-8")


def described(path: Path) -> tuple[str, str, int]:
    """What is wrong with a decoded file ('' if nothing), hash of its samples, their number."""
    digest, count, zeros, changes, last = hashlib.sha256(), 0, 0, 0, 0
    with opened(path) as file:
        for block in file.blocks(BLOCK, dtype="int16"):
            digest.update(block.tobytes())
            zeros += int((block == 0).sum())
            changes += int((np.diff(block, prepend=block[0] if not count else last) != 0).sum())
            count, last = count + len(block), block[-1]
    constant = max(zeros, changes) <= EDGES  # a DC offset
    return SILENT if zeros == count or constant else "", digest.hexdigest(), count


def leave_out_copies(files: pd.DataFrame, cache: Path, threads: int) -> None:
    """Mark all but one of the files with the same samples (any role), or with the same recording or a part of it (music)."""
    rank = files["part"].map({part: i for i, part in enumerate(SONG_SPLITS)}).fillna(0)
    ordered = files[files["problem"] == ""].assign(rank=rank).sort_values(["rank", "source"], kind="stable")
    for _, rows in ordered.groupby(["role", "audio"], sort=False):
        mark(files, rows.index[0], rows.index[1:], "the same sound as")
    songs = ordered.index[(ordered["role"] == "music") & (files.loc[ordered.index, "problem"] == "")]
    with ThreadPoolExecutor(threads) as pool:
        marks = pool.map(lambda i: landmarks(read_wav(decoded(cache, files.at[i, "sha256"]))), songs)
        marks = list(tqdm(marks, total=len(songs), desc="looking for copies", unit="song", disable=not len(songs)))
    for pair in similar(marks).itertuples():
        first, second = songs[pair.first], songs[pair.second]
        if not files.at[first, "problem"]:
            mark(files, first, [second], f"the same recording ({100 * pair.share:.0f} % of its landmarks) as")


def mark(files: pd.DataFrame, kept: int, copies: Sequence[int], why: str) -> None:
    """Mark the copies: problem, and the file that is kept."""
    for copy in copies:
        if not files.at[copy, "problem"]:
            files.loc[copy, ["problem", "same_as"]] = [f"{why} {files.at[kept, 'source']}", files.at[kept, "source"]]


def divided(audio: pd.Series, shares: Mapping[str, float], seed: int) -> pd.Series:
    """Part of each song, drawn by a hash of its samples, so that names do not matter; the lowest hashes are the first share."""
    order = sorted(audio.index, key=lambda i: hashlib.sha256(f"{seed}/{audio[i]}".encode()).digest())
    parts, begin = pd.Series("train", index=audio.index), 0
    for part, share in shares.items():
        count = max(round(share * len(order)), 1) if share and len(order) > len(shares) else 0
        parts[order[begin : begin + count]] = part
        begin += count
    return parts


def split_of(role: str, part: str) -> str:
    """Name of the split that a role's part is packed as."""
    return SONG_SPLITS.get(part, "") if role == "music" else f"{SOUNDS[role]}_{part}" if part else ""


def place(files: pd.DataFrame, root: Path, cache: Path) -> None:
    """Link every usable file to its place below ``root``. Fills the column path."""
    for row in files[files["problem"] == ""].itertuples():
        path = f"{SPLITS[row.split]}/{path_in_split(row.name, row.role, row.sha256)}"
        files.at[row.Index, "path"] = path
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(decoded(cache, row.sha256), target)
        except OSError:  # a file system without hard links
            shutil.copyfile(decoded(cache, row.sha256), target)


def path_in_split(name: str, role: str, sha256: str) -> str:
    """Path of a file in its split."""
    *folders, last = Path(name).parts
    if role == "impulse_responses" and not folders:
        folders = ["any"]
    return "/".join([*map(plain_name, folders), f"{plain_name(Path(last).stem)}-{sha256[:8]}.wav"])


def require(role: str, files: pd.DataFrame, report: Path) -> None:
    """Raise UserError if a split of a role's files stays empty, after writing what was found to ``report``."""
    parts = SONG_SPLITS if role == "music" else ("train", "test")
    ours = files[files["role"] == role]
    present = set(ours.loc[ours["problem"] == "", "split"])
    missing = [split for split in (split_of(role, part) for part in parts) if split not in present]
    if not missing:
        return
    left_out = ours[ours["problem"] != ""]
    with atomic_write(report) as part:
        for_spreadsheets(files[COLUMNS]).to_csv(part, index=False)
    why = "; ".join(
        f"{row.source}: {row.problem}" for row in left_out.drop_duplicates("problem").head(SHOWN).itertuples()
    )
    raise UserError(
        f"dataset.own.{role}: no usable files for {', '.join(missing)}; {len(ours)} files were found, {len(left_out)} of them "
        f"left out{f' ({why}; all are listed in {report})' if why else ''}; give more, or a folder for each part"
    )

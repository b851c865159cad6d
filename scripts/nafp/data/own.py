"""Folders of any audio, made into a data set in the paper's layout: decoded once, every recording in one split only."""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from nafp.data.audio import AUDIO_FILES, read_any
from nafp.data.checks import SHARES
from nafp.data.digests import Journal, digest_files
from nafp.data.landmarks import landmarks, similar
from nafp.data.layout import SEGMENT, SPLITS
from nafp.data.wav import read_wav, write_wav
from nafp.errors import UserError

SONG_SPLITS = {"test": "test_db", "val": "val_db", "train": "train", "dummy": "dummy"}  # who keeps a song that two have
SOUNDS = {"noise": "bg", "impulse_responses": "ir", "speech": "speech"}  # role -> its splits' name
HELD_OUT = 0.25  # of the sounds, for validation and test queries
Folders = str | Mapping[str, str]


def import_audio(options: Mapping, root: Path, cache: Path, threads: int) -> pd.DataFrame:
    """Build the data set's folder from the folders of ``options`` (the config's ``dataset.own``), queries excepted.

    Returns a row for each source file: source, split, path (below ``root``; '' if left out), problem, same_as (the file
    that was taken instead), sha256. Files are decoded once, whatever happens to their names: ``cache`` holds them by what
    is in them. Raises UserError if a split stays empty.
    """
    roles = {"music": options["music"], **{kind: options[kind] for kind in SOUNDS if options.get(kind)}}
    tables = [listed(role, folders, cache) for role, folders in roles.items()]
    files = pd.concat(tables, ignore_index=True)
    decode(files, cache, threads)
    files["same_as"] = ""
    leave_out_copies(files, cache, threads)
    seed = options.get("seed", 0)
    for role, rows in files[files["problem"] == ""].groupby("role", sort=False):
        shares = {**SHARES, **options.get("shares", {})} if role == "music" else {"test": HELD_OUT}
        unassigned = rows[rows["part"] == ""]
        files.loc[unassigned.index, "part"] = divided(unassigned["audio"], shares, seed)
    files["split"] = [split_of(role, part) for role, part in zip(files["role"], files["part"], strict=True)]
    place(files, root, cache)
    require(files)
    return files[["source", "split", "path", "problem", "same_as", "sha256"]]


def listed(role: str, folders: Folders, cache: Path) -> pd.DataFrame:
    """Every audio file of a role: role, part (train, test, ...; '' if it is to be drawn), folder, source, name, sha256."""
    found = []
    for part, name in ({"": folders} if isinstance(folders, str) else folders).items():
        folder = Path(name)
        if not folder.is_dir():
            raise UserError(f"dataset.own.{role}: {folder} is not a folder")
        journal = Journal(cache / f"{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]}.tsv")
        digests = digest_files(folder, journal, suffixes=AUDIO_FILES)
        sources = [str(folder / path) for path in digests["path"]]
        columns = {"source": sources, "name": digests["path"], "sha256": digests["sha256"]}
        found.append(pd.DataFrame({"role": role, "part": part, **columns}))
    return pd.concat(found, ignore_index=True)


def decoded(cache: Path, sha256: str) -> Path:
    """Where the 8 kHz WAV of a file with this content lies."""
    return cache / sha256[:2] / f"{sha256}.wav"


def decode(files: pd.DataFrame, cache: Path, threads: int) -> None:
    """Decode what the cache lacks. Adds columns problem ('' if none) and audio (hash of the decoded samples)."""

    def one(source: str, sha256: str) -> tuple[str, str, int]:
        path = decoded(cache, sha256)
        try:
            if not path.exists():
                write_wav(path, read_any(Path(source)))
        except UserError as error:
            return str(error).removeprefix(f"{source}: "), "", 0
        samples = read_wav(path)
        return "" if samples.any() else "silent", hashlib.sha256(samples.tobytes()).hexdigest(), len(samples)

    once = files.drop_duplicates("sha256")
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(one, once["source"], once["sha256"])
        found = list(tqdm(found, total=len(once), desc="decoding", unit="file"))
    known = pd.DataFrame(found, columns=["problem", "audio", "samples"], index=once["sha256"])
    for column in known:
        files[column] = known[column].reindex(files["sha256"]).to_numpy()
    short = (files["samples"] < SEGMENT) & (files["role"] != "impulse_responses") & (files["problem"] == "")
    files.loc[short, "problem"] = "shorter than 1 s"


def leave_out_copies(files: pd.DataFrame, cache: Path, threads: int) -> None:
    """Mark all but one of the files that hold the same sound (any) or the same recording, or a part of it (music)."""
    rank = files["part"].map({part: i for i, part in enumerate(SONG_SPLITS)}).fillna(0)
    ordered = files[files["problem"] == ""].assign(rank=rank).sort_values(["rank", "source"], kind="stable")
    for _, rows in ordered.groupby(["role", "audio"], sort=False):
        mark(files, rows.index[0], rows.index[1:], "the same sound as")
    songs = ordered.index[(ordered["role"] == "music") & (files.loc[ordered.index, "problem"] == "")]
    with ThreadPoolExecutor(threads) as pool:
        marks = pool.map(lambda i: landmarks(read_wav(decoded(cache, files.at[i, "sha256"]))), songs)
        marks = list(tqdm(marks, total=len(songs), desc="looking for copies", unit="song"))
    for pair in similar(marks).itertuples():
        first, second = songs[pair.first], songs[pair.second]
        if not files.at[first, "problem"]:
            mark(files, first, [second], f"the same recording ({100 * pair.share:.0f} % of its landmarks) as")


def mark(files: pd.DataFrame, kept: int, copies: Sequence[int], why: str) -> None:
    """Say of the copies that another file is taken instead."""
    for copy in copies:
        if not files.at[copy, "problem"]:
            files.loc[copy, ["problem", "same_as"]] = [f"{why} {files.at[kept, 'source']}", files.at[kept, "source"]]


def divided(audio: pd.Series, shares: Mapping[str, float], seed: int) -> pd.Series:
    """Part of each song: in the order of a hash of its sound, whatever its name, the first ones are for the first share."""
    order = sorted(audio.index, key=lambda i: hashlib.sha256(f"{seed}/{audio[i]}".encode()).digest())
    parts, begin = pd.Series("train", index=audio.index), 0
    for part, share in shares.items():
        count = max(round(share * len(order)), 1) if share and len(order) > len(shares) else 0
        parts[order[begin : begin + count]] = part
        begin += count
    return parts


def split_of(role: str, part: str) -> str:
    """Name of the split that a role's part is packed as."""
    return SONG_SPLITS.get(part, "") if role == "music" else f"{SOUNDS[role]}_{part}"


def place(files: pd.DataFrame, root: Path, cache: Path) -> None:
    """Link every usable file to its place below ``root``. Adds the column path."""
    files["path"] = ""
    for row in files[files["problem"] == ""].itertuples():
        name = Path(row.name)
        below = name.parent if row.role != "impulse_responses" or len(name.parts) > 1 else Path("any")
        path = f"{SPLITS[row.split]}/{(below / f'{name.stem}-{row.sha256[:8]}.wav').as_posix()}"
        files.at[row.Index, "path"] = path
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(decoded(cache, row.sha256), target)
        except OSError:  # a file system without hard links
            shutil.copyfile(decoded(cache, row.sha256), target)


def require(files: pd.DataFrame) -> None:
    """Raise UserError if a split of songs, or of sounds that were asked for, has no file."""
    wanted = [*SONG_SPLITS.values()]
    wanted += [split_of(role, part) for role in files["role"].unique() if role != "music" for part in ("train", "test")]
    present = set(files.loc[files["problem"] == "", "split"])
    if missing := [split for split in wanted if split not in present]:
        left_out = int((files["problem"] != "").sum())
        raise UserError(
            f"dataset.own: no usable files for {', '.join(missing)}; {len(files)} files were found, {left_out} of them left "
            "out; give more music or sounds, or a folder for each part"
        )

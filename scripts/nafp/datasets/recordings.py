"""Real recordings of songs, made into a data set in the paper's layout: each annotated excerpt is a query.

There is nothing to train on. Songs without a recording are distractors.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from nafp.audio.open import read_any
from nafp.audio.segments import SAMPLE_RATE, SEGMENT
from nafp.audio.wav import write_wav
from nafp.datasets.annotations import Excerpt
from nafp.datasets.layout import SPLITS, TIME_MAP, plain_name
from nafp.datasets.sources import SOURCES
from nafp.errors import UserError
from nafp.files import atomic_write
from nafp.walk import escaped_path, files_below, is_audio

COLUMNS = ["source", "row", "split", "path", "song", "song_start_s", "problem"]


def import_recordings(dataset: Mapping, root: Path, threads: int) -> pd.DataFrame:
    """Write songs, distractors and queries below ``root``, and the table TIME_MAP of the queries' songs and places.

    ``dataset``: the config's. Returns a row a song and excerpt: source (file), row (of the annotations), split, path (below
    ``root``; '' if left out), song, song_start_s, problem. UserError if no query or no distractor is left, or if the folder is
    not laid out as its source says.
    """
    collection = SOURCES[dataset["source"]].collect(dataset)
    heard = {excerpt.song for excerpt in collection.excerpts}
    songs = [("test_db" if name in heard else "dummy", name, path) for name, path in collection.songs.items()]
    if folder := dataset.get("distractors"):
        found = files_below(folder, is_audio)
        songs += [("dummy", f"distractors/{escaped_path(path.relative_to(folder).as_posix())}", path) for path in found]
    recordings: dict[Path, list[Excerpt]] = {}
    for excerpt in collection.excerpts:
        recordings.setdefault(excerpt.file, []).append(excerpt)
    with ThreadPoolExecutor(threads) as pool:
        rows = list(watched(pool.map(lambda song: import_song(*song, root), songs), len(songs), "songs"))
        known = {row["song"]: row["path"] for row in rows if row["split"] == "test_db" and row["path"]}
        cut = pool.map(lambda one: import_excerpts(*one, known, root), recordings.items())
        rows += [row for some in watched(cut, len(recordings), "recordings") for row in some]
    table = pd.DataFrame(rows, columns=COLUMNS)
    require(table, dataset)
    queries = table[table["split"].eq("test_query") & table["path"].ne("")]
    places = pd.DataFrame({"query": queries["path"], "song": queries["song"], "song_start_s": queries["song_start_s"]})
    with atomic_write(root / TIME_MAP) as part:
        places.to_csv(part, index=False)
    return table


def watched(done: Iterable, total: int, what: str) -> Iterable:
    """With a progress bar."""
    return tqdm(done, total=total, desc=what, unit="file")


def path_of_song(song: str) -> str:
    """Path of a song in its split, without suffix; a part that is not a plain name gets a hash, so that no two become one."""

    def distinct(part: str) -> str:
        plain = plain_name(part)
        return plain if plain == part else f"{plain}-{hashlib.sha256(os.fsencode(part)).hexdigest()[:8]}"

    return "/".join(map(distinct, song.split("/")))


def import_song(split: str, name: str, path: Path, root: Path) -> dict:
    """Decode a song into its split; its row."""
    row = {"source": escaped_path(path), "split": split, "path": "", "song": name, "problem": ""}
    target = f"{SPLITS[split]}/{path_of_song(name)}.wav"
    try:
        samples = read_any(path)
    except UserError as error:
        return {**row, "problem": str(error).removeprefix(f"{path}: ")}
    if len(samples) < SEGMENT:
        return {**row, "problem": "shorter than 1 s"}
    write_wav(root / target, samples)
    return {**row, "path": target}


def import_excerpts(path: Path, excerpts: Sequence[Excerpt], songs: Mapping[str, str], root: Path) -> list[dict]:
    """Cut the excerpts out of one recording; a row each. ``songs``: name -> path below ``root`` of those that could be read."""
    try:
        samples, unreadable = read_any(path), ""
    except UserError as error:
        samples, unreadable = np.zeros(0, np.int16), str(error).removeprefix(f"{path}: ")
    rows = []
    for one in excerpts:
        row = {
            "source": escaped_path(path),
            "row": one.row,
            "split": "test_query",
            "path": "",
            "song": songs.get(one.song, one.song),
        }
        begin = round(one.begin_s * SAMPLE_RATE)
        end = len(samples) if one.end_s is None else min(round(one.end_s * SAMPLE_RATE), len(samples))
        problem = unreadable or ("its song was left out" if one.song not in songs else "")
        problem = problem or ("shorter than 1 s" if end - begin < SEGMENT else "")
        if not problem:
            name = f"{path_of_song(one.song)}/{plain_name(path.stem)}-{one.row:05d}.wav"
            row["path"] = f"{SPLITS['test_query']}/{name}"
            write_wav(root / row["path"], samples[begin:end])
        rows.append({**row, "song_start_s": one.song_start_s, "problem": problem})
    return rows


def require(table: pd.DataFrame, dataset: Mapping) -> None:
    """Raise UserError if a split stays empty."""
    left_out = table[table["problem"].ne("")]
    why = "; ".join(f"{row.source}: {row.problem}" for row in left_out.head(3).itertuples())
    why = f" ({len(left_out)} were left out: {why})" if why else ""
    for split, what in (
        ("test_query", "no recording of a song is left"),
        ("dummy", "there is no song without a recording"),
    ):
        if not (table["split"].eq(split) & table["path"].ne("")).any():
            advice = "name a folder of other music: distractors" if split == "dummy" else "look at the folder"
            raise UserError(f"dataset.folder: {dataset['folder']}: {what}{why}; {advice}")

"""Real recordings of songs, made into a data set in the paper's layout: each annotated excerpt is a query.

There is nothing to train on. Songs without a recording are distractors.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from nafp.audio.open import open_audio
from nafp.audio.segments import SAMPLE_RATE, SEGMENT
from nafp.audio.wav import write_blocks, write_wav
from nafp.datasets.annotations import Excerpt
from nafp.datasets.layout import SPLITS, TIME_MAP, plain_name
from nafp.datasets.own import described
from nafp.datasets.sources import SOURCES
from nafp.errors import UserError, lasting_problem
from nafp.files import atomic_write
from nafp.walk import escaped_path, files_below, is_audio

COLUMNS = ["source", "row", "split", "path", "song", "song_start_s", "problem", "note"]
Span = tuple[int, float]  # samples of a recording: the first, and the one behind the last, or infinity


def import_recordings(dataset: Mapping, root: Path, threads: int) -> pd.DataFrame:
    """Write songs, distractors and queries below ``root``, and the table TIME_MAP of the queries' songs and places.

    ``dataset``: the config's. Returns a row a song and excerpt: source (file), row (of the annotations), split, path (below
    ``root``; '' if left out), song, song_start_s, problem, note (what is odd about a file that was taken); and a row, without a
    split, for a folder that cannot be read. UserError if no query or no distractor is left, if the folder is not laid out as
    its source says, or if the system cannot read something just now: a data set without it would count as complete.
    """
    collection = SOURCES[dataset["source"]].collect(dataset)
    lost = dict(collection.unreadable)
    heard = {excerpt.song for excerpt in collection.excerpts}
    songs = [("test_db" if name in heard else "dummy", name, path) for name, path in collection.songs.items()]
    if folder := dataset.get("distractors"):
        found = files_below(folder, is_audio, unreadable=lost)
        songs += [("dummy", f"distractors/{escaped_path(path.relative_to(folder).as_posix())}", path) for path in found]
    left_out = {path: lasting_problem(error, path) for path, error in lost.items()}
    recordings: dict[Path, list[Excerpt]] = {}
    for excerpt in collection.excerpts:
        recordings.setdefault(excerpt.file, []).append(excerpt)
    with ThreadPoolExecutor(threads) as pool:
        rows = list(watched(pool.map(lambda song: import_song(*song, root), songs), len(songs), "songs"))
        known = {row["song"]: row["path"] for row in rows if row["split"] == "test_db" and row["path"]}
        cut = pool.map(lambda one: import_excerpts(*one, known, root), recordings.items())
        rows += [row for some in watched(cut, len(recordings), "recordings") for row in some]
    nothing = {"split": "", "path": "", "song": "", "note": ""}
    rows += [{"source": escaped_path(path), "problem": why} | nothing for path, why in left_out.items()]
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
    """Decode a song into its split, block by block; its row."""
    row = {"source": escaped_path(path), "split": split, "path": "", "song": name, "problem": "", "note": ""}
    target = f"{SPLITS[split]}/{path_of_song(name)}.wav"
    try:
        with open_audio(path) as audio, atomic_write(root / target) as part:
            write_blocks(part, audio.blocks())
            problem, _, samples = described(part)
            if problem or samples < SEGMENT:
                raise UserError("shorter than 1 s" if samples < SEGMENT else problem)
    except UserError as error:
        return row | {"problem": lasting_problem(error, path)}
    return row | {"path": target, "note": audio.note}


def import_excerpts(path: Path, excerpts: Sequence[Excerpt], songs: Mapping[str, str], root: Path) -> list[dict]:
    """Cut the excerpts out of one recording, block by block; a row each. ``songs``: name -> path below ``root`` of those that
    could be read."""
    spans = [span_of(one) for one in excerpts]
    written: dict[int, str] = {}  # number of an excerpt -> its path, '' if it is too short
    lengths: list[int] = []  # of the blocks
    unreadable = note = ""
    try:
        with open_audio(path) as audio:
            for number, samples in cut_spans(measured(audio.blocks(), lengths), spans):
                one, written[number] = excerpts[number], ""
                if len(samples) >= SEGMENT and one.song in songs:
                    name = f"{path_of_song(one.song)}/{plain_name(path.stem)}-{one.row:05d}.wav"
                    written[number] = f"{SPLITS['test_query']}/{name}"
                    write_wav(root / written[number], samples)
        note = audio.note
    except UserError as error:
        unreadable = lasting_problem(error, path)
    rows = []
    for number, one in enumerate(excerpts):
        problem = unreadable if number not in written else "" if one.song in songs else "its song was left out"
        rows.append(
            {
                "source": escaped_path(path),
                "row": one.row,
                "split": "test_query",
                "path": written.get(number, ""),
                "song": songs.get(one.song, one.song),
                "song_start_s": one.song_start_s,
                "problem": problem or ("" if written[number] else why_short(one, sum(lengths))),
                "note": note if written.get(number) else "",
            }
        )
    return rows


def measured(blocks: Iterable[np.ndarray], lengths: list[int]) -> Iterator[np.ndarray]:
    """The blocks, each of whose lengths is appended as it passes."""
    for block in blocks:
        lengths.append(len(block))
        yield block


def why_short(excerpt: Excerpt, samples: int) -> str:
    """What is wrong with an excerpt that holds less than a segment of a recording of so many samples."""
    seconds = samples / SAMPLE_RATE
    if excerpt.begin_s < seconds:
        return "shorter than 1 s"
    return f"begins at {excerpt.begin_s:g} s, after the end of the recording ({seconds:.1f} s)"


def span_of(excerpt: Excerpt) -> Span:
    """The samples of a recording that an excerpt consists of."""
    end = np.inf if excerpt.end_s is None else round(excerpt.end_s * SAMPLE_RATE)
    return round(excerpt.begin_s * SAMPLE_RATE), end


def cut_spans(blocks: Iterable[np.ndarray], spans: Sequence[Span]) -> Iterator[tuple[int, np.ndarray]]:
    """The number of each span and its samples (T,) int16, as soon as its end has passed or the recording ends.

    Of a recording's blocks, only what lies in spans that have begun is kept.
    """
    parts: dict[int, list[np.ndarray]] = {number: [np.zeros(0, np.int16)] for number in range(len(spans))}
    at = 0
    for block in blocks:
        for number in list(parts):
            begin, end = spans[number]
            if begin < at + len(block):
                parts[number].append(block[max(begin - at, 0) : int(max(min(end - at, len(block)), 0))].copy())
            if end <= at + len(block):
                yield number, np.concatenate(parts.pop(number))
        at += len(block)
    for number, some in parts.items():
        yield number, np.concatenate(some)


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

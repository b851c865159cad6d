"""A folder of music, fingerprinted once and kept up to date: songs in a table, fingerprints in one growing file."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from nafp.data.audio import AUDIO_FILES, read_any
from nafp.data.corpus import count_segments
from nafp.data.digests import files_below
from nafp.errors import UserError
from nafp.files import written_whole
from nafp.search.checks import type_of
from nafp.search.index import Index, read_index, update_index
from nafp.search.types import MILVUS
from nafp.search.vectors import Database

SONGS_AT_A_TIME = 32  # decoded and fingerprinted together, then saved
COLUMNS = {
    "path": str,
    "bytes": "int64",
    "mtime_ns": "int64",
    "samples": "int64",
    "first": "int64",
    "rows": "int64",
    "problem": str,
}

Embed = Callable[[list[np.ndarray]], np.ndarray]  # int16 clips -> (segments, dim), clip after clip


def model_key(weights: Path | str, settings: Mapping) -> str:
    """A name for a model: its weights and how it hears."""
    digest = hashlib.sha256(Path(weights).read_bytes())
    digest.update(json.dumps(dict(settings), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def find_audio(folder: Path) -> list[Path]:
    """Every audio file below a folder, by its suffix, sorted; UserError if there is none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: is not a folder")
    files = sorted(files_below(folder, AUDIO_FILES))
    if not files:
        raise UserError(f"{folder}: has no audio files ({', '.join(sorted(AUDIO_FILES))})")
    return files


def decoded(paths: list[Path]) -> Iterator[tuple[np.ndarray | None, str]]:
    """((T,) int16, "") of each file, or (None, what is wrong with it)."""

    def one(path: Path) -> tuple[np.ndarray | None, str]:
        try:
            samples = read_any(path)
            return (samples, "") if len(samples) else (None, "no samples")
        except UserError as error:
            return None, str(error).removeprefix(f"{path}: ")

    with ThreadPoolExecutor(8) as pool:
        yield from pool.map(one, paths)


class Library:
    """The songs of a folder and their fingerprints, kept in ``store``.

    ``songs``: one row a file: path (below the folder), bytes, mtime_ns, samples, first (row of its first fingerprint),
    rows (0 for a broken file), problem. The fingerprints of files that changed or went stay in their place, unused, so that
    an index of them stays true; when they are more than the others, all is written anew without them.
    """

    def __init__(self, store: Path | str, model: str, dim: int):
        self.store, self.dim, self.facts = Path(store), dim, {"model": model, "dim": dim}
        path = self.store / "library.json"
        if not path.exists() or "generation" not in json.loads(path.read_text(encoding="utf-8")):  # none, or an old one
            self._write({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()}, generation=0)
        found = json.loads(path.read_text(encoding="utf-8"))
        self.generation = found.pop("generation")
        if found != self.facts:
            raise UserError(
                f"{self.store}: was made with another model ({found['model']}, d = {found['dim']}, now {model}, "
                f"d = {dim}), whose fingerprints cannot be compared; use that model, or another place for the library"
            )
        self.songs = pd.read_csv(self.folder / "songs.csv", dtype=COLUMNS, keep_default_na=False)

    @property
    def folder(self) -> Path:
        """Where songs, fingerprints and index lie: a new folder each time that all is written anew."""
        return self.store / str(self.generation)

    @property
    def fingerprints(self) -> Path:
        """The file of the fingerprints, float32, one behind the other."""
        return self.folder / "fingerprints.f32"

    @property
    def rows(self) -> int:
        """Fingerprints in the file, used or not."""
        return self.fingerprints.stat().st_size // (4 * self.dim)

    @property
    def vectors(self) -> np.ndarray:
        """(rows, dim) float32, memory-mapped."""
        if not self.rows:
            return np.empty((0, self.dim), np.float32)
        return np.memmap(self.fingerprints, np.float32, mode="r", shape=(self.rows, self.dim))

    def _write(self, songs: Mapping | pd.DataFrame, generation: int, vectors: Iterable[np.ndarray] = ()) -> None:
        """Begin a generation, with fingerprints (n, dim) song by song; the one before counts until all is there."""
        folder = self.store / str(generation)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        pd.DataFrame(songs).to_csv(folder / "songs.csv", index=False)
        with open(folder / "fingerprints.f32", "wb") as file:
            for some in vectors:
                file.write(some.tobytes())
        with written_whole(self.store / "library.json") as part:
            part.write_text(json.dumps(self.facts | {"generation": generation}), encoding="utf-8")

    def _forget(self, known: np.ndarray) -> None:
        """Keep the songs that are ``known`` (songs,) still; all is written anew if most fingerprints are of others."""
        self.songs = self.songs[known].reset_index(drop=True)
        if 2 * self.songs["rows"].sum() >= self.rows:
            return
        old, vectors = self.folder, self.vectors
        of_songs = [vectors[song.first : song.first + song.rows] for song in self.songs.itertuples()]
        self.songs["first"] = self.songs["rows"].cumsum() - self.songs["rows"]
        self._write(self.songs, self.generation + 1, of_songs)
        self.generation += 1
        shutil.rmtree(old, ignore_errors=True)

    def index(self, name: str, options: Mapping) -> Index:
        """The named index of all fingerprints, brought up to date: only new ones are added to it."""
        if type_of(name, options)[0] == MILVUS:
            raise UserError(
                f"identify.index: {name} is a Milvus collection, which takes no additions here; use ivfpq-rr"
            )
        folder, database = self.folder / "index", Database(self.vectors, self.vectors[:0])
        update_index(name, options, database, folder)
        return read_index(name, options, folder, database)

    def song_of_row(self) -> np.ndarray:
        """(rows,) index into ``songs``; -1 where the song is no more."""
        owner = np.full(self.rows, -1)
        for i, song in enumerate(self.songs.itertuples()):
            owner[song.first : song.first + song.rows] = i
        return owner

    def update(self, folder: Path, embed: Embed) -> pd.DataFrame:
        """Fingerprint what is new or changed below a folder, forget what is gone; returns the broken files.

        Saved after every SONGS_AT_A_TIME songs: an interrupted update goes on where it was.
        """
        files = {path.relative_to(folder).as_posix(): path for path in find_audio(folder)}
        stats = {name: (path.stat().st_size, path.stat().st_mtime_ns) for name, path in files.items()}
        known = [stats.get(song.path) == (song.bytes, song.mtime_ns) for song in self.songs.itertuples()]
        self._forget(np.array(known, bool))
        new = sorted(files.keys() - set(self.songs["path"]))
        with tqdm(total=len(new), desc="library", unit="song", mininterval=1) as bar:
            for first in range(0, len(new), SONGS_AT_A_TIME):
                names = new[first : first + SONGS_AT_A_TIME]
                self._add(names, [files[name] for name in names], [stats[name] for name in names], embed)
                bar.update(len(names))
        self._save()
        return self.songs[self.songs["problem"] != ""]

    def _add(self, names: list[str], paths: list[Path], stats: list[tuple[int, int]], embed: Embed) -> None:
        clips = list(decoded(paths))
        good = [clip for clip, _ in clips if clip is not None]
        vectors = embed(good) if good else np.empty((0, self.dim), np.float32)
        first = self.rows
        with open(self.fingerprints, "ab") as file:
            file.truncate(first * self.dim * 4)  # half a fingerprint, if an update was interrupted
            file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
        rows = []
        for name, (size, mtime), (clip, problem) in zip(names, stats, clips, strict=True):
            samples = 0 if clip is None else len(clip)
            count = int(count_segments([samples])[0]) if samples else 0
            rows.append((name, size, mtime, samples, first, count, problem))
            first += count
        added = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
        self.songs = pd.concat([self.songs, added], ignore_index=True)
        self._save()

    def _save(self) -> None:
        with written_whole(self.folder / "songs.csv") as part:
            self.songs.to_csv(part, index=False)

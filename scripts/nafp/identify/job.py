"""Bring a library up to date and identify recordings against it."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
from tqdm import tqdm

from nafp import compute
from nafp.audio.segments import SAMPLE_RATE, sequence_seconds
from nafp.errors import UserError, problem_of
from nafp.files import GIVEN_AGAIN, atomic_write
from nafp.identify.answers import clock, gathered, unreadable
from nafp.identify.calibration import learned
from nafp.identify.library import Library
from nafp.identify.places import STANDARD_INPUT, check_places, label, recordings
from nafp.identify.recognise import identify
from nafp.identify.recordings import read_recording
from nafp.identify.store import model_key
from nafp.identify.windows import Limits
from nafp.model.fingerprint import fingerprint_blocks
from nafp.model.model import on_device
from nafp.model.weights import load_model, settings_of
from nafp.shipped import limits_in, weights_file
from nafp.text import printable, spreadsheet_cell
from nafp.yaml_text import parse_yaml

FOUND_ROWS = 6  # fingerprints of a song, at least, to be found in long recordings: two thirds of a window's


@dataclass(frozen=True)
class Task:
    """What to identify with what.

    ``library``: folder of songs; ``name``: of its fingerprints in the store ('': the folder's); ``queries``:
    recordings, files or folders, or STANDARD_INPUT; ``run``: folder of a trained run, a file of weights, or the name of a model
    that comes with the library; ``epoch``: which weights of a folder;
    ``store``: where fingerprints of libraries are kept; ``false_positives``: the share of unknown recordings that the
    model's own ``min_score`` is for, None to take that of ``limits``; ``index``: name and options of the index for a library
    of more than ``exact_up_to`` fingerprints.
    """

    library: Path
    queries: Sequence[str]
    run: Path | str
    epoch: str
    store: Path
    limits: Limits
    false_positives: float | None
    index: tuple[str, Mapping]
    exact_up_to: int
    threads: int
    name: str = ""


@contextmanager
def with_standard_input(places: Sequence[str]) -> Iterator[list[str]]:
    """The places, STANDARD_INPUT as a temporary file, since decoders need to seek."""
    if STANDARD_INPUT not in places:
        yield list(places)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "standard input"
        with open(path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield [str(path) if place == STANDARD_INPUT else place for place in places]


def run(task: Task) -> tuple[pd.DataFrame, str]:
    """The answers to every recording (``recognise.identify``), after the library was brought up to date, and the limits used."""
    check_places(task.library, task.queries)
    weights, settings = model_of(task)
    device = compute.set_up(task.threads, keep_memory=False)
    faiss.omp_set_num_threads(task.threads)
    model_settings = {"features": settings["features"], "model": settings["model"]}
    network = on_device(load_model(weights, **model_settings, dim=settings["dim"]), device)

    def embed(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        return fingerprint_blocks(network, blocks, device)

    of_library, key = task.store / label(os.path.abspath(task.library), task.name), model_key(weights, model_settings)
    report_other_stores(task.store, of_library, key)
    with (
        with_standard_input(task.queries) as places,
        Library(of_library / key, task.library, key, settings["dim"]) as library,
    ):
        listed, lost = recordings(places)
        update(library, embed)
        catalogue = library.catalogue()
        limits, said = limits_of(task, weights, np.count_nonzero(~catalogue.hidden()))
        print(said, file=sys.stderr)
        index = library.index(*task.index) if len(catalogue.database) > task.exact_up_to else None
        rows = [unreadable(name, why) for name, why in lost.items()]
        with tqdm(listed, unit="recording", mininterval=1) as bar:
            for name, path in bar:
                try:
                    recording = read_recording(name, path, lambda blocks: embed(watched(blocks, bar)))
                except UserError as error:
                    rows.append(unreadable(name, printable(problem_of(error, path))))
                    continue
                rows += identify(recording, catalogue, limits, index).to_dict("records")
    return gathered(rows), said


def model_of(task: Task) -> tuple[Path, Mapping]:
    """The weights that identify, and their settings: of a folder by its config.yaml, of a file by the file itself."""
    if not Path(task.run).is_dir():
        weights = weights_file(task.run)
        return weights, settings_of(weights, GIVEN_AGAIN)
    settings, weights = Path(task.run, "config.yaml"), Path(task.run, f"epoch={task.epoch}.safetensors")
    for path in (settings, weights):
        if not path.is_file():
            raise UserError(f"{path}: not found; the folder of a trained run has config.yaml and weights")
    return weights, parse_yaml(settings.read_text(encoding="utf-8"))


def limits_of(task: Task, weights: Path, fingerprints: int) -> tuple[Limits, str]:
    """The limits to use for a library of so many fingerprints, and a sentence on their origin."""
    if task.false_positives is None:
        return task.limits, f"limits: as given (score {task.limits.min_score:g}, margin {task.limits.min_margin:g})"
    path = weights.with_suffix(".limits.json") if limits_in(weights) is None else weights
    return learned(path, fingerprints, task.false_positives, task.limits)


def watched(blocks: Iterable[np.ndarray], bar: tqdm) -> Iterator[np.ndarray]:
    """The blocks of a recording; the progress bar says how much of it was read."""
    samples = 0
    for block in blocks:
        samples += len(block)
        bar.set_postfix_str(f"{clock(samples / SAMPLE_RATE)} read", refresh=False)
        bar.update(0)
        yield block


def update(library: Library, embed) -> None:
    """Bring a library up to date; files that could not be read are printed, and listed in the store. UserError if none could."""
    broken = library.update(embed)
    table = library.store / "left_out.csv"
    rows = [
        {"path": spreadsheet_cell(song.path), "problem": spreadsheet_cell(song.problem)} for song in broken.itertuples()
    ]
    with atomic_write(table) as part:
        pd.DataFrame(rows, columns=["path", "problem"]).to_csv(part, index=False, encoding="utf-8-sig")
    for song in broken.itertuples():
        print(f"skipped {printable(song.path)}: {printable(song.problem)}", file=sys.stderr)
    songs = library.songs
    for song in songs[songs["note"] != ""].itertuples():
        print(f"{printable(song.path)}: {printable(song.note)}", file=sys.stderr)
    if (short := songs["rows"].between(1, FOUND_ROWS - 1)).any():
        print(
            f"songs of {sequence_seconds(FOUND_ROWS - 1):g} s or less, too short to be found in a longer recording: "
            f"{short.sum()}, such as {printable(songs.loc[short, 'path'].iloc[0])}",
            file=sys.stderr,
        )
    if not songs["rows"].sum():
        raise UserError(
            f"{library.root}: none of its {len(broken)} files could be read; {table} says why, file by file"
        )
    read = (songs["rows"] > 0).sum()
    print(
        f"{read} songs, {songs['rows'].sum()} fingerprints; {len(broken)} broken files or folders skipped",
        file=sys.stderr,
    )


def report_other_stores(store: Path, of_library: Path, key: str) -> None:
    """Name the stores of other models: they are kept, in case their weights are used again."""
    others = [path for path in sorted(of_library.glob("*/")) if path.name != key]
    if (store / "library.json").exists():  # an older form, which did not say whose folder it is of
        others += [store / "library.json", *sorted(store.glob("[0-9]/"))]
    if others:
        folders = " ".join(f"'{path}'" for path in others)
        print(
            f"fingerprints of this library by other weights are kept; to remove them, type:  rm -r {folders}",
            file=sys.stderr,
        )

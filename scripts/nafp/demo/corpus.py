"""The demo corpus: music, noise, babble and impulse responses composed by a program, in the layout of the paper's data.

Any machine can so run the whole pipeline without a download or an account. Every file is a function of
(seed, shelf, number) alone: a rerun is bit-identical, however many workers write and however large the splits are.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

import numpy as np
from numpy.random import Generator
from tqdm import tqdm

from nafp.audio.segments import SAMPLE_RATE
from nafp.audio.wav import write_wav
from nafp.datasets.layout import SPLITS
from nafp.demo.band import render
from nafp.demo.scenes import NOISES, mic_ir, room_ir, speech
from nafp.demo.song import plan_song

NOISE_S = 10.0
SPEECH_S = 6.0
# Each split has kinds that the other never hears, as a deployed system meets noises it was not trained on.
TRAIN_NOISES = [name for name in NOISES if name not in ("birds", "keyboard", "wind")]
TEST_NOISES = [name for name in NOISES if name not in ("hiss", "vinyl", "fan")]


@dataclass(frozen=True)
class Shelf:
    """One folder of sounds of one kind."""

    folder: str
    kind: int  # seeds the random numbers: never change or reuse one
    count: int  # for ``sounds=1`` (write_corpus)
    compose: Callable[[Generator, int], np.ndarray]  # (rng, number) -> samples
    label: Callable[[int], str]  # number -> file name without suffix


def _noise(names: list[str], rng: Generator, number: int) -> np.ndarray:
    sound = NOISES[names[number % len(names)]](rng, int(NOISE_S * SAMPLE_RATE))
    return _at_level(sound, rng.uniform(-26, -18))


def _speech(rng: Generator, number: int) -> np.ndarray:
    return _at_level(speech(rng, SPEECH_S), rng.uniform(-26, -18))


def _room(rng: Generator, number: int) -> np.ndarray:
    return _at_peak(room_ir(rng))


def _mic(rng: Generator, number: int) -> np.ndarray:
    return _at_peak(mic_ir(rng))


def _song(clip_s: float, rng: Generator, number: int) -> np.ndarray:
    return render(plan_song(rng), clip_s, rng)


def _at_level(x: np.ndarray, dbfs: float) -> np.ndarray:
    """`x` at an RMS of `dbfs`, or softer where its peak would clip."""
    return x / max(np.sqrt(np.mean(x**2)) * 10 ** (-dbfs / 20), np.abs(x).max() / 0.97)


def _at_peak(ir: np.ndarray) -> np.ndarray:
    return 0.99 * ir / np.abs(ir).max()


def _numbered(name: str) -> Callable[[int], str]:
    return lambda number: f"{name}_{number:03d}"


def _kinds(names: list[str]) -> Callable[[int], str]:
    return lambda number: f"{names[number % len(names)]}_{number:03d}"


SHELVES = (  # held-out sounds are halved between validation and test queries
    Shelf(SPLITS["bg_train"], 1, 48, partial(_noise, TRAIN_NOISES), _kinds(TRAIN_NOISES)),
    Shelf(SPLITS["bg_test"], 2, 32, partial(_noise, TEST_NOISES), _kinds(TEST_NOISES)),
    Shelf(f"{SPLITS['ir_train']}/room", 3, 24, _room, _numbered("room")),
    Shelf(f"{SPLITS['ir_test']}/room", 4, 16, _room, _numbered("room")),
    Shelf(f"{SPLITS['ir_train']}/mic", 5, 12, _mic, _numbered("mic")),
    Shelf(f"{SPLITS['ir_test']}/mic", 6, 12, _mic, _numbered("mic")),
    Shelf(SPLITS["speech_train"], 7, 16, _speech, _numbered("babble")),
    Shelf(SPLITS["speech_test"], 9, 16, _speech, _numbered("babble")),
)

# split -> (folder, kind); the order numbers the songs. The `query` folders are made from these songs elsewhere.
SONG_SHELVES = {
    "train": (SPLITS["train"], 11),
    "val": (SPLITS["val_db"], 12),
    "test": (SPLITS["test_db"], 13),
    "dummy": (SPLITS["dummy"], 14),
}


@dataclass(frozen=True)
class Job:
    """One file to write; small and picklable, so that it can travel to a worker."""

    path: Path
    entropy: tuple[int, int, int]  # (seed, kind, number)
    compose: Callable[[Generator, int], np.ndarray]


def write_corpus(
    root: Path, songs: dict[str, int], seed: int = 0, clip_s: float = 30.0, workers: int = 1, sounds: int = 1
) -> None:
    """Write the demo corpus below `root` as 16-bit mono WAV at 8 kHz.

    `songs` gives the number of songs of each split: train, val, test, dummy. Song files carry six-digit numbers that
    run on through the splits, so a number names one song. `sounds`: how many times the noises, responses and babble of
    SHELVES. Existing files are overwritten, others left alone.

    Raises ValueError for wrong splits, counts, or lengths, and whatever a worker raised.
    """
    if set(songs) != set(SONG_SHELVES):
        raise ValueError(f"songs needs a count for each of {', '.join(SONG_SHELVES)}; got {', '.join(songs) or 'none'}")
    if min(songs.values()) < 0 or clip_s <= 0 or workers < 1 or sounds < 1:
        raise ValueError("song counts must not be negative; clip_s, workers and sounds must be positive")
    jobs = [*_scene_jobs(Path(root), seed, sounds), *_song_jobs(Path(root), songs, seed, clip_s)]
    with _pool(workers) as pool:
        # The pool is filled before the bar appears: tqdm starts a thread, and forking is safest without threads.
        done = map(_write, jobs) if pool is None else pool.map(_write, jobs, chunksize=4)
        for _ in tqdm(done, total=len(jobs), desc="composing", unit="file"):
            pass


def _scene_jobs(root: Path, seed: int, sounds: int) -> Iterator[Job]:
    for shelf in SHELVES:
        for number in range(sounds * shelf.count):
            path = root / shelf.folder / f"{shelf.label(number)}.wav"
            yield Job(path, (seed, shelf.kind, number), shelf.compose)


def _song_jobs(root: Path, songs: dict[str, int], seed: int, clip_s: float) -> Iterator[Job]:
    file_number = 0
    for split, (folder, kind) in SONG_SHELVES.items():
        for number in range(songs[split]):
            name = f"{file_number:06d}"
            yield Job(root / folder / name[:3] / f"{name}.wav", (seed, kind, number), partial(_song, clip_s))
            file_number += 1


def _pool(workers: int) -> Executor | nullcontext:
    """Forked workers; none if one is enough, or the system cannot fork.

    Spawned ones would import the calling script anew, and the scripts of a workflow do their work on import.
    """
    if workers == 1 or "fork" not in get_all_start_methods():
        return nullcontext()
    return ProcessPoolExecutor(workers, mp_context=get_context("fork"))


def _write(job: Job) -> None:
    samples = job.compose(np.random.default_rng(job.entropy), job.entropy[-1])
    write_wav(job.path, np.round(samples * 32767).astype(np.int16))

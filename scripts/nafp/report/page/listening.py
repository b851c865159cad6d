"""Sounds for the page: a few test segments, degraded at known levels, with the answer of each run to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, nn

from nafp.audio.pools import AudioPool
from nafp.audio.segments import SAMPLE_RATE, SEGMENT
from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.augment.steps import STEPS, with_options
from nafp.model.model import Model
from nafp.report.page.media import grey_image, picture, sound
from nafp.report.songs import HeardSongs
from nafp.search.sequences import exact_neighbours
from nafp.search.vectors import Database

EXCERPT_S = 2
STAGES = ("crop", "time", "wave", "splice", "image")  # in the order in which a chain applies them


@dataclass(frozen=True)
class Run:
    """A run to ask: its network and its fingerprints of the database."""

    name: str
    network: Model
    database: Database


def choose(db: Split, count: int, seed: int) -> np.ndarray:
    """Random segments of test songs, of as many songs as possible, whatever the answers to them are."""
    rng = np.random.default_rng(seed)
    clips = np.unique(db.segments.clip)
    songs = np.sort(rng.choice(clips, count, replace=count > len(clips)))
    return np.array([rng.choice(np.flatnonzero(db.segments.clip == song)) for song in songs])


def degrade(x: np.ndarray, snr_db: float, pools: Mapping[str, AudioPool], seed: int) -> np.ndarray:
    """(n, SEGMENT) -> the same with noise at ``snr_db`` and, where there are some, impulse responses; peaks at 1."""
    steps = [{"background": {"snr_db": [snr_db, snr_db]}}]
    steps += [{"impulse_response": {}}] if "ir" in pools else []
    chain = Chain([*steps, {"peak_normalize": {"peak_db": [0, 0]}}], pools, for_queries=True)
    rng = Generator().manual_seed(seed)
    return chain.degrade(torch.from_numpy(x), chain.draw_wave(len(x), SEGMENT, rng)).numpy()


@torch.inference_mode()
def answers(run: Run, heard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, SEGMENT) -> (n, 2) nearest rows of the database, by exhaustive search, and (n, 2) their inner products."""
    vectors = run.network(torch.from_numpy(heard)).float().numpy()
    rows = exact_neighbours(run.database, vectors, 2)
    segments = np.repeat(np.arange(len(rows)), 2)
    return rows, run.database.inner_products(vectors, segments, rows.ravel()).reshape(rows.shape)


def verdict(rows: Sequence[int], scores: Sequence[float], truth: int, songs: np.ndarray) -> str:
    """hit: the best row is the right segment; near: its neighbour in the song; miss. Of rows with equal scores, the wrong one
    counts. ``songs``: (rows of the database,) the song of each."""
    best = [int(row) for row, score in zip(rows, scores, strict=True) if score == scores[0]]  # empty: NaN
    off = max((abs(row - truth) if songs[row] == songs[truth] else np.inf for row in best), default=np.inf)
    return "hit" if off == 0 else "near" if off == 1 else "miss"


def excerpts(db: Split, query_sets: Mapping[str, Split], segment: int) -> dict[str, str]:
    """Query set -> its sound of the EXCERPT_S seconds of a song that begin with a segment of ``db``, as a data URI."""
    clip, sounds = db.segments.clip[segment], {}
    at = db.segments.start[segment] - db.clips["start"].iloc[clip]
    for name, split in query_sets.items():
        row = split.clips.iloc[clip]
        length = min(EXCERPT_S * SAMPLE_RATE, row["samples"])
        start = row["start"] + min(round(at / row.get("rate", 1)), row["samples"] - length)
        sounds[name] = sound(split.audio[start : start + length].astype(np.float32) / 32768)
    return sounds


class Media:
    """Sounds and their spectrograms by name, each stored once."""

    def __init__(self):
        self.stored: dict[str, dict[str, str]] = {}

    def add(self, name: str, samples: np.ndarray) -> str:
        """Store samples; returns the name."""
        if name not in self.stored:
            self.stored[name] = {"sound": sound(samples), "picture": picture(samples)}
        return name


def listen(
    runs: Sequence[Run],
    songs: HeardSongs,
    chosen: np.ndarray,
    snr_db: Sequence[float],
    pools: Mapping[str, AudioPool],
    seed: int,
) -> dict[str, Any]:
    """Data of the page: {"media": name -> data URIs, "queries": [{song, at_s, original, heard: [{snr_db, query,
    answers: [{run, verdict, song, at_s, score, match}]}]}]}; original, query and match are names of media."""
    media, truths = Media(), chosen + songs.dummy_rows
    originals = np.stack([songs.cut(truth) for truth in truths])
    queries = [songs.place(t) | {"original": media.add(f"db{t}", songs.cut(t)), "heard": []} for t in truths]
    for level in snr_db:
        heard = degrade(originals, level, pools, seed)
        found = {run.name: answers(run, heard) for run in runs}
        for i, (query, truth) in enumerate(zip(queries, truths, strict=True)):
            one = {"snr_db": level, "query": media.add(f"q{i}at{level:g}", heard[i]), "answers": []}
            for name, (rows, scores) in found.items():
                row = int(rows[i, 0])
                said = verdict(rows[i], scores[i], truth, songs.of_row)
                answer = {"run": name, "verdict": said, "score": round(float(scores[i, 0]), 3)}
                one["answers"].append(answer | songs.place(row) | {"match": media.add(f"db{row}", songs.cut(row))})
            query["heard"].append(one)
    return {"media": media.stored, "queries": queries}


@torch.inference_mode()
def chain_steps(
    train: Split, steps: Sequence[Mapping], pools: Mapping[str, AudioPool], log_mel: nn.Module, seed: int
) -> list[dict[str, Any]]:
    """One training segment through a chain, step by step: [{step, settings, sound, image}], each with all steps before.

    Every step acts, whatever its probability, and they come in the order in which a chain applies them. ``image`` is the log-mel
    image that the encoder sees. Sounds end where masks on the image begin.
    """
    rng = Generator().manual_seed(seed)
    middle = len(train.segments) // 2
    segment = slice(middle, middle + 1)
    start, low, high = (torch.from_numpy(getattr(train.segments, name)[segment]) for name in ("start", "low", "high"))
    number, audio = torch.from_numpy(train.segments.clip[segment]), AudioPool(train)
    first, end = audio.start[number], audio.end[number]

    def replica(chain: Chain, at: torch.Tensor, factors: Mapping) -> torch.Tensor:
        """(1, SEGMENT) samples of the segment's clip from ``at`` (1,) on, degraded."""
        x = chain.time.excerpts(factors, audio, at, first, end, SEGMENT)
        return chain.degrade(x, chain.draw_wave(1, SEGMENT, rng, number))

    shown = []
    named = sorted(with_options(steps), key=lambda step: STAGES.index(STEPS[step[0]].stage))
    certain = [{name: options if STEPS[name].stage == "crop" else {**options, "p": 1}} for name, options in named]
    for count in range(len(named) + 1):
        chain = Chain(certain[:count], pools)
        rng.manual_seed(seed)
        _, one, other = start + chain.draw_offsets(low, high, 2, rng, torch.tensor([middle])).T
        factors = chain.time.draw(1, rng)
        x = replica(chain, one, factors)
        if chain.splice:
            _, at = chain.splice.draw(1, rng)
            x = torch.where(torch.arange(SEGMENT) >= at, replica(chain, other, factors), x)
        image = log_mel(x)
        image = chain.mask(image, chain.draw_image(image.shape, rng))
        step, settings = named[count - 1] if count else ("original", {})
        audible = count == 0 or STEPS[step].stage != "image"
        scaled = (image[0] - image.min()) / (image.max() - image.min()).clamp(min=1e-9)
        shown.append(
            {
                "step": step,
                "settings": dict(settings),
                "sound": sound(x[0].numpy()) if audible else "",
                "image": grey_image(scaled.numpy()),
            }
        )
    return shown

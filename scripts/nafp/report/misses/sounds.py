"""A missed query as sound and picture: what was asked, what was answered, and what would have been right."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from nafp.audio.segments import SEGMENT, sequence_seconds
from nafp.audio.splits import Split
from nafp.report.misses.choice import Outcomes
from nafp.report.page.media import grey_image, sound
from nafp.report.songs import HeardSongs, cut


@torch.inference_mode()
def encoder_image(log_mel: nn.Module, samples: np.ndarray) -> str:
    """(T,) samples -> the log-mel images that the encoder sees of their seconds, side by side, as a data URI."""
    seconds = [samples[at : at + SEGMENT] for at in range(0, len(samples) - SEGMENT + 1, SEGMENT)]
    rest = len(samples) % SEGMENT
    images = log_mel(torch.from_numpy(np.stack([*seconds, samples[-SEGMENT:]]))).numpy()
    whole, last = list(images[:-1]), images[-1][:, images.shape[2] - round(images.shape[2] * rest / SEGMENT) :]
    values = np.concatenate([*whole, last], axis=1)
    return grey_image((values - values.min()) / max(float(np.ptp(values)), 1e-9))


@dataclass
class Clips:
    """Makes what is heard and seen of queries. ``media``: name -> {"sound", "picture"}, each stored once."""

    songs: HeardSongs
    log_mel: nn.Module
    media: dict[str, dict[str, str]] = field(default_factory=dict)

    def query(self, name: str, queries: Split, outcome: Outcomes, row: int) -> dict[str, Any]:
        """What the page shows of a query: {song, at_s, seconds, found, kind, query, answered, right, rank, answers, floor}.

        ``answered``, ``right``: {song, at_s, media, score}; without media if there is none. ``rank``: of the right place, None if
        it has none. ``answers``: how many are known; ``floor``: the score of the last of them.
        """
        asked = outcome.hits.iloc[row].to_dict()
        length, song = int(asked["length"]), int(self.songs.of_row[asked["truth"]])
        places, scores = ranking(asked)
        wrong, right = outcome_places(places, scores, int(asked["truth"]), song, self.songs.of_row, outcome)
        return {
            "song": self.songs.titles[song],
            "at_s": round(float(asked["start"]), 2),
            "seconds": sequence_seconds(length),
            "found": bool(outcome.found[row]),
            "kind": str(outcome.kinds[row]),
            "query": self.add(name, cut(queries, int(asked["query"]), length)),
            "answered": self.answer(wrong, length, places, scores),
            "right": self.answer(right, length, places, scores),
            "rank": rank_of(asked, places, scores, right, outcome.placed),
            "answers": len(places),
            "floor": rounded(scores[-1]) if len(scores) else None,
        }

    def answer(self, row: int | None, length: int, places: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
        """A place of the database, with its score if it is among the answers."""
        if row is None:
            return {}
        known = scores[places == row]
        score = rounded(known[0]) if len(known) else None
        media = self.add(f"db{row}", self.songs.cut(row, length))
        return self.songs.place(row) | {"media": media, "score": score}

    def add(self, name: str, samples: np.ndarray) -> str:
        """Store sound and picture; returns the name."""
        if name not in self.media:
            self.media[name] = {"sound": sound(samples), "picture": encoder_image(self.log_mel, samples)}
        return name


def rounded(score: float) -> float | None:
    """A score with the digits that are shown; None for one that is no number."""
    return round(float(score), 4) if np.isfinite(score) else None


def ranking(asked: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Places and scores of the answers to a query, best first, as many as there are."""
    kept = sum(str(name).startswith("place") for name in asked)
    places = np.array([asked[f"place{i + 1}"] for i in range(kept)], dtype=np.int64)
    scores = np.array([asked[f"score{i + 1}"] for i in range(kept)], dtype=float)
    return places[places >= 0], scores[places >= 0]


def outcome_places(
    places: np.ndarray, scores: np.ndarray, truth: int, song: int, songs: np.ndarray, outcome: Outcomes
) -> tuple[int | None, int | None]:
    """The rows of the answer that is held against the right one, and of the right one.

    Of the answers that share the best score, one that is wrong; of a query that is found, the best one that is not right. If
    places are not known, the right one is the best in the right song, None if none of the answers is.
    """
    right = places == truth if outcome.placed else songs[places] == song
    best = scores == scores[:1] if len(scores) else right
    tied, wrong = places[best & ~right], places[~right]
    answered = tied if len(tied) else wrong
    known = [truth] if outcome.placed else places[right].tolist()
    return (int(answered[0]) if len(answered) else None), (int(known[0]) if known else None)


def rank_of(
    asked: Mapping[str, Any], places: np.ndarray, scores: np.ndarray, right: int | None, placed: bool
) -> int | None:
    """The rank of the right place, by the reciprocal rank that is stored; where places are not known, of the right song's
    best."""
    if placed:
        return round(1 / asked["rr"]) if asked["rr"] > 0 else None
    return None if right is None else int((scores >= scores[places == right][0]).sum())

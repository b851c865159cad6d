"""For notebooks and services: a trained model that fingerprints sound files, and exact search among fingerprints."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from nafp.audio.open import open_audio
from nafp.audio.segments import HOP, SAMPLE_RATE
from nafp.errors import UserError
from nafp.model.fingerprint import fingerprint_clips
from nafp.model.model import Model, on_device
from nafp.model.weights import load_with_settings
from nafp.shipped import DEFAULT, weights_file


@dataclass(frozen=True)
class Fingerprinter:
    """A trained model on a device. ``settings``: those of its training."""

    model: Model
    device: torch.device
    settings: Mapping

    @property
    def dim(self) -> int:
        """Dimension of a fingerprint."""
        return self.model.dim

    def fingerprint(self, sound: str | Path | np.ndarray) -> np.ndarray:
        """(n, dim) float32 unit vectors: one for each 1 s segment, with a hop of 0.5 s.

        ``sound``: a file of any format that can be read (docs/sound-files.md), or (T,) int16 samples at 8 kHz, mono. UserError
        for a file that cannot be read, or samples that are something else.
        """
        if not isinstance(sound, (str, PathLike, np.ndarray)):
            raise UserError(
                f"sound: a {type(sound).__name__}; it must be the path of a file, or an array of samples, int16 (T,), at 8 kHz"
            )
        if isinstance(sound, np.ndarray):
            if sound.dtype != np.int16 or sound.ndim != 1:
                raise UserError(f"samples: an array of {sound.dtype} {sound.shape}; they must be int16 (T,), at 8 kHz")
            return fingerprint_clips(self.model, [sound], self.device)
        with open_audio(sound) as audio:
            return fingerprint_clips(self.model, [np.concatenate(list(audio.blocks()))], self.device)


def load(source: str | Path = DEFAULT, epoch: str | int = "best", device: str | None = None) -> Fingerprinter:
    """A trained model: ``source`` is the folder of a run (``results/.../runs/aug=...``), a safetensors file of weights, or the
    name of a model that comes with the library (the default, `nafp.shipped`).

    ``epoch``: of a run: ``best``, ``last`` or a number whose weights are there. ``device``: PyTorch's name of it; the default is
    the GPU if there is one. UserError if there are no weights, or they do not state their model.
    """
    weights = weights_file(Path(source, f"epoch={epoch}.safetensors") if Path(source).is_dir() else source)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model, settings = load_with_settings(weights)
    return Fingerprinter(on_device(model, place), place, settings)


def find(songs: Mapping[str, np.ndarray], query: np.ndarray, count: int = 5) -> pd.DataFrame:
    """The songs that match a recording best, best first: columns song, offset_s (where in the song it begins), score.

    ``songs``: name -> fingerprints (n, d); ``query``: those of the recording (m, d). The score of an offset is the mean inner
    product of the recording's fingerprints with the song's, 0 beyond the ends of the song; a song has the score of its best
    offset, one without fingerprints has no row. The search is exhaustive: for large libraries there is ``nafp identify``.
    UserError for arrays that are no fingerprints of one dimension.
    """
    if not np.size(query):
        raise UserError("query: no fingerprints; a recording has at least one")
    if np.ndim(query) != 2:
        raise UserError(
            f"query: an array {np.shape(query)}; fingerprints are (m, d), as a model's ``fingerprint`` gives them"
        )
    rows = []
    for name, vectors in songs.items():
        if not len(vectors):
            continue
        if np.ndim(vectors) != 2 or np.shape(vectors)[1] != np.shape(query)[1]:
            raise UserError(
                f"songs: {name} is an array {np.shape(vectors)}, the query {np.shape(query)}; both must be fingerprints of one "
                "dimension, by the same model"
            )
        scores = place_scores(np.asarray(vectors, np.float32), np.asarray(query, np.float32))
        best = int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))
        rows.append({"song": name, "offset_s": (best - len(query) + 1) * HOP / SAMPLE_RATE, "score": scores[best]})
    found = pd.DataFrame(rows, columns=["song", "offset_s", "score"])
    return found.sort_values("score", ascending=False, kind="stable", ignore_index=True).head(count)


def place_scores(song: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Scores (n + m - 1,) of a query (m, d) at every offset in a song (n, d), from -(m - 1) on."""
    similarity, m = query @ song.T, len(query)
    sums = np.zeros(len(song) + m - 1, np.float64)
    for i, row in enumerate(similarity):
        sums[m - 1 - i :][: len(song)] += row
    return sums / m

"""Checking, reading and writing of the WAV files that the pipeline packs: 16-bit, 8 kHz, mono."""

import os
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from nafp.audio.containers import Piece, pieces_of, wav_data
from nafp.audio.segments import SAMPLE_RATE
from nafp.errors import UserError
from nafp.files import atomic_write
from nafp.walk import is_dangling

ONSET_DB = -20  # relative to the peak: start of an impulse response by ISO 3382-1


@dataclass(frozen=True)
class WavInfo:
    """One checked file: its length in samples (0 if unreadable) and its problems ('' if none)."""

    samples: int
    problem: str


def check_wav(path: Path) -> WavInfo:
    """Check by its header that a WAV file is what the pipeline packs: 16-bit, 8 kHz, mono, not empty.

    Never raises: an unreadable or truncated file is reported in ``problem``.
    """
    try:
        if is_dangling(path):
            return WavInfo(0, "a link to a file that is not there")
        if path.stat().st_size == 0:
            return WavInfo(0, "empty file")
        with opened(path) as f:
            samples, frame_bytes = f.frames, 2 * f.channels
            problems = [
                text
                for wrong, text in (
                    (f.format not in ("WAV", "WAVEX"), f"a {f.format} file, expected WAV"),
                    (f.samplerate != SAMPLE_RATE, f"{f.samplerate} Hz, expected {SAMPLE_RATE} Hz"),
                    (f.channels != 1, f"{f.channels} channels, expected 1"),
                    (f.subtype != "PCM_16", f"{f.subtype} samples, expected 16-bit PCM"),
                    (samples == 0, "no samples"),
                )
                if wrong
            ]
    except (OSError, sf.LibsndfileError) as error:
        reason = error.error_string if isinstance(error, sf.LibsndfileError) else error.strerror or error
        return WavInfo(0, f"unreadable: {reason}")
    if not problems and (count := len(pieces_of(path))) > 1:
        problems.append(f"{count} WAV files joined to one")
    if not problems and (declared := declared_bytes(path) // frame_bytes) > samples:
        problems.append(f"truncated: the header declares {declared} samples, the file holds {samples}")
    return WavInfo(samples, "; ".join(problems))


def opened(path: Path) -> sf.SoundFile:
    """A file opened by libsndfile, also if its name is not valid UTF-8."""
    return sf.SoundFile(path if os.name == "nt" else os.fsencode(path))


def declared_bytes(path: Path) -> int:
    """Bytes of the ``data`` chunk that the header declares; 0 where it declares none."""
    with open(path, "rb") as file:
        data = wav_data(file, Piece(0, path.stat().st_size))
    return 0 if data is None or data.unknown else data.declared


def read_wav(path: Path) -> np.ndarray:
    """(T,) int16 samples of a WAV file that passes ``check_wav``; UserError for one that does not."""
    if problem := check_wav(path).problem:
        raise UserError(f"{path}: {problem}; restore the file, or delete its folder if the workflow made it")
    with opened(path) as f:
        return f.read(dtype="int16")


def onset(response: np.ndarray) -> int:
    """Index of the sample of an impulse response (T,) at which its direct sound starts; 0 if it is silent.

    It is the first sample within 20 dB of the peak (ISO 3382-1): noise and the ringing of filters before it are softer, and
    a direct sound that is softer than a reflection by more is rare.
    """
    level = np.abs(response.astype(np.float32))
    return int(np.argmax(level >= level.max(initial=0) * 10 ** (ONSET_DB / 20))) if len(level) else 0


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Write (T,) int16 samples as a mono 8 kHz WAV file, under a temporary name until it is complete."""
    with atomic_write(path) as part:
        write_blocks(part, [samples])


def write_blocks(path: Path, blocks: Iterable[np.ndarray]) -> None:
    """Write blocks (T,) of int16 samples as one mono 8 kHz WAV file. By Python: libsndfile does not report full disks."""
    with open(path, "wb") as file, wave.open(file, "wb") as whole:
        whole.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        for block in blocks:
            whole.writeframesraw(block.astype("<i2", copy=False).tobytes())

"""Audio files: what the pipeline accepts, how it reads and writes them."""

import io
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
import soundfile as sf
from scipy.signal import resample_poly

from nafp.data.layout import SAMPLE_RATE
from nafp.errors import UserError
from nafp.files import written_whole

AUDIO_FILES = {  # the last line is what libsndfile does not read: such files are listed, not passed over
    *(".wav", ".wave", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".voc", ".sph"),
    *(".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2"),
    *(".m4a", ".aac", ".wma", ".ape", ".wv"),
}
BLOCK_S = 30  # decoded at a time
ONSET_DB = -20  # of the peak: where ISO 3382-1 lets an impulse response begin
RATES = 1000, 768_000  # Hz that music has; at others, resampling a broken header's file would take gigabytes
CODECS = {  # name -> container and coding of libsndfile; none of them delays the signal
    "ulaw": ("WAV", "ULAW"),  # telephone, 64 kbit/s
    "adpcm": ("WAV", "IMA_ADPCM"),
    "gsm": ("WAV", "GSM610"),  # mobile telephone, 13 kbit/s
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}


@dataclass(frozen=True)
class WavInfo:
    """One checked file: its length in samples (0 if unreadable) and what is wrong with it ('' if nothing)."""

    samples: int
    problem: str


def check_wav(path: Path) -> WavInfo:
    """Read a WAV file's header and compare it with what the pipeline packs: 16-bit, 8 kHz, mono, not empty.

    Never raises: an unreadable or truncated file is reported in ``problem``.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            return WavInfo(0, "empty file")
        with sf.SoundFile(path) as f:
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
        return WavInfo(0, f"unreadable: {error}")
    if not problems and (declared := data_bytes(path)) > samples * frame_bytes:
        problems.append(f"truncated: the header declares {declared // frame_bytes} samples, the file holds {samples}")
    return WavInfo(samples, "; ".join(problems))


def data_bytes(path: Path) -> int:
    """Length of the ``data`` chunk as the RIFF header states it, in bytes (0 where there is no such chunk)."""
    with open(path, "rb") as f:
        f.seek(12)
        while len(head := f.read(8)) == 8:
            length = int.from_bytes(head[4:], "little")
            if head[:4] == b"data":
                return length
            f.seek(length + length % 2, os.SEEK_CUR)
    return 0


def read_wav(path: Path) -> np.ndarray:
    """(T,) int16 samples of a WAV file that ``check_wav`` has nothing against; UserError if it has."""
    if problem := check_wav(path).problem:
        raise UserError(f"{path}: {problem}; restore the file, or delete its folder if the workflow made it")
    return sf.read(path, dtype="int16")[0]


def onset(response: np.ndarray) -> int:
    """Number of the sample of an impulse response (T,) with which its direct sound begins; 0 if it is silent.

    It is the first one within 20 dB of the peak (ISO 3382-1): noise and filters' ringing before it are softer, and a
    direct sound that a reflection outshines by more is rare.
    """
    level = np.abs(response.astype(np.float32))
    return int(np.argmax(level >= level.max(initial=0) * 10 ** (ONSET_DB / 20))) if len(level) else 0


def read_any(path: Path) -> np.ndarray:
    """(T,) int16 samples at 8 kHz of any file that libsndfile reads: any rate, channels averaged.

    Decoded and resampled block by block: memory holds the result and one block. Raises UserError for a broken file.
    """
    try:
        with sf.SoundFile(path) as file:
            if not RATES[0] <= file.samplerate <= RATES[1]:
                raise ValueError(f"a sample rate of {file.samplerate} Hz")
            return np.concatenate([np.zeros(0, np.int16), *resampled(file)])
    except (OSError, ValueError, sf.LibsndfileError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


class Opened:
    """An open audio file. ``note``, after reading: '' if all of it could be decoded."""

    def __init__(self, path: Path, file: sf.SoundFile):
        self.path, self.file, self.note = path, file, ""

    def blocks(self) -> Iterator[np.ndarray]:
        """Its samples at 8 kHz, int16, mono, block by block; UserError if the file is broken."""
        try:
            yield from resampled(self.file)
        except (OSError, ValueError, sf.LibsndfileError) as error:
            raise UserError(f"{self.path}: cannot be read ({error})") from error


@contextmanager
def open_audio(path: Path) -> Iterator[Opened]:
    """Any file that libsndfile reads, to be decoded block by block; UserError if it is broken."""
    try:
        file = sf.SoundFile(os.fsencode(path))
    except (OSError, sf.LibsndfileError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    with file:
        if not RATES[0] <= file.samplerate <= RATES[1]:
            raise UserError(f"{path}: cannot be read (a sample rate of {file.samplerate} Hz)")
        yield Opened(path, file)


def resampled(file: sf.SoundFile) -> Iterator[np.ndarray]:
    """The samples of an open file at 8 kHz, int16, piece by piece; the pieces join without a seam."""
    common = gcd(file.samplerate, SAMPLE_RATE)
    up, down = SAMPLE_RATE // common, file.samplerate // common
    reach = down * math.ceil(11 * max(up, down) / up / down)  # of the filter, in whole input periods; 10 in SciPy's
    block = max(down * math.ceil(BLOCK_S * file.samplerate / down), reach)
    before, current = np.zeros(reach), next_block(file, block)
    while len(current):
        following = next_block(file, block)
        after = np.pad(following[:reach], (0, max(reach - len(following), 0)))
        y = resample_poly(np.concatenate([before, current, after]), up, down)
        first = reach // down * up
        y = y[first : first + math.ceil(len(current) * up / down)]
        yield (y.clip(-1, 32767 / 32768) * 32768).round().astype(np.int16)
        before, current = current[-reach:], following


def next_block(file: sf.SoundFile, frames: int) -> np.ndarray:
    """(<= frames,) the next samples of a file, its channels averaged; ValueError if some are not numbers."""
    block = file.read(frames, dtype="float64", always_2d=True).mean(axis=1)
    if not np.isfinite(block).all():
        raise ValueError("samples that are not numbers")
    return block


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Write (T,) int16 samples as a mono 8 kHz WAV file, under a temporary name until it is complete."""
    file = io.BytesIO()  # libsndfile, writing by itself, would not say that the disk is full
    sf.write(file, samples, SAMPLE_RATE, subtype="PCM_16", format="WAV")
    with written_whole(path) as part:
        part.write_bytes(file.getbuffer())


def code_and_decode(x: np.ndarray, codecs: Sequence[str]) -> np.ndarray:
    """(B, T) float32 in [-1, 1] -> the same after one of CODECS each, of the same length."""

    def one(samples: np.ndarray, codec: str) -> np.ndarray:
        container, coding = CODECS[codec]
        file = io.BytesIO()
        sf.write(file, samples, SAMPLE_RATE, format=container, subtype=coding)
        file.seek(0)
        decoded = sf.read(file, dtype="float32")[0][: len(samples)]
        return np.pad(decoded, (0, len(samples) - len(decoded)))

    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(one, x, codecs)))

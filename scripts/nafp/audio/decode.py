"""Decoding: by libsndfile as far as it can read a file, by FFmpeg for the rest of it and for other formats."""

import io
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from nafp.audio.containers import Piece, kind_of_other_file, mpeg_declares_length, pieces_of, wav_data
from nafp.audio.ffmpeg import FfmpegSound, NoSound

STREAMS = "MP3", "FLAC"  # formats of libsndfile that have only sound behind their header
WAVS = "WAV", "WAVEX", "RF64"
TRAILER = 2**14  # bytes of tags that may follow the sound
CRUMB_S = 0.25  # tolerance of lengths: codecs add and drop samples
UNKNOWN_FRAMES = 2**40  # samples; libsndfile returns more where it does not know the length
RATES = 1000, 768_000  # plausible sample rates in Hz; resampling from the rate of a broken header would take gigabytes


class NoSamples(Exception):
    """A valid file without samples."""


@dataclass
class Account:
    """Seconds of sound declared by a file's headers and seconds read, and whether its end is missing."""

    declared_s: float = 0.0
    read_s: float = 0.0
    cut: bool = False
    problem: str = ""

    @property
    def note(self) -> str:
        """A sentence on what is missing; '' if nothing is known to be."""
        if self.read_s < self.declared_s - max(CRUMB_S, 0.005 * self.declared_s):
            return f"{self.read_s:.1f} of {self.declared_s:.1f} seconds could be read"
        return f"its end is missing, {self.read_s:.1f} seconds could be read" if self.cut else ""


class Part(io.RawIOBase):
    """A piece of a file, read like a file; ``error``: why the system did not read it, which decoders take for its end."""

    def __init__(self, path: Path, piece: Piece):
        self.error: OSError | None = None
        self._file, self._piece, self._at = open(path, "rb", buffering=0), piece, 0  # noqa: SIM115

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._piece.end - self._piece.begin}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    @property
    def handle(self) -> "int | Part":
        """Argument for libsndfile: the file's descriptor if the piece is the whole file, which is faster."""
        whole = self._piece.begin == 0 and self._piece.end == os.fstat(self._file.fileno()).st_size
        return self._file.fileno() if whole else self

    @property
    def unread(self) -> int:
        """Bytes behind the last byte read from the descriptor."""
        at = os.lseek(self._file.fileno(), 0, os.SEEK_CUR)
        return self._piece.end - at

    def readinto(self, buffer) -> int:
        self._file.seek(self._piece.begin + self._at)
        view = memoryview(buffer).cast("B")[: max(self._piece.end - self._piece.begin - self._at, 0)]
        try:
            count = self._file.readinto(view) or 0
        except OSError as error:
            self.error = error
            raise
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class SndfileSound:
    """A sound read by libsndfile; ``problem``: why it ended early, '' if it did not."""

    def __init__(self, file: int | io.RawIOBase):
        self._file = sf.SoundFile(file, closefd=False)
        self.rate, self.format = self._file.samplerate, self._file.format
        self.frames = self._file.frames if self._file.frames < UNKNOWN_FRAMES else None
        self.is_float = self._file.subtype in ("FLOAT", "DOUBLE")
        self.taken, self.problem = 0, ""

    def read(self, count: int) -> np.ndarray:
        """(<= count, channels) float64: the next samples; none at the end, or at damage."""
        try:
            block = self._file.read(count, dtype="float64", always_2d=True)
        except (sf.LibsndfileError, OSError, RuntimeError) as error:
            self.problem = str(error)
            return np.zeros((0, self._file.channels))
        self.taken += len(block)
        return block

    def close(self) -> None:
        self._file.close()


def sounds(path: Path, account: Account) -> Iterator[SndfileSound | FfmpegSound]:
    """The sounds of a file, one after the other, each of one sample rate; read each to its end before the next.

    Fills the account. Raises NoSamples, ValueError (the reason) and OSError.
    """
    if kind := kind_of_other_file(path):
        raise ValueError(f"it is {kind}")
    for piece in pieces_of(path):
        with closing(Part(path, piece)) as file:
            yield from sounds_of(file, piece, account)
    if not account.read_s:
        raise ValueError(account.problem) if account.problem else NoSamples


def sounds_of(file: Part, piece: Piece, account: Account) -> Iterator[SndfileSound | FfmpegSound]:
    """The sounds of a piece of a file: first as libsndfile reads it, then the rest by FFmpeg."""
    declared_s = read_s = 0.0
    left, problem = True, ""
    try:
        with closing(SndfileSound(file.handle)) as sound:
            check_rate(sound.rate)
            yield sound
            read_s = sound.taken / sound.rate
            left = has_rest(sound, file, piece)
            declared_s, problem = declared_seconds(sound, file, piece), sound.problem
    except sf.LibsndfileError as error:
        problem = error.error_string
    if left:
        file.seek(0)
        try:
            with closing(FfmpegSound(file, skip_s=read_s)) as sound:
                before_s = read_s
                while sound.goes_on():
                    check_rate(sound.rate)
                    yield sound
                    read_s += sound.taken / sound.rate
                if read_s - before_s > CRUMB_S or not before_s:  # the rest is sound, not tags
                    declared_s = max(declared_s, sound.declared_s or read_s + sound.lost_s)
        except NoSound as error:
            problem = problem and str(error)  # libsndfile accepts a file without samples
    if file.error:
        raise file.error
    account.read_s += read_s
    account.declared_s += max(declared_s, read_s)
    account.cut, account.problem = account.cut or not piece.complete, account.problem or problem


def check_rate(rate: int) -> None:
    """ValueError for an implausible sample rate."""
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"a sample rate of {rate} Hz")


def declared_seconds(sound: SndfileSound, file: Part, piece: Piece) -> float:
    """Seconds that the header of a finished sound declares; 0 where it declares none."""
    if sound.format in WAVS:
        data = wav_data(file, Piece(0, piece.end - piece.begin))
        cut = data and not data.unknown and data.present
        return sound.taken / sound.rate * data.declared / data.present if cut else 0.0
    if sound.format == "MP3" and not mpeg_declares_length(file):
        return 0.0
    return (sound.frames or 0) / sound.rate


def has_rest(sound: SndfileSound, file: Part, piece: Piece) -> bool:
    """Whether a piece holds more sound than libsndfile has read."""
    if sound.problem:
        return True
    if sound.format in WAVS:
        data = wav_data(file, Piece(0, piece.end - piece.begin))
        return bool(data and data.unknown and data.present and not sound.taken)
    return not sound.taken or (sound.format in STREAMS and file.unread > TRAILER)

"""Sound files of any kind, decoded block by block into what the pipeline works on: int16 at 8 kHz, mono."""

import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import chain, islice
from math import gcd
from pathlib import Path

import numpy as np
import soundfile as sf
from scipy.signal import resample_poly

from nafp.audio.decode import Account, NoSamples, sounds
from nafp.audio.segments import SAMPLE_RATE
from nafp.errors import UserError, read_error

BLOCK_S = 30  # seconds decoded at a time
CANCELLED = (
    0.02  # power of the average, as a share of that of uncorrelated channels; below it channels cancel each other
)
SPARSE = 16  # every 16th sample is checked first
INTEGERS = 2**15, 2**23, 2**31  # full scale of integers that were written as floats without scaling
LOUD = 2**8  # times full scale; louder floats are unscaled integers


class Audio:
    """A sound file, read once; ``note``: after its blocks were read, a remark on missing or unusual sound, or ''."""

    def __init__(self, path: Path | str):
        """UserError if nothing of the file can be read; Unavailable if the system could not read it just now."""
        self.path, self.note = Path(path), ""
        self._blocks = self._decoded()
        self._first = list(islice(self._blocks, 1))

    def blocks(self) -> Iterator[np.ndarray]:
        """(<= 30 s,) int16 samples at 8 kHz, block by block: gapless, one or two of them in memory.

        Channels are averaged. A truncated file gives the samples that are there, and a note. UserError for samples
        that are not numbers, Unavailable where the system stops reading.
        """
        return chain(self._first, self._blocks)

    def close(self) -> None:
        """Close the file, read to its end or not."""
        self._blocks.close()

    def _decoded(self) -> Iterator[np.ndarray]:
        account, mixing = Account(), Mixing()
        try:
            for sound in sounds(self.path, account):
                mixing.scale_for(self.path, sound.is_float)
                yield from resampled(lambda count: mixing.mono(sound.read(count)), sound.rate)  # noqa: B023
        except NoSamples as error:
            raise UserError(f"{self.path}: no samples") from error
        except (OSError, ValueError, sf.LibsndfileError) as error:
            raise read_error(self.path, error) from error
        self.note = "; ".join(filter(None, [account.note, mixing.note]))


@contextmanager
def open_audio(path: Path | str) -> Iterator[Audio]:
    """A sound file of any kind, to be read block by block. UserError if nothing of it can be read."""
    with closing(Audio(path)) as audio:
        yield audio


def read_any(path: Path | str) -> np.ndarray:
    """(T,) int16 samples at 8 kHz of a sound file of any kind, channels averaged. UserError if it cannot be read."""
    with open_audio(path) as audio:
        return np.concatenate([np.zeros(0, np.int16), *audio.blocks()])


class Mixing:
    """Downmix to mono, and scaling of loud floats; ``note``: what was done besides averaging."""

    def __init__(self):
        self.scale, self._cancelled, self._frames, self._channel, self._loud = None, 0, 0, "", ""

    def scale_for(self, path: Path, is_float: bool) -> None:
        """Set the scale of a file of floats by its peak, for which it is read once."""
        if self.scale is not None or not is_float:
            return
        peak = max((np.abs(block).max() for block in float_blocks(path)), default=0.0)
        if peak > LOUD:
            full = next((full for full in INTEGERS if peak <= full), peak)
            self._loud = f"its floats reach {peak:.0f} and were divided by {full:.0f}"
        else:
            full = max(peak, 1.0)
            self._loud = f"turned down by {20 * math.log10(full):.1f} dB, it is louder than full scale"
        self.scale = 1.0 if full == 1.0 else 1 / full

    def mono(self, block: np.ndarray) -> np.ndarray:
        """(n, channels) -> (n,): the average, or one channel where they cancel each other. ValueError for NaN or infinity."""
        mono, channels = sum(block.T) / block.shape[1], block.shape[1]
        if not np.isfinite(mono).all():
            raise ValueError("samples that are not numbers")
        self._frames += len(block)
        if cancelled(block[::SPARSE], mono[::SPARSE]) and cancelled(block, mono):
            power = np.square(block).sum(axis=0)
            best = int(np.argmax(power >= power.max() / 2))  # the first one within 3 dB of the loudest
            self._cancelled += len(block)
            self._channel = ("left", "right")[best] + " one" if channels == 2 else f"channel number {best + 1}"
            mono = block[:, best]
        return mono * self.scale if self.scale not in (None, 1.0) else mono

    @property
    def note(self) -> str:
        """Remarks on channels and level."""
        notes = [self._loud] if self.scale not in (None, 1.0) else []
        if self._cancelled:
            share = "" if self._cancelled == self._frames else f" in {100 * self._cancelled / self._frames:.0f} % of it"
            notes.append(f"the channels cancel each other out{share}; the {self._channel} was taken")
        return "; ".join(notes)


def cancelled(block: np.ndarray, mean: np.ndarray) -> bool:
    """Whether the channels (n, channels) cancel each other in their mean (n,)."""
    channels = block.shape[1]
    return channels > 1 and mean @ mean < CANCELLED * np.square(block).sum() / channels**2


def float_blocks(path: Path) -> Iterator[np.ndarray]:
    """(n, channels) blocks of a file, unscaled."""
    for sound in sounds(path, Account()):
        while len(block := sound.read(BLOCK_S * sound.rate)):
            yield block


def resampled(read: Callable[[int], np.ndarray], rate: int) -> Iterator[np.ndarray]:
    """Samples of ``read(count)`` until it returns none, resampled to 8 kHz as int16; the blocks are gapless."""
    common = gcd(rate, SAMPLE_RATE)
    up, down = SAMPLE_RATE // common, rate // common
    reach = down * math.ceil(11 * max(up, down) / up / down)  # filter length in whole input periods; SciPy's is 10
    block = max(down * math.ceil(BLOCK_S * rate / down), reach)
    before, current = np.zeros(reach), read(block)
    while len(current):
        following = read(block)
        after = np.pad(following[:reach], (0, max(reach - len(following), 0)))
        y = resample_poly(np.concatenate([before, current, after]), up, down)
        first = reach // down * up
        y = y[first : first + math.ceil(len(current) * up / down)]
        yield (y.clip(-1, 32767 / 32768) * 32768).round().astype(np.int16)
        before, current = current[-reach:], following

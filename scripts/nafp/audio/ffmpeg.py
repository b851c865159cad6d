"""Decoding by FFmpeg (PyAV), for what libsndfile does not read: AAC, WMA, Opus in any container, sound of videos."""

from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np

OPTIONS = {"protocol_whitelist": "none"}  # keeps playlists from opening other files
RELIABLE = (  # containers that declare the length of the sound; of others, FFmpeg guesses it by the bit rate
    *("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "asf", "avi", "flac", "wav", "w64", "aiff", "caf", "voc", "iff"),
    *("wv", "tta", "ape", "tak", "mpc", "mpc8", "dsf"),
)
FULL_SCALE = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "s64": 2**63, "flt": 1, "dbl": 1}  # sample format -> full scale
LOSSLESS_FLOAT = "pcm_f", "wavpack"  # codecs whose floats may exceed full scale


class NoSound(ValueError):
    """FFmpeg finds no sound in a file; the message says why."""


class FfmpegSound:
    """An open sound: ``read`` returns samples as long as the sample rate stays the same, ``goes_on`` moves to the next rate.

    ``rate`` (Hz), ``taken`` (samples read at this rate), ``declared_s``: seconds by the header (None: unknown), ``lost_s``:
    seconds that could not be decoded, ``problem``: why it ended early.
    """

    def __init__(self, file: BinaryIO, skip_s: float = 0.0):
        """``skip_s``: seconds to skip at the beginning. NoSound if there is no sound in the file."""
        try:
            self._container = av.open(file, options=OPTIONS, metadata_errors="replace")
        except (av.error.FFmpegError, OSError) as error:
            raise NoSound("its format is not known, or it is damaged") from error
        stream = self._container.streams.best("audio")
        if stream is None or stream.codec_context is None:
            self.close()
            raise NoSound("no codec is known for its sound" if stream else "there is no sound in it")
        self.declared_s, self.lost_s = declared_seconds(self._container, stream), 0.0
        self.is_float = stream.codec_context.name.startswith(LOSSLESS_FLOAT)
        self.taken, self.problem = 0, ""
        self._frames = self._decoded(stream, skip_s)
        self._next = next(self._frames, None)
        self.rate = self._next[0] if self._next else 0

    def close(self) -> None:
        self._container.close()

    def _decoded(self, stream, skip_s: float) -> Iterator[tuple[int, np.ndarray]]:
        """Rate and samples (n, channels) float64 of each frame; damaged packets are skipped."""
        to_skip = skip_s
        try:
            for packet in self._container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:  # also when a damaged header asks for too much memory
                    self.lost_s += float(packet.duration * packet.time_base) if packet.duration else 0.0
                    continue
                for frame in frames:
                    drop = min(round(to_skip * frame.sample_rate), frame.samples)
                    to_skip -= drop / frame.sample_rate
                    if drop < frame.samples:
                        yield frame.sample_rate, samples_of(frame)[drop:]
        except (
            av.error.FFmpegError,
            OSError,
            IndexError,
        ) as error:  # IndexError: raised by PyAV where another stream appears
            self.problem = str(error)

    def read(self, count: int) -> np.ndarray:
        """(<= count, channels) float64: the next samples, all of one rate and number of channels; none at the end."""
        if self._next is None or self._next[0] != self.rate:
            return np.zeros((0, 1))
        taken, left, channels = [], count, self._next[1].shape[1]
        while left and self._next is not None and self._next[0] == self.rate and self._next[1].shape[1] == channels:
            samples = self._next[1]
            taken.append(samples[:left])
            self._next = (self.rate, samples[left:]) if len(samples) > left else next(self._frames, None)
            left -= len(taken[-1])
        self.taken += count - left
        return np.concatenate(taken)

    def goes_on(self) -> bool:
        """Whether there is more sound; ``rate`` is then its sample rate."""
        if self._next is not None:
            self.rate, self.taken = self._next[0], 0
        return self._next is not None


def declared_seconds(container, stream) -> float | None:
    """Seconds of sound that the file's header declares; None if that is a guess, or the length of a video."""
    if container.format.name not in RELIABLE:
        return None
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    videos = [one for one in container.streams.video if not one.disposition & av.stream.Disposition.attached_pic]
    return container.duration / av.time_base if container.duration is not None and not videos else None


def samples_of(frame: av.AudioFrame) -> np.ndarray:
    """(samples, channels) float64 in [-1, 1] of a decoded frame of any sample format."""
    kind = frame.format.packed.name
    x = frame.to_ndarray()
    x = x.T if frame.format.is_planar else x.reshape(frame.samples, -1)
    return (x.astype(np.float64) - (2**7 if kind == "u8" else 0)) / FULL_SCALE[kind]

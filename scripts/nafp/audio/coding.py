"""Sound coded and decoded again, in memory."""

import io
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import soundfile as sf
from scipy.signal import resample_poly

from nafp.audio.codecs import CODECS, Ffmpeg, Libsndfile
from nafp.audio.ffmpeg import FfmpegSound
from nafp.audio.segments import SAMPLE_RATE
from nafp.errors import UserError

FLUSHED = 2048  # samples of silence behind a sound for FFmpeg, which some codecs need to give out their last frame


def code_and_decode(x: np.ndarray, codecs: Sequence[str]) -> np.ndarray:
    """(B, T) float32 in [-1, 1] -> the same after one of CODECS each, of the same length and in the same place.

    UserError names the codec that failed.
    """
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(one_coded_and_decoded, x, codecs)))


def one_coded_and_decoded(x: np.ndarray, name: str) -> np.ndarray:
    """(T,) float32 in [-1, 1] -> the same after a codec."""
    codec = CODECS[name]
    try:
        found = decoded(coded(x, codec), codec)[: len(x)]
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:  # libsndfile's are RuntimeErrors
        raise UserError(
            f"codec {name}: {error}; take it out of the chain, or install the wheel of {codec.package}, which has it"
        ) from error
    return np.pad(found, (0, len(x) - len(found)))


def coded(x: np.ndarray, codec: Libsndfile | Ffmpeg) -> bytes:
    """(T,) float32 in [-1, 1] -> a sound file."""
    file = io.BytesIO()
    if isinstance(codec, Libsndfile):
        options = {} if codec.level is None else {"compression_level": codec.level}
        sf.write(file, x, SAMPLE_RATE, format=codec.container, subtype=codec.coding, **options)
        return file.getvalue()
    frame = av.AudioFrame.from_ndarray(np.pad(x, (max(-codec.delay, 0), FLUSHED))[None], "fltp", "mono")
    frame.sample_rate = SAMPLE_RATE
    with av.open(file, "w", format=codec.container) as container:
        stream = container.add_stream(codec.encoder, rate=SAMPLE_RATE, layout="mono", options=dict(codec.options))
        if codec.kbps is not None:
            stream.bit_rate = round(1000 * codec.kbps)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()


def decoded(file: bytes, codec: Libsndfile | Ffmpeg) -> np.ndarray:
    """A sound file -> (about T,) float32, without the codec's delay."""
    if isinstance(codec, Libsndfile):
        return sf.read(io.BytesIO(file), dtype="float32")[0]
    sound = FfmpegSound(io.BytesIO(file))
    x, rate = sound.read(sys.maxsize)[:, 0], sound.rate
    sound.close()
    if sound.problem or sound.lost_s:
        raise ValueError(f"the decoder lost {sound.lost_s:g} s {sound.problem}".rstrip())
    x = x if rate == SAMPLE_RATE else resample_poly(x, SAMPLE_RATE, rate)  # Opus decodes to 48 kHz
    return x[max(codec.delay, 0) :].astype(np.float32)

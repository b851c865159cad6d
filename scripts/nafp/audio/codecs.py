"""Codecs that sound is sent through: coded and decoded again, in memory. Planning reads their names."""

import io
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nafp.audio.segments import SAMPLE_RATE
from nafp.errors import UserError

if TYPE_CHECKING:
    import numpy as np

FLUSHED = 2048  # samples of silence behind a sound that FFmpeg codes, so that its last frame comes out


@dataclass(frozen=True)
class Libsndfile:
    """A codec of libsndfile, which delays no sound. ``level``: of its compression, from 0 to 1; None: as it comes."""

    container: str
    coding: str
    level: float | None = None

    def coded(self, x: "np.ndarray") -> bytes:
        """(T,) float32 in [-1, 1] -> a sound file."""
        import soundfile as sf

        file = io.BytesIO()
        options = {} if self.level is None else {"compression_level": self.level}
        sf.write(file, x, SAMPLE_RATE, format=self.container, subtype=self.coding, **options)
        return file.getvalue()

    def decoded(self, file: bytes) -> "np.ndarray":
        """A sound file -> (T,) float32."""
        import soundfile as sf

        return sf.read(io.BytesIO(file), dtype="float32")[0]


@dataclass(frozen=True)
class Ffmpeg:
    """A codec of FFmpeg by PyAV's wheel, at a bit rate (None: lossless, as many bits as it takes).

    ``delay``: samples by which what it decodes is late, measured by cross-correlation; negative: it loses so many.
    """

    encoder: str
    container: str
    kbps: float | None
    delay: int = 0
    options: Mapping[str, str] = field(default_factory=dict)

    def coded(self, x: "np.ndarray") -> bytes:
        """(T,) float32 in [-1, 1] -> a sound file."""
        import av
        import numpy as np

        file = io.BytesIO()
        frame = av.AudioFrame.from_ndarray(np.pad(x, (max(-self.delay, 0), FLUSHED))[None], "fltp", "mono")
        frame.sample_rate = SAMPLE_RATE
        with av.open(file, "w", format=self.container) as container:
            stream = container.add_stream(self.encoder, rate=SAMPLE_RATE, layout="mono", options=dict(self.options))
            if self.kbps is not None:
                stream.bit_rate = round(1000 * self.kbps)
            container.mux([*stream.encode(frame), *stream.encode(None)])
        return file.getvalue()

    def decoded(self, file: bytes) -> "np.ndarray":
        """A sound file -> (T,) float32."""
        import numpy as np
        from scipy.signal import resample_poly

        from nafp.audio.ffmpeg import FfmpegSound

        sound = FfmpegSound(io.BytesIO(file))
        x = sound.read(sys.maxsize)[:, 0]
        rate = sound.rate
        sound.close()
        x = x if rate == SAMPLE_RATE else resample_poly(x, SAMPLE_RATE, rate)  # Opus decodes to 48 kHz
        return x[max(self.delay, 0) :].astype(np.float32)


CODECS: dict[str, Libsndfile | Ffmpeg] = {
    "ulaw": Libsndfile("WAV", "ULAW"),  # telephone, 64 kbit/s
    "adpcm": Libsndfile("WAV", "IMA_ADPCM"),  # 32 kbit/s
    "gsm": Libsndfile("WAV", "GSM610"),  # mobile telephone, 13 kbit/s
    "mp3": Libsndfile("MP3", "MPEG_LAYER_III"),
    "vorbis": Libsndfile("OGG", "VORBIS"),
    "opus": Libsndfile("OGG", "OPUS"),
    "alac": Ffmpeg("alac", "ipod", None),  # lossless, so a control
    **{f"mp3_{kbps}": Ffmpeg("libmp3lame", "mp3", kbps) for kbps in (8, 16, 24, 32, 48, 64)},
    **{f"aac_{kbps}": Ffmpeg("aac", "mp4", kbps, 1024) for kbps in (8, 12, 16, 24, 32)},
    **{f"opus_{kbps}": Ffmpeg("libopus", "ogg", kbps, options={"vbr": "off"}) for kbps in (6, 8, 12, 16, 24, 32, 64)},
    **{f"amr-nb_{kbps:g}": Ffmpeg("libopencore_amrnb", "amr", kbps, 39) for kbps in (4.75, 5.9, 7.95, 12.2)},
    **{f"wma_{kbps}": Ffmpeg("wmav2", "asf", kbps, -512) for kbps in (24, 32, 48)},
    # Xiph's encoder takes a quality: at 8 kHz, 14 + 28 q kbit/s are nominal
    **{f"vorbis_{kbps}": Libsndfile("OGG", "VORBIS", 1 - (kbps - 14) / 28) for kbps in (14, 20, 28, 42)},
}
WITHOUT_A_BIT_RATE = ("ulaw", "adpcm", "gsm", "mp3", "vorbis", "opus")  # those that a chain takes if it names none


def code_and_decode(x: "np.ndarray", codecs: Sequence[str]) -> "np.ndarray":
    """(B, T) float32 in [-1, 1] -> the same after one of CODECS each, of the same length and in the same place.

    UserError names the codec that failed.
    """
    import numpy as np
    from av.error import FFmpegError

    def one(samples: "np.ndarray", name: str) -> "np.ndarray":
        codec = CODECS[name]
        try:
            found = codec.decoded(codec.coded(samples))[: len(samples)]
        except (FFmpegError, OSError, ValueError, RuntimeError) as error:  # libsndfile's are RuntimeErrors
            library = "PyAV" if isinstance(codec, Ffmpeg) else "soundfile"
            raise UserError(
                f"codec {name}: {error}; take it out of the chain, or install {library} from its wheel, which has it"
            ) from error
        return np.pad(found, (0, len(samples) - len(found)))

    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(one, x, codecs)))

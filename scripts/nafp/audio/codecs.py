"""Codecs that sound is sent through: coded and decoded again, in memory."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from nafp.audio.segments import SAMPLE_RATE

if TYPE_CHECKING:
    import numpy as np

CODECS = {  # name -> container and coding of libsndfile; none of them delays the signal
    "ulaw": ("WAV", "ULAW"),  # telephone, 64 kbit/s
    "adpcm": ("WAV", "IMA_ADPCM"),
    "gsm": ("WAV", "GSM610"),  # mobile telephone, 13 kbit/s
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}


def code_and_decode(x: "np.ndarray", codecs: Sequence[str]) -> "np.ndarray":
    """(B, T) float32 in [-1, 1] -> the same after one of CODECS each, of the same length."""
    import numpy as np  # here, because planning reads the names of the codecs
    import soundfile as sf

    def one(samples: "np.ndarray", codec: str) -> "np.ndarray":
        container, coding = CODECS[codec]
        file = io.BytesIO()
        sf.write(file, samples, SAMPLE_RATE, format=container, subtype=coding)
        file.seek(0)
        decoded = sf.read(file, dtype="float32")[0][: len(samples)]
        return np.pad(decoded, (0, len(samples) - len(decoded)))

    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(one, x, codecs)))

"""Sounds and spectrograms as data URIs, small enough for a page to contain."""

import base64
import io

import numpy as np
import soundfile as sf
from PIL import Image
from scipy.signal import spectrogram

from nafp.audio.segments import SAMPLE_RATE

WINDOW, STEP = 256, 64  # samples of the spectrogram
RANGE_DB = 65  # range of the spectrogram, white to black
_QUALITY = 72  # WebP quality of the spectrograms


def sound(samples: np.ndarray) -> str:
    """(T,) float samples -> MP3 as a data URI, which every browser plays, 2 kB a second; scaled down if it would clip."""
    file = io.BytesIO()
    sf.write(file, samples / max(np.abs(samples).max(), 1), SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III")
    return _uri("audio/mpeg", file.getvalue())


def picture(samples: np.ndarray) -> str:
    """(T,) samples -> their spectrogram, 0 to 4 kHz, dark where loud, as a data URI."""
    power = spectrogram(samples, SAMPLE_RATE, nperseg=WINDOW, noverlap=WINDOW - STEP, mode="psd")[2]
    level = 10 * np.log10(power + 1e-12)
    return grey_image((level - level.max()) / RANGE_DB + 1)


def grey_image(values: np.ndarray) -> str:
    """(rows, columns) values from 0 (white) to 1 (black), the first row at the bottom -> a picture as a data URI."""
    pixels = (255 * (1 - np.clip(values, 0, 1))).round().astype(np.uint8)[::-1]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="WEBP", quality=_QUALITY, method=6)
    return _uri("image/webp", file.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"

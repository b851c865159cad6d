"""Codecs that sound is sent through, by name. Planning reads this file; ``nafp.audio.coding`` codes with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Libsndfile:
    """A codec of libsndfile, which delays no sound. ``level``: of its compression, from 0 to 1; None: as it comes."""

    container: str
    coding: str
    level: float | None = None
    package = "soundfile"


@dataclass(frozen=True)
class Ffmpeg:
    """A codec of FFmpeg, by PyAV, at a bit rate (None: lossless, as many bits as it takes).

    ``delay``: samples by which the decoded sound is late, measured by cross-correlation; negative: it lacks so many.
    """

    encoder: str
    container: str
    kbps: float | None
    delay: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    package = "av"


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
    # Xiph's encoder takes a quality q; its nominal bit rate at 8 kHz is 14 + 28 q kbit/s
    **{f"vorbis_{kbps}": Libsndfile("OGG", "VORBIS", 1 - (kbps - 14) / 28) for kbps in (14, 20, 28, 42)},
}
WITHOUT_A_BIT_RATE = ("ulaw", "adpcm", "gsm", "mp3", "vorbis", "opus")  # codecs of a chain that names none

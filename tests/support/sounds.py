"""Small sound files in formats that libsndfile does not write, coded by FFmpeg."""

from pathlib import Path

import av
import numpy as np


def coded(path: Path, samples: np.ndarray, rate: int, container: str, codec: str, bit_rate: int | None = None) -> Path:
    """Write (T,) or (T, channels) samples in [-1, 1]."""
    channels = np.atleast_2d(samples.T).astype(np.float32)
    layout = "mono" if len(channels) == 1 else "stereo"
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        stream.codec_context.open()
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
        queue = av.AudioFifo()
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            queue.write(part)
        while (part := queue.read(stream.codec_context.frame_size or 4096, partial=True)) is not None:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return path

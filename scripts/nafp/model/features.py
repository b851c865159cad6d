"""The log-mel layer, from one second of audio to a small image (paper 3.1)."""

import numpy as np
import torch
from torch import Tensor, nn

from nafp.model.shapes import check_band

AMPLITUDE_FLOOR = 0.06  # added before the logarithm, as in the reference: the layer is not invariant to gain
MAX_SCOPES = ("segment", "batch")
SCALES = ("melspec", "melspec_maxnorm")
BANDS = 8  # groups of mel filters, each multiplied with its own bins only: four times faster than the full matrix


def slaney_hz(mel: np.ndarray) -> np.ndarray:
    """Slaney's mel scale in Hz: linear (200/3 Hz a mel) up to 1 kHz, then 27 mels for each factor of 6.4."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def slaney_mel(hz: float) -> float:
    """Inverse of ``slaney_hz``."""
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def mel_filters(sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    """(mels, n_fft // 2 + 1) triangular filters of unit area, computed in float64 and rounded to float32."""
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    edges = slaney_hz(np.linspace(slaney_mel(f_min), slaney_mel(f_max), n_mels + 2))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return (np.maximum(triangles, 0) * 2 / (high - low)).astype(np.float32)


def bands_of(n_mels: int) -> list[slice]:
    """The mel filters in BANDS groups of neighbours."""
    edges = np.linspace(0, n_mels, min(BANDS, n_mels) + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def covered_bins(filters: np.ndarray) -> slice:
    """The range of spectrum bins (columns) where any of the filters (rows) is not zero; one bin if none is."""
    used = np.flatnonzero(filters.any(axis=0))
    return slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)


class LogMel(nn.Module):
    """Log-mel spectrogram with its maximum at 0: (B, T) samples in [-1, 1] -> (B, mels, frames).

    Magnitude (not power) of a zero-padded STFT, Slaney mel filters, ``log10(mel + 0.06)``, minus the maximum.
    ``scale="melspec_maxnorm"`` then maps the minimum to -1 and the maximum to 1. ``max_scope="segment"`` takes both per
    segment, so that a fingerprint does not depend on its batch; ``"batch"`` over the whole batch, as the original code
    does.
    """

    def __init__(
        self,
        sample_rate: int = 8000,
        n_fft: int = 1024,
        hop: int = 256,
        n_mels: int = 256,
        f_min: float = 300.0,
        f_max: float = 4000.0,
        scale: str = "melspec",
        max_scope: str = "segment",
    ):
        super().__init__()
        for name, value, known in (("max_scope", max_scope, MAX_SCOPES), ("scale", scale, SCALES)):
            if value not in known:
                raise ValueError(f"unknown {name} {value!r}; known: {', '.join(known)}")
        check_band(f_min, f_max, sample_rate)
        self.n_fft, self.hop, self.scale, self.max_scope = n_fft, hop, scale, max_scope
        self.shape = n_mels, sample_rate // hop + 1  # (mels, frames) of a segment of 1 s
        filters = mel_filters(sample_rate, n_fft, n_mels, f_min, f_max)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)  # (mels, bins)
        self.bands = [(rows, covered_bins(filters[rows])) for rows in bands_of(n_mels)]
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)  # periodic

    def magnitude(self, x: Tensor) -> Tensor:
        """(B, T) -> (B, mels, frames) linear mel magnitudes."""
        padded = nn.functional.pad(x, (self.n_fft // 2, self.n_fft // 2))
        spectrum = torch.stft(padded, self.n_fft, self.hop, window=self.window, center=False, return_complex=True)
        power = torch.view_as_real(spectrum).square()
        magnitude = (power[..., 0] + power[..., 1]).sqrt()  # half the time of spectrum.abs()
        return torch.cat([self.filters[rows, bins] @ magnitude[:, bins] for rows, bins in self.bands], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        log_mel = torch.log10(self.magnitude(x) + AMPLITUDE_FLOOR)
        over = (1, 2) if self.max_scope == "segment" else (0, 1, 2)
        log_mel = log_mel - log_mel.amax(dim=over, keepdim=True)
        if self.scale == "melspec":
            return log_mel
        half = log_mel.amin(dim=over, keepdim=True) / 2
        return (log_mel - half) / (half + 1e-10).abs()

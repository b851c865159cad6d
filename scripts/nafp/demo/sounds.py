"""The instruments and drums of the demo corpus, synthesised at 8 kHz.

Every sound is a function that returns a 1-D float64 array of samples; the registries `INSTRUMENTS` and `DRUMS` give the
functions their names. Levels are relative (RMS near 1 for notes); the mix of a song sets them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator
from scipy import signal

from nafp.audio.segments import SAMPLE_RATE

NYQUIST = SAMPLE_RATE / 2
CYCLE = 4096  # samples of a wavetable: reading without interpolation then errs below -60 dB


@dataclass(frozen=True)
class Colour:
    """What makes two players of one instrument differ; drawn once per song and part."""

    brightness: float  # exponent on the harmonics: above 1 darker, below 1 brighter
    detune: float  # relative spread of the voices of an ensemble
    vibrato_hz: float
    pluck: float  # where a string is plucked, as a fraction of its length
    pitch: float  # tuning of drums and of FM modulators, 1 = nominal
    decay: float  # how long a struck sound rings, 1 = nominal


def draw_colour(rng: Generator) -> Colour:
    return Colour(
        brightness=rng.uniform(0.65, 1.35),
        detune=rng.uniform(0.002, 0.008),
        vibrato_hz=rng.uniform(4.3, 6.7),
        pluck=rng.uniform(0.08, 0.45),
        pitch=rng.uniform(0.8, 1.25),
        decay=rng.uniform(0.6, 1.6),
    )


def times(seconds: float) -> np.ndarray:
    return np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE


def band(x: np.ndarray, low: float | None, high: float | None, order: int = 2) -> np.ndarray:
    """Butterworth band of `x` from `low` to `high` Hz; None leaves that side open."""
    if low is None:
        sos = signal.butter(order, high, "low", fs=SAMPLE_RATE, output="sos")
    elif high is None:
        sos = signal.butter(order, low, "high", fs=SAMPLE_RATE, output="sos")
    else:
        sos = signal.butter(order, (low, high), "band", fs=SAMPLE_RATE, output="sos")
    return signal.sosfilt(sos, x)


def resonate(x: np.ndarray, hz: float, width_hz: float) -> np.ndarray:
    """`x` through a two-pole resonator with unit gain at its peak (about)."""
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE)
    poles = [1, -2 * radius * np.cos(2 * np.pi * hz / SAMPLE_RATE), radius**2]
    return signal.lfilter([1 - radius, 0, radius - 1], poles, x)


def unit_rms(x: np.ndarray) -> np.ndarray:
    return x / (np.sqrt(np.mean(x**2)) + 1e-12)


# ------------------------------------------------------------------------------------------------------- instruments
# A spectrum gives the amplitudes of the harmonics k = 1, 2, ... that lie at `hz`.
Spectrum = Callable[[np.ndarray, np.ndarray, Colour], np.ndarray]


def _bump(hz: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.exp(-(((hz - centre) / width) ** 2))


def _saw(k, hz, colour):
    return k**-colour.brightness


def _square(k, hz, colour):
    return (k % 2) * k**-colour.brightness


def _reed(k, hz, colour):
    return (0.12 + 0.88 * (k % 2)) * k**-0.8 * (0.2 + _bump(hz, 1200 / colour.brightness, 900))


def _flute(k, hz, colour):
    return np.exp(-1.1 * colour.brightness * (k - 1))


def _organ(k, hz, colour):
    drawbars = np.isin(k, (1, 2, 3, 4, 6, 8, 12, 16))
    return drawbars * np.abs(np.cos(k * colour.pluck * 9)) * k**-0.5 + (k == 1)


def _string(k, hz, colour):
    return np.abs(np.sin(np.pi * k * colour.pluck)) * k**-colour.brightness


def _brass(k, hz, colour):
    return k**-0.4 * (0.15 + _bump(hz, 900 / colour.brightness, 700))


def _vowel(k, hz, colour):
    return k**-0.5 * (_bump(hz, 650 * colour.pitch, 180) + 0.6 * _bump(hz, 1300 / colour.pitch, 250) + 0.05)


def _mallet(k, hz, colour):
    return np.isin(k, (1, 4, 10)) * k**-colour.brightness


def _wavetable(amplitudes: np.ndarray) -> np.ndarray:
    """One cycle, (CYCLE,), RMS 1, of harmonics 1, 2, ... with the given amplitudes."""
    bins = np.zeros(CYCLE // 2 + 1, complex)
    # Quadratic phases spread the energy over the cycle: lower peaks, so more room in the mix.
    bins[1 : len(amplitudes) + 1] = amplitudes * np.exp(0.6j * np.arange(len(amplitudes)) ** 2)
    return unit_rms(np.fft.irfft(bins))


def _envelope(t: np.ndarray, seconds: float, attack: float, decay: float, release: float) -> np.ndarray:
    """Linear attack, exponential decay (per second), linear release after `seconds`."""
    fade = np.clip((seconds + release - t) / release, 0, 1)
    return np.minimum(t / attack, 1) * np.exp(-decay * t) * fade


def harmonic(
    freq: float, seconds: float, colour: Colour, *, spectrum: Spectrum,
    attack=0.01, decay=0.0, release=0.08, shine=0.0, voices=1, vibrato=0.0, breath=0.0,
) -> np.ndarray:  # fmt: skip
    """A note of a harmonic spectrum. `shine` > 0: the overtones die away, at that rate per second, as on a string;
    `shine` < 0: they rise instead, as in brass. `breath` adds noise around the pitch."""
    t = times(seconds + release)
    k = np.arange(1, max(2, int(0.95 * NYQUIST / freq) + 1))
    bright = spectrum(k, k * freq, colour)
    dull = _wavetable(bright * 0.45 ** (k - 1))
    bright = _wavetable(bright)
    gloss = np.exp(-shine * t) if shine >= 0 else 1 - np.exp(shine * t)
    cycles = freq * t
    if vibrato:
        depth = vibrato * np.minimum(t / 0.4, 1)  # players let a note settle before they shake it
        cycles = cycles + depth * freq * np.sin(2 * np.pi * colour.vibrato_hz * t) / (2 * np.pi * colour.vibrato_hz)
    out = np.zeros_like(t)
    for voice in range(voices):
        spread = 1 + colour.detune * (voice - (voices - 1) / 2)
        at = (cycles * (spread * CYCLE) + voice * 0.37 * CYCLE).astype(np.int64) % CYCLE
        out += dull[at] + (bright - dull)[at] * gloss
    if breath:
        puff = np.random.default_rng(int(freq * 100)).standard_normal(len(t))
        out += breath * unit_rms(resonate(puff, min(2 * freq, 0.9 * NYQUIST), 0.5 * freq))
    return out / np.sqrt(voices) * _envelope(t, seconds, attack, decay / colour.decay, release)


def fm(freq, seconds, colour, *, ratio, index, fall, decay, attack=0.003, release=0.1) -> np.ndarray:
    """Two-operator FM: the modulator sits at `ratio` times the pitch; its index falls at `fall` per second."""
    t = times(seconds + release)
    index = min(index, 0.9 * NYQUIST / (freq * max(ratio, 1)))  # keeps the sidebands below the Nyquist frequency
    modulation = index * np.exp(-fall * t) * np.sin(2 * np.pi * freq * ratio * t)
    return (
        1.4 * np.sin(2 * np.pi * freq * t + modulation) * _envelope(t, seconds, attack, decay / colour.decay, release)
    )


# name -> function(freq Hz, seconds, colour) -> samples, a little longer than `seconds`: the release rings on
INSTRUMENTS: dict[str, Callable[[float, float, Colour], np.ndarray]] = {
    "flute": partial(harmonic, spectrum=_flute, attack=0.05, vibrato=0.006, breath=0.12),
    "clarinet": partial(harmonic, spectrum=_reed, attack=0.03, vibrato=0.003),
    "sax": partial(harmonic, spectrum=_brass, attack=0.03, vibrato=0.008, breath=0.06),
    "trumpet": partial(harmonic, spectrum=_brass, attack=0.02, shine=-14, vibrato=0.005),
    "horns": partial(harmonic, spectrum=_brass, attack=0.04, shine=-9, voices=3),
    "violin": partial(harmonic, spectrum=_saw, attack=0.07, vibrato=0.009),
    "voice": partial(harmonic, spectrum=_vowel, attack=0.06, vibrato=0.011),
    "saw lead": partial(harmonic, spectrum=_saw, voices=2, vibrato=0.004),
    "square lead": partial(harmonic, spectrum=_square, attack=0.005, vibrato=0.005),
    "organ": partial(harmonic, spectrum=_organ, attack=0.008, release=0.05, vibrato=0.002),
    "piano": partial(harmonic, spectrum=_string, attack=0.003, decay=1.6, shine=4, voices=2),
    "guitar": partial(harmonic, spectrum=_string, attack=0.002, decay=2.6, shine=6),
    "muted guitar": partial(harmonic, spectrum=_string, attack=0.002, decay=9, shine=16, release=0.04),
    "banjo": partial(harmonic, spectrum=_square, attack=0.002, decay=5, shine=5),
    "harp": partial(harmonic, spectrum=_string, attack=0.002, decay=2, shine=9, release=0.4),
    "marimba": partial(harmonic, spectrum=_mallet, attack=0.002, decay=6, shine=20, release=0.15),
    "vibraphone": partial(harmonic, spectrum=_mallet, attack=0.003, decay=1.3, shine=5, release=0.4),
    "strings": partial(harmonic, spectrum=_saw, attack=0.22, release=0.3, voices=3, vibrato=0.004),
    "choir": partial(harmonic, spectrum=_vowel, attack=0.18, release=0.3, voices=3, vibrato=0.008),
    "warm pad": partial(harmonic, spectrum=_square, attack=0.3, release=0.35, voices=3, shine=0.7),
    "electric piano": partial(fm, ratio=1, index=1.6, fall=3, decay=1.5),
    "tine piano": partial(fm, ratio=7, index=0.8, fall=8, decay=1.8),
    "bell": partial(fm, ratio=1.4, index=2.6, fall=2, decay=2.2, release=0.5),
    "glass": partial(fm, ratio=3.53, index=1.2, fall=4, decay=3, release=0.4),
    "finger bass": partial(harmonic, spectrum=_string, attack=0.004, decay=2, shine=7, release=0.05),
    "saw bass": partial(harmonic, spectrum=_saw, attack=0.004, decay=1, shine=3, voices=2, release=0.04),
    "square bass": partial(harmonic, spectrum=_square, attack=0.004, decay=1.2, shine=1.5, release=0.04),
    "fm bass": partial(fm, ratio=2, index=3, fall=7, decay=2, release=0.05),
}


# ------------------------------------------------------------------------------------------------------------- drums
def _burst(rng, seconds, decay, low, high):
    """Noise from `low` to `high` Hz, dying at `decay` per second, peak near 1."""
    t = times(seconds)
    return 0.9 * unit_rms(band(rng.standard_normal(len(t)), low, high)) * np.exp(-decay * t)


def _thump(seconds, decay, hz, sweep, colour):
    """A membrane: a sine whose pitch falls from (1 + sweep) * hz to hz."""
    t = times(seconds)
    phase = hz * colour.pitch * (t + sweep * (1 - np.exp(-30 * t)) / 30)
    return np.sin(2 * np.pi * phase) * np.exp(-decay / colour.decay * t)


def _kick(colour, rng):
    click = _burst(rng, 0.35, 180, 500, 3000)
    return 1.6 * _thump(0.35, 11, 50, 4, colour) + 0.5 * click


def _snare(colour, rng):
    rattle = _burst(rng, 0.3, 17 / colour.decay, 900 * colour.pitch, 3800)
    return 0.8 * rattle + 0.7 * _thump(0.3, 22, 185, 0.6, colour)


def _rim(colour, rng):
    return _burst(rng, 0.08, 70, 1400 * colour.pitch, 2600) + _thump(0.08, 60, 480, 0.2, colour)


def _clap(colour, rng):
    out = _burst(rng, 0.3, 20 / colour.decay, 800, 2200 * colour.pitch)
    for late in rng.integers(60, 130, size=2):  # several hands
        out[late:] += out[:-late]
    return 0.7 * out


def _hat(colour, rng, decay=55.0):
    return 0.5 * _burst(rng, 4 / decay + 0.05, decay / colour.decay, 2700 * colour.pitch**0.5, None)


def _ride(colour, rng):
    t = times(0.6)
    pings = sum(np.sin(2 * np.pi * hz * colour.pitch**0.5 * t) for hz in (1710, 2330, 3110))
    return 0.25 * pings * np.exp(-9 * t) + 0.6 * _burst(rng, 0.6, 8, 2400, None)


def _crash(colour, rng):
    return 0.8 * _burst(rng, 1.6, 3 / colour.decay, 1500, None)


def _tom(colour, rng, hz=110.0):
    return _thump(0.4, 9, hz, 0.8, colour) + 0.2 * _burst(rng, 0.4, 60, 400, 2500)


# name -> function(colour, rng) -> samples; each call is a fresh stroke
DRUMS: dict[str, Callable[[Colour, Generator], np.ndarray]] = {
    "kick": _kick, "snare": _snare, "rim": _rim, "clap": _clap, "ride": _ride, "crash": _crash,
    "hat": _hat, "open": partial(_hat, decay=12.0), "shaker": partial(_hat, decay=35.0),
    "tom1": partial(_tom, hz=190.0), "tom2": partial(_tom, hz=140.0), "tom3": partial(_tom, hz=100.0),
}  # fmt: skip

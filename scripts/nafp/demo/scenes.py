"""The recording conditions of the demo corpus, synthesised at 8 kHz: babble, background noises, impulse responses."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from scipy import signal

from nafp.audio.segments import SAMPLE_RATE
from nafp.demo.sounds import NYQUIST, band, resonate, times, unit_rms

VOWELS = (  # formants in Hz, rounded averages of Peterson & Barney (1952)
    (730, 1090, 2440),  # father
    (530, 1840, 2480),  # bet
    (270, 2290, 3010),  # heed
    (570, 840, 2410),  # bought
    (300, 870, 2240),  # who
    (500, 1500, 2500),  # the
)


# ------------------------------------------------------------------------------------------------------------ speech
def _vowel(seconds: float, hz_from: float, hz_to: float, tract: float, rng: Generator) -> np.ndarray:
    """A voiced glide between two vowels; `tract` scales the formants (above 1: a shorter vocal tract)."""
    t = times(seconds)
    hz = np.linspace(hz_from, hz_to, len(t)) * (1 + 0.01 * np.sin(2 * np.pi * 5 * t))
    phase = np.cumsum(hz) / SAMPLE_RATE % 1
    glottis = (1 - phase) ** 3 + 0.04 * rng.standard_normal(len(t))  # a sharp closure and some air
    glottis -= glottis.mean()
    glide = np.linspace(0, 1, len(t))
    out = np.zeros(len(t))
    for weight, vowel in ((1 - glide, rng.integers(len(VOWELS))), (glide, rng.integers(len(VOWELS)))):
        for gain, formant in zip((1, 0.7, 0.4), VOWELS[vowel], strict=True):
            out += weight * gain * resonate(glottis, min(formant * tract, 0.9 * NYQUIST), 60 + formant * 0.04)
    return unit_rms(out) * np.sin(np.pi * np.clip(t / seconds, 0, 1)) ** 0.5


def _consonant(rng: Generator) -> np.ndarray:
    """A fricative (long) or a plosive (short): a noise of a random colour."""
    plosive = rng.random() < 0.5
    t = times(rng.uniform(0.015, 0.03) if plosive else rng.uniform(0.05, 0.11))
    noise = unit_rms(resonate(rng.standard_normal(len(t)), rng.uniform(900, 3600), rng.uniform(500, 1500)))
    return rng.uniform(0.15, 0.5) * noise * (np.exp(-90 * t) if plosive else np.hanning(len(t)))


def speech(rng: Generator, seconds: float) -> np.ndarray:
    """One voice speaking no language: phrases of syllables with a falling pitch, and pauses."""
    out = np.zeros(int(seconds * SAMPLE_RATE))
    pitch, tract, pace = rng.uniform(85, 230), rng.uniform(0.9, 1.2), rng.uniform(0.75, 1.3)
    at, left, said = rng.uniform(0, 0.3) * SAMPLE_RATE, 0, 0
    while at < len(out):
        if left == said:  # breathe, then begin a new phrase
            at, left, said = at + rng.uniform(0.1, 0.5) * SAMPLE_RATE, int(rng.integers(4, 14)), 0
        height = pitch * (1.25 - 0.4 * said / left) * rng.uniform(0.92, 1.1)
        vowel = _vowel(pace * rng.uniform(0.09, 0.26), height * rng.uniform(0.95, 1.15), height, tract, rng)
        for sound in (_consonant(rng), rng.uniform(0.5, 1.0) * vowel):
            start = int(at)
            out[start : start + len(sound)] += sound[: max(len(out) - start, 0)]
            at += 0.9 * len(sound)  # speech overlaps: sounds run into each other
        said += 1
    return unit_rms(out) + 0.01 * coloured(rng, len(out), 1)  # a pause is never digital silence


# ------------------------------------------------------------------------------------------------------------ noises
def coloured(rng: Generator, n: int, slope: float) -> np.ndarray:
    """(n,) noise whose power falls as 1 / f**slope (0 white, 1 pink, 2 brown), RMS 1."""
    bins = np.fft.rfft(rng.standard_normal(n))
    hz = np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), 20)  # below 20 Hz the slope would be all there is
    return unit_rms(np.fft.irfft(bins * hz ** (-slope / 2), n))


def _wander(rng: Generator, n: int, seconds: float) -> np.ndarray:
    """(n,) a smooth random curve in 0..1 that turns about every `seconds`."""
    knots = rng.random(max(4, int(n / SAMPLE_RATE / seconds) + 3))
    smooth = (1 - np.cos(np.pi * np.linspace(0, 1, 256, endpoint=False))) / 2
    curve = (knots[:-1, None] + np.diff(knots)[:, None] * smooth).ravel()
    return np.interp(np.linspace(0, len(curve) - 1, n), np.arange(len(curve)), curve)


def _scatter(rng: Generator, n: int, per_second: float, sound: Callable[[], np.ndarray]) -> np.ndarray:
    """(n,) independent sounds at random times, at random levels."""
    out = np.zeros(n)
    for start in rng.integers(0, n, size=max(1, rng.poisson(per_second * n / SAMPLE_RATE))):
        one = sound()[: n - start]
        out[start : start + len(one)] += rng.exponential() * one
    return out


def _rain(rng, n):
    drops = rng.standard_normal(n) * (rng.random(n) < rng.uniform(0.01, 0.06))
    return resonate(drops, rng.uniform(1500, 3000), 900) * 8 + 0.25 * coloured(rng, n, 0.3) * (0.5 + _wander(rng, n, 2))


def _hum(rng, n):
    t = np.arange(n) / SAMPLE_RATE
    mains, harmonics = rng.choice([50.0, 60.0]), np.arange(1, 25)
    amplitudes = rng.random(24) / harmonics ** rng.uniform(0.3, 1)
    buzz = sum(a * np.sin(2 * np.pi * mains * k * t + k * k) for k, a in zip(harmonics, amplitudes, strict=True))
    return buzz * (0.8 + 0.2 * _wander(rng, n, 1)) + 0.15 * coloured(rng, n, 1)


def _cutlery(rng, n):
    def ping():
        t = times(rng.uniform(0.1, 0.5))
        hz = rng.uniform(1200, 2600) * np.array([1, 1.21, 1.48])
        return sum(np.sin(2 * np.pi * f * t) for f in hz) * np.exp(-rng.uniform(15, 60) * t)

    return _scatter(rng, n, rng.uniform(2, 7), ping) + 0.15 * _crowd(rng, n, voices=2) + 0.05 * coloured(rng, n, 1)


def _crowd(rng, n, voices=7):
    seconds = n / SAMPLE_RATE
    talk = sum(rng.uniform(0.3, 1) * speech(rng, seconds)[:n] for _ in range(voices))
    return band(talk, 150, 3000) + 0.15 * coloured(rng, n, 1.2)


def _traffic(rng, n):
    def passing():
        t = times(rng.uniform(2, 5))
        return coloured(rng, len(t), rng.uniform(0.8, 1.6)) * np.hanning(len(t)) ** 2

    return _scatter(rng, n, 0.6, passing) + 0.4 * coloured(rng, n, 1.8)


def _wind(rng, n):
    gusts = [resonate(rng.standard_normal(n), hz, 0.5 * hz) * _wander(rng, n, 1.2) ** 2 for hz in (250, 450, 800, 1300)]
    return sum(gusts) + 0.02 * coloured(rng, n, 1)


def _machine(rng, n):
    t = np.arange(n) / SAMPLE_RATE
    stroke = np.exp(-rng.uniform(5, 25) * (t * rng.uniform(2, 9) % 1))
    whirr = signal.sawtooth(2 * np.pi * rng.uniform(90, 320) * t * (1 + 1e-4 * _wander(rng, n, 3)))
    return stroke * coloured(rng, n, 0.6) + 0.25 * band(whirr, 200, 3000)


def _vinyl(rng, n):
    clicks = rng.standard_normal(n) * (rng.random(n) < 0.002) * 12
    return band(clicks, 500, 3500) + 0.4 * coloured(rng, n, 0.8)


def _fan(rng, n):
    blades = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(8, 30) * np.arange(n) / SAMPLE_RATE)
    return blades * resonate(coloured(rng, n, 0.8), rng.uniform(200, 900), 400)


def _birds(rng, n):
    def chirp():
        t = times(rng.uniform(0.05, 0.2))
        phase = rng.uniform(1800, 3300) * t + rng.uniform(-2500, 2500) * t**2
        return np.sin(2 * np.pi * phase) * np.hanning(len(t))

    return _scatter(rng, n, rng.uniform(3, 8), chirp) + 0.12 * coloured(rng, n, 1)


def _keyboard(rng, n):
    def key():
        t = times(0.06)
        return resonate(rng.standard_normal(len(t)), rng.uniform(700, 3000), 600) * np.exp(-90 * t)

    return _scatter(rng, n, rng.uniform(4, 9), key) + 0.02 * coloured(rng, n, 1)


# name -> function(rng, n) -> (n,) samples at any level
NOISES: dict[str, Callable[[Generator, int], np.ndarray]] = {
    "hiss": lambda rng, n: coloured(rng, n, rng.uniform(-0.6, 0.2)),
    "pink": lambda rng, n: coloured(rng, n, rng.uniform(0.8, 1.2)),
    "brown": lambda rng, n: coloured(rng, n, rng.uniform(1.6, 2.2)),
    "rain": _rain, "hum": _hum, "cutlery": _cutlery, "crowd": _crowd, "traffic": _traffic, "wind": _wind,
    "machine": _machine, "vinyl": _vinyl, "fan": _fan, "birds": _birds, "keyboard": _keyboard,
}  # fmt: skip


# -------------------------------------------------------------------------------------------------- impulse responses
def room_ir(rng: Generator) -> np.ndarray:
    """A room: direct sound at sample 0, early reflections, and a diffuse tail that darkens as it decays.

    Length: until the tail is 60 dB down, at most 1 s. The direct sound is the peak.
    """
    rt60 = np.exp(rng.uniform(np.log(0.15), np.log(1.2)))  # s, from a car to a small hall
    t = times(min(rt60, 1.0))
    size = 0.01 + 0.04 * rt60  # s between a wall and the next: larger rooms ring longer
    ir = np.zeros(len(t))
    for delay in np.minimum(rng.uniform(0.1, 2, size=rng.integers(6, 16)) * size, t[-1]):
        ir[int(delay * SAMPLE_RATE)] += rng.choice([-1, 1]) * rng.uniform(0.2, 0.7) * size / (size + delay)
    ir = signal.lfilter([0.6, 0.4], [1], ir)  # walls absorb the highs
    tail = np.zeros(len(t))
    for low, high, ring in ((None, 400, 1.0), (400, 1500, rng.uniform(0.7, 1.0)), (1500, None, rng.uniform(0.35, 0.8))):
        tail += band(rng.standard_normal(len(t)), low, high) * 10 ** (-3 * t / (rt60 * ring))
    tail *= 1 - np.exp(-t / size)  # the echoes need a while to become dense
    reverb = ir + tail * np.sqrt(np.sum(ir**2) / np.sum(tail**2)) * rng.uniform(0.5, 2)
    direct_to_reverb = 10 ** (rng.uniform(-4, 12) / 20)
    reverb /= max(direct_to_reverb * np.sqrt(np.sum(reverb**2)), np.abs(reverb).max() / 0.9)
    reverb[0] = 1
    return reverb


def mic_ir(rng: Generator) -> np.ndarray:
    """A recording device of 20 to 75 ms: band limits, a few resonances, and a reflection inside its case."""
    n = int(rng.uniform(0.020, 0.075) * SAMPLE_RATE)
    ir = np.zeros(n)
    ir[0] = 1
    ir[rng.integers(3, 16)] += rng.uniform(-0.5, 0.5)
    order = int(rng.integers(1, 4))
    ir = band(ir, rng.uniform(60, 350), None, order)
    ir = band(ir, None, rng.uniform(2200, 3800), order)
    dry = ir.copy()
    for _ in range(rng.integers(1, 5)):
        hz = np.exp(rng.uniform(np.log(250), np.log(3500)))
        ir += rng.uniform(-0.7, 1.5) * resonate(dry, hz, hz / rng.uniform(2, 12))
    return ir * np.cos(np.linspace(0, np.pi / 2, n))  # fades out, so that the cut does not click

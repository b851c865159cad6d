"""The band of the demo corpus: `render` has a planned song played, mixed and mastered.

A song repeats itself as music does, and never exactly: players err in time and force, phrases are varied on the way,
filters move slowly. So two segments of a song are easy to confuse, and no two are the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy import signal

from nafp.audio.segments import SAMPLE_RATE
from nafp.demo.idioms import BAR_STEPS, BEAT_STEPS, DRUM_GAINS, FORCE, LEVELS
from nafp.demo.scenes import coloured, room_ir
from nafp.demo.song import Part, Section, Song, calm_or_full, material, pick, read_pattern, vary, vary_pattern
from nafp.demo.sounds import DRUMS, INSTRUMENTS, unit_rms

PEAK = 0.97
HISS = 0.004  # RMS relative to the music's: the noise floor of a good tape, so that rests are not digital silence


@dataclass(frozen=True)
class Moment:
    """One bar of the performance."""

    start_step: int
    section: Section
    bar: int  # within the section
    next_root: int  # degree of the chord that follows the bar


Note = tuple[int, int, int, float]  # (step in the bar, steps long, MIDI pitch, force)


def render(song: Song, seconds: float, rng: Generator) -> np.ndarray:
    """The first `seconds` of a song: (round(seconds * 8000),) samples with a peak of at most 0.97."""
    n = round(seconds * SAMPLE_RATE)
    bars = _timeline(song, seconds)
    mix = np.zeros(n)
    for role, part in song.parts.items():
        mix += part.gain * _sway(_perform(song, role, bars, n, rng), part.sway_hz, rng)
    if song.has_drums:
        mix += _drum(song, bars, n, rng)
    return _master(mix, song, rng)


def _timeline(song: Song, seconds: float) -> list[Moment]:
    """The sections played round and round until the clip is full."""
    steps = BAR_STEPS[song.metre]
    order = [(section, bar) for section in song.sections for bar in range(len(section.bars))]
    count = int((song.start_s + seconds) / (steps * song.step_s)) + 1
    moments = []
    for i in range(count):
        (section, bar), (following, next_bar) = order[i % len(order)], order[(i + 1) % len(order)]
        moments.append(Moment(i * steps, section, bar, following.bars[next_bar][0]))
    return moments


# ----------------------------------------------------------------------------------------------------------- players
def _pitch(song: Song, degree: int) -> int:
    """MIDI pitch, from the lowest octave up, of a degree of the scale; 7 is the octave."""
    octave, step = divmod(degree, len(song.scale))
    return song.tonic + 12 * octave + song.scale[step]


def _above(pitch: int, low: int) -> int:
    """The pitch moved by octaves into the twelve semitones from `low`."""
    return low + (pitch - low) % 12


def _chord(song: Song, moment: Moment, step: int) -> tuple[int, ...]:
    """Degrees of the root, third, fifth and seventh (or octave) of the chord at a step of the bar."""
    chords = moment.section.bars[moment.bar]
    root = chords[step * len(chords) // BAR_STEPS[song.metre]]
    return root, root + 2, root + 4, root + (6 if song.sevenths else 7)


def _pattern(part: Part, moment: Moment, rng: Generator) -> str:
    pattern = part.patterns[calm_or_full(moment.section.kind)]
    return vary_pattern(pattern, rng) if rng.random() < 0.25 else pattern


def _play_bass(song: Song, part: Part, moment: Moment, rng: Generator) -> Iterator[Note]:
    for step, length, symbol in read_pattern(_pattern(part, moment, rng)):
        if symbol == "a":
            degree = moment.next_root + pick(rng, (-1, 1))
        else:
            degree = _chord(song, moment, step)[int(symbol)]
        yield step, length, _above(_pitch(song, degree), part.low) + 12 * (symbol == "3"), 1.0


def _play_chords(song: Song, part: Part, moment: Moment, rng: Generator) -> Iterator[Note]:
    low = part.low + 3 * (moment.bar % 4 == 3)  # another inversion now and then
    for step, length, _ in read_pattern(_pattern(part, moment, rng)):
        pitches = {_above(_pitch(song, degree), low) for degree in _chord(song, moment, step)}
        for pitch in sorted(pitches):
            yield step, length, pitch, rng.uniform(0.7, 1.0)


def _play_arpeggio(song: Song, part: Part, moment: Moment, rng: Generator) -> Iterator[Note]:
    for step, length, symbol in read_pattern(_pattern(part, moment, rng)):
        degree = _chord(song, moment, step)[int(symbol)]
        yield step, length, _above(_pitch(song, degree), part.low) + 12 * (symbol == "3"), 0.9


def _play_melody(song: Song, part: Part, moment: Moment, rng: Generator) -> Iterator[Note]:
    """The theme of the section; on long and on stressed notes it moves to the nearest tone of the chord."""
    theme = song.themes[material(moment.section.kind)]
    motif = theme[moment.bar % len(theme)]
    if rng.random() < 0.3:
        motif = vary(motif, rng)
    for step, length, degree in motif:
        if length >= 4 or step % BEAT_STEPS[song.metre] == 0:
            tones = [tone % 7 for tone in _chord(song, moment, step)[:3]]
            degree = min((degree + move for move in (0, 1, -1, 2)), key=lambda d: (d % 7 not in tones, abs(d - degree)))
        pitch = _above(_pitch(song, 0), part.low) + _pitch(song, degree) - _pitch(song, 0)
        if length >= 4 and rng.random() < 0.12:  # a grace note from above
            yield step, 1, pitch + 2, 0.7
            step, length = step + 1, length - 1
        yield step, length, pitch, 1.0


def _play_counter(song: Song, part: Part, moment: Moment, rng: Generator) -> Iterator[Note]:
    """Thirds and sevenths, the tones that tell one chord from another."""
    for step, length, _ in read_pattern(_pattern(part, moment, rng)):
        degree = _chord(song, moment, step)[pick(rng, (1, 1, 3, 2))]
        yield step, length, _above(_pitch(song, degree), part.low), 0.9


PLAYERS = {
    "bass": _play_bass,
    "comp": _play_chords,
    "pad": _play_chords,
    "arp": _play_arpeggio,
    "melody": _play_melody,
    "counter": _play_counter,
}


# ------------------------------------------------------------------------------------------------------- performance
def _moments_of(role: str, bars: list[Moment]) -> Iterator[Moment]:
    return (bar for bar in bars if bar.bar >= bar.section.entries.get(role, len(bar.section.bars)))


def _onset_s(song: Song, moment: Moment, step: int, rng: Generator) -> float:
    """When a player hits a step of the bar, in seconds of the clip: swung, and never quite on time."""
    late = song.swing * {2: 1.0, 3: 0.5}.get(step % 4, 0.0)
    return (moment.start_step + step + late) * song.step_s - song.start_s + rng.normal(0, song.looseness)


def _force(song: Song, moment: Moment, step: int, rng: Generator) -> float:
    section = moment.section
    stress = 1.0 if step == 0 else 0.9 if step % BEAT_STEPS[song.metre] == 0 else 0.75
    swell = 1 + section.swell * moment.bar / len(section.bars)
    return stress * swell * LEVELS[section.kind] * rng.lognormal(0, 0.15)


def _perform(song: Song, role: str, bars: list[Moment], n: int, rng: Generator) -> np.ndarray:
    """(n,) the track of one part. A note is synthesised once for each pitch and length it occurs with."""
    part, track, notes = song.parts[role], np.zeros(n), {}
    for moment in _moments_of(role, bars):
        for step, length, midi, force in PLAYERS[role](song, part, moment, rng):
            if (midi, length) not in notes:
                freq = 440 * 2 ** ((midi + song.tuning - 69) / 12)
                notes[midi, length] = INSTRUMENTS[part.instrument](freq, 0.92 * length * song.step_s, part.colour)
            gain = force * _force(song, moment, step, rng)
            _add(track, notes[midi, length], _onset_s(song, moment, step, rng), gain)
    return track


def _drum(song: Song, bars: list[Moment], n: int, rng: Generator) -> np.ndarray:
    """(n,) the drum track: the section's groove with small liberties, a fill at its end, a crash after that."""
    track = np.zeros(n)
    takes = {name: [sound(song.kit, rng) for _ in range(3)] for name, sound in DRUMS.items()}
    for moment in _moments_of("drums", bars):
        for name, pattern in _groove(song, moment, rng).items():
            for step, _, symbol in read_pattern(pattern):
                gain = DRUM_GAINS[name] * FORCE[symbol] * _force(song, moment, step, rng)
                _add(track, pick(rng, takes[name]), _onset_s(song, moment, step, rng), gain)
    return track


def _groove(song: Song, moment: Moment, rng: Generator) -> dict[str, str]:
    groove = dict(song.grooves[calm_or_full(moment.section.kind)])
    if rng.random() < 0.4:
        name = pick(rng, sorted(groove))
        groove[name] = vary_pattern(groove[name], rng)
    steps, fill = BAR_STEPS[song.metre], int(pick(rng, (0, 4, 6, 8)))
    if moment.bar == len(moment.section.bars) - 1 and fill:
        groove = {name: pattern[: steps - fill] + "-" * fill for name, pattern in groove.items()}
        for name in ("snare", "tom1", "tom2", "tom3"):
            strokes = "".join(pick(rng, "xo.---") for _ in range(fill))
            groove[name] = groove.get(name, "-" * steps)[: steps - fill] + strokes
    if moment.bar == 0 and rng.random() < 0.6:
        groove["crash"] = "x" + "-" * (steps - 1)
    return groove


def _add(track: np.ndarray, sound: np.ndarray, at_s: float, gain: float) -> None:
    """Add a sound into the track, in place; the part outside the track is cut off."""
    start = round(at_s * SAMPLE_RATE)
    sound = sound[max(-start, 0) :]
    start = max(start, 0)
    piece = sound[: max(len(track) - start, 0)]
    track[start : start + len(piece)] += gain * piece


# --------------------------------------------------------------------------------------------------------- mastering
def _sway(track: np.ndarray, hz: float, rng: Generator) -> np.ndarray:
    """The track through a low-pass that opens and closes slowly, with a little tremolo against it."""
    pole = np.exp(-2 * np.pi * 900 / SAMPLE_RATE)
    dark = signal.lfilter([1 - pole], [1, -pole], track)
    turn = 2 * np.pi * hz * np.arange(len(track)) / SAMPLE_RATE + rng.uniform(0, 2 * np.pi)
    return (dark + (track - dark) * (0.65 + 0.35 * np.sin(turn))) * (1 + 0.12 * np.cos(1.7 * turn))


def _master(mix: np.ndarray, song: Song, rng: Generator) -> np.ndarray:
    """One room for all, a soft clip that evens out the peaks, and the level of the record."""
    room = room_ir(rng)
    room[0] = 0  # the direct sound is the mix itself
    mix = unit_rms(mix) + song.reverb * unit_rms(signal.oaconvolve(mix, room)[: len(mix)])
    mix = unit_rms(mix) + HISS * coloured(rng, len(mix), 0.5)
    mix = unit_rms(np.tanh(song.drive * mix))
    return mix * min(10 ** (song.level_db / 20), PEAK / np.abs(mix).max())

"""The composer of the demo corpus: `plan_song` decides all that is settled before a note sounds."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from nafp.demo import idioms
from nafp.demo.sounds import Colour, draw_colour

Motif = tuple[tuple[int, int, int], ...]  # (step, steps long, degree of the scale relative to the theme)
Bar = tuple[int, ...]  # the degrees of its chords


@dataclass(frozen=True)
class Section:
    kind: str
    bars: tuple[Bar, ...]
    entries: dict[str, int]  # role -> the bar at which it enters
    swell: float  # relative change of force from the first bar to the last


@dataclass(frozen=True)
class Part:
    """One player: what they play on, where, and their patterns for calm ("verse") and full ("chorus") sections."""

    instrument: str
    colour: Colour
    low: int  # MIDI note
    gain: float
    patterns: dict[str, str]
    sway_hz: float  # the filter or tremolo that moves slowly through the song


@dataclass(frozen=True)
class Song:
    """All that is decided before a note sounds."""

    tonic: int  # MIDI note, 0..11
    tuning: float  # semitones off concert pitch
    scale: tuple[int, ...]
    sevenths: bool
    metre: str
    step_s: float  # a sixteenth note
    swing: float  # how late off-beats are, in steps
    looseness: float  # s, spread of the players' timing
    sections: tuple[Section, ...]  # played round and round
    parts: dict[str, Part]
    themes: dict[str, tuple[Motif, ...]]  # one motif a bar, by section kind
    grooves: dict[str, dict[str, str]]  # section kind -> its groove
    kit: Colour
    has_drums: bool
    start_s: float  # the clip begins this far into the song
    reverb: float
    drive: float
    level_db: float  # RMS in dBFS


def pick(rng: Generator, options):
    return options[rng.integers(len(options))]


def read_pattern(pattern: str) -> Iterator[tuple[int, int, str]]:
    """(step, steps long, symbol) of every note of a pattern."""
    for note in re.finditer(r"([^.\-])\.*", pattern):
        yield note.start(), len(note.group()), note.group(1)


# ---------------------------------------------------------------------------------------------------------- planning
def plan_song(rng: Generator) -> Song:
    metre = pick(rng, ("4/4", "4/4", "4/4", "4/4", "3/4", "6/8"))
    step_s = 60 / rng.uniform(70, 170) / 4
    parts = {role: _plan_part(role, metre, rng) for role in _hire(rng)}
    has_drums = rng.random() < 0.85
    grooves = {"verse": pick(rng, idioms.GROOVES[metre]), "chorus": pick(rng, idioms.GROOVES[metre])}
    return Song(
        tonic=int(rng.integers(12)),
        tuning=rng.uniform(-0.35, 0.35),
        scale=idioms.SCALES[pick(rng, ("major", "minor", *idioms.SCALES))],
        sevenths=rng.random() < 0.4,
        metre=metre,
        step_s=step_s,
        swing=pick(rng, (0.0, 0.0, 0.3, 0.67)) if metre == "4/4" else 0.0,
        looseness=rng.uniform(0.004, 0.012),
        sections=_plan_sections(step_s * idioms.BAR_STEPS[metre], {*parts, *(["drums"] if has_drums else [])}, rng),
        parts=parts,
        themes={kind: _compose_theme(metre, rng) for kind in ("verse", "chorus", "bridge")},
        grooves=grooves,
        kit=draw_colour(rng),
        has_drums=has_drums,
        start_s=rng.uniform(0, 2),
        reverb=rng.uniform(0.05, 0.3),
        drive=rng.uniform(0.2, 0.45),
        level_db=rng.uniform(-23, -13),
    )


def _hire(rng: Generator) -> list[str]:
    """The roles of a song: a tune, a bass, and two or three that carry the harmony."""
    harmony = [idioms.HARMONY[i] for i in rng.permutation(3)[: rng.integers(2, 4)]]
    return ["bass", *harmony, "melody", *(["counter"] if rng.random() < 0.5 else [])]


def _plan_part(role: str, metre: str, rng: Generator) -> Part:
    instruments, lows, gain = idioms.ENSEMBLE[role]
    steps = idioms.BAR_STEPS[metre]
    options = {
        "bass": idioms.BASS_LINES[metre],
        "comp": idioms.COMPS[metre],
        "arp": idioms.ARPEGGIOS[metre],
        "pad": ("x" + "." * (steps - 1), "x" + "." * (steps // 2 - 1) + "x" + "." * (steps // 2 - 1)),
        "counter": idioms.TUNES[metre],
        "melody": idioms.TUNES[metre],
    }[role]
    return Part(
        instrument=pick(rng, instruments),
        colour=draw_colour(rng),
        low=int(rng.integers(*lows)),
        gain=gain * rng.uniform(0.7, 1.3),
        patterns={"verse": pick(rng, options), "chorus": pick(rng, options)},
        sway_hz=rng.uniform(0.07, 0.4),
    )


def _plan_sections(bar_s: float, roles: set[str], rng: Generator) -> tuple[Section, ...]:
    chords = {kind: pick(rng, idioms.PROGRESSIONS) for kind in ("verse", "chorus", "bridge")}
    count = 2 if bar_s > 2.4 else 4 if bar_s > 1.2 else 8  # so that a section lasts about 5 to 10 s
    return tuple(_plan_section(kind, count, chords[material(kind)], roles, rng) for kind in pick(rng, idioms.FORMS))


def material(kind: str) -> str:
    """The kind of section whose chords and themes a section borrows."""
    return {"intro": "verse", "break": "chorus"}.get(kind, kind)


def calm_or_full(kind: str) -> str:
    return "chorus" if kind in ("chorus", "bridge") else "verse"


def _plan_section(kind: str, count: int, chords: tuple[Bar, ...], roles: set[str], rng: Generator) -> Section:
    if kind in ("intro", "break"):
        count = max(2, count // 2)
    bars = [chords[bar % len(chords)] for bar in range(count)]
    if rng.random() < 0.4:  # the relative chord, a third below, stands in for one
        bars[rng.integers(1, count)] = ((bars[-1][0] + 5) % 7,)
    playing = [role for role in idioms.LINEUPS[kind] if role in roles]
    steady = [role for role in idioms.STEADIEST if role in playing][:2]  # they keep the music from stopping
    others = [role for role in playing if role not in steady]
    if len(others) > 1 and rng.random() < 0.6:
        others.remove(pick(rng, others))
    entries = {role: int(rng.integers(1, count)) if rng.random() < 0.2 else 0 for role in others}
    return Section(kind, tuple(bars), dict.fromkeys(steady, 0) | entries, rng.uniform(-0.1, 0.3))


# ---------------------------------------------------------------------------------------------------------- melodies
def _compose_motif(metre: str, rng: Generator) -> Motif:
    degree, notes = int(rng.integers(-2, 5)), []
    for step, length, _ in read_pattern(pick(rng, idioms.TUNES[metre])):
        notes.append((step, length, degree))
        degree += pick(rng, (-2, -1, -1, 0, 1, 1, 2, 3 if degree < 2 else -3))  # a leap turns back to the middle
    return tuple(notes)


def _compose_theme(metre: str, rng: Generator) -> tuple[Motif, ...]:
    """Two motifs laid out over four bars; where one returns it is developed."""
    motifs = {"A": _compose_motif(metre, rng), "B": _compose_motif(metre, rng)}
    form = pick(rng, ("AAAB", "ABAB", "AABA", "ABBA", "AABB"))
    return tuple(motifs[name] if name not in form[:bar] else vary(motifs[name], rng) for bar, name in enumerate(form))


def _transpose(motif: Motif, rng: Generator) -> Motif:
    shift = pick(rng, (-2, -1, 1, 2))
    return tuple((step, length, degree + shift) for step, length, degree in motif)


def _turn_tail(motif: Motif, rng: Generator) -> Motif:
    half = len(motif) // 2
    pivot = motif[half][2]
    return motif[:half] + tuple((step, length, 2 * pivot - degree) for step, length, degree in motif[half:])


def _divide(motif: Motif, rng: Generator) -> Motif:
    """One long note becomes two, the second a neighbour."""
    i = int(np.argmax([length for _, length, _ in motif]))
    step, length, degree = motif[i]
    if length < 2:
        return motif
    half = length // 2
    halves = ((step, half, degree), (step + half, length - half, degree + pick(rng, (-1, 1))))
    return motif[:i] + halves + motif[i + 1 :]


def _omit(motif: Motif, rng: Generator) -> Motif:
    i = int(rng.integers(len(motif)))
    return motif[:i] + motif[i + 1 :] if len(motif) > 2 else motif


def _move_one(motif: Motif, rng: Generator) -> Motif:
    i = int(rng.integers(len(motif)))
    step, length, degree = motif[i]
    return motif[:i] + ((step, length, degree + pick(rng, (-2, -1, 1, 2))),) + motif[i + 1 :]


VARIATIONS = (_transpose, _turn_tail, _divide, _omit, _move_one)


def vary(motif: Motif, rng: Generator) -> Motif:
    return pick(rng, VARIATIONS)(motif, rng)


def vary_pattern(pattern: str, rng: Generator) -> str:
    """Another character at one place after the first: a note more, a note less."""
    at = int(rng.integers(1, len(pattern)))
    return pattern[:at] + (pick(rng, pattern) if pattern[at] in ".-" else ".") + pattern[at + 1 :]

"""The demo corpus: reproducible to the bit, laid out as the paper's data, and varied enough to fingerprint."""

from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal

from nafp.audio.segments import SAMPLE_RATE
from nafp.demo.band import render
from nafp.demo.corpus import SHELVES, TEST_NOISES, TRAIN_NOISES, write_corpus
from nafp.demo.idioms import ARPEGGIOS, BAR_STEPS, BASS_LINES, COMPS, GROOVES, TUNES
from nafp.demo.scenes import NOISES, mic_ir, room_ir, speech
from nafp.demo.song import calm_or_full, plan_song, read_pattern, vary_pattern
from nafp.demo.sounds import DRUMS, INSTRUMENTS, draw_colour

SONGS = {"train": 2, "val": 1, "test": 2, "dummy": 1}
CLIP_S = 3.0
TRAIN = "music/train-10k-30s/000"
VAL = "music/val-query-db-500-30s/db/000"
TEST = "music/test-query-db-500-30s/db/000"
DUMMY = "music/test-dummy-db-100k-full/000"


def digests(root: Path) -> dict[str, str]:
    return {p.relative_to(root).as_posix(): sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()}


def song(number: int, seconds: float = 30.0) -> np.ndarray:
    rng = np.random.default_rng((0, 11, number))
    return render(plan_song(rng), seconds, rng)


def log_spectrum(x: np.ndarray) -> np.ndarray:
    """(bands, frames) log magnitudes above 300 Hz, where fingerprints look."""
    hz, _, bins = signal.stft(x, SAMPLE_RATE, nperseg=1024, noverlap=768)
    return np.log10(np.abs(bins[hz >= 300]) + 1e-5)


def decibels(ratio: float) -> float:
    return 20 * np.log10(ratio)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    write_corpus(root, SONGS, clip_s=CLIP_S)
    return root


@pytest.fixture(scope="module")
def songs() -> list[np.ndarray]:
    return [song(number) for number in range(8)]


# -------------------------------------------------------------------------------------------------------------- files
def test_layout(corpus):
    files = set(digests(corpus))
    music = {name for name in files if name.startswith("music/")}
    assert music == {
        f"{TRAIN}/000000.wav", f"{TRAIN}/000001.wav", f"{VAL}/000002.wav",
        f"{TEST}/000003.wav", f"{TEST}/000004.wav", f"{DUMMY}/000005.wav",
    }  # fmt: skip
    for shelf in SHELVES:
        assert sum(Path(name).parent.as_posix() == shelf.folder for name in files) == shelf.count, shelf.folder
    assert len(files) == len(music) + sum(shelf.count for shelf in SHELVES)  # no temporary file is left


def test_format_and_length(corpus):
    lengths = {"music": {CLIP_S}, "aug/bg": {10.0}, "aug/speech": {6.0}}
    for path in corpus.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.samplerate, info.channels) == ("WAV", "PCM_16", 8000, 1), path
        for folder, seconds in lengths.items():
            if path.is_relative_to(corpus / folder):
                assert info.frames / 8000 in seconds, path


def test_every_file_differs(corpus):
    found = digests(corpus)
    assert len(set(found.values())) == len(found)


def test_bit_identical_whatever_the_workers(corpus, tmp_path):
    write_corpus(tmp_path, SONGS, clip_s=CLIP_S, workers=2)
    assert digests(tmp_path) == digests(corpus)


def test_a_song_depends_on_its_place_in_its_split_only(corpus, tmp_path):
    write_corpus(tmp_path, {"train": 0, "val": 0, "test": 1, "dummy": 2}, clip_s=CLIP_S, workers=2)
    small, large = digests(tmp_path), digests(corpus)
    assert small[f"{TEST}/000000.wav"] == large[f"{TEST}/000003.wav"]
    assert small[f"{DUMMY}/000001.wav"] == large[f"{DUMMY}/000005.wav"]
    assert all(small[name] == large[name] for name in small if name.startswith("aug/"))


def test_another_seed_is_another_corpus(corpus, tmp_path):
    write_corpus(tmp_path, {"train": 1, "val": 0, "test": 0, "dummy": 0}, seed=1, clip_s=CLIP_S, workers=2)
    assert not set(digests(tmp_path).values()) & set(digests(corpus).values())


@pytest.mark.parametrize(
    "wrong", [{"songs": {"train": 1}}, {"songs": SONGS | {"val": -1}}, {"clip_s": 0.0}, {"workers": 0}]
)
def test_wrong_arguments_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="songs needs|must"):
        write_corpus(tmp_path, **{"songs": SONGS} | wrong)
    assert not any(tmp_path.iterdir())


def test_a_failing_worker_is_heard(tmp_path):
    first = tmp_path / SHELVES[0].folder / f"{SHELVES[0].label(0)}.wav"
    first.mkdir(parents=True)  # a folder where a file should go
    with pytest.raises(OSError):
        write_corpus(tmp_path, {"train": 1, "val": 0, "test": 0, "dummy": 0}, clip_s=1.0, workers=2)
    assert not list(tmp_path.rglob("*.part"))


# -------------------------------------------------------------------------------------------------------------- music
def test_songs_are_sound(songs):
    for x in songs:
        assert x.shape == (30 * SAMPLE_RATE,) and np.isfinite(x).all()
        rms = np.sqrt(np.mean(x**2))
        assert np.abs(x).max() <= 0.97 and -25 < decibels(rms) < -12
        halves = np.lib.stride_tricks.sliding_window_view(x, SAMPLE_RATE // 2)[::400]
        assert decibels(np.sqrt(np.mean(halves**2, axis=1)).min() / rms) > -25  # no silence of half a second


def test_songs_differ(songs):
    """Correlated at every shift of up to 2 s, no two songs look alike; a song of itself would give 1."""
    looks = []
    for x in songs:
        look = log_spectrum(x[: 10 * SAMPLE_RATE])
        looks.append((look - look.mean()) / look.std() / np.sqrt(look.size))
    shift = 2 * SAMPLE_RATE // 256
    for a, b in combinations(looks, 2):
        correlation = signal.fftconvolve(a, b[::-1, ::-1], mode="full")[len(a) - 1]
        middle = len(correlation) // 2
        assert correlation[middle - shift : middle + shift + 1].max() < 0.8


def test_sections_repeat_but_never_exactly(songs):
    for x in songs:
        pcm = np.round(x * 32767).astype(np.int16)
        segments = np.lib.stride_tricks.sliding_window_view(pcm, SAMPLE_RATE)[:: SAMPLE_RATE // 2]
        assert len({segment.tobytes() for segment in segments}) == len(segments) == 59
        parts = np.lib.stride_tricks.sliding_window_view(log_spectrum(x), 30, axis=1)[:, ::15]
        parts = parts.transpose(1, 0, 2).reshape(parts.shape[1], -1)
        parts = parts - parts.mean(axis=1, keepdims=True)
        parts /= np.linalg.norm(parts, axis=1, keepdims=True)
        alike = np.triu(parts @ parts.T, k=3)  # segments that do not overlap
        assert 0.3 < alike.max() < 0.99


def test_a_plan_follows_from_its_random_numbers_and_any_length_can_be_played():
    rngs = [np.random.default_rng(5) for _ in range(2)]
    first, second = (plan_song(rng) for rng in rngs)
    assert first == second
    for seconds in (0.5, 1.2345, 7.0):
        assert len(render(first, seconds, rngs[0])) == round(seconds * SAMPLE_RATE)


def test_plans_are_varied_and_never_fall_silent():
    plans = [plan_song(np.random.default_rng(number)) for number in range(200)]
    assert len({plan.metre for plan in plans}) == 3
    assert {part.instrument for plan in plans for part in plan.parts.values()} == set(INSTRUMENTS)
    bpm = [15 / plan.step_s for plan in plans]
    assert 70 <= min(bpm) < 80 and 160 < max(bpm) <= 170
    for plan in plans:
        for section in plan.sections:
            steady = [role for role, bar in section.entries.items() if bar == 0 and role != "drums"]
            assert len(steady) >= 2
            assert set(section.entries) - {"drums"} <= set(plan.parts)
            assert calm_or_full(section.kind) in plan.grooves


def test_patterns_fill_their_bar():
    for metre, steps in BAR_STEPS.items():
        tonal = [*BASS_LINES[metre], *COMPS[metre], *ARPEGGIOS[metre], *TUNES[metre]]
        drums = [pattern for groove in GROOVES[metre] for pattern in groove.values()]
        assert {len(pattern) for pattern in tonal + drums} == {steps}
        assert {name for groove in GROOVES[metre] for name in groove} <= set(DRUMS)
    assert list(read_pattern("-x..0-a.")) == [(1, 3, "x"), (4, 1, "0"), (6, 2, "a")]
    varied = vary_pattern("x...x...", np.random.default_rng(0))
    assert len(varied) == 8 and varied[0] == "x"


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_instruments_play_in_tune(name):
    """The strongest partial is a harmonic of the note; bell and glass have none, being inharmonic."""
    colour = draw_colour(np.random.default_rng(0))
    for freq in (110.0, 440.0, 1200.0):
        note = INSTRUMENTS[name](freq, 1.0, colour)
        assert np.isfinite(note).all() and 1.0 <= len(note) / SAMPLE_RATE < 1.6
        assert note[-1] == pytest.approx(0, abs=0.01)
        partial = np.abs(np.fft.rfft(note * np.hanning(len(note)))).argmax() * SAMPLE_RATE / len(note) / freq
        if name not in ("bell", "glass"):
            assert abs(partial - round(partial)) < 0.02 * max(partial, 1)


@pytest.mark.parametrize("name", DRUMS)
def test_drums_strike_and_decay(name):
    rng = np.random.default_rng(0)
    stroke = DRUMS[name](draw_colour(rng), rng)
    quarter = len(stroke) // 4
    assert np.isfinite(stroke).all() and 0.05 < np.abs(stroke).max() < 4
    assert np.sum(stroke[:quarter] ** 2) > 10 * np.sum(stroke[-quarter:] ** 2)


# ------------------------------------------------------------------------------------------------------------- scenes
@pytest.mark.parametrize("number", range(12))
def test_rooms(number):
    ir = room_ir(np.random.default_rng(number))
    assert 0.15 <= len(ir) / SAMPLE_RATE <= 1.0
    assert np.abs(ir).argmax() == 0
    energy = np.cumsum(ir[::-1] ** 2)[::-1]  # Schroeder's decay curve
    assert 10 * np.log10(energy[int(0.9 * len(ir))] / energy[0]) < -25
    head, tail = ir[: len(ir) // 4], ir[len(ir) // 2 : 3 * len(ir) // 4]
    assert np.sum(tail**2) < 0.1 * np.sum(head**2)


@pytest.mark.parametrize("number", range(12))
def test_microphones(number):
    ir = mic_ir(np.random.default_rng(number))
    assert (len(ir) + 1) / SAMPLE_RATE >= 0.020 and len(ir) / SAMPLE_RATE <= 0.075
    assert np.abs(ir).argmax() < 0.003 * SAMPLE_RATE
    assert np.sum(ir[len(ir) // 2 :] ** 2) < 0.05 * np.sum(ir**2)
    response = np.abs(np.fft.rfft(ir, 2048))
    assert response[:6].max() < 0.5 * response.max()  # nothing below 25 Hz


def test_written_impulse_responses_peak_at_099_in_the_first_milliseconds(corpus):
    for path in (corpus / "aug/ir").rglob("*.wav"):
        ir = soundfile.read(path)[0]
        assert np.abs(ir).max() == pytest.approx(0.99, abs=1e-3)
        assert np.abs(ir).argmax() < 24


def test_noise_kinds_differ():
    """Each pair of kinds differs in its spectrum or in how its level moves."""
    looks = []
    for i, sound in enumerate(NOISES.values()):
        x = sound(np.random.default_rng(i), 4 * SAMPLE_RATE)
        assert x.shape == (4 * SAMPLE_RATE,) and np.isfinite(x).all()
        bins = np.abs(signal.stft(x / x.std(), SAMPLE_RATE, nperseg=256)[2])
        third_octaves = np.add.reduceat(bins, np.unique(np.geomspace(1, 120, 18).astype(int)), axis=0)
        looks.append(np.append(decibels(third_octaves.mean(axis=1)), 20 * np.log10(1 + bins.sum(axis=0).std())))
    for a, b in combinations(looks, 2):
        assert np.abs(a - b).max() > 2


def test_splits_hear_partly_different_noises(corpus):
    assert set(TRAIN_NOISES) - set(TEST_NOISES) and set(TEST_NOISES) - set(TRAIN_NOISES)
    assert set(TRAIN_NOISES) & set(TEST_NOISES)
    for path in (corpus / "aug/bg").rglob("*.wav"):
        x = soundfile.read(path)[0]
        assert -40 < decibels(x.std()) < -15 and np.abs(x).max() <= 0.98


def test_speech_has_pauses_but_no_digital_silence():
    for number in range(4):
        x = speech(np.random.default_rng(number), 6.0)
        assert len(x) == 6 * SAMPLE_RATE and np.isfinite(x).all()
        level = np.sqrt(np.mean(x.reshape(-1, 400) ** 2, axis=1))
        assert level.min() > 0 and np.mean(level < 0.1 * level.max()) > 0.02

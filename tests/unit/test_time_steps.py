"""Speed, tempo and pitch: frequencies and places by hand, alignment with the anchor, and what must not change."""

import math

import numpy as np
import pytest
import torch
from audio_splits import FEATURES, split

from nafp.audio.pools import AudioPool
from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.augment.queries import pack_queries
from nafp.augment.steps import rates_of
from nafp.model.features import LogMel
from nafp.training.batches import Batches, generator_for

SECONDS = torch.arange(80_000, dtype=torch.float64) / 8000
SPEED, SLOW = {"speed": {"percent": [25, 25]}}, {"speed": {"percent": [-20, -20]}}
TEMPO, PITCH = {"tempo": {"factor": [1.25, 1.25]}}, {"pitch": {"semitones": [-3, -3]}}
CASES = [  # steps, song seconds a second of the copy, ratio of frequencies
    ([SPEED], 1.25, 1.25),
    ([SLOW], 0.8, 0.8),
    ([TEMPO], 1.25, 1),
    ([{"tempo": {"factor": [0.5, 0.5]}}], 0.5, 1),
    ([PITCH], 1, 2 ** (-3 / 12)),
    ([{"pitch": {"semitones": [6, 6]}}], 1, 2 ** (6 / 12)),
    ([SPEED, PITCH], 1.25, 1.25 * 2 ** (-3 / 12)),
]


def moved(clip: torch.Tensor, *steps) -> torch.Tensor:
    time = Chain(steps).time
    return time.move(clip, time.draw(1, generator_for(0)))


def frequency(x: torch.Tensor) -> float:
    """Hz, of a tone."""
    n = 2**19
    return torch.fft.rfft(x * torch.hann_window(len(x)), n).abs().argmax().item() * 8000 / n


@pytest.mark.parametrize(("steps", "rate", "ratio"), CASES)
@pytest.mark.parametrize("hz", [200, 2000])
def test_tones_have_the_frequency_and_the_length_that_the_steps_say(steps, rate, ratio, hz):
    tone = torch.sin(2 * math.pi * hz * SECONDS).float()
    copy = moved(tone, *steps)
    assert len(copy) == round(80_000 / rate)
    middle = copy[4000:-4000]
    assert frequency(middle) == pytest.approx(hz * ratio, abs=0.1)
    assert middle.square().mean().sqrt() == pytest.approx(math.sqrt(0.5), rel=0.05)


@pytest.mark.parametrize(("steps", "rate", "ratio"), CASES)
def test_what_was_heard_at_a_time_is_heard_when_the_rate_says(steps, rate, ratio):
    """A click a second; a phase vocoder smears it over its window of 64 ms, and moves it by half of that at most."""
    clicks = torch.zeros(80_000)
    clicks[8000::8000] = 1
    copy = moved(clicks, *steps)
    for second in range(1, 10):
        at = round(8000 * second / rate)
        weights = copy[at - 1000 : at + 1000].square()
        centre = (weights * torch.arange(len(weights))).sum() / weights.sum() - 1000
        assert abs(centre) < (2 if steps in ([SPEED], [SLOW]) else 256), second


def test_faster_reading_mirrors_no_frequencies():
    tone = torch.sin(2 * math.pi * 3900 * SECONDS).float()
    assert moved(tone, SPEED)[1000:-1000].abs().max() < 1e-3  # it would be 4875 Hz, mirrored to 3125


@pytest.mark.parametrize("silent", [0, 5000])
@pytest.mark.parametrize("step", ["speed", "tempo", "pitch"])
def test_a_row_that_no_step_acts_on_is_as_it_was(step, silent):
    noise = torch.randn(20_000, generator=generator_for(1))
    noise[:silent] = 0  # digital silence has no phases
    torch.testing.assert_close(moved(noise, {step: {"p": 0}}), noise, atol=1e-5, rtol=0)


def test_factors_are_drawn_from_the_range():
    time = Chain([{"speed": {"percent": [-20, 20], "p": 0.5}}]).time
    rates = time.draw(4000, generator_for(0))["resample"]
    assert (rates == 1).double().mean() == pytest.approx(0.5, abs=0.05)
    assert 0.8 <= rates.min() < 0.81 and 1.19 < rates.max() <= 1.2
    assert torch.equal(rates, time.draw(4000, generator_for(0))["resample"])


@pytest.mark.parametrize(
    ("steps", "rates"),
    [
        ([], (1, 1)),
        ([{"speed": None}], (0.95, 1.05)),
        ([{"pitch": {"semitones": [-6, 6]}}, {"background": {}}], (1, 1)),
        ([{"speed": {"percent": [10, 20], "p": 0.5}}], (1, 1.2)),
        ([{"speed": {"percent": [-50, -20]}}, {"tempo": {"factor": [2, 2]}}], (1, 1.6)),
    ],
)
def test_rates_of_a_chain_are_known_while_planning(steps, rates):
    assert rates_of(steps) == pytest.approx(rates)


# ---------------------------------------------------------------- training


def batches(*steps, songs: Split | None = None, **options) -> Batches:
    songs = songs or split(0, clips=6)
    return Batches(songs, LogMel(**FEATURES), Chain(steps), 12, 1, 0, torch.device("cpu"), **options)


@pytest.mark.parametrize("context_s", [0.0, 0.5])
@pytest.mark.parametrize(("steps", "rate", "ratio"), CASES)
def test_a_replica_begins_where_its_anchor_begins(steps, rate, ratio, context_s):
    """It is the second after that place of the whole song's copy at another speed."""
    b = batches(*steps, context_s=context_s)
    plan = b.plan(np.array([0, 1, 6, 7, 11, 13]), generator_for(0))
    replicas = b.waves(plan, range(12))[6:]
    for replica, start in zip(replicas, torch.as_tensor(plan.start[6:]).tolist(), strict=True):
        song = start // 24_000
        copy = moved(torch.from_numpy(b.split.audio[24_000 * song : 24_000 * (song + 1)] / np.float32(32768)), *steps)
        wanted = copy[round(start % 24_000 / rate) :][:8000]
        wanted = torch.nn.functional.pad(wanted, (0, 8000 - len(wanted)))
        both = torch.stack([replica, wanted])[:, 100:-100]
        if "stretch" in plan.time:  # phases differ by where the vocoder began
            both = b.log_mel(both).flatten(1)
        assert torch.corrcoef(both)[0, 1] > (0.9 if "stretch" in plan.time else 0.999)


def test_beyond_the_end_of_its_song_a_replica_is_silent():
    loud = Split.of_clips(
        [np.full(8000, 20_000, np.int16), np.full(24_000, 20_000, np.int16)] * 6, [f"x/{i}" for i in range(12)]
    )
    b = batches({"speed": {"percent": [25, 25]}}, songs=loud)
    replicas = b.waves(b.plan(np.array([0, 1]), generator_for(0)), range(4))[2:]
    assert replicas[0, :6300].min() > 0.5 and replicas[0, 6500:].abs().max() < 0.05
    assert replicas[1].min() > 0.5


def test_some_rows_are_the_same_rows_and_splices_are_as_fast():
    steps = {"time_offset": {}}, {"tempo": {}}, {"speed": {}}, {"splice": {"p": 1, "at_s": [0.5, 0.5]}}
    b = batches(*steps, context_s=0.2)
    plan, rows = b.plan(np.arange(6), generator_for(0)), range(1, 12, 3)
    torch.testing.assert_close(b.waves(plan, rows), b.waves(plan, range(12))[list(rows)])
    for name in ("stretch", "resample"):
        assert torch.equal(plan.spliced.time[name], plan.time[name]) and len(plan.time[name].unique()) == 6


def test_steps_on_time_change_no_other_draw():
    with_speed, without = (
        batches(*steps, {"peak_normalize": {}}, {"cutout": {}}).plan(np.arange(6), generator_for(0))
        for steps in ([{"speed": {"p": 0}}], [])
    )
    assert (with_speed.start == without.start).all() and not without.time
    assert len(without.values()) == len(with_speed.values()) - 4


# ---------------------------------------------------------------- query sets


def queries(tmp_path, *steps, seed: int = 0, songs: Split | None = None) -> Split:
    songs = songs or split(3, clips=3, samples=40_000)
    pack_queries(songs, tmp_path / "q.npy", tmp_path / "q.csv", Chain(steps), seed)
    return Split.open(tmp_path / "q.npy")


def test_a_query_set_states_its_rates_and_has_its_own_lengths(tmp_path):
    songs = split(3, clips=3, samples=40_000)
    found = queries(tmp_path, {"speed": {"percent": [-20, 20]}}, songs=songs)
    rates = found.clips["rate"]
    assert rates.nunique() == 3 and rates.between(0.8, 1.2).all()
    assert found.clips["samples"].tolist() == [round(40_000 / rate) for rate in rates]
    assert len(found.audio) == found.clips["samples"].sum()
    again = queries(tmp_path, {"speed": {"percent": [-20, 20]}}, songs=songs)
    np.testing.assert_array_equal(again.audio, found.audio)
    for clip, rate in zip(found.clips.itertuples(), rates, strict=True):
        place = int(songs.clips["start"].iloc[clip.Index])
        n = np.arange(1000, clip.samples - 1000)
        heard = np.interp(n * rate, np.arange(40_000), songs.audio[place : place + 40_000])
        copy = found.audio[clip.start : clip.start + clip.samples][n]
        assert np.corrcoef(heard, copy)[0, 1] > 0.9  # the songs have noise up to 4 kHz, which lines do not follow


def test_where_time_does_not_move_the_table_is_that_of_the_songs(tmp_path):
    songs = split(3, clips=3, samples=40_000)
    for steps in ([], [{"pitch": {"semitones": [-2, 2]}}], [{"speed": {"p": 0}}]):
        found = queries(tmp_path, *steps, songs=songs)
        assert found.clips.drop(columns="sha256").equals(songs.clips) and len(found.audio) == len(songs.audio)


def test_an_excerpt_leaves_neither_its_clip_nor_the_array():
    pool = AudioPool(Split.of_clips([np.arange(1, 9001), np.arange(10_001, 19_001)], ["x/a", "x/b"]))
    starts, first, end = (
        torch.tensor([-5, 8990, 8990, 17_990]),
        torch.tensor([0, 0, 9000, 9000]),
        [9000, 9000, 18_000, 18_000],
    )
    found = (pool.cut_inside(starts, 20, first, torch.tensor(end)) * 32768).round().int()
    whole = [*range(1, 9001), *range(10_001, 19_001)]
    for row, start, low, high in zip(found.tolist(), starts.tolist(), first.tolist(), end, strict=True):
        assert row == [whole[i] if low <= i < high else 0 for i in range(start, start + 20)]

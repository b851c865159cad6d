"""One test or more a step: hand-computed effects, bounds, and what must not change."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from steps import applied, noise, pool, rng

from nafp.audio.codecs import WITHOUT_A_BIT_RATE
from nafp.audio.wav import onset
from nafp.augment import masks
from nafp.augment.base import rms
from nafp.augment.chain import Chain, draws_of_rows
from nafp.augment.codec import Codec
from nafp.augment.crop import TimeOffset
from nafp.augment.filters import HighPass, LowPass
from nafp.augment.level import Gain, PeakNormalize, scale_peak
from nafp.augment.noise import Noise, mix_at_snr
from nafp.augment.response import ImpulseResponse
from nafp.errors import UserError


def masked(step, images: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """What an image step makes of images, and where its holes are."""
    draws = step.draw(images.shape, rng(seed))
    return step.apply(images, draws), step.mask(images, draws).expand(images.shape)


@given(st.integers(-4000, 0), st.integers(0, 4000), st.integers(0, 2**32), st.integers(1, 4))
def test_time_offset_stays_inside_the_clip_and_near(low, high, seed, positives):
    bounds = torch.full((64,), low), torch.full((64,), high)
    offsets = TimeOffset(0.2).draw(*bounds, positives, rng(seed))
    assert offsets.shape == (64, 1 + positives)
    assert offsets.min() >= low
    assert offsets.max() <= high
    assert offsets[:, 0].abs().max() <= 1600
    assert (offsets[:, :1] - offsets).abs().max() <= 1600


@given(st.integers(-4000, 0), st.integers(0, 4000), st.integers(0, 2**32), st.booleans())
def test_crops_of_a_query_stay_near_its_place(low, high, seed, frozen):
    """The first is where an anchor would be."""
    bounds, ids = (torch.full((64,), low), torch.full((64,), high)), torch.arange(64)
    offsets = TimeOffset(0.2, frozen).draw(*bounds, 1, rng(seed), ids, from_place=True)
    assert offsets.min() >= low and offsets.max() <= high and offsets.abs().max() <= 1600
    assert torch.equal(offsets[:, 0], TimeOffset(0.2, frozen).draw(*bounds, 1, rng(seed), ids)[:, 0])
    assert high - low < 20 or (offsets[:, 0] != offsets[:, 1]).any()


def test_time_offset_reaches_both_ends():
    offsets = TimeOffset(0.001).draw(torch.full((4000,), -4000), torch.full((4000,), 4000), 1, rng())
    assert set(offsets[:, 0].tolist()) == set(range(-8, 9))
    assert set((offsets[:, 1] - offsets[:, 0]).tolist()) == set(range(-8, 9))


def test_frozen_offsets_belong_to_the_segment():
    bounds, ids = (torch.full((3,), -4000), torch.full((3,), 4000)), torch.tensor([7, 8, 9])
    step = TimeOffset(frozen=True)
    first, again = step.draw(*bounds, 1, rng(0), ids), step.draw(*bounds, 1, rng(1), ids.flip(0))
    assert torch.equal(first, again.flip(0))
    assert not torch.equal(TimeOffset().draw(*bounds, 1, rng(0)), TimeOffset().draw(*bounds, 1, rng(1)))


@pytest.mark.parametrize("snr", [-5.0, 0.0, 7.0])
def test_mix_has_the_signal_to_noise_ratio_and_leaves_the_signal(snr):
    x, n = torch.randn(3, 8000), torch.randn(3, 8000) * torch.tensor([[1.0], [10.0], [0.01]])
    added = mix_at_snr(x, n, torch.full((3, 1), snr)) - x
    measured = 20 * torch.log10(rms(x) / rms(added))
    torch.testing.assert_close(measured, torch.full((3, 1), snr), atol=1e-3, rtol=0)


def test_silent_noise_and_silent_signal_stay_finite():
    silence, sound = torch.zeros(1, 8000), torch.randn(1, 8000)
    snr = torch.zeros(1, 1)
    torch.testing.assert_close(mix_at_snr(sound, silence, snr), sound)
    torch.testing.assert_close(mix_at_snr(silence, sound, snr), silence)
    torch.testing.assert_close(scale_peak(silence, 1.0), silence)


def test_background_and_speech_draw_from_their_pools():
    x = torch.randn(4, 8000)
    chains = [
        Chain([{name: {"snr_db": [0, 0]}}], {"bg": pool(noise(seed=1)), "speech": pool(noise(seed=2))})
        for name in ("background", "speech")
    ]
    background, speech = (chain.degrade(x, chain.draw_wave(4, 8000, rng())) for chain in chains)
    assert not torch.equal(background, speech)
    assert not torch.equal(background, x)


def test_excerpts_come_from_one_clip_each():
    clips = [np.full(9000, value) for value in (100, 200, 300)]
    sounds = pool(*clips)
    cut = sounds.cut(sounds.random_starts(200, 8000, rng()), 8000) * 32768
    assert set(cut[:, 0].round().int().tolist()) == {100, 200, 300}
    assert (cut == cut[:, :1]).all()


def test_a_clip_shorter_than_the_excerpt_is_repeated_from_its_start():
    """As NMFP's code does; longer ones are cut as they were."""
    clips = [np.arange(8000), np.arange(10_000, 22_000), np.arange(0, -20_000, -1)]
    for sounds in (pool(*clips), pool(*reversed(clips)), pool(clips[0])):
        starts = sounds.random_starts(50, 16_000, rng())
        found = (sounds.cut_repeated(starts, 16_000, sounds.samples_of(starts)) * 32768).round().int()
        for row, start in zip(found.numpy(), starts.tolist(), strict=True):
            if row[1] < 0:
                assert torch.equal(torch.from_numpy(row), (sounds.cut([start], 16_000)[0] * 32768).round().int())
            else:
                np.testing.assert_array_equal(row, np.resize(clips[0] if row[1] == 1 else clips[1], 16_000))
    x = torch.randn(4, 16_000)
    chain = Chain([{"background": None}], {"bg": pool(noise(seed=1))})
    assert chain.degrade(x, chain.draw_wave(4, 16_000, rng())).isfinite().all()


def test_music_before_a_segment_is_zeros_before_its_clip():
    clips = pool(np.arange(1, 9001), np.arange(10001, 19001))
    starts, clip_starts = torch.tensor([100, 9000, 9300, 9999]), torch.tensor([0, 9000, 9000, 9000])
    found = (clips.cut_with_past(starts, 50, 300, clip_starts) * 32768).round().int()
    for row, start, first in zip(found, starts.tolist(), clip_starts.tolist(), strict=True):
        whole = np.concatenate([np.arange(1, 9001), np.arange(10001, 19001)])
        expected = [int(whole[i]) if i >= first else 0 for i in range(start - 300, start + 50)]
        assert row.tolist() == expected


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_convolution_against_the_sum(mode):
    x, response = torch.randn(2, 50), np.random.default_rng(0).integers(-9000, 9000, 7)
    expected = torch.zeros(2, 50)
    for n in range(50):
        for k in range(7):
            if n - k >= 0 or mode == "circular":
                expected[:, n] += x[:, n - k] * response[k] / 32768
    found = applied(ImpulseResponse(mode=mode), x, pool=pool(response))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_response_longer_than_the_signal_is_not_wrapped():
    x, response = torch.randn(2, 50), np.random.default_rng(0).integers(-9000, 9000, 140)
    expected = np.stack([np.convolve(row, response / 32768)[:50] for row in x.numpy()])
    found = applied(ImpulseResponse(max_samples=None), x, pool=pool(response))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_reverberation_is_fed_by_the_past():
    """An echo after 100 samples brings what came before the segment into it."""
    echo = pool(np.array([0] * 100 + [32767]))
    x = torch.randn(1, 8100)
    found = applied(ImpulseResponse(), x, pool=echo)[:, -8000:]
    torch.testing.assert_close(found, x[:, :8000] * 32767 / 32768, atol=1e-4, rtol=0)


def test_levels_are_those_of_the_segment_not_of_its_past():
    x = torch.cat([100 * torch.randn(2, 500), torch.randn(2, 8000)], dim=1)
    torch.testing.assert_close(scale_peak(x, 0.5)[:, -8000:].abs().amax(dim=1), torch.tensor([0.5, 0.5]))
    n = torch.randn(2, 8500)
    added = (mix_at_snr(x, n, torch.zeros(2, 1)) - x)[:, -8000:]
    torch.testing.assert_close(rms(added), rms(x), atol=1e-3, rtol=1e-3)


def test_impulse_response_chooses_its_kind():
    responses = pool(np.array([32767] + [0] * 9), np.array([0, 32767] + [0] * 8), kinds=("room", "mic"))
    x = torch.randn(8, 100)
    room = applied(ImpulseResponse(kinds=["room"]), x, pool=responses)
    mic = applied(ImpulseResponse(kinds=["mic"]), x, pool=responses)
    torch.testing.assert_close(room, x * 32767 / 32768, atol=1e-5, rtol=0)
    torch.testing.assert_close(mic[:, 1:], x[:, :-1] * 32767 / 32768, atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="no impulse responses of kind hall; there are: mic, room"):
        applied(ImpulseResponse(kinds=["hall"]), x, pool=responses)


def test_every_pool_has_its_own_responses():
    """Pools that come and go, so that one lies where another has been."""
    step, x = ImpulseResponse(), torch.ones(1, 10)
    levels = [1000 * (i + 1) for i in range(30)]
    found = [float(applied(step, x, pool=pool(np.array([level])))[0, 0]) for level in levels]
    np.testing.assert_allclose(found, np.array(levels) / 32768, rtol=1e-4)
    assert len(step._banks) == 0  # none is kept longer than its pool


@pytest.mark.parametrize(
    "response, begins",
    [
        ([0, 0, 32767, 5000, 0], 2),  # the peak
        ([300, -300, 4000, 20000, -32768, 900], 2),  # the first of the loud ones: 18 dB below the peak
        ([0, 0, 0], 0),
        ([], 0),
    ],
)
def test_the_onset_of_a_response(response, begins):
    assert onset(np.array(response, np.int16)) == begins


LATE = np.array([0] * 2000 + [32767])  # a direct sound after 250 ms


@pytest.mark.parametrize(
    "options, for_queries, delay",
    [
        ({}, False, 2000),
        ({}, True, 0),
        ({"trim": True}, False, 0),
        ({"trim": False}, True, 2000),
        ({"trim": True, "max_samples": 600}, False, 0),  # the first 600 samples from the direct sound on
        ({"mode": "circular"}, True, 0),
    ],
)
def test_queries_are_not_delayed_by_their_response(options, for_queries, delay):
    chain = Chain([{"impulse_response": options}], {"ir": pool(LATE)}, for_queries=for_queries)
    x = torch.randn(2, 8000)
    found = chain.degrade(x, chain.draw_wave(2, 8000, rng()))
    torch.testing.assert_close(found[:, delay:], x[:, : 8000 - delay] * 32767 / 32768, atol=1e-4, rtol=0)
    assert found[:, :delay].abs().sum() < 0.1


def test_peak_normalize_sets_the_peak():
    peaks = applied(PeakNormalize(peak_db=(-20, -6)), torch.randn(500, 100)).abs().amax(dim=1)
    decibels = 20 * torch.log10(peaks)
    assert -20.001 <= decibels.min() < -19
    assert -7 < decibels.max() <= -5.999


def test_gain_scales_by_decibels():
    x = torch.randn(500, 100)
    ratio = applied(Gain(db=(-20, 6)), x) / x
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(x))
    decibels = 20 * torch.log10(ratio[:, 0])
    assert -20.001 <= decibels.min() < -18
    assert 4 < decibels.max() <= 6.001


@pytest.mark.parametrize("step, passed, stopped", [(LowPass, 200, 3000), (HighPass, 3000, 200)])
def test_filters_halve_the_power_at_the_cutoff(step, passed, stopped):
    t = torch.arange(8000) / 8000
    tones = torch.stack([torch.sin(2 * torch.pi * hz * t) for hz in (passed, 800, stopped)])
    found = applied(step(cutoff_hz=(800, 800)), tones)[:, 1000:-1000]
    decibels = 20 * torch.log10(rms(found) / rms(tones))[:, 0]
    torch.testing.assert_close(decibels[:2], torch.tensor([0.0, -3.01]), atol=0.1, rtol=0)
    assert decibels[2] < -40


@pytest.mark.parametrize(
    "codec, at_least_db", [(name, {"ulaw": 30, "adpcm": 15}.get(name, 5)) for name in WITHOUT_A_BIT_RATE]
)
def test_codecs_change_the_signal_but_do_not_move_it(codec, at_least_db):
    t = np.arange(8000) / 8000
    x = sum(np.sin(2 * np.pi * hz * t + hz) for hz in (230, 517, 1290)) * (0.2 + 0.1 * np.sin(2 * np.pi * 3 * t))
    x = torch.from_numpy(x[None].astype(np.float32)).repeat(2, 1)
    found = applied(Codec(names=[codec]), x)
    assert found.shape == x.shape
    error = 20 * torch.log10(rms(x) / rms(found - x))
    assert (at_least_db < error).all()
    assert (error < 60).all()


def test_codecs_do_not_clip():
    x = 4 * torch.sin(torch.arange(8000) / 20)[None]
    torch.testing.assert_close(applied(Codec(names=["ulaw"]), x), x, atol=0.1, rtol=0)


@given(st.integers(0, 2**32), st.sampled_from(["min", "mean", "batch_mean", "zeros", "random", [-3.0, -2.0]]))
@settings(max_examples=20)
def test_masks_change_only_their_holes(seed, fill):
    images = torch.randn(3, 64, 32) - 5
    after_all, hole = masked(masks.Cutout(mels=(5, 20), frames=(3, 11), fill=fill), images, seed)
    torch.testing.assert_close(after_all[~hole], images[~hole])
    for image, after, where in zip(images, after_all, hole, strict=True):
        values = after[where]
        match fill:
            case "min":
                assert (values == image.min()).all()
            case "mean":
                torch.testing.assert_close(values, torch.full_like(values, image.mean().item()))
            case "batch_mean":
                torch.testing.assert_close(values, torch.full_like(values, images.mean().item()))
            case "zeros":
                assert (values == 0).all()
            case "random":
                assert values.min() >= image.min()
                assert values.max() <= image.max()
            case _:
                assert values.min() >= -3
                assert values.max() <= -2


def test_frequency_and_time_masks_span_the_other_axis():
    rows = masked(masks.FrequencyMask(), torch.randn(4, 256, 32))[1]
    assert (rows == rows[:, :, :1]).all()
    columns = masked(masks.TimeMask(), torch.randn(4, 256, 32))[1]
    assert (columns == columns[:, :1]).all()
    two = masked(masks.TimeMask(frames=(1, 1), holes=2), torch.zeros(200, 8, 32))[1][:, 0].sum(dim=1)
    assert set(two.tolist()) == {1, 2}


def test_shared_holes_are_the_same_in_the_whole_batch():
    images = torch.randn(6, 64, 32)
    assert (hole := masked(masks.Cutout(mels=(5, 20), shared=True), images)[1]).eq(hole[:1]).all()
    assert not (hole := masked(masks.Cutout(mels=(5, 20)), images)[1]).eq(hole[:1]).all()


def test_random_fill_differs_between_images():
    after, hole = masked(masks.Cutout(mels=None, frames=None, fill=[0, 1]), torch.zeros(3, 16, 8))
    assert hole.all()
    assert len({tuple(image.flatten().tolist()) for image in after}) == 3
    assert 0.4 < after.mean() < 0.6


def test_probability_switches_single_items():
    chain = Chain([{"cutout": {"mels": [3, 3], "frames": [3, 3], "fill": "zeros", "p": 0.25}}])
    images = torch.ones(2000, 8, 8)
    share = (chain.mask(images, chain.draw_image(images.shape, rng())) != 1).any(dim=(1, 2)).float().mean()
    assert 0.2 < share < 0.3


def test_chain_without_steps_changes_nothing():
    chain, x = Chain([]), torch.randn(2, 8000)
    assert chain.degrade(x, chain.draw_wave(2, 8000, rng())) is x
    assert chain.draw_offsets(torch.tensor([-5]), torch.tensor([5]), 1, rng(), torch.tensor([0])).tolist() == [[0, 0]]


def test_a_dropped_context_does_not_reverberate():
    x = torch.zeros(1, 16000)
    x[0, 7990], x[0, 12000] = 1, 0.5
    echo = np.zeros(200, np.int16)
    echo[[0, 100]] = 16384
    chain = Chain([{"drop_context": {}}, {"impulse_response": {"max_samples": None}}], {"ir": pool(echo)})
    after = chain.degrade(x, chain.draw_wave(1, 16000, rng()))
    assert np.flatnonzero(after[0].abs() > 0.01).tolist() == [12000, 12100]


def test_levels_over_the_segment_or_the_context_too():
    x, hum, sounds = torch.zeros(1, 16000), torch.ones(1, 16000), pool(np.full(20000, 1000, np.int16))
    x[0, 8000:] = 1  # a song that begins with the segment: over both seconds it is 3 dB softer
    for over, expected in (("segment", 0.5), ("context", 0.5 / 2**0.5)):
        step = Noise(snr_db=(6.0206, 6.0206), over=over)
        added = step.apply(x, step.draw(1, 16000, sounds, rng()), sounds)
        torch.testing.assert_close(added - x, expected * hum, atol=1e-3, rtol=0)


STEPS = [
    {"background": {"p": 0.5}},
    {"impulse_response": {}},
    {"peak_normalize": {}},
    {"gain": {"db": [-6, 6]}},
    {"drop_context": {"p": 0.5}},
    {"low_pass": {}},
    {"codec": {"p": 0.5}},
    {"cutout": {"fill": "random"}},
    {"time_mask": {"p": 0.5}},
]


def test_same_seed_same_replicas():
    chain = Chain(STEPS, {"bg": pool(noise()), "ir": pool(noise(300))})
    x = torch.randn(6, 8000)
    found = [chain.degrade(x, chain.draw_wave(6, 8000, rng(seed))) for seed in (5, 5, 6)]
    torch.testing.assert_close(found[0], found[1], atol=0, rtol=0)
    assert not torch.equal(found[0], found[2])


def test_some_rows_are_degraded_as_they_are_among_all():
    chain = Chain(STEPS, {"bg": pool(noise()), "ir": pool(noise(300))})
    x, images, rows = torch.randn(6, 8000), torch.randn(6, 256, 32), torch.tensor([1, 4, 5])
    wave, image = chain.draw_wave(6, 8000, rng()), chain.draw_image(images.shape, rng())
    some = chain.degrade(x[rows], draws_of_rows(wave, rows))
    torch.testing.assert_close(some, chain.degrade(x, wave)[rows], atol=1e-6, rtol=0)
    some = chain.mask(images[rows], draws_of_rows(image, rows))
    torch.testing.assert_close(some, chain.mask(images, image)[rows], atol=0, rtol=0)

"""One test or more a step: hand-computed effects, bounds, and what must not change."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nafp import augment
from nafp.corpus import Split


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pool(*clips: np.ndarray, kinds: tuple[str, ...] = ()) -> augment.AudioPool:
    """A pool of int16 clips, each in a folder of its kind."""
    starts = np.cumsum([0, *map(len, clips)])
    paths = [f"{kind}/{i}.wav" for i, kind in enumerate(kinds or ["x"] * len(clips))]
    table = pd.DataFrame({"path": paths, "start": starts[:-1], "samples": [len(c) for c in clips]})
    return augment.AudioPool(Split(np.concatenate(clips).astype(np.int16), table))


def noise(n: int = 20000, level: int = 3000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-level, level, n)


@given(st.integers(-4000, 0), st.integers(0, 4000), st.integers(0, 2**32))
def test_time_offset_stays_inside_the_clip_and_near(low, high, seed):
    bounds = torch.full((64,), low), torch.full((64,), high)
    anchor, replica = augment.TimeOffset(0.2)(*bounds, rng(seed))
    for offset in (anchor, replica):
        assert offset.min() >= low
        assert offset.max() <= high
    assert anchor.abs().max() <= 1600
    assert (anchor - replica).abs().max() <= 1600


def test_time_offset_reaches_both_ends():
    anchor, replica = augment.TimeOffset(0.001)(torch.full((4000,), -4000), torch.full((4000,), 4000), rng())
    assert set(anchor.tolist()) == set(range(-8, 9))
    assert set((replica - anchor).tolist()) == set(range(-8, 9))


@pytest.mark.parametrize("snr", [-5.0, 0.0, 7.0])
def test_mix_has_the_signal_to_noise_ratio_and_leaves_the_signal(snr):
    x, n = torch.randn(3, 8000), torch.randn(3, 8000) * torch.tensor([[1.0], [10.0], [0.01]])
    added = augment.mix_at_snr(x, n, torch.full((3, 1), snr)) - x
    measured = 20 * torch.log10(augment.rms(x) / augment.rms(added))
    torch.testing.assert_close(measured, torch.full((3, 1), snr), atol=1e-3, rtol=0)


def test_silent_noise_and_silent_signal_stay_finite():
    silence, sound = torch.zeros(1, 8000), torch.randn(1, 8000)
    snr = torch.zeros(1, 1)
    torch.testing.assert_close(augment.mix_at_snr(sound, silence, snr), sound)
    torch.testing.assert_close(augment.mix_at_snr(silence, sound, snr), silence)
    torch.testing.assert_close(augment.scale_peak(silence, 1.0), silence)


def test_background_and_speech_draw_from_their_pools():
    x = torch.randn(4, 8000)
    pools = {"bg": pool(noise(seed=1)), "speech": pool(noise(seed=2))}
    background = augment.Background((0, 0))(x, pools, rng())
    speech = augment.Speech((0, 0))(x, pools, rng())
    assert not torch.equal(background, speech)
    assert not torch.equal(background, x)


def test_excerpts_come_from_one_clip_each():
    clips = [np.full(9000, value) for value in (100, 200, 300)]
    cut = pool(*clips).random_excerpts(200, 8000, rng()) * 32768
    assert set(cut[:, 0].round().int().tolist()) == {100, 200, 300}
    assert (cut == cut[:, :1]).all()


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_convolution_against_the_sum(mode):
    x, response = torch.randn(2, 50), torch.randn(2, 7)
    expected = torch.zeros(2, 50)
    for n in range(50):
        for k in range(7):
            if n - k >= 0 or mode == "circular":
                expected[:, n] += x[:, n - k] * response[:, k]
    torch.testing.assert_close(augment.convolve(x, response, mode), expected, atol=1e-5, rtol=0)


def test_impulse_response_chooses_its_kind():
    pools = {"ir": pool(np.array([32767] + [0] * 9), np.array([0, 32767] + [0] * 8), kinds=("room", "mic"))}
    x = torch.randn(8, 100)
    room = augment.ImpulseResponse(kinds=["room"])(x, pools, rng())
    mic = augment.ImpulseResponse(kinds=["mic"])(x, pools, rng())
    torch.testing.assert_close(room, x * 32767 / 32768, atol=1e-5, rtol=0)
    torch.testing.assert_close(mic[:, 1:], x[:, :-1] * 32767 / 32768, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="no clips of kind hall"):
        augment.ImpulseResponse(kinds=["hall"])(x, pools, rng())


def test_gain_sets_the_peak():
    peaks = augment.Gain((-20, -6))(torch.randn(500, 100), {}, rng()).abs().amax(dim=1)
    decibels = 20 * torch.log10(peaks)
    assert -20.001 <= decibels.min() < -19
    assert -7 < decibels.max() <= -5.999


@given(st.integers(0, 2**32), st.sampled_from(["min", "mean", "zeros", "random", [-3.0, -2.0]]))
@settings(max_examples=20)
def test_masks_change_only_their_holes(seed, fill):
    images = torch.randn(3, 64, 32) - 5
    step = augment.Cutout(mels=(5, 20), frames=(3, 11), fill=fill)
    masked, hole = step(images, rng(seed)), step.mask(images.shape, rng(seed))
    torch.testing.assert_close(masked[~hole], images[~hole])
    for image, after, where in zip(images, masked, hole, strict=True):
        values = after[where]
        match fill:
            case "min":
                assert (values == image.min()).all()
            case "mean":
                torch.testing.assert_close(values, torch.full_like(values, image.mean().item()))
            case "zeros":
                assert (values == 0).all()
            case "random":
                assert values.min() >= image.min()
                assert values.max() <= image.max()
            case _:
                assert values.min() >= -3
                assert values.max() <= -2


def test_frequency_and_time_masks_span_the_other_axis():
    bands = augment.FrequencyMask()(torch.randn(4, 256, 32), rng())
    rows = augment.FrequencyMask().mask((4, 256, 32), rng())
    assert (rows == rows[:, :, :1]).all()
    assert bands.shape == (4, 256, 32)
    columns = augment.TimeMask().mask((4, 256, 32), rng())
    assert (columns == columns[:, :1]).all()
    two = augment.TimeMask(frames=(1, 1), holes=2).mask((200, 8, 32), rng())[:, 0].sum(dim=1)
    assert set(two.tolist()) == {1, 2}


def test_probability_switches_single_items():
    images = torch.ones(2000, 8, 8)
    masked = augment.Chain([{"cutout": {"mels": [3, 3], "frames": [3, 3], "fill": "zeros", "p": 0.25}}]).mask(
        images, rng()
    )
    share = (masked != 1).any(dim=(1, 2)).float().mean()
    assert 0.2 < share < 0.3


def test_chain_without_steps_changes_nothing():
    chain, x = augment.Chain([]), torch.randn(2, 8000)
    assert chain.degrade(x, rng()) is x
    assert chain.offsets(torch.tensor([-5]), torch.tensor([5]), rng())[1].tolist() == [0]


def test_same_seed_same_replicas():
    steps = [{"background": {}}, {"impulse_response": {}}, {"gain": {}}, {"cutout": {"fill": "random"}}]
    chain = augment.Chain(steps, {"bg": pool(noise()), "ir": pool(noise(300))})
    x = torch.randn(6, 8000)
    torch.testing.assert_close(chain.degrade(x, rng(5)), chain.degrade(x, rng(5)), atol=0, rtol=0)
    assert not torch.equal(chain.degrade(x, rng(5)), chain.degrade(x, rng(6)))

"""What each degradation does to a signal for which the answer is known; those of noise, rooms and levels are in test_augment."""

import io
import math

import av
import numpy as np
import pytest
import soundfile as sf
import torch
from audio_splits import FEATURES, split
from steps import applied, noise, pool, rng

from nafp.audio import codecs
from nafp.audio.codecs import CODECS, Ffmpeg
from nafp.audio.coding import code_and_decode, coded
from nafp.audio.pools import AudioPool
from nafp.audio.reverberation import reverberation_time
from nafp.augment import codec as codec_step
from nafp.augment.base import rms
from nafp.augment.chain import Chain, draws_of_rows
from nafp.augment.codec import Codec
from nafp.augment.dropouts import Dropouts
from nafp.augment.dynamics import Clipping, Compressor
from nafp.augment.filters import BandPass, Equalizer
from nafp.augment.response import ImpulseResponse
from nafp.errors import UserError
from nafp.model.features import LogMel
from nafp.training.batches import Batches, generator_for

T = torch.arange(8000) / 8000


def tone(*hz: float, amplitude: float = 1.0) -> torch.Tensor:
    """(tones, 8000) sines."""
    return amplitude * torch.sin(2 * torch.pi * torch.tensor(hz)[:, None] * T)


def gains_db(step, hz: tuple[float, ...], **kwargs) -> torch.Tensor:
    """(tones,) gain of a step for sines, away from their ends; all with the draws of the first row."""
    draws = {name: values[:1] for name, values in step.draw(len(hz), 8000, None, rng(**kwargs)).items()}
    tones = tone(*hz)
    return 20 * torch.log10(rms(step.apply(tones, draws, None)[:, 1000:-1000]) / rms(tones[:, 1000:-1000]))[:, 0]


# ---------------------------------------------------------------- filters


def test_a_telephone_has_half_the_power_at_its_limits():
    found = gains_db(BandPass(), (60, 300, 1000, 3400, 3900))
    torch.testing.assert_close(found[1:4], torch.tensor([-3.01, 0.0, -3.01]), atol=0.1, rtol=0)
    assert found[0] < -50
    assert found[4] < -6


def test_an_equalizer_has_its_gain_at_the_centre_and_half_of_it_at_the_edges():
    step = Equalizer(bands=1, gain_db=(9, 9), centre_hz=(1000, 1000), q=(2, 2))
    low, high = (1000 * (math.sqrt(1 + 1 / 16) + sign / 4) for sign in (-1, 1))  # a band as wide as 1000 / q
    found = gains_db(step, (50, low, 1000, high))
    torch.testing.assert_close(found, torch.tensor([0.0, 4.5, 9.0, 4.5]), atol=0.1, rtol=0)


def test_bands_of_an_equalizer_add_up():
    found = gains_db(Equalizer(bands=3, gain_db=(-4, -4), centre_hz=(1000, 1000), q=(1, 1)), (1000,))
    torch.testing.assert_close(found, torch.tensor([-12.0]), atol=0.01, rtol=0)


@pytest.mark.parametrize("step", [BandPass(), Equalizer()])
def test_filters_leave_the_replica_in_its_place(step):
    x = torch.zeros(20, 8000)
    x[:, 4000] = 1
    found = applied(step, x)
    assert (found.argmax(dim=1) == 4000).all()
    torch.testing.assert_close(found[:, 3000:4000], found[:, 4001:5001].flip(1), atol=1e-4, rtol=0)


# ---------------------------------------------------------------- dynamics


@pytest.mark.parametrize("drive, share", [(6.0206, 2 / 3), (0, 0), (20, 1 - 2 / math.pi * math.asin(0.1))])
def test_clipping_cuts_the_share_of_a_sine_that_is_beyond_its_limit(drive, share):
    x = tone(7.3, amplitude=0.8)
    found = applied(Clipping(drive_db=(drive, drive)), x)
    limit = 0.8 * 10 ** (-drive / 20)
    assert found.abs().max() == pytest.approx(limit, rel=1e-3)
    assert (found.abs() >= 0.9999 * limit).float().mean() == pytest.approx(share, abs=0.02)
    torch.testing.assert_close(found[x.abs() < limit], x[x.abs() < limit])


def test_soft_clipping_bends_and_makes_odd_harmonics_alone():
    x = tone(500)
    found = applied(Clipping(drive_db=(6.0206, 6.0206), mode="soft"), x)
    assert found.max() == pytest.approx(0.5 * math.tanh(2), rel=1e-3)
    torch.testing.assert_close(found[x.abs() < 0.05], x[x.abs() < 0.05], atol=1e-3, rtol=0)
    spectrum = torch.fft.rfft(found[0]).abs()
    assert spectrum[1500] > 0.05 * spectrum[500]
    assert spectrum[1000] < 1e-3 * spectrum[500]


def test_the_limit_of_clipping_is_that_of_the_segment_not_of_its_context():
    x = torch.cat([10 * tone(500), tone(500)], dim=1)
    assert applied(Clipping(drive_db=(6.0206, 6.0206)), x).abs().max() == pytest.approx(0.5, rel=1e-3)


def test_a_compressor_leaves_a_part_of_what_is_over_its_threshold():
    """20 dB over the threshold at 4:1: 5 dB are left, so 15 dB less; 10 dB below it: nothing happens."""
    loud, soft = tone(1000)[:, 2:4000], tone(1000, amplitude=10 ** (-30 / 20))[:, 4000:]
    found = applied(Compressor(threshold_db=(-20, -20), ratio=(4, 4), release_s=0.02), torch.cat([loud, soft], dim=1))
    change = 20 * torch.log10(rms(found[:, 1000:4000]) / rms(loud[:, 1000:]))
    assert change.item() == pytest.approx(-15, abs=0.5)
    torch.testing.assert_close(found[:, -1000:], soft[:, -1000:], rtol=0.01, atol=0)


def test_attack_and_release_are_time_constants():
    """Steps of a constant level show the gain over time."""
    x = torch.full((1, 8000), 0.01)
    x[:, 2000:4000] = 1
    found = applied(Compressor(threshold_db=(-20, -20), ratio=(2, 2), attack_s=0.01, release_s=0.05), x)
    reduction = -20 * torch.log10(found / x)[0]  # 10 dB in the end
    assert reduction[1999] == pytest.approx(0, abs=0.01)
    assert reduction[2000 + 80] == pytest.approx(10 * (1 - 1 / math.e), abs=0.1)
    assert reduction[3999] == pytest.approx(10, abs=0.01)
    assert reduction[6000] / reduction[5600] == pytest.approx(1 / math.e, rel=0.02)


def test_a_compressor_does_what_a_loop_does():
    x, pole, release = torch.randn(3, 500), math.exp(-1 / 40), math.exp(-1 / 800)
    step = Compressor(threshold_db=(-10, -10), ratio=(3, 3))
    step.samples = 500
    expected = x.clone()
    for row, top in zip(expected, x.abs().amax(dim=1), strict=True):
        held = reduction = 0.0
        for n, value in enumerate(row.tolist()):
            held = max(max(20 * math.log10(max(abs(value) / float(top), 1e-5)) + 10, 0) * 2 / 3, release * held)
            reduction = pole * reduction + (1 - pole) * held
            row[n] = value * 10 ** (-reduction / 20)
    torch.testing.assert_close(applied(step, x), expected, atol=1e-4, rtol=1e-4)


def test_dropouts_have_their_length_and_their_share():
    found = applied(Dropouts(length_s=(0.02, 0.05), share=(0.1, 0.3)), torch.ones(2000, 8000))
    assert (found == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    steps = torch.diff((found == 0).int(), dim=1, prepend=torch.zeros(2000, 1), append=torch.zeros(2000, 1))
    gaps = torch.nonzero(steps == -1)[:, 1] - torch.nonzero(steps == 1)[:, 1]
    inside = torch.nonzero(steps == 1)[:, 1] > 0  # others may begin before the replica
    ends = torch.nonzero(steps == -1)[:, 1] < 8000
    assert gaps[inside & ends].min() >= 159
    assert ((gaps >= 159) & (gaps <= 401)).float().mean() > 0.7  # the others are lost neighbours, or cut by an end
    assert not applied(Dropouts(share=(1, 1)), torch.ones(5, 8000)).any()
    assert applied(Dropouts(share=(0, 0)), torch.ones(5, 8000)).all()


# ---------------------------------------------------------------- other songs


def test_a_second_song_is_never_the_own_one_and_has_its_level():
    songs = pool(*(np.full(9000, value) for value in (1000, 2000, 3000)))
    own, x = torch.arange(3).repeat(200), torch.ones(600, 8000)
    chain = Chain([{"second_song": {"snr_db": [6.0206, 6.0206]}}], {"train": songs})
    draws = chain.draw_wave(600, 8000, rng(), own)
    mixed_in = (songs.cut(draws[0]["start"], 8000)[:, 0] * 32768 / 1000).round().int() - 1
    assert (mixed_in != own).all()
    assert {(a, b) for a, b in zip(own.tolist(), mixed_in.tolist(), strict=True)} == {
        (a, b) for a in range(3) for b in range(3) if a != b
    }
    torch.testing.assert_close(chain.degrade(x, draws) - x, 0.5 * x, atol=1e-3, rtol=0)


def test_queries_take_any_training_song():
    songs = pool(*(np.full(9000, value) for value in (1000, 2000)))
    draws = Chain([{"second_song": {}}], {"train": songs}).draw_wave(100, 8000, rng())
    assert set((songs.cut(draws[0]["start"], 1)[:, 0] * 32768).round().int().tolist()) == {1000, 2000}


def test_training_mixes_in_songs_that_are_not_the_replicas_own():
    songs = split(0)
    step = Chain([{"time_offset": {}}, {"splice": {"p": 0.5}}, {"second_song": {}}], {"train": AudioPool(songs)})
    batches = Batches(songs, LogMel(**FEATURES), step, 12, 1, 0, torch.device("cpu"))
    for number, chosen in enumerate(batches.order(0)):
        plan = batches.plan(chosen, generator_for(number))
        own = [(plan.clip_start[6:], plan.wave), (plan.spliced.clip_start, plan.spliced.wave)]
        for clip_start, wave in own:
            assert (wave[0]["start"] // 24000 * 24000 != np.asarray(clip_start)).all()
        assert batches.waves(plan, range(12)).isfinite().all()


def test_one_song_has_no_second_one():
    chain = Chain([{"second_song": {}}], {"train": pool(noise())})
    with pytest.raises(UserError, match="mixes in other songs, but there is only one"):
        chain.draw_wave(4, 8000, rng(), torch.zeros(4, dtype=torch.long))


# ---------------------------------------------------------------- rooms


def room(rt60: float, seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    """Noise that decays by 60 dB in rt60 seconds, after a delay, and noise 60 dB below it."""
    n = round(8000 * seconds)
    g = np.random.default_rng(seed)
    decaying = g.uniform(-1, 1, n) * 10 ** (-3 * np.arange(n) / 8000 / rt60)
    return np.concatenate([np.zeros(100), 30000 * (decaying + 1e-3 * g.uniform(-1, 1, n))]).astype(np.int16)


@pytest.mark.parametrize("rt60", [0.1, 0.3, 1.0])
def test_reverberation_times_of_known_decays(rt60):
    found = [reverberation_time(room(rt60, seed=seed)) for seed in range(5)]
    assert np.mean(found) == pytest.approx(rt60, rel=0.05)


@pytest.mark.parametrize("response, seconds", [([0, 32767, 0, 0], 0.0), ([0, 0], math.nan), ([], math.nan)])
def test_reverberation_times_of_what_does_not_decay(response, seconds):
    assert reverberation_time(np.array(response, np.int16)) == pytest.approx(seconds, nan_ok=True)


def test_an_impulse_response_is_chosen_by_its_reverberation_time():
    responses = pool(room(0.1), room(0.3), room(1.0))
    step = ImpulseResponse(rt60_s=(0.2, 0.5), max_samples=None)
    x = torch.randn(8, 8000)
    only = applied(ImpulseResponse(max_samples=None), x, pool=pool(room(0.3)))
    torch.testing.assert_close(applied(step, x, pool=responses), only)
    with pytest.raises(
        UserError, match=r"no response has .* of 2 to 3 s; those of the 3 responses are from 0\.1\d? to "
    ):
        applied(ImpulseResponse(rt60_s=(2, 3)), x, pool=responses)


# ---------------------------------------------------------------- codecs


def music(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise of falling spectrum with beats, so that a delay of one sample shows."""
    n = round(8000 * seconds)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / 8000)
    x = np.fft.irfft(spectrum * np.exp(-hz / 800) * (hz > 80), n) * (0.3 + np.abs(np.sin(np.arange(n) / 1000)))
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


@pytest.mark.parametrize("name", CODECS)
def test_codecs_leave_the_replica_in_its_place(name):
    x = np.stack([music(1, seed) for seed in range(2)])
    found = code_and_decode(x, [name, name])
    assert found.shape == x.shape
    for before, after in zip(x, found, strict=True):
        correlation = np.fft.irfft(np.fft.rfft(after, 16384) * np.conj(np.fft.rfft(before, 16384)))
        lag = (int(np.argmax(correlation)) + 8192) % 16384 - 8192
        assert abs(lag) <= 1
        assert correlation.max() > 0.4 * np.linalg.norm(before) * np.linalg.norm(after)
        assert rms(torch.from_numpy(after[None, -400:])) > 0.3 * rms(
            torch.from_numpy(before[None, -400:])
        )  # to its end


@pytest.mark.parametrize("name", [name for name in CODECS if "_" in name])
def test_codecs_take_the_bits_that_their_names_say(name):
    kbps = float(name.split("_")[1])
    file = coded(x := music(6), CODECS[name])
    with av.open(io.BytesIO(file)) as container:
        packets = list(container.demux(audio=0))
    seconds = float(sum(p.duration or 0 for p in packets) * packets[0].time_base) or len(x) / 8000
    tolerance = 0.2 if name.startswith("vorbis") else 0.12  # nominal, of music
    assert sum(packet.size for packet in packets) * 8 / seconds / 1000 == pytest.approx(kbps, rel=tolerance)


@pytest.mark.parametrize(
    "names", [("mp3_8", "mp3_64"), ("aac_8", "aac_32"), ("opus_12", "opus_64"), ("vorbis_14", "vorbis_42")]
)
def test_more_bits_mean_less_error(names):
    x = np.stack([music(1)] * 2)
    coarse, fine = (float(np.square(row).sum()) for row in code_and_decode(x, names) - x)
    assert coarse > 4 * fine


def test_rows_without_the_codec_are_not_coded(monkeypatch):
    asked = []
    monkeypatch.setattr(codec_step, "code_and_decode", lambda x, names: asked.append(len(names)) or 0 * x)
    x, some = torch.randn(200, 800), Chain([{"codec": {"p": 0.3}}])
    draws = some.draw_wave(200, 800, rng())
    found = some.degrade(x, draws)
    assert asked == [int(draws[0]["on"].sum())]
    assert torch.equal(found, torch.where(draws[0]["on"][:, None], 0, x))


def test_a_lossless_codec_changes_nothing():
    x = music(1)[None]
    np.testing.assert_allclose(code_and_decode(x, ["alac"]), x, atol=1e-4)


def test_a_codec_that_fails_is_named(monkeypatch):
    monkeypatch.setitem(codecs.CODECS, "amr-nb_4.75", Ffmpeg("no_such_encoder", "amr", 4.75))
    with pytest.raises(UserError, match=r"^codec amr-nb_4.75: .*no_such_encoder.*take it out of the chain"):
        applied(Codec(names=["amr-nb_4.75"]), torch.randn(2, 8000))


def test_libsndfile_says_what_it_cannot_code(monkeypatch):
    monkeypatch.setattr(sf, "write", lambda *_, **__: (_ for _ in ()).throw(sf.LibsndfileError(1)))
    with pytest.raises(UserError, match=r"^codec gsm: .*; take it out of the chain, or install the wheel of soundfile"):
        applied(Codec(names=["gsm"]), torch.randn(2, 8000))


# ---------------------------------------------------------------- all of them

STEPS = [
    {"band_pass": {"low_hz": [200, 400], "p": 0.7}},
    {"equalizer": {}},
    {"compressor": {"p": 0.7}},
    {"clipping": {"mode": "soft"}},
    {"second_song": {}},
    {"impulse_response": {"rt60_s": [0.2, 0.5]}},
    {"dropouts": {}},
    {"codec": {"names": ["mp3_16", "gsm"], "p": 0.5}},
]


def chain() -> Chain:
    songs = split(0)
    return Chain(STEPS, {"train": pool(*songs.audio.reshape(3, -1)), "ir": pool(room(0.1), room(0.3), room(0.4))})


def test_same_seed_same_replicas_and_rows_as_among_all():
    x, rows = torch.randn(6, 9000), torch.tensor([1, 4, 5])
    draws = [chain().draw_wave(6, 9000, rng(seed), torch.zeros(6, dtype=torch.long)) for seed in (0, 0, 1)]
    first, again, other = (chain().degrade(x, drawn) for drawn in draws)
    torch.testing.assert_close(first, again, atol=0, rtol=0)
    assert not torch.equal(first, other)
    some = chain().degrade(x[rows], draws_of_rows(draws[0], rows))
    torch.testing.assert_close(some, first[rows], atol=1e-5, rtol=0)


@pytest.mark.parametrize("step", STEPS[:-2], ids=lambda step: next(iter(step)))
def test_silence_stays_silent_or_finite(step):
    one = Chain([step], {"train": pool(noise(), noise()), "ir": pool(room(0.3))})
    found = one.degrade(torch.zeros(4, 8000), one.draw_wave(4, 8000, rng()))
    torch.testing.assert_close(found, torch.zeros(4, 8000))

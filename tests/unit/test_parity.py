"""Equal to the authors' code within float32 rounding. Tolerances are a few times the rounding measured in float64."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from recipes import (
    PARITY,
    keras_weights,
    needs_parity,
    reference,
    reference_model,
    reference_parameters,
    synthetic_segment,
)
from scipy.stats import ks_2samp

from nafp.audio.segments import HOP, count_segments
from nafp.audio.splits import Split
from nafp.augment import masks
from nafp.augment.level import scale_peak
from nafp.augment.noise import mix_at_snr
from nafp.augment.response import ImpulseResponse
from nafp.model.features import LogMel, mel_filters
from nafp.training.losses import distances, nt_xent, triplet
from nafp.training.mini_search import mini_search
from nafp.training.optim import OPTIMIZERS, KerasAdam, Lamb, learning_rate


@pytest.fixture(scope="module")
def synthetic():
    return np.load(Path(__file__).parents[1] / "support/data/synthetic.npz")


@pytest.fixture(scope="module")
def segments(synthetic) -> torch.Tensor:
    return torch.from_numpy(np.stack([synthetic_segment(seed) for seed in synthetic["seeds"]]))


def close(ours, theirs, atol: float) -> None:
    np.testing.assert_allclose(torch.as_tensor(ours).detach().numpy(), theirs, rtol=0, atol=atol)


# ---------------------------------------------------------------- everywhere


def test_synthetic_segments_follow_their_recipe(synthetic, segments):
    close(segments[:, :8], synthetic["x_first"], 1e-7)
    close(segments.double().sum(dim=1), synthetic["x_sum"], 1e-4)


@pytest.mark.parametrize("scope", ["batch", "segment"])
def test_log_mel(synthetic, segments, scope):
    theirs = synthetic["melspec_batch" if scope == "batch" else "melspec_alone"]
    close(LogMel(max_scope=scope)(segments)[:2], theirs, 5e-6)


def test_fingerprint(synthetic, segments):
    with torch.inference_mode():
        close(reference_model()(segments), synthetic["fingerprint"], 3e-5)


# ---------------------------------------------------------------- with the full set of vectors


@needs_parity
def test_mel_filters():
    close(mel_filters(8000, 1024, 256, 300, 4000).T, reference("melfilter")["filterbank"], 1e-8)
    close(LogMel().window, reference("melfilter")["window"], 1e-6)


@needs_parity
@pytest.mark.parametrize("scope, name", [("batch", "batch"), ("segment", "alone")])
@pytest.mark.parametrize("x", ["x", "edge_x"])
def test_log_mel_of_music_and_edge_cases(scope, name, x):
    vectors = reference("melspec")
    prefix = "edge_" if x == "edge_x" else ""
    ours = LogMel(max_scope=scope)(torch.from_numpy(vectors[x]))
    close(ours, vectors[f"{prefix}melspec_{name}"][..., 0], 5e-6)


@needs_parity
@pytest.mark.parametrize("dim", [128, 64])
def test_model(dim):
    vectors, model = reference("model"), reference_model(dim)
    sums = [w.astype(np.float64).sum() for w in keras_weights(dim)]
    np.testing.assert_allclose(sums, vectors[f"weight_sums_{dim}"], atol=1e-9)
    assert sum(p.numel() for p in model.parameters()) == vectors[f"n_params_{dim}"]
    with torch.inference_mode():
        images = torch.from_numpy(vectors["input"][..., 0])
        features = model.encoder(images)
        close(features, vectors[f"front_conv_{dim}"], 3e-4)
        close(model.heads(features), vectors[f"pre_l2_{dim}"], 2e-4)
        close(model.embed(images), vectors[f"final_{dim}"], 3e-5)


@needs_parity
@pytest.mark.parametrize("rep, suffix", [("emb_rep", ""), ("emb_rep_unrelated", "_unrelated")])
def test_nt_xent(rep, suffix):
    vectors = reference("ntxent")
    a, b = (torch.from_numpy(vectors[name]).requires_grad_() for name in ("emb_org", rep))
    loss = nt_xent(a, b, float(vectors["tau"]))
    loss.backward()
    close(loss, vectors[f"loss{suffix}"], 3e-6 if suffix else 5e-7)
    close(a.grad, vectors[f"grad_org{suffix}"], 1e-6)
    close(b.grad, vectors[f"grad_rep{suffix}"], 1e-6)
    close(nt_xent(a, a, float(vectors["tau"])), vectors["loss_identical"], 5e-7)


@needs_parity
@pytest.mark.parametrize("name, lr", [("adam", 1e-4), ("lamb", 1e-3)])
def test_gradients_and_updates_of_a_training_step(name, lr):
    steps = reference("trainstep")
    model = reference_model().train()
    images = torch.from_numpy(reference("model")["input"][..., 0])
    optimizer = OPTIMIZERS[name](model.parameters(), lr=lr)
    losses = []
    for step in range(2):
        loss = nt_xent(*model.embed(images).chunk(2), 0.05)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            gradients = dict(model.named_parameters())
            kernel = gradients["encoder.0.weight"].grad.permute(2, 3, 1, 0)
            close(kernel, steps["grad_conv0_c1x3_kernel"], 2e-4)
            close(gradients["heads.weight1"].grad[0], steps["grad_div0_fc0_kernel"], 2e-4)
            norms = [gradients[name].grad.norm().item() for name in reference_parameters(128) if "encoder" in name]
            np.testing.assert_allclose(norms, steps["grad_l2"][: len(norms)], rtol=2e-3)
        optimizer.step()
    np.testing.assert_allclose(losses, steps[f"{name}_losses"][:2], rtol=1e-3)


@needs_parity
@pytest.mark.parametrize("suffix, scale", [("adam_lr1e-2", 1), ("adam_tinygrad", 1e-6)])
@pytest.mark.parametrize("name", ["matrix", "vector", "zero_vector"])
def test_adam(name, suffix, scale):
    vectors = reference("adam_cosine")
    parameter = torch.nn.Parameter(torch.from_numpy(vectors[f"{name}_init"].copy()))
    optimizer = KerasAdam([parameter], lr=1e-2)
    for gradient, after in zip(vectors[f"{name}_grads"], vectors[f"{name}_{suffix}_steps"], strict=True):
        parameter.grad = torch.from_numpy(gradient * np.float32(scale))
        optimizer.step()
        close(parameter, after, 2e-6)


@needs_parity
@pytest.mark.parametrize("lr", ["1e-4", "1e-2"])
@pytest.mark.parametrize("name", ["matrix", "vector", "zero_vector"])
def test_lamb(name, lr):
    vectors = reference("lamb")
    parameter = torch.nn.Parameter(torch.from_numpy(vectors[f"{name}_init"].copy()))
    optimizer = Lamb([parameter], lr=float(lr))
    for gradient, after in zip(vectors[f"{name}_grads"], vectors[f"{name}_lamb_lr{lr}_steps"], strict=True):
        parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
        close(parameter, after, 5e-7)


@needs_parity
@pytest.mark.parametrize("mining", ["semi_hard", "all"])
def test_triplet(mining):
    vectors = reference("triplet")
    anchor, positive = (torch.from_numpy(vectors[name]).requires_grad_() for name in ("emb_anchor", "emb_pos"))
    close(distances(anchor, torch.cat([positive, anchor]))[:, :16], vectors["pairwise_dist"][:, :16], 1e-6)
    loss = triplet(anchor, positive, float(vectors["margin"]), f"release_{mining}")
    loss.backward()
    close(loss, vectors[f"{mining}_loss"], 2e-7)
    close(anchor.grad, vectors[f"{mining}_grad_anchor"], 1e-6)
    close(positive.grad, vectors[f"{mining}_grad_pos"], 1e-6)


@needs_parity
@pytest.mark.parametrize("scope, name", [("batch", "batch"), ("segment", "alone")])
def test_log_mel_between_minus_one_and_one(scope, name):
    vectors = reference("melspec")
    ours = LogMel(scale="melspec_maxnorm", max_scope=scope)(torch.from_numpy(vectors["x"]))
    close(ours, vectors[f"melspec_maxnorm_{name}"][..., 0], 1e-5)


@needs_parity
def test_cosine_schedule():
    vectors = reference("adam_cosine")
    ours = [learning_rate(int(step), 1000, 1e-4, "cos", 1e-10) for step in vectors["cosine_steps"]]
    np.testing.assert_allclose(ours, vectors["cosine_lr"], rtol=3e-3, atol=1e-13)


@needs_parity
@pytest.mark.parametrize("snr", [-5, 0, 6, 10])
def test_background_mix(snr):
    vectors = reference("augment")
    x, noise = (torch.from_numpy(vectors[name][:2]) for name in ("x", "noise"))
    close(
        scale_peak(mix_at_snr(x, noise, torch.full((2, 1), float(snr))), 1.0),
        vectors[f"mix_snr{snr}"],
        1e-6,
    )


@needs_parity
def test_circular_impulse_response():
    vectors = reference("augment")
    step = ImpulseResponse(mode="circular")
    bank = torch.fft.rfft(torch.from_numpy(vectors["ir"]), 8000)
    step.bank = lambda pool, samples: bank  # the reference's responses are float32, a pool's int16
    convolved = step.apply(torch.from_numpy(vectors["x"]), {"response": torch.arange(4)}, None)
    close(scale_peak(convolved, 1.0), vectors["ir_out"], 2e-6)


@needs_parity
@pytest.mark.parametrize(
    "step, name",
    [(masks.Cutout(), "cutout"), (masks.FrequencyMask(), "horizontal"), (masks.TimeMask(), "vertical")],
)
def test_masks_are_distributed_as_in_the_reference(step, name):
    """First and last masked row and column, 2,000 draws each (the reference never centres a hole on the last one)."""
    theirs = reference("specaug")[f"{name}_h0_h1_w0_w1_inclusive"]
    images = torch.zeros(2000, 256, 32)
    mask = step.mask(images, step.draw(images.shape, torch.Generator().manual_seed(0))).expand(images.shape)
    for first, axis in ((0, 2), (2, 1)):
        masked = mask.any(dim=axis).int()
        ours = masked.argmax(dim=1), masked.shape[1] - 1 - masked.flip(1).argmax(dim=1)
        for which in (0, 1):
            assert ks_2samp(ours[which], theirs[:, first + which]).statistic < 0.06  # 1.9 / sqrt(1000)


@needs_parity
def test_segments_of_every_length():
    table = json.loads((PARITY / "segments.json").read_text())["by_length"]
    for length, modes in ((k, v) for k, v in table.items() if k.isdecimal()):
        samples, theirs = int(length), modes["hop0.5"]
        clips = pd.DataFrame({"path": ["a"], "start": [0], "samples": [samples]})
        segments = Split(np.zeros(samples, np.int16), clips).segments
        n = theirs["n_segments"]
        assert count_segments([samples])[0] == len(segments) == n
        for i, which in ((0, "first"), (n // 2, "middle"), (n - 1, "last")):
            assert [segments.start[i] // HOP, segments.low[i], segments.high[i]] == theirs[which], (length, which)


@needs_parity
def test_mini_search():
    vectors = reference("minisearch")
    found = mini_search(vectors["db"], vectors["query"], [int(n) for n in vectors["scopes"]])
    for i, length in enumerate(vectors["scopes"]):
        for measure in ("top1", "top3", "top10"):
            assert 100 * found[int(length)][measure] == pytest.approx(vectors[f"argmax_{measure}"][i], abs=1e-3)
        assert found[int(length)]["mean_rank"] == pytest.approx(vectors["argmax_mean_rank"][i], abs=1e-3)

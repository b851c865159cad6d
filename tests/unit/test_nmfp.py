"""NMFP (arXiv 2506.22661): its images, heads and losses equal the authors' code within float32 rounding."""

from pathlib import Path

import numpy as np
import pytest
import torch
from recipes import needs_parity, reference, reference_model, reference_parameters, synthetic_segment

from nafp.augment.level import scale_peak
from nafp.augment.noise import mix_at_snr
from nafp.augment.response import DropContext, ImpulseResponse, fft_length
from nafp.model.features import LogMel, mel_filters
from nafp.model.heads import DivideAndEncode
from nafp.model.original_weights import NMFP
from nafp.model.shapes import head_parameters
from nafp.training.losses import (
    align_uniform,
    decoupled,
    kernel_contrastive,
    multi_positive,
    nmfp_triplet,
    nt_xent,
)
from nafp.training.optim import KerasAdam

DATA = Path(__file__).parents[1] / "support/data"
OTHERS = {"multipos": multi_positive, "kcl": kernel_contrastive, "au": align_uniform, "dcl": decoupled}
VARIANTS = {"": {}, "_euclid": {"squared": False}, "_neg_hard": {"negative": "hard"}, "_pos_easy": {"positive": "easy"}}


def close(ours, theirs, atol: float) -> None:
    np.testing.assert_allclose(torch.as_tensor(ours).detach().numpy(), theirs, rtol=0, atol=atol)


def value_and_gradient(loss, embeddings: np.ndarray, **options) -> tuple[float, np.ndarray]:
    """Of (anchors, 1 + replicas, d) embeddings."""
    rows = torch.from_numpy(embeddings).requires_grad_()
    value = loss(rows[:, 0], rows[:, 1:].reshape(-1, rows.shape[-1]), **options)
    value.backward()
    return value.item(), rows.grad.numpy()


# ---------------------------------------------------------------- everywhere


def test_images_and_fingerprints_of_synthetic_sounds():
    vectors = np.load(DATA / "nmfp_synthetic.npz")
    sounds = torch.from_numpy(np.stack([synthetic_segment(seed) for seed in vectors["seeds"]]))
    model = reference_model(nmfp=True)
    with torch.inference_mode():
        images = model.features(sounds)
        close(images, vectors["melspec"], 1e-4)
        close(model(sounds), vectors["fingerprint"], 1e-4)
        close(model.features(sounds / 4), images, 1e-5)  # the level makes no difference
        close(model.features(sounds[:1]), images[:1], 1e-6)  # nor do the other items


def test_silence_is_the_loudest_value_as_in_the_original():
    assert (LogMel(**NMFP)(torch.zeros(1, 8000)) == 1).all()


def test_parameters_of_the_heads_are_counted():
    heads = DivideAndEncode(1024, 128, norm=True)
    assert sum(p.numel() for p in heads.parameters()) == head_parameters(1024, 128, norm=True) == 49_280


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("batch", ["24x1_mixed", "12x3_mixed"])
def test_triplet_loss_of_every_row(batch, variant):
    vectors = np.load(DATA / "nmfp_losses.npz")
    loss, gradient = value_and_gradient(nmfp_triplet, vectors[f"{batch}_emb"], **VARIANTS[variant])
    close(loss, vectors[f"{batch}{variant}_loss"], 3e-7)
    close(gradient, vectors[f"{batch}{variant}_grad"], 5e-8)


@pytest.mark.parametrize("name", OTHERS)
def test_other_losses(name):
    vectors = np.load(DATA / "nmfp_losses.npz")
    loss, gradient = value_and_gradient(OTHERS[name], vectors["24x1_mixed_emb"])
    close(loss, vectors[f"{name}_24x1_mixed_loss"], 2e-6)
    close(gradient, vectors[f"{name}_24x1_mixed_grad"], 2e-6)


@pytest.mark.parametrize("loss", [nmfp_triplet, *OTHERS.values()])
def test_losses_of_equal_fingerprints_are_numbers(loss):
    same = np.zeros((4, 3, 8), np.float32)
    same[..., 0] = 1
    value, gradient = value_and_gradient(loss, same)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_one_positive_gives_half_of_nt_xent():
    embeddings = np.load(DATA / "nmfp_losses.npz")["24x1_mixed_emb"]
    assert value_and_gradient(nt_xent, embeddings)[0] == pytest.approx(
        2 * value_and_gradient(multi_positive, embeddings)[0], rel=1e-5
    )


# ---------------------------------------------------------------- the full set of reference vectors


@needs_parity
def test_filters_and_images_of_music():
    vectors = reference("nmfp_melspec")
    filters = mel_filters(8000, 1024, 256, 160, 4000, as_essentia=True)
    close(filters, vectors["filterbank"].T, 2e-6)
    assert np.array_equal(filters > 0, vectors["filterbank"].T > 0)
    for sounds, images in (("x", "melspec"), ("edge_x", "edge_melspec")):
        close(LogMel(**NMFP)(torch.from_numpy(vectors[sounds])), vectors[images], 1e-4)


@needs_parity
def test_model_and_its_training():
    vectors = reference("nmfp_model")
    model = reference_model(nmfp=True)
    assert sum(p.numel() for p in model.parameters()) == vectors["n_params"] == 17_217_536
    images = torch.from_numpy(vectors["input"])
    with torch.inference_mode():
        features = model.encoder(images)
        close(features, vectors["front_conv"], 1e-4)
        close(model.heads(features), vectors["pre_l2"], 1e-4)
        close(model.embed(images), vectors["final"], 1e-5)
    model.train()
    optimizer, losses = KerasAdam(model.parameters(), lr=1e-4), []
    for step in range(2):
        embeddings = model.embed(images)
        loss = nmfp_triplet(embeddings[::2], embeddings[1::2])
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            close(model.encoder[0].weight.grad.permute(2, 3, 1, 0), vectors["grad_conv0_c1x3_kernel"], 2e-4)
            close(model.heads.weight1.grad[0], vectors["grad_div0_fc0_kernel"], 2e-4)
            close(model.heads.norm_weight.grad[0], vectors["grad_div0_ln_gamma"], 2e-4)
            close(model.heads.norm_bias.grad[0], vectors["grad_div0_ln_beta"], 2e-4)
            close(model.heads.weight2.grad[0, :, None], vectors["grad_div0_fc1_kernel"], 2e-4)
            names = [name for name in reference_parameters(128, nmfp=True) if "encoder" in name]
            norms = [model.get_parameter(name).grad.norm().item() for name in names]
            np.testing.assert_allclose(norms, vectors["grad_l2"][: len(norms)], rtol=2e-3)
        optimizer.step()
    np.testing.assert_allclose(losses, vectors["step_losses"][:2], rtol=2e-3)


@needs_parity
@pytest.mark.parametrize("batch", ["24x1", "12x3"])
@pytest.mark.parametrize("regime", ["easy", "hard", "antipodal"])
def test_triplet_loss_where_it_is_easy_or_hard(batch, regime):
    vectors, name = reference("nmfp_triplet"), f"{batch}_{regime}"
    loss, gradient = value_and_gradient(nmfp_triplet, vectors[f"{name}_emb"])
    close(loss, vectors[f"{name}_loss"], 5e-7)
    close(gradient, vectors[f"{name}_grad"], 5e-8)


@needs_parity
@pytest.mark.parametrize("batch", ["24x1_easy", "24x1_hard", "12x3_mixed"])
@pytest.mark.parametrize("name", OTHERS)
def test_other_losses_of_more_batches(name, batch):
    vectors = reference("nmfp_losses")
    loss, gradient = value_and_gradient(OTHERS[name], vectors[f"emb_{batch}"])
    close(loss, vectors[f"{name}_{batch}_loss"], 2e-6)
    close(gradient, vectors[f"{name}_{batch}_grad"], 2e-6)


@needs_parity
def test_degradations_of_real_music():
    """Noise over two seconds, a room that hears both, a microphone that hears the last one."""
    vectors = reference("nmfp_loader")
    x, noise, room, mic = (torch.from_numpy(vectors[name]).float() for name in ("x", "noise", "room_ir", "mic_ir"))
    mixed = scale_peak(mix_at_snr(x, noise, torch.full((3, 1), 5.0), 16000), 1.0, 16000)
    close(mixed, vectors["mix_5db"], 1e-6)
    close(scale_peak(convolved(mixed, room), 1.0, 16000), vectors["mix_then_room"], 1e-6)
    heard = DropContext().apply(torch.from_numpy(vectors["mix_then_room"]).float(), {}, None)
    close(scale_peak(convolved(heard, mic), 1.0)[:, -8000:], vectors["cropped_then_mic"], 1e-6)


def convolved(x: torch.Tensor, responses: torch.Tensor) -> torch.Tensor:
    """Each row by its response, by the step that training takes."""
    step = ImpulseResponse()
    bank = torch.fft.rfft(responses, fft_length(x.shape[1], responses.shape[1], "linear"))
    step.bank = lambda pool, samples: bank
    return step.apply(x, {"response": torch.arange(len(x))}, None)

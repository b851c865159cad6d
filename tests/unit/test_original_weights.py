"""Checkpoints of the originals as models here: the same fingerprints, and what is said of files that are something else."""

import numpy as np
import pytest
import torch
from bundles import DIM, random_model, write_bundle, write_original
from recipes import PARITY, needs_parity, reference

import nafp
from nafp.errors import UserError
from nafp.model.original_weights import BLOCK, VALUE, import_original
from nafp.model.tensorflow_bundle import Bundle
from nafp.model.weights import load_model, settings_of


@pytest.fixture(params=[False, True], ids=["nafp", "nmfp"])
def original(request, tmp_path):
    """A model with random weights, and the prefix of a checkpoint that holds it."""
    return random_model(request.param), write_original(tmp_path / "ckpt-3", request.param)


def test_a_checkpoint_becomes_a_model_that_says_what_it_is(original, tmp_path):
    model, prefix = original
    settings = import_original(prefix, tmp_path / "weights.safetensors")
    assert settings == settings_of(tmp_path / "weights.safetensors")
    sound = np.random.default_rng(0).integers(-9999, 9999, 20_000).astype(np.int16)
    ours = nafp.load(tmp_path / "weights.safetensors").fingerprint(sound)
    with torch.inference_mode():
        segments = torch.from_numpy(sound).unfold(0, 8000, 4000).float() / 32768
        theirs = model(segments) if settings["model"]["head_norm"] else torch.cat([model(x[None]) for x in segments])
    assert ours.shape == (4, DIM) and settings["dim"] == DIM
    if settings["features"]["max_scope"] == "segment":
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)
    imported = dict(load_model(tmp_path / "weights.safetensors").named_parameters())
    for name, parameter in model.named_parameters():
        assert torch.equal(imported[name], parameter), name


def test_features_may_differ_from_the_originals(original, tmp_path):
    """Say the maximum of each segment, so that a fingerprint does not depend on its batch."""
    settings = import_original(original[1], tmp_path / "w.safetensors", {"max_scope": "segment"})
    assert settings["features"]["max_scope"] == "segment" == load_model(tmp_path / "w.safetensors").features.max_scope


def damaged(prefix, suffix: str, change) -> None:
    path = prefix.with_name(prefix.name + suffix)
    path.write_bytes(change(path.read_bytes()))


def flipped(at: int):
    return lambda raw: raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


@pytest.mark.parametrize(
    "suffix, change, says",
    [
        (".data-00000-of-00001", lambda raw: raw[: len(raw) // 2], "is damaged"),
        (".data-00000-of-00001", flipped(100), "is damaged"),
        (".index", flipped(100), "a checksum of its index is wrong"),
        (".index", lambda raw: raw[: len(raw) // 2], "is no index of a TensorFlow 2 checkpoint, or it was cut short"),
        (".index", lambda raw: b"", "is no index of a TensorFlow 2 checkpoint"),
        (".index", lambda raw: b"PK" + raw[:-8] + b"12345678", "is no index of a TensorFlow 2 checkpoint"),
    ],
)
def test_a_damaged_checkpoint(original, tmp_path, suffix, change, says):
    damaged(original[1], suffix, change)
    with pytest.raises(UserError, match=says):
        import_original(original[1], tmp_path / "w.safetensors")
    assert not list(tmp_path.glob("w.safetensors*"))


def test_a_compressed_index(tmp_path):
    prefix = write_bundle(tmp_path / "ckpt-1", {"a": np.ones(3, np.float32)}, compression=1)
    with pytest.raises(UserError, match="has a compressed index"):
        Bundle(prefix)


def test_missing_files(tmp_path):
    with pytest.raises(UserError, match=r"ckpt-9.index: cannot be read .*a checkpoint has an .index and a .data file"):
        Bundle(tmp_path / "ckpt-9")


def test_a_checkpoint_of_something_else(tmp_path, original):
    prefix = write_bundle(tmp_path / "other-1", {f"model/dense/kernel{VALUE}": np.ones((2, 3), np.float32)})
    with pytest.raises(UserError, match="is no checkpoint of the original NAFP or NMFP code"):
        import_original(prefix, tmp_path / "w.safetensors")
    tensors = {name: Bundle(original[1]).tensor(name) for name in Bundle(original[1]).entries}
    kernel = f"{BLOCK.format(3)}/conv2d_3x1/kernel{VALUE}"
    prefix = write_bundle(tmp_path / "other-2", tensors | {kernel: np.ones((5, 1, 8, 8), np.float32)})
    with pytest.raises(
        UserError,
        match=r"is of another architecture: .*conv2d_3x1/kernel is \(5, 1, 8, 8\), it should be \(3, 1, 8, 8\)",
    ):
        import_original(prefix, tmp_path / "w.safetensors")


@needs_parity
@pytest.mark.parametrize("name", ["nafp", "nmfp"])
def test_checkpoints_that_tensorflow_wrote(name, tmp_path):
    vectors = reference("tf_fixture")
    bundle = Bundle(PARITY / f"tf_{name}/ckpt-1")
    listed = (PARITY / f"tf_{name}_tensors.txt").read_text().splitlines()
    assert sorted(bundle.entries) == sorted(line.split("\t")[0] for line in listed)
    sums = [bundle.tensor(str(tensor)).astype(np.float64).sum() for tensor in vectors[f"{name}_file_names"]]
    np.testing.assert_array_equal(sums, vectors[f"{name}_sums"])
    import_original(bundle.prefix, tmp_path / "w.safetensors")
    model, images = load_model(tmp_path / "w.safetensors"), torch.from_numpy(vectors[f"{name}_input"])
    with torch.inference_mode():
        features = model.encoder(images)
        np.testing.assert_allclose(features, vectors[f"{name}_front_conv"], atol=5e-5)
        np.testing.assert_allclose(model.heads(features), vectors[f"{name}_pre_l2"], atol=3e-4)
        np.testing.assert_allclose(model.embed(images), vectors[f"{name}_output"], atol=1e-4)

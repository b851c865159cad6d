"""The loop: what a batch holds, determinism, resume, guards; fingerprints and mini-search."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from nafp.augment import AudioPool
from nafp.corpus import Split
from nafp.errors import UserError
from nafp.fingerprint import build_model, fingerprint, fingerprint_to_file, load_model
from nafp.losses import nt_xent
from nafp.metrics import diagonal_sums, mini_search, wilson_interval
from nafp.model import Fingerprinter
from nafp.optim import cosine_lr
from nafp.train import Settings, Trainer, generator, train, write_results

FEATURES = {"n_mels": 64}
MODEL = {"variant": "release", "width": 4}
CPU = torch.device("cpu")


def split(seed: int, clips: int = 3, samples: int = 24000) -> Split:
    """Clips of noise under a slowly moving tone."""
    g, t = np.random.default_rng(seed), np.arange(samples) / 8000
    sweep = t * (1 + 0.1 * t)
    audio = [3000 * np.sin(2 * np.pi * g.uniform(300, 1000) * sweep) + g.normal(0, 500, samples) for _ in range(clips)]
    table = pd.DataFrame(
        {"path": [f"x/{i}.wav" for i in range(clips)], "start": samples * np.arange(clips), "samples": samples}
    )
    return Split(np.concatenate(audio).astype(np.int16), table)


SPLITS = {"train": split(0), "val_db": split(1), "val_query": split(1), "bg": split(2)}


def settings(**changes) -> Settings:
    defaults = {
        "features": FEATURES,
        "model": MODEL,
        "chain": [{"time_offset": {}}, {"background": {}}, {"cutout": {"mels": [4, 8]}}],
        "epochs": 3,
        "learning_rate": 1e-3,
        "final_lr_fraction": 0.01,
        "val_segments": 100,
        "val_lengths": (1, 3),
        "bsz": 8,
        "dim": 8,
        "loss": "ntxent",
        "loss_options": {"tau": 0.05},
        "seed": 0,
    }
    return Settings(**(defaults | changes))


def trainer(**changes) -> Trainer:
    return Trainer(settings(**changes), SPLITS["train"], {"bg": AudioPool(SPLITS["bg"])}, CPU)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_batch_is_anchors_and_then_their_replicas():
    t = trainer(chain=[])
    images = t.batch(np.array([0, 4, 7, 2]), generator(0))
    assert images.shape == (8, 64, 32)
    torch.testing.assert_close(images[:4], images[4:])
    expected = (
        torch.from_numpy(np.stack([SPLITS["train"].audio[s : s + 8000] for s in (0, 16000, 32000, 8000)])) / 32768
    )
    torch.testing.assert_close(images[:4], t.network[0](expected))


def test_one_epoch_sees_every_segment_once_but_the_rest():
    t, seen = trainer(bsz=8), []
    batch = t.batch
    t.batch = lambda chosen, rng: seen.extend(chosen) or batch(chosen, rng)
    t.run_epoch(lambda loss: None)
    assert len(seen) == len(set(seen)) == 12  # 15 segments, 4 a step


def test_training_learns(tmp_path):
    t = train(settings(epochs=12), SPLITS, CPU, tmp_path / "state.pt")
    assert t.history[-1]["loss"] < 0.5 * t.history[0]["loss"]
    assert t.history[-1]["lr"] < 0.1 * t.history[0]["lr"]


def test_same_seed_same_weights(tmp_path):
    runs = [train(settings(epochs=1, seed=s), SPLITS, CPU, tmp_path / f"{i}.pt") for i, s in enumerate((3, 3, 4))]
    weights = [run.weights() for run in runs]
    assert same(weights[0], weights[1])
    assert not same(weights[0], weights[2])


def test_a_resumed_run_ends_like_an_undisturbed_one(tmp_path):
    whole = train(settings(), SPLITS, CPU, tmp_path / "whole.pt")
    interrupted = trainer()
    for _ in range(2):
        interrupted.note(
            interrupted.run_epoch(lambda loss: None) | interrupted.validate(SPLITS["val_db"], SPLITS["val_query"])
        )
    interrupted.save_state(tmp_path / "part.pt")
    resumed = train(settings(), SPLITS, CPU, tmp_path / "part.pt")
    assert same(whole.weights(), resumed.weights())
    assert same(whole.best, resumed.best)
    assert [r["loss"] for r in whole.history] == [r["loss"] for r in resumed.history]


def test_the_best_epoch_is_kept():
    t = trainer()
    for value in (20.0, 50.0, 50.0, 30.0):
        with torch.no_grad():
            t.network[1].heads.bias2.fill_(len(t.history))
        t.note({"epoch": len(t.history) + 1, "val_top1_1s": value})
    assert t.best["heads.bias2"][0] == 1


def test_results_are_written_and_read_back(tmp_path):
    t = train(settings(epochs=1), SPLITS, CPU, tmp_path / "state.pt")
    write_results(t, tmp_path / "last.safetensors", tmp_path / "best.safetensors", tmp_path / "history.csv")
    assert same(load_file(tmp_path / "last.safetensors"), t.weights())
    assert pd.read_csv(tmp_path / "history.csv")["epoch"].tolist() == [1]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"bsz": 7}, "bsz 7 is odd"),
        ({"bsz": 40}, "bsz 40 needs 20 anchors, but the training split has only 15 segments"),
    ],
)
def test_impossible_batches_are_refused(changes, says):
    with pytest.raises(UserError, match=says):
        trainer(**changes)


def test_a_loss_that_is_not_finite_stops_the_run():
    t = trainer()
    with torch.no_grad():
        t.network[1].heads.weight2.fill_(float("nan"))
    with pytest.raises(UserError, match="the loss became nan at epoch 1, step 1, learning rate 1.00e-03"):
        t.run_epoch(lambda loss: None)


# ---------------------------------------------------------------- model, loss, schedule


def test_nt_xent_by_hand():
    """Two pairs, orthogonal to each other: each row has logits 1/tau (partner), 0 and 0."""
    a = torch.eye(2)
    expected = 2 * math.log(1 + 2 * math.exp(-1 / 0.5))
    torch.testing.assert_close(nt_xent(a, a, tau=0.5), torch.tensor(expected))


def test_default_model_has_the_papers_size():
    assert sum(p.numel() for p in Fingerprinter().parameters()) == 16_939_008


@pytest.mark.parametrize("variant", ["release", "paper"])
def test_fingerprints_are_unit_vectors(variant):
    vectors = Fingerprinter(16, 4, variant, 64, 32)(torch.randn(5, 64, 32))
    assert vectors.shape == (5, 16)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))


def test_variants_differ_in_the_order_of_norm_and_activation():
    torch.manual_seed(0)
    encoder = Fingerprinter(16, 4, "paper", 64, 32).encoder
    assert encoder(torch.randn(2, 64, 32, 1)).min() == 0  # ReLU comes last
    with pytest.raises(ValueError, match="unknown model variant 'new'"):
        Fingerprinter(variant="new")
    with pytest.raises(ValueError, match="dim 24 does not divide the 32 features"):
        Fingerprinter(24, 4)


def test_cosine_schedule_by_hand():
    assert cosine_lr(0, 1.0, 10, 0.1) == 1.0
    assert cosine_lr(5, 1.0, 10, 0.1) == pytest.approx(0.55)
    assert cosine_lr(10, 1.0, 10, 0.1) == cosine_lr(99, 1.0, 10, 0.1) == pytest.approx(0.1)


# ---------------------------------------------------------------- fingerprints and metrics


def test_fingerprints_do_not_depend_on_their_batch(tmp_path):
    torch.manual_seed(1)
    network = build_model(FEATURES, MODEL, 8).eval()
    data = split(5, clips=4, samples=4 * 240000)  # 956 segments: three full batches and a part
    many = np.empty((len(data.segments), 8), np.float32)
    fingerprint(network, data, CPU, many, disable=True)
    few = np.empty((300, 8), np.float32)
    fingerprint(network, data, CPU, few, disable=True)
    np.testing.assert_array_equal(many[:300], few)
    fingerprint_to_file(network, 8, data, CPU, tmp_path / "x.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), many)
    alone = network(torch.from_numpy(data.audio[None, 4000:12000]).float() / 32768)
    np.testing.assert_allclose(many[1], alone[0].detach().numpy(), atol=1e-6)


def test_model_file_round_trip(tmp_path):
    t = trainer()
    t.note({"epoch": 1})
    write_results(t, tmp_path / "last.safetensors", tmp_path / "best.safetensors", tmp_path / "h.csv")
    network = load_model(tmp_path / "best.safetensors", FEATURES, MODEL, 8)
    x = torch.randn(2, 8000)
    torch.testing.assert_close(network(x), t.network.eval()(x))


def test_diagonal_sums_by_hand():
    np.testing.assert_array_equal(diagonal_sums(np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), 2), [[6, 8], [12, 14]])


def test_mini_search_finds_what_is_there():
    db = np.eye(6, dtype=np.float32)
    assert mini_search(db, db, [1, 3])[3] == {"top1": 1.0, "top3": 1.0, "top10": 1.0, "mean_rank": 0.0}
    wrong = np.roll(db, 1, axis=0)
    assert mini_search(db, wrong, [1])[1]["top1"] == 0.0


@pytest.mark.parametrize("hits, n, low, high", [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)])
def test_wilson_interval_against_published_values(hits, n, low, high):
    """Values of Wilson's formula with z = 1.96."""
    found = wilson_interval(hits, n)
    assert found[0] == pytest.approx(low, abs=1e-4)
    assert found[1] == pytest.approx(high, abs=1e-4)
    assert np.isnan(wilson_interval(0, 0)[0])

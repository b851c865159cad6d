"""The loop: what a batch holds, determinism, resume in memory, guards; model, schedules, fingerprints, mini-search."""

import dataclasses
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from audio_splits import FEATURES, MODEL, SPLITS, settings, split
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import EXPERIMENT_TAG, SESSION_START_INFO_TAG
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.errors import UserError
from nafp.model.encoders import ENCODERS
from nafp.model.encoders.network import EncoderNetwork
from nafp.model.features import LogMel
from nafp.model.fingerprint import fingerprint, fingerprint_to_file
from nafp.model.model import build_model, on_device
from nafp.model.weights import load_model
from nafp.search.vectors import open_vectors, write_manifest
from nafp.training.batches import Batches, generator_for
from nafp.training.checkpoints import Checkpoints
from nafp.training.mini_search import mini_search, sequence_similarities
from nafp.training.optim import learning_rate
from nafp.training.train import train
from nafp.training.trainer import Trainer
from nafp.training.validation import Validation, spread

CPU = torch.device("cpu")


def trainer(splits=SPLITS, checkpoints=None, **changes) -> Trainer:
    return Trainer(settings(**changes), splits, CPU, checkpoints)


def trained(folder, **changes) -> Trainer:
    return train(trainer(checkpoints=Checkpoints(folder / "states"), **changes), "run", folder / "board")


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def whole_epoch(t: Trainer) -> None:
    assert sum(t.run_epoch()) == t.batches.steps
    t.finish_epoch()


# ---------------------------------------------------------------- batches


def test_a_batch_is_anchors_and_then_their_replicas():
    t = trainer(chain=[])
    images = t.batches.images(t.batches.plan(np.array([0, 4, 7, 2]), generator_for(0)))
    assert images.shape == (8, 64, 32)
    torch.testing.assert_close(images[:4], images[4:])
    starts = (0, 16000, 32000, 8000)
    expected = torch.from_numpy(np.stack([SPLITS["train"].audio[s : s + 8000] for s in starts])) / 32768
    torch.testing.assert_close(images[:4], t.network.features(expected))


def test_several_replicas_of_an_anchor_lie_side_by_side():
    batches = trainer(chain=[], bsz=8, positives=3).batches
    images = batches.images(batches.plan(np.array([0, 4]), generator_for(0)))
    torch.testing.assert_close(images[2:5], images[:1].expand(3, -1, -1))
    torch.testing.assert_close(images[5:8], images[1:2].expand(3, -1, -1))


@pytest.mark.parametrize("context_s", [0.0, 0.8])
def test_some_rows_of_a_batch_are_the_same_rows(context_s):
    batches = trainer(data={"context_s": context_s}).batches
    plan, rows = batches.plan(np.array([0, 4, 7, 2]), generator_for(0)), range(1, 8, 3)
    torch.testing.assert_close(batches.images(plan, rows), batches.images(plan)[rows], atol=1e-6, rtol=0)


def test_one_epoch_sees_every_segment_once_but_the_rest():
    orders = [trainer().batches.order(epoch) for epoch in (0, 1)]
    for order in orders:
        assert order.shape == (3, 4)  # 15 segments, 4 a step
        assert len(np.unique(order)) == 12
    assert {*orders[0].flat} != {*orders[1].flat}  # the rest differs


def test_the_last_segments_are_never_seen_if_one_asks_for_it():
    batches = trainer(data={"drop_last": True}).batches
    assert {*batches.order(0).flat} == {*batches.order(5).flat} == set(range(12))


def test_neighbours_lie_together():
    batches = trainer(bsz=30, data={"shuffle_run_length": 5}).batches
    for epoch in range(6):
        (order,) = batches.order(epoch)
        assert sorted(order) == list(range(15))
        place = np.argsort(order)
        for i in range(14):
            if (i + 1 + epoch) % 5:  # else a run ends here
                assert place[i + 1] == place[i] + 1
    assert batches.order(0).tolist() != batches.order(1).tolist()


def test_one_random_segment_of_each_clip():
    batches = trainer(bsz=6, data={"one_per_clip": True}).batches
    orders = [batches.order(epoch) for epoch in range(40)]
    assert all(sorted(order.ravel() // 5) == [0, 1, 2] for order in orders)  # 5 segments a clip
    assert {i for order in orders for i in order.flat} == set(range(15))


@given(counts=st.lists(st.integers(1, 9), min_size=4, max_size=12), anchors=st.integers(2, 4), epoch=st.integers(0, 3))
def test_batches_of_distinct_clips(counts, anchors, epoch):
    """Every segment is used but for a remainder, none twice, and no two of a clip are in one batch."""
    clips = Split.of_clips(
        [np.zeros(4000 * (count + 1), np.int16) for count in counts], [f"x/{i}.wav" for i in range(len(counts))]
    )

    def batches() -> Batches:
        return Batches(
            clips, LogMel(**FEATURES), Chain([]), 2 * anchors, 1, 0, torch.device("cpu"), distinct_clips=True
        )

    if max(counts) > sum(counts) // anchors:
        with pytest.raises(UserError, match="distinct_clips: a clip has|needs .* anchors"):
            batches()
        return
    order = batches().order(epoch)
    assert order.shape == (sum(counts) // anchors, anchors) and len(set(order.flat)) == order.size
    assert all(len(set(clips.segments.clip[row])) == anchors for row in order)
    assert np.array_equal(order, batches().order(epoch))
    assert order.size < 9 or not np.array_equal(order, batches().order(epoch + 1))


@dataclasses.dataclass(frozen=True)
class Pooled:
    """An encoder that is nothing but averages: what CONTRIBUTING asks of one, and no more."""

    def features(self, image):
        return image[0]

    def for_dimension(self, dim, image):
        return "features.n_mels"

    def build(self, image):
        class Network(EncoderNetwork):
            def forward(self, images):
                return images.mean(dim=2)

        return Network()


def test_another_encoder_trains_and_fingerprints(tmp_path, monkeypatch):
    monkeypatch.setitem(ENCODERS, "pooled", Pooled)
    done = trained(tmp_path, epochs=1, model={"encoder": "pooled"}, kernels="auto")
    assert np.isfinite(done.history[-1]["loss"])
    network = on_device(build_model(FEATURES, {"encoder": "pooled"}, 8).eval(), torch.device("cpu"))
    assert network(torch.randn(3, 8000)).shape == (3, 8)


def test_distinct_clips_and_another_order_contradict():
    for other in ({"one_per_clip": True}, {"shuffle_run_length": 2}):
        with pytest.raises(UserError, match="are two orders of an epoch; choose one"):
            trainer(bsz=6, data={"distinct_clips": True, **other})


@given(fraction=st.floats(0.05, 1))
def test_a_fraction_of_the_songs_is_part_of_every_larger_one(fraction):
    data = split(3, clips=20, samples=12000)
    clips = [
        {*Batches(data, LogMel(n_mels=64), Chain([]), 4, 1, 0, CPU, fraction=f).segments.clip}
        for f in (max(fraction, 0.1), 1)
    ]
    assert len(clips[0]) == max(round(20 * max(fraction, 0.1)), 1)
    assert clips[0] <= clips[1] == set(range(20))


def test_splice_joins_two_replicas_of_the_anchor():
    """Without the step's seam each half is what one cut or the other would give; unspliced replicas are as before."""
    chain = Chain(
        [{"time_offset": {"max_s": 0.1}}, {"splice": {"p": 0.5, "at_s": [0.25, 0.25]}}, {"peak_normalize": {}}]
    )
    batches = Batches(split(0, clips=12), LogMel(**FEATURES), chain, 40, 1, 0, torch.device("cpu"))
    plan = batches.plan(batches.order(0)[0], generator_for(0))
    spliced = plan.spliced.replicas
    assert 3 < len(spliced) < 17
    joined = batches.waves(plan, range(40))[20:]
    first = batches.degrade(plan.start[20:], plan.clip_start[20:], plan.wave)
    second = batches.degrade(plan.spliced.start, plan.clip_start[20:][spliced], plan.spliced.wave)
    torch.testing.assert_close(joined[spliced][:, 2000:], second[:, 2000:])
    first[spliced, 2000:] = second[:, 2000:]
    torch.testing.assert_close(joined, first)
    anchors, replicas = torch.as_tensor(plan.start).split(20)
    assert (plan.spliced.start - anchors[spliced]).abs().max() <= 800  # as far from the anchor as any replica
    assert (plan.spliced.start != replicas[spliced]).any()


# ---------------------------------------------------------------- training


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "triplet", "loss_options": {"margin": 0.4, "mining": "release_semi_hard"}, "positives": 3},
        {"optimizer": {"name": "lamb"}, "learning_rate": 3e-3},
        {"precision": "bfloat16", "schedule": {"name": "constant"}},
        {"model": {"variant": "paper", "width": 4}, "schedule": {"name": "cos-restart"}, "micro_batch_size": 3},
    ],
)
def test_training_learns(tmp_path, changes, monkeypatch):
    monkeypatch.setattr("nafp.compute.bfloat16_pays", lambda device: True)  # slow where it is not
    history = trained(tmp_path, epochs=12, chain=[], **changes).history
    assert history[-1]["loss"] < 0.3 * history[0]["loss"]
    assert list(history[0])[:5] == ["epoch", "loss", "lr", "seconds", "anchors_per_s"]
    assert {"val_top1_1s", "val_f_top1_1s", "val_l2f_top1_2s"} <= history[0].keys()
    assert list((tmp_path / "board").iterdir())


@pytest.mark.parametrize(("pays", "computed"), [(True, "bfloat16"), (False, "float32")])
def test_a_job_states_the_precision_that_it_computes_in(monkeypatch, pays, computed):
    monkeypatch.setattr("nafp.compute.bfloat16_pays", lambda device: pays)
    assert trainer(chain=[], precision="bfloat16").jobs == [{"precision": computed}]


def test_tensorboard_compares_runs_by_their_settings(tmp_path):
    """The tab HParams: settings and metrics of the run, said again by a training that goes on."""
    for epochs in (1, 2):
        trained(tmp_path, epochs=epochs)
    events = EventAccumulator(str(tmp_path / "board")).Reload()
    assert EXPERIMENT_TAG in events.PluginTagToContent("hparams")
    started = HParamsPluginData.FromString(events.PluginTagToContent("hparams")[SESSION_START_INFO_TAG])
    said = started.session_start_info.hparams
    assert said["bsz"].number_value == trainer().settings.bsz
    assert said["loss"].string_value == "ntxent" and "model.variant" in said
    described = HParamsPluginData.FromString(events.PluginTagToContent("hparams")[EXPERIMENT_TAG]).experiment
    metrics = {metric.name.tag for metric in described.metric_infos}
    assert metrics <= set(events.Tags()["scalars"]) and {"train/loss", "mini-search g(f)/top1_1s"} <= metrics


def test_tensorboard_shows_what_happens(tmp_path):
    trained(tmp_path, epochs=2)
    events = EventAccumulator(str(tmp_path / "board")).Reload()
    shown = {f"mini-search {space}/top1_{length}" for space in ("f", "L2(f)", "g(f)") for length in ("1s", "2s")}
    shown |= {"train/loss", "train/learning_rate", "train/anchors_per_s", "validation/spread of g(f)"}
    assert shown == set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("train/loss")] == [3, 6]  # 3 steps an epoch, looked at together
    assert [event.step for event in events.Images("similarity of anchors and replicas")] == [3, 6]


def test_a_continued_log_has_each_step_once(tmp_path, monkeypatch):
    """Stopped after the state of step 4 and one more step, of which nothing may remain; and extended when it was done."""
    monkeypatch.setattr("nafp.training.trainer.CHECK_EVERY", 1)
    plan, often = Trainer.plan, {"every": None, "last": 1, "minutes": 0}

    def go_on(epochs: int) -> list[int]:
        time.sleep(1)  # event files are read in the order of their names, which begin with the second
        t = Trainer(settings(epochs=epochs, checkpoints=often), SPLITS, CPU, Checkpoints(tmp_path / "states"))
        train(t, "run", tmp_path / "board")
        events = EventAccumulator(str(tmp_path / "board")).Reload()
        assert [event.step for event in events.Images("similarity of anchors and replicas")] == [3, 6, 9][:epochs]
        return [event.step for event in events.Scalars("train/loss")]

    def stopped(t: Trainer, chosen: np.ndarray) -> object:
        if t.steps_done == 4:
            assert [event.step for event in EventAccumulator(str(tmp_path / "board")).Reload().Scalars("train/loss")][
                -1
            ] == 4
            raise KeyboardInterrupt
        return plan(t, chosen)

    monkeypatch.setattr(Trainer, "plan", stopped)
    with pytest.raises(KeyboardInterrupt):
        go_on(2)
    monkeypatch.setattr(Trainer, "plan", plan)
    assert go_on(2) == [1, 2, 3, 4, 5, 6]
    assert go_on(3) == [*range(1, 10)]


def test_same_seed_same_weights(tmp_path):
    weights = [trained(tmp_path / str(i), epochs=1, seed=seed).weights() for i, seed in enumerate((3, 3, 4))]
    assert same(weights[0], weights[1])
    assert not same(weights[0], weights[2])


def test_pieces_change_nothing_but_rounding(tmp_path):
    whole, pieces = (trained(tmp_path / str(n), epochs=1, micro_batch_size=n).weights() for n in (None, 3))
    for name in whole:
        torch.testing.assert_close(whole[name], pieces[name], atol=2e-5, rtol=1e-4)


def test_the_best_epoch_is_the_first_with_the_best_validation():
    t = trainer()
    t.history = [{"epoch": i + 1, "val_top1_1s": value} for i, value in enumerate((20.0, 50.0, 50.0, 30.0))]
    assert t.best == 2


@pytest.mark.parametrize(
    "rates, collapsed, best",
    [
        ((30.0, float("nan"), 20.0), (), 1),
        ((float("nan"), 10.0), (), 2),
        ((30.0, 100.0, 40.0), (2,), 3),
        ((3.0, 5.0), (1, 2), 2),
        ((float("nan"), float("nan")), (1, 2), 1),
    ],
)
def test_the_best_epoch_is_a_healthy_one_if_there_is_one(rates, collapsed, best):
    t = trainer()
    t.history = [{"val_top1_1s": rate, "collapsed": i in collapsed} for i, rate in enumerate(rates, start=1)]
    assert t.best == best


def test_the_weights_of_a_former_best_epoch_last_as_long_as_the_state_that_names_them(tmp_path, monkeypatch):
    """The state of a new best epoch is damaged, and the epoch scores less when it is repeated, as it may on a GPU."""
    validate = Validation.__call__

    def validated_as(*rates: float) -> Trainer:
        rate = iter(rates)
        monkeypatch.setattr(Validation, "__call__", lambda *given: validate(*given) | {"val_top1_1s": next(rate)})
        return trained(tmp_path, epochs=3, schedule={"name": "constant"})

    assert validated_as(50.0, 40.0, 50.5).best == 3
    newest = Checkpoints(tmp_path / "states").states()[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    t = validated_as(49.5)
    assert t.best == 1 and t.checkpoints.weights(1).exists()
    t.checkpoints.publish(t.best, tmp_path / "best.safetensors")


def test_damaged_weights_of_the_newest_state_are_written_again(tmp_path):
    weights = trained(tmp_path, epochs=2).checkpoints.weights(2)
    whole = weights.read_bytes()
    weights.write_bytes(b"")
    trained(tmp_path, epochs=2)
    assert weights.read_bytes() == whole


def collapse(t: Trainer, value: float = 1.0) -> None:
    """Let every fingerprint be the same."""
    with torch.no_grad():
        t.network.heads.weight2.zero_()
        t.network.heads.bias2.fill_(value)


def test_a_collapsed_epoch_says_so_and_is_not_the_best(tmp_path, monkeypatch, capsys):
    finish = Trainer.finish_epoch

    def finish_epoch(t: Trainer) -> dict:
        if t.epoch == 1:
            collapse(t)
        return finish(t)

    monkeypatch.setattr(Trainer, "finish_epoch", finish_epoch)
    t = trained(tmp_path, epochs=2)
    assert [record["collapsed"] for record in t.history] == [False, True]
    first, second = t.history
    assert first["val_spread"] > 0.01
    assert second["val_spread"] == pytest.approx(0, abs=1e-6)
    assert second["val_top1_1s"] == pytest.approx(100 / 15)  # chance
    assert t.best == 1
    assert "collapsed in epoch 2 (all fingerprints are alike, spread" in capsys.readouterr().out
    events = EventAccumulator(str(tmp_path / "board")).Reload().Scalars("validation/spread of g(f)")
    assert [event.value for event in events] == pytest.approx([record["val_spread"] for record in t.history])


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_fingerprints_that_are_no_unit_vectors_find_nothing(value):
    t = trainer()
    collapse(t, value)
    found = t.validation(t.network)
    assert found["collapsed"]
    assert np.isnan(found["val_spread"])
    assert found["val_top1_1s"] == pytest.approx(0 if np.isnan(value) else 100 / 15)


def test_spread_by_hand():
    alike, even = np.full((4, 2), np.sqrt(0.5)), np.eye(4)
    assert spread(alike) == spread(alike * [[1], [-1], [1], [-1]]) == pytest.approx(0)
    assert spread(even) == pytest.approx(3 / 4)
    assert spread(np.array([[1.0, 0], [0.6, 0.8]])) == pytest.approx(1 - (1 + 1 + 2 * 0.36) / 4)


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_weights_that_are_not_numbers_stop_the_run_before_they_are_saved(tmp_path, monkeypatch, bad):
    """The last step of an epoch, or before a state within one, may do that: its loss is of the weights before it."""
    monkeypatch.setattr("nafp.training.trainer.CHECK_EVERY", 1)
    t, step = trained(tmp_path, epochs=1), Trainer.train_step

    def last_step(t: Trainer, chosen: np.ndarray) -> torch.Tensor:
        loss = step(t, chosen)
        if t.step == bad:
            with torch.no_grad():
                t.network.heads.bias2[0] = float("nan")
        return loss

    monkeypatch.setattr(Trainer, "train_step", last_step)
    often = settings(epochs=2, checkpoints={"every": None, "last": 1, "minutes": 0})
    with pytest.raises(
        UserError, match=rf"weights became nan at epoch 2, step {bad}, .* last good state is .*epoch=1_step={bad - 1}"
    ):
        train(Trainer(often, SPLITS, CPU, t.checkpoints), "run", tmp_path / "board")
    assert all(value.isfinite().all() for value in t.checkpoints.load_state()["model"].values())


VALIDATED = {**SPLITS, "val_query": split(7), "val_bg": split(9), "val_ir": split(10)}


def validated(*chain, **changes) -> Trainer:
    """A trainer that makes its validation queries by a chain, whatever the data set's own are."""
    return trainer(VALIDATED, validation={"segments": 10, "lengths": [1], "chain": list(chain)}, **changes)


def test_validation_queries_can_be_made_by_a_chain():
    t = validated({"background": {"snr_db": [60, 60]}})
    assert t.validation(t.network)["val_top1_1s"] == 100
    torch.testing.assert_close(*(torch.from_numpy(t.validation.embed(t.network, True)[1]) for _ in range(2)))


def images_of_queries(t: Trainer) -> torch.Tensor:
    return t.validation.degraded(t.network.features, torch.arange(10), generator_for(0))


def test_a_validation_chain_does_all_that_it_says():
    clean = images_of_queries(validated())
    torch.testing.assert_close(clean, trainer().network.features(queries_at(torch.zeros(10, dtype=torch.long))))
    moved = images_of_queries(validated({"time_offset": {"max_s": 0.1}}))
    db = VALIDATED["val_db"].segments
    bounds = (torch.from_numpy(part[:10]) for part in (db.low, db.high))
    offsets = Chain([{"time_offset": {"max_s": 0.1}}]).draw_offsets(*bounds, 0, generator_for(0), torch.arange(10))[
        :, 0
    ]
    assert (offsets != 0).any()
    torch.testing.assert_close(moved, trainer().network.features(queries_at(offsets)))
    masked = images_of_queries(validated({"time_mask": {"fill": "zeros", "frames": [4, 4]}}))
    holes = (masked != clean).any(dim=1).sum(dim=1)
    assert (holes > 0).all()
    assert (holes <= 5).all()


def queries_at(offsets: torch.Tensor) -> torch.Tensor:
    """(10, SEGMENT) the validation segments, each displaced."""
    starts = torch.from_numpy(VALIDATED["val_db"].segments.start[:10]) + offsets
    return torch.from_numpy(np.stack([VALIDATED["val_db"].audio[s : s + 8000] for s in starts.tolist()])) / 32768


def test_a_validation_query_can_be_spliced():
    """Before the seam it is the chain's query without the splice, after it another one that is as near to its place."""
    steps = {"time_offset": {}}, {"splice": {"p": 1.0, "at_s": [0.25, 0.25]}}
    t, rows = validated(*steps).validation, torch.arange(10)

    def cut(at, rows=slice(None)):
        return t.db.cut(at, 8000)

    joined = t.chain.query(cut, t.start, t.low, t.high, rows, generator_for(0))
    offsets = t.chain.draw_offsets(t.low, t.high, 1, generator_for(0), rows, from_place=True)
    assert offsets.abs().max() <= 1600
    torch.testing.assert_close(joined[:, :2000], cut(t.start + offsets[:, 0])[:, :2000])
    torch.testing.assert_close(joined[:, 2000:], cut(t.start + offsets[:, 1])[:, 2000:])
    assert (offsets[:, 0] != offsets[:, 1]).any()


def test_masks_are_filled_with_the_mean_of_the_whole_batch(monkeypatch):
    chain = [{"cutout": {"mels": [3, 20], "fill": "batch_mean"}}, {"time_mask": {"fill": "batch_mean", "p": 0.5}}]
    batches = trainer(chain=chain).batches
    plan = batches.plan(np.array([0, 4, 7, 2]), generator_for(0))
    whole = batches.images(plan)
    monkeypatch.setattr("nafp.training.batches.ROWS_AT_A_TIME", 3)
    torch.testing.assert_close(batches.images(plan), whole, atol=1e-6, rtol=0)


def test_training_begins_with_given_weights(tmp_path):
    done = trained(tmp_path, epochs=1)
    start = str(done.checkpoints.weights(1))
    assert same(trainer(init_from=start).weights(), done.weights())
    for changes, says in (
        ({"dim": 4}, "trained with dim 8, not 4; begin with weights of the same model"),
        ({"model": {**done.settings.model, "variant": "paper"}}, "trained with model variant: release, not paper"),
        ({"features": {"n_mels": 32}}, "trained with features n_mels: 64, not 32"),
    ):
        with pytest.raises(UserError, match=f"train.init_from: .*: {says}"):
            trainer(init_from=start, **changes)
    bare = tmp_path / "bare.safetensors"
    save_file(done.weights(), bare)
    with pytest.raises(UserError, match="bare.safetensors cannot be used: .*size mismatch for "):
        trainer(init_from=str(bare), dim=4)
    with pytest.raises(UserError, match="compose: is not there; .* comes with nafp: composed"):
        trainer(init_from="compose")


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"bsz": 7}, "bsz=7: each anchor comes with a replica, so N is a multiple of 2"),
        ({"bsz": 40}, "bsz 40 needs 20 anchors, but the training split has only 15 segments; use .* at most 30"),
        ({"bsz": 8, "data": {"one_per_clip": True}}, "has only 3 clips"),
        ({"dim": 24}, "dim=24 does not divide the 32 features"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes, says):
    with pytest.raises(UserError, match=says):
        trainer(**changes)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    t = trained(tmp_path, epochs=1)
    with torch.no_grad():
        t.network.heads.weight2.fill_(float("nan"))
    with pytest.raises(
        UserError, match=r"nan at epoch 2, step 1, learning rate .* last good state is .*epoch=1_step=0"
    ):
        next(t.run_epoch())


def test_out_of_memory_says_what_to_set():
    t = trainer()

    def failing(images):
        raise torch.OutOfMemoryError("CUDA out of memory")

    t.embed = failing
    with pytest.raises(
        UserError, match="out of memory with 8 segments at a time; set train.micro_batch_size to 4 or auto"
    ):
        next(t.run_epoch())


def test_automatic_pieces_fit_the_memory(monkeypatch, capsys):
    t = trainer(micro_batch_size="auto")
    t.choose_micro_batch()
    assert t.micro_batch_size is None
    assert "MB a segment" in capsys.readouterr().out
    monkeypatch.setattr("nafp.training.gradients.free_memory", lambda: 1_000_000)
    t.choose_micro_batch()
    said = capsys.readouterr().out
    assert t.micro_batch_size in (2, 3, 4)
    assert f"micro-batches of {t.micro_batch_size} of 8 rows" in said
    monkeypatch.setattr("nafp.training.gradients.free_memory", lambda: 2_000_000)
    monkeypatch.setattr("nafp.training.gradients.rank_and_world_size", lambda: (0, 2))  # two processes share it
    t.choose_micro_batch()
    assert capsys.readouterr().out == said
    monkeypatch.setattr("nafp.training.gradients.free_memory", lambda: 1000)
    with pytest.raises(UserError, match="one segment needs .* MB of memory to train"):
        t.choose_micro_batch()


# ---------------------------------------------------------------- model, schedules


def test_default_model_has_the_papers_size():
    assert sum(p.numel() for p in build_model({}, {}, 128).parameters()) == 16_939_008


@pytest.mark.parametrize("variant", ["release", "paper"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fingerprints_are_unit_vectors(variant, dtype):
    model = build_model(FEATURES, MODEL | {"variant": variant}, 16)
    model.encoder.dtype = dtype
    vectors = model.embed(torch.randn(5, *model.features.shape))
    assert vectors.shape == (5, 16)
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))


def test_variants_differ_in_the_order_of_norm_and_activation():
    torch.manual_seed(0)
    model = build_model(FEATURES, MODEL | {"variant": "paper"}, 16)
    assert model.encoder(torch.randn(2, *model.features.shape)).min() == 0  # ReLU comes last


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"variant": "new"}, "model.variant: unknown variant 'new'; known: release, paper"),
        ({"encoder": "new"}, "model.encoder: unknown encoder 'new'; known: separable"),
        ({"depth": 3}, "model: unknown option depth of the encoder separable; known: width, variant"),
        ({"width": 3}, "dim=16 does not divide the 24 features of the encoder; .* model.width to a multiple of 2"),
    ],
)
def test_what_no_encoder_is(model, said):
    with pytest.raises(UserError, match=said):
        build_model(FEATURES, model, 16)


@pytest.mark.parametrize(
    "schedule, expected",
    [
        ({"name": "cos"}, {0: 1.0, 5: 0.55, 10: 0.1, 99: 0.1}),
        ({"name": "constant"}, {0: 1.0, 99: 1.0}),
        # periods of 1, 2, 4, ... steps: each begins at 1 and is half-way down in its middle
        (
            {"name": "cos-restart", "first": 0.1, "factor": 2},
            {0: 1.0, 1: 1.0, 2: 0.55, 3: 1.0, 5: 0.55, 7: 1.0, 11: 0.55, 15: 1.0},
        ),
        ({"name": "constant", "warmup": 4}, {0: 0.2, 3: 0.8, 4: 1.0, 9: 1.0}),
    ],
)
def test_schedules_by_hand(schedule, expected):
    found = {step: 1e-3 * learning_rate(step, 10, 1000.0, final_lr=100.0, **schedule) for step in expected}
    assert found == pytest.approx(expected)


def test_the_learning_rate_grows_with_the_batch():
    assert settings(bsz=320, learning_rate=1e-4, lr_bsz=640).peak_learning_rate == pytest.approx(5e-5)
    assert settings(bsz=320, learning_rate=1e-4).peak_learning_rate == 1e-4


def test_identity_is_what_the_weights_depend_on():
    base = settings(epochs=3, schedule={"name": "cos", "epochs": 3})
    for same_weights in ({"epochs": 9}, {"micro_batch_size": 4}, {"checkpoints": {"every": 2}}):
        assert dataclasses.replace(base, **same_weights).identity() == base.identity()
    for other in ({"seed": 1}, {"chain": []}, {"precision": "bfloat16"}):
        assert dataclasses.replace(base, **other).identity() != base.identity()
    assert settings(epochs=4).identity() != settings(epochs=3).identity()  # another schedule


def test_former_names_of_settings_are_translated():
    former = {"start": "a", "micro_batch": 4, "data": {"past_s": 0.3, "neighbours": 2, "rest": "never"}}
    chain, now = [{"gain": {"peak_db": [-3, 0]}}, {"gain": {"db": [0, 1]}}], [{"peak_normalize": {"peak_db": [-3, 0]}}]
    with pytest.warns(FutureWarning) as said:
        found = settings(**former, chain=chain, validation={"segments": 9, "chain": [{"gain": {}}]})
    assert found.data == {"context_s": 0.3, "shuffle_run_length": 2, "drop_last": True}
    assert (found.init_from, found.micro_batch_size, found.chain) == ("a", 4, now + chain[1:])
    assert found.validation == {"segments": 9, "chain": [{"peak_normalize": {}}]}
    assert len(said) == 7 and "data: 'past_s' is now called 'context_s'" in {str(one.message) for one in said}


# ---------------------------------------------------------------- fingerprints and metrics


def test_fingerprints_do_not_depend_on_their_batch(tmp_path):
    torch.manual_seed(1)
    network = on_device(build_model(FEATURES, MODEL, 8).eval(), CPU)
    data = split(5, clips=4, samples=4 * 240000)  # 956 segments: three full batches and a part
    many = np.empty((len(data.segments), 8), np.float32)
    fingerprint(network, data, CPU, many, disable=True)
    few = np.empty((300, 8), np.float32)
    fingerprint(network, data, CPU, few, disable=True)
    np.testing.assert_array_equal(many[:300], few)
    fingerprint_to_file(network, data, CPU, tmp_path / "x.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), many)
    alone = network(torch.from_numpy(data.audio[None, 4000:12000]).float() / 32768)
    np.testing.assert_allclose(many[1], alone[0].detach().numpy(), atol=1e-6)


def test_room_for_fingerprints_is_asked_for_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("nafp.disk.shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match="fingerprints x.npy needs 0.00 GB, but only 0.00 GB are free"):
        fingerprint_to_file(build_model(FEATURES, MODEL, 8), split(5, clips=4, samples=80000), CPU, tmp_path / "x.npy")
    assert list(tmp_path.iterdir()) == []


def test_any_number_of_shards_gives_the_same_fingerprints(tmp_path):
    torch.manual_seed(1)
    features = FEATURES | {"max_scope": "batch"}  # the hardest case: a fingerprint depends on its whole batch
    network = build_model(features, MODEL, 8).eval()
    data = split(5, clips=4, samples=4 * 240000)  # 956 segments
    fingerprint_to_file(network, data, CPU, tmp_path / "whole.npy")
    whole = open_vectors(tmp_path / "whole.npy")
    for count in (1, 3, 7):  # three of seven are empty
        paths = [tmp_path / f"{shard}-of-{count}.npy" for shard in range(count)]
        for shard in reversed(range(count)):
            fingerprint_to_file(network, data, CPU, paths[shard], shard, count)
        write_manifest(tmp_path / "gathered.json", paths)
        gathered = open_vectors(tmp_path / "gathered.json")
        assert gathered.shape == whole.shape
        np.testing.assert_array_equal(np.asarray(gathered), whole)


def test_model_file_round_trip(tmp_path):
    t = trained(tmp_path, epochs=1)
    network = load_model(t.checkpoints.weights(1), FEATURES, MODEL, 8)
    x = torch.randn(2, 8000)
    torch.testing.assert_close(network(x), t.network.eval()(x))


def test_weights_know_what_they_are_of(tmp_path):
    """Nothing else is needed, what contradicts is refused, and a file that says nothing wants to be told."""
    t = trained(tmp_path, epochs=1)
    weights, x = t.checkpoints.weights(1), torch.randn(2, 8000)
    torch.testing.assert_close(load_model(weights)(x), t.network.eval()(x))
    with pytest.raises(UserError, match=r"trained with features f_min: .*, not 50; use the settings of its training"):
        load_model(weights, FEATURES | {"f_min": 50})
    with pytest.raises(UserError, match="trained with dim 8, not 16"):
        load_model(weights, dim=16)
    save_file(t.weights(), tmp_path / "bare.safetensors")
    with pytest.raises(UserError, match="bare.safetensors: does not say its features, model, dim"):
        load_model(tmp_path / "bare.safetensors")
    torch.testing.assert_close(load_model(tmp_path / "bare.safetensors", FEATURES, MODEL, 8)(x), t.network.eval()(x))


def test_clips_shorter_than_a_segment_are_trained_on():
    audio = np.random.default_rng(0).integers(-9000, 9000, 4 * 8000).astype(np.int16)
    clips = pd.DataFrame({"path": [f"x/{i}.wav" for i in range(4)], "start": 8000 * np.arange(4), "samples": 5000})
    t = trainer({"train": Split(audio, clips), "bg": SPLITS["bg"]}, bsz=8)
    whole_epoch(t)
    assert np.isfinite(t.history[0]["loss"])


def test_sequence_similarities_by_hand():
    found = sequence_similarities(np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), 2)
    np.testing.assert_array_equal(found, [[6, 8], [12, 14]])


@pytest.mark.parametrize("metric", ["dot", "l2"])
def test_mini_search_finds_what_is_there(metric):
    db = np.eye(6, dtype=np.float32)
    assert mini_search(db, db, [1, 3], metric=metric)[3] == {"top1": 1.0, "top3": 1.0, "top10": 1.0, "mean_rank": 0.0}
    wrong = np.roll(db, 1, axis=0)
    assert mini_search(db, wrong, [1], metric=metric)[1]["top1"] == 0.0


@pytest.mark.parametrize("metric", ["dot", "l2"])
def test_where_all_are_alike_the_hit_rate_is_chance(metric):
    db = np.full((40, 8), 8**-0.5, np.float32)
    found = mini_search(db, db, [1, 3], metric=metric)
    assert found[1] == pytest.approx({"top1": 1 / 40, "top3": 3 / 40, "top10": 10 / 40, "mean_rank": 39 / 2})
    assert found[3] == pytest.approx({"top1": 1 / 38, "top3": 3 / 38, "top10": 10 / 38, "mean_rank": 37 / 2})


def test_a_tie_counts_half():
    db = np.eye(12, dtype=np.float32)
    db[1] = db[0]  # so that the first two queries have two best answers each
    assert mini_search(db, db, [1])[1] == pytest.approx(
        {"top1": 11 / 12, "top3": 1.0, "top10": 1.0, "mean_rank": (0.5 + 0.5) / 12}
    )


@pytest.mark.parametrize("metric", ["dot", "l2"])
def test_what_is_not_a_number_is_a_miss(metric):
    db, missing = np.eye(6, dtype=np.float32), np.full((6, 6), np.nan, np.float32)
    nothing = {"top1": 0.0, "top3": 0.0, "top10": 0.0, "mean_rank": 6.0}
    for pair in ((db, missing), (missing, db), (missing, missing)):
        assert mini_search(*pair, [1], metric=metric)[1] == nothing
    one = db.copy()
    one[2] = np.nan
    assert mini_search(db, one, [1], metric=metric)[1]["top1"] == pytest.approx(5 / 6)  # one query is missing
    assert mini_search(one, db, [1], metric=metric)[1]["top1"] == 0.0  # one candidate is: it could be above any other

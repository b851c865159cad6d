"""States and weights on disk: the newest two, damage, policy, publication."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from nafp.errors import UserError
from nafp.training.checkpoints import Checkpoints, publish_epoch
from nafp.training.checks import kept_epochs

CPU = torch.device("cpu")


@pytest.fixture
def checkpoints(tmp_path) -> Checkpoints:
    found = Checkpoints(tmp_path / "run/.states/key")
    for epoch, step in ((1, 0), (9, 70), (10, 0)):
        found.save_state({"number": torch.tensor(epoch), "step": step}, epoch, step)
    return found


def test_the_newest_two_states_are_kept(checkpoints):
    assert [path.name.split(".")[0] for path in checkpoints.states()] == ["epoch=9_step=70", "epoch=10_step=0"]
    assert checkpoints.load_state()["number"] == 10


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage", [flip, lambda path: path.write_bytes(path.read_bytes()[:-100]), lambda p: p.write_bytes(b"")]
)
def test_a_damaged_state_is_noticed_and_the_one_before_it_used(checkpoints, damage, capsys):
    newest = checkpoints.states()[-1]
    damage(newest)
    assert checkpoints.load_state() == {"number": torch.tensor(9), "step": 70}
    assert newest.exists() and not capsys.readouterr().out  # reading removes nothing
    checkpoints.remove_damaged_states()
    assert f"{newest}: damaged" in capsys.readouterr().out
    assert checkpoints.load_state() == {"number": torch.tensor(9), "step": 70}
    damage(checkpoints.states()[-1])
    assert checkpoints.load_state() is None
    checkpoints.remove_damaged_states()
    assert checkpoints.states() == []


def test_a_half_written_state_is_no_state(checkpoints):
    newest = checkpoints.states()[-1]
    part = newest.rename(newest.with_name(newest.name + ".part"))
    assert checkpoints.load_state()["number"] == 9
    checkpoints.remove_damaged_states()
    assert not part.exists() and len(checkpoints.states()) == 1


@pytest.mark.parametrize(
    "done, every, last, kept",
    [(10, None, 1, {10}), (10, 4, 1, {4, 8, 10}), (10, None, 3, {8, 9, 10}), (2, 5, 4, {1, 2}), (10, 5, 0, {5, 10})],
)
def test_policy(done, every, last, kept):
    assert kept_epochs(done, every, last) == kept


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 5))
def test_policy_never_wants_what_it_dropped(epochs, every, last):
    kept = set()
    for done in range(1, epochs + 1):
        wanted = kept_epochs(done, every, last)
        assert wanted <= kept | {done}
        kept = wanted


def test_weights_of_an_epoch_become_a_result(checkpoints, tmp_path):
    for epoch in (1, 2, 3):
        checkpoints.save_weights({"w": torch.full((2,), float(epoch))}, epoch, {"seed": 0})
    checkpoints.prune({1, 3})
    run = tmp_path / "run"
    publish_epoch(run, 1, run / "epoch=1.safetensors")
    assert load_file(run / "epoch=1.safetensors")["w"].tolist() == [1, 1]
    with pytest.raises(
        UserError, match="epoch 2 are not kept, only those of 1, 3; delete .*run/.states and .*epoch=last"
    ):
        publish_epoch(run, 2, run / "epoch=2.safetensors")
    assert not (run / "epoch=2.safetensors").exists()
    kept = checkpoints.weights(3)
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(
        UserError, match="epoch=3.safetensors: cannot be read, it is damaged or missing .*; delete .*run/.states and "
    ):
        publish_epoch(run, 3, run / "epoch=3.safetensors")
    assert not (run / "epoch=3.safetensors").exists()


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:20]), lambda path: path.unlink()])
def test_damaged_weights_are_no_result(checkpoints, tmp_path, damage):
    checkpoints.save_weights({"w": torch.zeros(2)}, 1, {"seed": 0})
    damage(checkpoints.weights(1))
    with pytest.raises(
        UserError,
        match="epoch=1.safetensors: cannot be read.*; delete .*/run/.states/key and run the same command again",
    ):
        checkpoints.publish(1, tmp_path / "best.safetensors")
    assert not list(tmp_path.glob("best*"))


def test_weights_are_on_the_disk_before_they_have_their_name(checkpoints, monkeypatch):
    """After a loss of power a file may have its name and no content, if nothing waited for the disk."""
    saved = []
    monkeypatch.setattr("os.fsync", lambda descriptor: saved.append(checkpoints.weights(1).exists()))
    checkpoints.save_weights({"w": torch.zeros(2)}, 1, {"seed": 0})
    assert saved == [False] and checkpoints.weights(1).exists()


def test_results_share_no_file(checkpoints, tmp_path):
    """Two epochs' results and the kept weights: each has a time of its own, which the next publication leaves alone."""
    checkpoints.save_weights({"w": torch.zeros(2)}, 1, {"seed": 0})
    run = tmp_path / "run"
    published = [run / f"epoch={name}.safetensors" for name in ("best", "last", "1")]
    times = {}
    for path in published:
        checkpoints.publish(1, path)
        assert all(other.stat().st_mtime_ns == time for other, time in times.items())
        times |= {file: file.stat().st_mtime_ns for file in (path, checkpoints.weights(1))}
    assert len({path.stat().st_ino for path in (*published, checkpoints.weights(1))}) == 4


def test_states_of_other_settings_are_dropped(checkpoints):
    other = Checkpoints(checkpoints.folder.with_name("other"))
    other.save_state({}, 1, 0)
    checkpoints.drop_others()
    assert not other.folder.exists()
    assert checkpoints.states()

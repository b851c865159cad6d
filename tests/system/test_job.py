"""Whole training jobs in processes of their own: killed, resumed, extended, shared by two."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from audio_splits import options, write_splits
from safetensors.torch import load_file

from nafp import jobfacts
from nafp.console import tee_to_log
from nafp.errors import UserError
from nafp.training import job as jobs
from nafp.training.settings import Settings

SCRIPTS = Path(__file__).parents[2] / "scripts"
DRIVER = """
import json, os, signal, sys
from nafp.training import checkpoints
from nafp.training import job
from nafp.training import trainer
trainer.CHECK_EVERY = 2
steps, saves, kill_step, kill_save = 0, 0, *map(int, sys.argv[2:])
step, fsync = trainer.Trainer.train_step, os.fsync
def counted_step(self, chosen):
    global steps
    steps += 1
    if steps == kill_step:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, chosen)
def counted_save(descriptor):
    global saves
    saves += 1
    if saves == kill_save:  # the state lies half written under its temporary name
        os.ftruncate(descriptor, 1000)
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)
trainer.Trainer.train_step, os.fsync = counted_step, counted_save
job.run(json.load(open(sys.argv[1])))
"""


@pytest.fixture
def make_job(tmp_path):
    splits = write_splits(tmp_path / "data")

    def make(name: str, **changes) -> dict:
        """A job of three epochs of seven steps, with a state after every second step."""
        changes = {"bsz": 4, "checkpoints": {"every": 1, "last": 1, "minutes": 0}} | changes
        outputs = {"last": "epoch=last.safetensors", "best": "epoch=best.safetensors"}
        outputs |= {"history": "history.csv", "config": "config.yaml"}
        return {
            "name": name,
            "settings": options(**changes),
            "splits": splits,
            "code": [str(SCRIPTS / "nafp/training/train.py")],
            "outputs": {key: str(tmp_path / name / file) for key, file in outputs.items()},
            "threads": 1,
        }

    return make


def run(job: dict, folder: Path, kill_step: int = 0, kill_save: int = 0) -> subprocess.CompletedProcess:
    """The job in a process that kills itself before the given step, or in the given save."""
    (folder / "job.json").write_text(json.dumps(job))
    return subprocess.run(
        [sys.executable, "-c", DRIVER, str(folder / "job.json"), str(kill_step), str(kill_save)],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
    )


def results(job: dict) -> dict:
    """What must not depend on interruptions: weights, byte for byte, and the history without its times."""
    history = pd.read_csv(job["outputs"]["history"]).drop(columns=["seconds", "anchors_per_s"])
    return {name: Path(job["outputs"][name]).read_bytes() for name in ("last", "best")} | {"history": history.to_csv()}


def damage(job: dict) -> None:
    """Flip a bit of the newest state."""
    newest = max(states(job), key=lambda path: path.stat().st_mtime_ns)
    data = bytearray(newest.read_bytes())
    data[-500] ^= 4
    newest.write_bytes(data)


def states(job: dict) -> list[Path]:
    return list(Path(job["outputs"]["last"]).parent.glob(".states/*/*.pt"))


def test_a_killed_run_ends_like_an_undisturbed_one(make_job, tmp_path):
    whole, killed = make_job("whole"), make_job("killed")
    assert run(whole, tmp_path).returncode == 0
    for kill in ({"kill_step": 1}, {"kill_save": 2}, {"kill_step": 4}, {"kill_save": 1}, {"kill_step": 6}):
        assert run(killed, tmp_path, **kill).returncode == -signal.SIGKILL
        assert not Path(killed["outputs"]["last"]).exists()
    assert len(states(killed)) == 2
    damage(killed)
    done = run(killed, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "damaged (its checksum is wrong), going back to the state before it" in done.stdout
    assert "going on after epoch" in done.stdout
    assert results(killed) == results(whole)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("changes", [{}, {"seed": 1}], ids=["the same", "with other settings"])
def test_a_run_that_another_process_trains_is_left_alone(make_job, tmp_path, changes):
    """As when Snakemake was killed and its job goes on: the second one says who it is, and does its work when it has ended."""
    (tmp_path / "job.json").write_text(json.dumps(make_job("run")))
    command = [sys.executable, "-c", DRIVER.replace("SIGKILL", "SIGSTOP"), str(tmp_path / "job.json"), "4", "0"]
    orphan = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(SCRIPTS)}, stdout=subprocess.DEVNULL)
    os.waitpid(orphan.pid, os.WUNTRACED)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    job = make_job("run", **changes)
    with pytest.raises(UserError, match=rf"another process trains this run, .* kill, .*\(process {orphan.pid} on "):
        jobs.run(job)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    orphan.kill()
    orphan.wait()
    jobs.run(job)
    assert len(pd.read_csv(job["outputs"]["history"])) == 3


def test_a_finished_run_is_extended_as_if_it_had_been_longer(make_job):
    schedule = {"name": "cos", "final_lr": 1e-5, "epochs": 2}
    long = make_job("long", epochs=4, schedule=schedule)
    short = make_job("short", epochs=2, schedule=schedule)
    extended = make_job("short", epochs=4, schedule=schedule)
    for job in (long, short, extended):
        jobs.run(job)
    assert results(extended) == results(long)
    assert pd.read_csv(short["outputs"]["history"])["epoch"].tolist() == [1, 2, 3, 4]
    assert pd.read_csv(short["outputs"]["history"])["lr"].iloc[-1] == 1e-5


def test_results_and_what_stays_beside_them(make_job, tmp_path):
    job = make_job("run", checkpoints={"every": 2, "last": 1, "minutes": 10})
    other = make_job("run", seed=1)
    jobs.run(other)
    jobs.run(job)
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir()} == {
        *("epoch=last.safetensors", "epoch=best.safetensors", "history.csv", "config.yaml", "provenance.json"),
        *("tensorboard", ".states"),
    }
    assert yaml.safe_load((folder / "config.yaml").read_text()) == job["settings"]
    (states,) = filter(Path.is_dir, (folder / ".states").iterdir())  # those of the other seed are gone
    rates = pd.read_csv(folder / "history.csv")["val_top1_1s"]
    best = {1 + int(np.argmax(rates)), 1 + int(np.argmax(rates[:-1]))}  # by the newest state, and by the one before it
    assert {path.name for path in states.glob("*.safetensors")} == {f"epoch={n}.safetensors" for n in {2, 3, *best}}
    assert (folder / "epoch=last.safetensors").read_bytes() == (states / "epoch=3.safetensors").read_bytes()


def test_a_run_says_which_jobs_made_it(make_job, tmp_path):
    """Two jobs of three have left a state behind: they did it, the one that was killed in its first step did not."""
    job = make_job("run")
    for kill in ({"kill_step": 4}, {"kill_step": 1}, {}):
        run(job, tmp_path, **kill)
    made = json.loads((tmp_path / "run/provenance.json").read_text())["jobs"]
    assert len(made) == 2
    for facts in made:
        assert facts["packages"]["torch"] == torch.__version__
        assert (facts["device"], facts["threads"]) == ("CPU", 1)
        assert facts["commit"] == jobfacts.code_version()["commit"]
    assert made[0]["date"] <= made[1]["date"]


@pytest.mark.parametrize("chain", [options()["chain"], [{"cutout": {"mels": [4, 40], "fill": "batch_mean"}}]])
def test_two_processes_train_as_one(make_job, chain):
    one, two = (make_job(name, bsz=8, epochs=2, chain=chain) for name in ("one", "two"))
    jobs.run(one)
    jobs.run(two, processes=2)
    histories = [pd.read_csv(job["outputs"]["history"])["loss"] for job in (one, two)]
    np.testing.assert_allclose(*histories, rtol=1e-5)
    weights = [load_file(job["outputs"]["last"]) for job in (one, two)]
    for name, value in weights[0].items():
        np.testing.assert_allclose(weights[1][name], value, atol=1e-5)
    made = [json.loads(Path(job["outputs"]["last"]).with_name("provenance.json").read_text()) for job in (one, two)]
    assert [len(facts["jobs"]) for facts in made] == [1, 1]
    assert [facts["jobs"][0]["processes"] for facts in made] == [1, 2]


def test_several_processes_refuse_what_they_cannot_share(make_job, tmp_path, capsys):
    """And say so in the log of the job, above the sentence that sends there."""
    log = tmp_path / "log"
    with pytest.raises(SystemExit), tee_to_log(log):
        jobs.run(
            make_job(
                "odd",
                bsz=6,
                positives=2,
                loss="triplet",
                loss_options={},
                features={"n_mels": 64, "max_scope": "batch"},
            ),
            processes=2,
        )
    why = "error: features.max_scope: batch needs the whole batch in one process"
    said = log.read_text()
    assert why in said and said.index(why) < said.index(
        "error: one of 2 training processes failed; its message is above"
    )
    assert why in capsys.readouterr().out


FAILING = """
import os, sys
if sys.orig_argv[-2:-1] == ["nafp.training.job"] and os.environ.get("RANK") == "1":
    import torch.distributed
    from nafp.training.trainer import Trainer
    def fail(self, chosen):
        raise {error}
    def hang(*group):
        import time
        time.sleep(300)
    Trainer.train_step, torch.distributed.destroy_process_group = fail, hang
"""


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("OSError(28, 'No space left on device', 'x.npy')", "error: x.npy: No space left on device"),
        ("ZeroDivisionError('a defect')", "ZeroDivisionError: a defect"),
    ],
)
def test_a_process_that_fails_ends_at_once(make_job, tmp_path, monkeypatch, error, says):
    """It does not wait for the others to leave the group, as NCCL lets it, and says why it ended."""
    (tmp_path / "sitecustomize.py").write_text(FAILING.format(error=error))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    begin = time.monotonic()
    with pytest.raises(SystemExit), tee_to_log(tmp_path / "log"):
        jobs.run(make_job("run", bsz=8), processes=2)
    assert time.monotonic() - begin < 200
    assert says in (tmp_path / "log").read_text().splitlines()


def test_processes_find_the_users_modules(make_job, monkeypatch):
    """Those that PYTHONPATH names, a sitecustomize.py among them, after the library."""
    given = {}
    monkeypatch.setattr(jobs, "run_aloud", lambda command, environment: given.update(environment))
    for before, after in (("/a:/b", f"{SCRIPTS}:/a:/b"), ("", str(SCRIPTS))):
        monkeypatch.setenv("PYTHONPATH", before)
        jobs.run(make_job("run"), processes=2)
        assert given["PYTHONPATH"] == after


def test_progress_bars_of_other_processes_stay_out_of_the_log(tmp_path):
    log, script = tmp_path / "log", r"import sys; sys.stdout.write('one\n\r 10%\r 60%\r 99%\ntwo \N{SNOWMAN}\n')"
    with tee_to_log(log):
        assert jobs.run_aloud([sys.executable, "-X", "utf8", "-c", script], os.environ) == 0
        assert jobs.run_aloud([sys.executable, "-c", "raise SystemExit(3)"], os.environ) == 3
    assert log.read_text(encoding="utf-8").splitlines() == ["one", "", "two \N{SNOWMAN}"]


def test_fewer_epochs_and_more_again(make_job, tmp_path, capsys):
    """States beyond the epochs asked for neither hide the new ones nor outlive their weights."""
    schedule = {"name": "cos", "final_lr": 1e-5, "epochs": 2}
    long, other, short = (
        make_job(name, epochs=epochs, schedule=schedule) for name, epochs in (("long", 3), ("run", 3), ("run", 2))
    )
    jobs.run(long)
    jobs.run(other)
    killed = run(short, tmp_path, kill_step=12)  # in its second epoch
    assert killed.returncode == -signal.SIGKILL
    assert "has 3 epochs, more than the 2 asked for, and is trained anew" in killed.stdout
    done = run(short, tmp_path)
    assert "going on after epoch 1" in done.stdout
    capsys.readouterr()
    jobs.run(other)
    assert "going on after epoch 2 of 3" in capsys.readouterr().out
    assert results(other) == results(long)


def test_the_key_of_a_run(make_job, tmp_path):
    job = make_job("run")
    module = tmp_path / "module.py"
    module.write_text('"""Does something."""\nx = 1\n')

    def key(**changes) -> str:
        return jobs.key_of(Settings(**{**job["settings"], **changes}), job["splits"].values(), [str(module)])

    first = key()
    assert key(micro_batch_size=2) == first
    assert key(seed=1) != first
    module.write_text('"""Does something else."""\n# a comment\nx  =  1\n')
    assert key() == first
    module.write_text("x = 2\n")
    assert key() != first
    module.write_text("x = 1\n")
    audio = Path(job["splits"]["train"])
    data = bytearray(audio.read_bytes())
    data[-2] ^= 1
    audio.write_bytes(data)
    assert key() != first


def test_an_empty_pool_is_said_at_the_start(make_job, tmp_path):
    job = make_job("run")
    np.save(tmp_path / "data/bg.npy", np.empty(0, np.int16))
    (tmp_path / "data/bg.csv").write_text("path,start,samples\n")
    with pytest.raises(UserError, match="the split 'bg' has no files, but this run needs it"):
        jobs.run(job)


def test_short_clips_are_said_at_the_start(make_job, tmp_path, capsys):
    job = make_job("run", epochs=1)
    table = pd.read_csv(tmp_path / "data/train.csv")
    table.loc[1, "samples"] = 4000
    table.to_csv(tmp_path / "data/train.csv", index=False)
    jobs.run(job)
    assert "1 of 3 training clips are shorter than 1 s and end in silence: x/1.wav" in capsys.readouterr().out

"""What scripts/plan.py says before anything runs."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nafp.errors import UserError
from nafp.model.network import Fingerprinter
from nafp.plan import Rates, cells_of, measured_tflops, plan, segments_of, songs_of

ROOT = Path(__file__).parents[1]
SOURCES = {"model": "given", "data": "assumed", "search": "assumed"}
RATES = Rates(1.0, SOURCES, files_per_s=100, mb_per_s=10, vectors_per_s=1000, queries_per_s=10)


@pytest.fixture
def config() -> dict:
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    return base | {
        "dataset": {"name": "mini", "root": "x"},
        "fingerprint": {"shards": dict(base["fingerprint"]["shards"])},
    }


def stages(config: dict, target: str, device: str = "gpu") -> dict:
    songs, source = songs_of(config, Path("nowhere"), {})
    return {stage.stage: stage for stage in plan(config, target, songs, source, RATES, device)}


def test_jobs_and_sizes_by_hand(config):
    config["fingerprint"]["shards"]["dummy"] = 5
    found = stages(config, "table3")  # two chains, two batch sizes, one index
    assert {name: stage.jobs for name, stage in found.items()} == {
        **{"verify": 1, "pack": 11, "train": 4, "fingerprint": 4 * (5 + 1 + 1 + 1), "build_index": 4, "score": 4},
        "scoreboard": 4,
    }
    assert found["pack"].disk_gb == pytest.approx((10_000 + 10_000 + 4 * 500) * 30 * 16_000 / 1e9)
    assert found["fingerprint"].disk_gb == pytest.approx(4 * 64 * 4 * (10_000 + 2 * 500) * 59 / 1e9)
    assert found["build_index"].cpu_hours == pytest.approx(4 * (10_000 + 500) * 59 / 1000 / 3600)
    assert found["verify"].cpu_hours == pytest.approx(22_000 / 100 / 3600)


def test_hours_of_training_follow_epochs_and_arithmetic(config):
    once = stages(config, "table3")["train"].gpu_hours
    config["train"] = config["train"] | {"epochs": 6}
    assert stages(config, "table3")["train"].gpu_hours == pytest.approx(2 * once)
    assert stages(config, "table3", "cpu")["train"].gpu_hours == 0
    assert stages(config, "table3", "cpu")["train"].cpu_hours == pytest.approx(2 * once)


def test_songs_are_measured_published_given_or_asked_for(config, tmp_path):
    assert segments_of((10, 30)) == 590
    config["dataset"]["name"] = "mine"
    with pytest.raises(UserError, match="how many songs has mine.*--songs dummy=1000x30 test=1000x30 train=.* val="):
        songs_of(config, Path("nowhere"), {})
    (tmp_path / "manifest.csv").write_text(
        "split,path,seconds\ntrain,a,30\ntrain,b,10\nval_db,c,4\ntest_db,d,5\ndummy,e,6\nbg_train,f,9\n"
    )
    songs, source = songs_of(config, tmp_path / "manifest.csv", {})
    assert songs == {"train": (2, 20), "val": (1, 4), "test": (1, 5), "dummy": (1, 6)}
    assert source.startswith("measured")
    with pytest.raises(UserError, match="unknown target 'table9'; known: all, table3"):
        cells_of(config, "table9")


def test_the_benchmark_of_the_nearest_model_counts():
    table = """## 2026-01-01, a processor, 2 of 4 CPUs
| model | N | precision | piece | data | forward | forward + backward | whole step | roofline |
| full    | 120 | float32     | whole   | 3,517.5 | 87.2      | 25.5                 | 27.5         | 48         |
| demo    | 120 | float32     | whole   | 3,740.4 | 1,594.1   | 569.6                | 473.6        | 2,958      |
"""
    tflops, source = measured_tflops(table, 100)
    assert tflops == pytest.approx(27.5 * 3.64e9 / 2 / 1e12, rel=0.01)  # train.md says 3.64 GFLOP an anchor
    assert "full, 27.5 anchors/s on 2 cores" in source
    assert "demo, 473.6" in measured_tflops(table, 20)[1]
    assert measured_tflops("nothing", 16) is None


def test_disk_of_weights_follows_the_width():
    parameters = sum(p.numel() for p in Fingerprinter(128, 32).parameters())
    assert pytest.approx(parameters, rel=0.35) == 1033 * 32**2  # heads do not grow with the square


def test_the_command(tmp_path):
    command = [sys.executable, ROOT / "scripts/plan.py", "--configfile", ROOT / "config/mini.yaml"]
    done = subprocess.run([*command, "--target", "table4"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "assumed: 30 TFLOP/s" in done.stdout
    assert done.stdout.splitlines()[-1].split()[0] == "total"
    wrong = subprocess.run([*command, "--songs", "dummy=12"], cwd=tmp_path, capture_output=True, text=True)
    assert wrong.stderr == "error: --songs dummy=12: say SPLIT=SONGSxSECONDS, like dummy=10000x30\n"

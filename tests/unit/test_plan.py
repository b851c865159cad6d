"""What scripts/plan.py says before anything runs."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from indexes import OPTIONS
from wavs import data_set

from nafp.commands.plan import read_config
from nafp.config.ladders import with_ladders, with_query_sets
from nafp.errors import UserError
from nafp.model.encoders.separable import Separable
from nafp.model.model import build_model
from nafp.model.shapes import head_parameters, image_shape
from nafp.plan.jobs import jobs_by_rule
from nafp.plan.rates import (
    RECALL_SEGMENTS,
    TrainingSpeed,
    choose_rates,
    measured_rates,
    measured_tflops,
    read_speeds,
    speeds_of_runs,
    write_speeds,
)
from nafp.plan.songs import Songs, count_songs
from nafp.plan.stages import RULES, as_table, plan
from nafp.plan.work import Work, target_cells
from nafp.search import sequences
from nafp.search.types import index_type_of

ROOT = Path(__file__).parents[2]
GIVEN = {
    "tflops": 1.0,
    "files_per_s": 100,
    "download_mb_per_s": 5,
    "mb_per_s": 10,
    "composed_s_per_s": 50,
    "degraded_s_per_s": 20,
    "generated_per_s": 1000,
    "build_gflops": 2,
    "search_gflops": 4,
}
RATES = choose_rates(GIVEN, {})


@pytest.fixture
def config() -> dict:
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    return base | {
        "dataset": {"name": "mini", "root": "x"},
        "fingerprint": {"shards": dict(base["fingerprint"]["shards"])},
    }


def stages(config: dict, target: str, device: str = "gpu") -> dict:
    songs, source = count_songs(config, Path("nowhere"), {})
    work = Work(config, target_cells(config, target), songs, source, RATES, device)
    return {stage.stage: stage for stage in plan(work)}


def test_jobs_and_sizes_by_hand(config):
    config["fingerprint"]["shards"]["dummy"] = 5
    found = stages(config, "table3")  # two chains, two batch sizes, one index
    assert {name: stage.jobs for name, stage in found.items()} == {
        **{"verify": 1, "pack": 11, "train": 4, "fingerprint": 4 * (5 + 1 + 1 + 1), "build_index": 4, "score": 4},
        "scoreboard": 4,
    }
    assert found["pack"].disk_gb == pytest.approx((10_000 + 10_000 + 4 * 500) * 30 * 16_000 / 1e9)
    assert found["fingerprint"].disk_gb == pytest.approx(4 * 64 * 4 * (10_000 + 2 * 500) * 59 / 1e9)
    assert found["build_index"].cpu_hours == pytest.approx(4 * 2 * 64 * (10_000 + 500) * 59 / 2e9 / 3600)
    compared = 4 * (500 * 59 + 1000) * (10_000 + 500) * 59  # every segment, and a thousand for the recall
    assert found["score"].cpu_hours == pytest.approx(2 * 64 * compared / 4e9 / 3600)
    assert found["verify"].cpu_hours == pytest.approx(22_000 / 100 / 3600)


def test_a_verified_data_set_costs_what_it_was_planned_to_cost(config, tmp_path):
    sizes = {"train": 10_000, **dict.fromkeys(("val_db", "val_query", "test_db", "test_query"), 500), "dummy": 10_000}
    rows = [f"{split},30" for split, count in sizes.items() for _ in range(count)]
    (tmp_path / "manifest.csv").write_text("\n".join(["split,seconds", *rows]))
    songs, source = count_songs(config, tmp_path / "manifest.csv", {})
    work = Work(config, target_cells(config, "table3"), songs, source, RATES, "gpu")
    assert (work.clips, work.audio_mb) == (22_000, pytest.approx(10_560))


def test_a_run_has_one_index_and_fingerprints_of_each_query_set(config):
    chain = [{"background": {"snr_db": ["$", "$"]}}]
    config = with_ladders(config | {"ladders": {"noise": {"strengths": [0, 10, 20], "chain": chain}}})
    config["studies"] = {
        "climb": with_query_sets({"ladders": "noise", "query_set": "files", "bsz": [120, 240]}, config)
    }
    found = stages(config, "climb")
    assert [found[name].jobs for name in ("fingerprint", "build_index", "score")] == [2 * (1 + 1 + 4), 2, 2 * 4]
    assert found["fingerprint"].disk_gb == pytest.approx(2 * 64 * 4 * (10_000 + (1 + 4) * 500) * 59 / 1e9)
    assert found["degrade"].jobs == 3  # once for all runs; the data set's own queries are packed
    assert found["degrade"].disk_gb == pytest.approx(3 * 500 * 30 * 16_000 / 1e9)
    assert found["degrade"].cpu_hours == pytest.approx(3 * 500 * 30 / 20 / 3600)
    assert "degrade" not in stages(config | {"studies": {"climb": {"bsz": [120]}}}, "climb")


def test_every_index_of_the_config_has_a_size(config):
    config["studies"] = {name: {"index": name} for name in config["indexes"]}
    sizes = {name: stages(config, name)["build_index"].disk_gb for name in config["indexes"]}
    assert min(sizes.values()) > 0
    assert sizes["ivfpq-release"] == pytest.approx((10_000 + 500) * 59 * (64 + 8) / 1e9)


def test_hours_of_training_follow_items_epochs_and_arithmetic(config):
    once = stages(config, "table3")["train"].gpu_hours
    config["train"] = config["train"] | {"epochs": 6}
    assert stages(config, "table3")["train"].gpu_hours == pytest.approx(2 * once)
    assert stages(config, "table3", "cpu")["train"].gpu_hours == 0
    assert stages(config, "table3", "cpu")["train"].cpu_hours == pytest.approx(2 * once)
    for changed, share in (({"fraction": 0.3}, 0.3), ({"fraction": 0.3, "one_per_clip": True}, 0.3 / 59)):
        data = config["train"]["data"] | changed
        part = stages(config | {"train": config["train"] | {"data": data}}, "table3")["train"].gpu_hours
        assert part == pytest.approx(2 * share * once)


def test_each_gpu_of_a_training_is_a_process_with_its_memory(config):
    one = stages(config, "table3")["train"].memory_gb
    assert one == pytest.approx(8 + 0.2 * 10_000 * 30 * 16_000 / 1e9)
    config["train"] = config["train"] | {"gpus": 4}
    assert stages(config, "table3")["train"].memory_gb == pytest.approx(one + 3 * 4)


def test_songs_are_measured_published_given_or_asked_for(config, tmp_path):
    assert Songs(10, 30).segments == 590
    config["dataset"]["name"] = "mine"
    with pytest.raises(
        UserError, match="mine: number of songs unknown.*pass --songs dummy=1000x30 test=1000x30 train=.* val="
    ):
        count_songs(config, Path("nowhere"), {})
    (tmp_path / "manifest.csv").write_text(
        "split,path,seconds\ntrain,a,30\ntrain,b,10\nval_db,c,4\ntest_db,d,5\ndummy,e,6\nbg_train,f,9\n"
        "val_query,g,4\ntest_query,h,5\n"
    )
    songs, source = count_songs(config, tmp_path / "manifest.csv", {})
    assert songs == {"train": (2, 20), "val": (1, 4), "test": (1, 5), "dummy": (1, 6)}
    assert source.startswith("measured")
    config["dataset"] |= {"root": str(data_set(tmp_path / "music", clips=2, seconds=4.0)), "dummy": 1}
    songs, source = count_songs(config, Path("nowhere"), {"train": Songs(7, 30.0)})
    assert songs["train"] == (7, 30.0)
    assert songs["test"] == (2, pytest.approx(4, abs=0.01))
    assert songs["dummy"] == (1, pytest.approx(4, abs=0.01))
    with pytest.raises(UserError, match="unknown target 'table9'; known: all, table3"):
        target_cells(config, "table9")


def test_a_data_set_to_evaluate_with_has_nothing_to_train_on(config, tmp_path):
    """Two songs of 30 s with as many queries, and three distractors of 10 s."""
    config["dataset"] = {"name": "phone", "source": "sd-rr", "folder": "x", "distractors": "y"}
    config["studies"] = {"phone": {"runs": [{"pretrained": "composed"}]}}
    with pytest.raises(UserError, match=r"pass --songs dummy=1000x30 test=1000x30 \(songs"):
        count_songs(config, Path("nowhere"), {})
    manifest = tmp_path / "manifest.csv"
    splits = ("test_db", 30), ("test_db", 30), ("test_query", 10), *[("dummy", 10)] * 3
    manifest.write_text("\n".join(["split,seconds", *(f"{split},{seconds}" for split, seconds in splits)]))
    for file, given in ((manifest, {}), (Path("nowhere"), {"test": Songs(2, 30.0), "dummy": Songs(3, 10.0)})):
        songs, source = count_songs(config, file, given)
        work = Work(config, target_cells(config, "phone"), songs, source, RATES, "gpu")
        assert (work.clips, work.audio_mb) == (2 + 2 + 3, pytest.approx((2 * 30 + 2 * 30 + 3 * 10) * 16_000 / 1e6))
        found = {stage.stage: stage for stage in plan(work)}
        assert (found["train"].jobs, found["train"].gpu_hours, found["score"].jobs) == (0, 0, 1)


def speed(model: str, width: int, device: str, cores: int, anchors_per_s: float) -> TrainingSpeed:
    return TrainingSpeed(
        model, Separable(width).flops((256, 32)), 120, device, cores, anchors_per_s, "benchmarks/train.md", "a machine"
    )


def test_the_benchmark_of_the_nearest_model_counts(tmp_path):
    speeds = [speed("full", 128, "cpu", 2, 27.5), speed("demo", 16, "cpu", 2, 473.6)]
    tflops, source = measured_tflops(speeds, Separable(100).flops((256, 32)), "cpu")
    assert tflops == pytest.approx(27.5 * 3.64e9 / 2 / 1e12, rel=0.01)  # train.md says 3.64 GFLOP an anchor
    assert "full, 27.5 anchors/s on 2 cores" in source
    assert "demo, 473.6" in measured_tflops(speeds, Separable(20).flops((256, 32)), "cpu")[1]
    assert measured_tflops(speeds, Separable(100).flops((256, 32)), "gpu") is None
    speeds.append(speed("full", 128, "gpu", 1, 9000.5))
    tflops, source = measured_tflops(speeds, Separable(100).flops((256, 32)), "gpu")
    assert tflops == pytest.approx(9000.5 * 3.64e9 / 1e12, rel=0.01)
    assert source.endswith("full, 9000.5 anchors/s, float32")
    faster = [replace(speeds[-1], precision="bfloat16", batch=batch, anchors_per_s=batch) for batch in (120, 640)]
    choices = [("float32", 640, 9000.5), ("bfloat16", 600, 640), ("bfloat16", 200, 120), ("tf32", 200, 9000.5)]
    for precision, batch, expected in choices:
        chosen = measured_tflops([*speeds, *faster], Separable(100).flops((256, 32)), "gpu", precision, batch)[1]
        assert f"{expected:g} anchors/s" in chosen


def test_a_benchmark_replaces_what_was_recorded_of_its_device(tmp_path):
    path = tmp_path / "rates.json"
    assert read_speeds(path) == []
    write_speeds(path, [speed("full", 128, "cpu", 2, 1), speed("demo", 16, "cpu", 2, 2)])
    write_speeds(path, [speed("full", 128, "gpu", 1, 3)])
    write_speeds(path, [speed("full", 128, "cpu", 4, 4)])
    assert [one.anchors_per_s for one in read_speeds(path)] == [3, 4]
    path.write_text("{}")
    with pytest.raises(UserError, match=r"rates.json: cannot be read, it is damaged"):
        read_speeds(path)


def test_recorded_rates_are_those_of_the_benchmark(config):
    """Each is a row of the first section of train.md, at the arithmetic that the model's encoder counts."""
    text = (ROOT / "benchmarks/train.md").read_text(encoding="utf-8").split("\n## ")[1]
    widths = {"full": 128, "width 32": 32, "demo": 16}
    recorded = [one for one in read_speeds(ROOT / "benchmarks/rates.json") if one.device == "cpu"]
    assert {one.model for one in recorded} == set(widths)
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("|")]
    of_row = {(row[1], row[2], row[4]): row[8] for row in rows if row[3] == "float32"}
    for one in recorded:
        assert one.flops == Separable(widths[one.model]).flops(image_shape({}))
        assert of_row[one.model, str(one.batch), "whole"] == f"{one.anchors_per_s:,.1f}"
        assert one.machine == text.splitlines()[0]


def test_recorded_rates_of_a_gpu_are_those_of_its_record():
    text = (ROOT / "benchmarks/gpu.md").read_text(encoding="utf-8")
    rows = [line.replace("*", "").split("|") for line in text.splitlines() if line.startswith("|")]
    measured = {(row[1].strip(), row[2].strip()): row[3].strip() for row in rows if len(row) == 9}
    recorded = [one for one in read_speeds(ROOT / "benchmarks/rates.json") if one.device == "gpu"]
    assert {(one.batch, one.precision) for one in recorded} >= {(640, "bfloat16"), (120, "float32"), (1280, "tf32")}
    for one in recorded:
        assert measured[str(one.batch), f"{one.precision}, kernels"] == f"{one.anchors_per_s:,.0f}"
        assert one.machine.removesuffix(", torch 2.11.0+cu130").split(", ")[1] in text


def test_trainings_that_have_finished_are_measurements(tmp_path):
    made = {"device": "CPU", "processor": "Xeon", "threads": 2, "date": "2026-11-27"}
    settings = {"model": {"width": 16}, "features": {}, "bsz": 60, "tf32": True, "precision": "float32", "positives": 1}
    changes = {
        "slow": ({}, {}),
        "two jobs": ({}, None),
        "triplets": ({"positives": 3}, {}),
        "card": ({"precision": "bfloat16"}, {"device": "NVIDIA H100"}),
        "rounded": ({}, {"device": "NVIDIA H100"}),
        "fell back": ({"precision": "bfloat16"}, {"precision": "float32"}),
    }
    for name, (of_settings, of_job) in changes.items():
        run = tmp_path / "demo/runs" / name
        run.mkdir(parents=True)
        (run / "history.csv").write_text("epoch,anchors_per_s\n1,10\n2,400\n3,500\n")
        (run / "config.yaml").write_text(yaml.safe_dump(settings | of_settings))
        jobs = [made, made] if of_job is None else [made | of_job]
        (run / "provenance.json").write_text(json.dumps({"jobs": jobs}))
    (tmp_path / "demo/runs/unfinished").mkdir()
    found = {one.model: one for one in speeds_of_runs(tmp_path)}
    assert {name: (one.anchors_per_s, one.device, one.cores, one.precision) for name, one in found.items()} == {
        "slow": (400, "cpu", 2, "float32"),
        "triplets": (800, "cpu", 2, "float32"),
        "card": (400, "gpu", 1, "bfloat16"),
        "rounded": (400, "gpu", 1, "tf32"),
        "fell back": (400, "cpu", 2, "float32"),
    }
    assert found["slow"].flops == Separable(16).flops(image_shape({}))


def test_composing_the_demo_takes_time(config):
    config |= {"dataset": {"name": "demo", "source": "demo"}}
    config["demo"] = config["demo"] | {"songs": {"train": 70, "val": 10, "test": 20, "dummy": 100}, "clip_s": 25}
    found = stages(config, "table3")
    assert [*found][:2] == ["compose", "verify"]
    assert found["compose"].cpu_hours == pytest.approx(200 * 25 / 50 / 3600)
    assert found["compose"].disk_gb == pytest.approx((200 + 10 + 20) * 25 * 16_000 / 1e9)


def test_an_archive_takes_time_and_room_until_it_is_verified(config):
    """Of the full data set three copies lie on the disk for a while: archive, unpacked, packed."""
    config["dataset"] |= {"source": "kaggle", "archive_gb": 443, "unpacked_gb": 443}
    found = stages(config, "table3")
    assert [*found][:4] == ["download", "unpack", "verify", "pack"]
    assert found["download"].disk_gb == found["unpack"].disk_gb == 443
    assert found["download"].cpu_hours == pytest.approx(443_000 / 5 / 3600)
    assert found["unpack"].cpu_hours == pytest.approx(443_000 / 10 / 3600)
    config["dataset"]["source"] = "local"
    assert stages(config, "table3")["download"].cpu_hours == 0  # it is there
    del config["dataset"]["archive_gb"], config["dataset"]["unpacked_gb"]
    assert stages(config, "table3")["download"].disk_gb == pytest.approx(22_000 * 30 * 16_000 / 1e9)


@pytest.mark.parametrize("files", [[], ["mini.yaml", "paper.yaml"]], ids=["the demo", "mini"])
def test_jobs_are_those_that_snakemake_plans(files):
    """Stage by stage as counted, and those estimated without Snakemake are right for training and search."""
    paths = [ROOT / "config" / file for file in files]
    config = read_config(paths)
    jobs = jobs_by_rule(ROOT, "table3", paths)
    songs, source = count_songs(config, Path("nowhere"), {})
    work = Work(config, target_cells(config, "table3"), songs, source, RATES, "cpu")
    counted, estimated = ({stage.stage: stage.jobs for stage in plan(work, given)} for given in (jobs, None))
    assert sum(counted.values()) == sum(jobs.values())
    assert [counted[name] for name in ("train", "build_index", "score")] == [
        estimated[name] for name in ("train", "build_index", "score")
    ]
    if files:
        assert counted["download"] == 2 and jobs["download"] == jobs["unpack"] == jobs["fetch_test_ids"] == 1
    with pytest.raises(UserError, match="nothing"):
        jobs_by_rule(ROOT, "nothing_of_that_name", paths)


def test_the_scale_study_may_be_the_largest_job(config):
    """Of the scoreboard, where Snakemake counts it."""
    songs, source = count_songs(config, Path("nowhere"), {})
    work = Work(config, target_cells(config, "table3"), songs, source, RATES, "cpu")
    for jobs, memory in (({"make_table": 1}, 3), ({"measure_scale": 2}, 3 + 2.5 * 4 * 64 * 10_500 * 59 / 1e9)):
        assert plan(work, jobs)[-1].memory_gb == pytest.approx(memory)


def test_a_config_file_may_name_the_run_that_identifies(tmp_path):
    (tmp_path / "named.yaml").write_text("run: pretrained=composed\n")
    found, default = read_config([tmp_path / "named.yaml"]), read_config([])
    assert found == default | {"identify": default["identify"] | {"run": "pretrained=composed"}}


def test_a_number_that_yaml_takes_for_text_is_one(tmp_path):
    (tmp_path / "fast.yaml").write_text("train: {learning_rate: 1e-3}\n")
    assert read_config([tmp_path / "fast.yaml"])["train"]["learning_rate"] == 0.001


def test_a_table_has_a_line_a_stage_and_totals(config):
    lines = as_table(list(stages(config, "table3").values())).splitlines()
    assert lines[0].split() == ["stage", "jobs", "gpu_hours", "cpu_hours", "disk_gb", "memory_gb", "source"]
    assert [line.split()[0] for line in lines[1:]] == [*stages(config, "table3"), "total"]
    assert {len(line) for line in lines} == {len(lines[0])}
    assert lines[-1].split()[1] == str(sum(stage.jobs for stage in stages(config, "table3").values()))


def test_long_jobs_of_earlier_runs_are_measurements(tmp_path):
    """By hand: 200 segments among 1,200 vectors in 40 s of CPU; the jobs of 2 s and those of other indexes do not count."""
    for job, seconds in {"score/run/l2": 40, "score/run/ivf": 20, "build_index/run/l2": 2, "pack/train": 12.5}.items():
        path = tmp_path / f"mine/benchmarks/{job}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tcpu_time\n99\t{seconds}\n")
    for name in ("scores/run/l2.json", "scores/run/ivf.json", "data/packed/train.npy"):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        cell = {"queries": 400, "lengths": [1, 19], "database": {"dummy": 1000, "db": 200}, "fields": {"dim": 64}}
        cell |= {"index": Path(name).stem, "index_options": {}}
        (tmp_path / "mine" / name).write_text(json.dumps(cell))
    found = measured_rates(tmp_path, {"l2", "sq8"}, 1000)
    assert {name: value for name, (value, _) in found.items()} == {
        "search_gflops": pytest.approx(2 * 64 * 1200 * (200 + 200) / 40 / 1e9),  # and as many for the recall
        "mb_per_s": pytest.approx(len(json.dumps(cell)) / 1e6 / 12.5, rel=0.1),
    }
    assert found["mb_per_s"][1].endswith(f" mb_per_s in {tmp_path / 'mine'}")
    rates = choose_rates(dict.fromkeys(GIVEN) | {"search_gflops": 5.0}, found)
    assert rates.sources["search_gflops"] == "given: 5 search_gflops"
    assert rates.sources["mb_per_s"] == found["mb_per_s"][1]
    assert rates.sources["build_gflops"] == "assumed: 45 build_gflops"


def test_the_work_of_an_index_by_hand():
    """Lists are compared with each vector and each of ten times the sample; codes with 256 values a piece, 8 times as slow."""
    options = {"nlist": 100, "nprobe": 10, "m": 16, "nbits": 8}
    ivf = index_type_of("ivf", {"nlist": 100, "nprobe": 10})
    assert ivf.build_flops(64, 10**6, 10**5) == 2 * 64 * (10**6 + 100 * (10**6 + 10 * 10**5))
    assert ivf.build_flops(64, 10**6, 390) == 2 * 64 * (10**6 + 10 * (10**6 + 10 * 390))  # 39 vectors a list
    codes = 8 * 2 * 64 * 256 * (10**6 + 25 * 65536)
    assert index_type_of("ivfpq", options).build_flops(64, 10**6, 10**5) == ivf.build_flops(64, 10**6, 10**5) + codes
    assert ivf.search_flops(64, 10**6) == 2 * 64 * (100 + 10**5)
    for name, given in OPTIONS.items():
        index = index_type_of(name, given)
        assert index.search_flops(64, 10**6) > 0 and index.build_flops(64, 10**6, 10**5) > 0
    assert RECALL_SEGMENTS == sequences.RECALL_SEGMENTS


def test_an_index_on_disk_asks_for_little_memory(config):
    """Not for twice the database, which others need: 3 GB, and a fiftieth of it."""
    config["studies"] = {"one": {"index": ["ivfpq-rr-ondisk"]}, "two": {"index": ["ivfpq-rr-ondisk", "ivfpq"]}}
    megabytes = 4 * 64 * (10_000 + 500) * 59 / 1e6
    for name in ("build_index", "score"):
        assert stages(config, "one")[name].memory_gb == pytest.approx((3000 + 0.02 * megabytes) / 1e3)
    assert stages(config, "two")["build_index"].memory_gb == pytest.approx((3000 + 2 * megabytes) / 1e3)


def test_generated_distractors_are_in_the_database_and_not_among_the_songs(config):
    config["dataset"]["generated"] = {"songs": 100_000, "seconds": 280.5, "shards": 40}
    config["studies"] = {"one": {"runs": [{"pretrained": "composed"}], "index": ["ivfpq", "l2"]}}
    found = stages(config, "one")
    vectors = 56_000_000 + 500 * 59
    assert [found[name].jobs for name in ("train", "build_index", "score")] == [0, 2, 2]
    assert found["fingerprint"].disk_gb == pytest.approx(4 * 128 * (10_000 + 2 * 500) * 59 / 1e9)
    assert found["generate"].disk_gb == pytest.approx(4 * 128 * 56_000_000 / 1e9)
    assert found["generate"].cpu_hours == pytest.approx(56_000_000 / 1000 / 3600)
    assert found["generate"].memory_gb == pytest.approx((2000 + 3 * 4 * 128 * 10_000 * 59 / 1e6) / 1e3)
    assert found["generate"].jobs == 1 + 40
    assert found["build_index"].disk_gb == pytest.approx((16 + 8 + 4 * 128) * vectors / 1e9)
    assert found["pack"].disk_gb == pytest.approx((10_000 + 10_000 + 4 * 500) * 30 * 16_000 / 1e9)


@pytest.mark.parametrize(("width", "dim", "mels"), [(128, 128, 256), (16, 64, 256), (4, 16, 64), (6, 16, 80)])
def test_parameters_and_features_are_known_without_building_the_model(width, dim, mels):
    built = build_model({"n_mels": mels}, {"width": width}, dim)
    encoder, image = Separable(width), built.features.shape
    assert encoder.features(image) == built.encoder(torch.zeros(1, *image)).shape[1]
    heads = head_parameters(encoder.features(image), dim)
    assert encoder.parameters(image) + heads == sum(p.numel() for p in built.parameters())


def test_the_command_needs_no_heavy_package():
    code = "import sys, nafp.commands.plan; print(*{'numpy', 'pandas', 'scipy', 'tqdm', 'torch', 'faiss'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "scripts")}, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_the_command(tmp_path):
    command = [sys.executable, ROOT / "scripts/plan.py", "--configfile", ROOT / "config/mini.yaml"]
    done = subprocess.run([*command, "--target", "table4"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "measured: benchmarks/gpu.md, full, 40742 anchors/s, bfloat16" in done.stdout
    assert "hours not known: 1 table4" in done.stdout
    assert "assumed: 200 files_per_s; sizes published" in done.stdout
    assert done.stdout.splitlines()[-1].split()[0] == "total"
    wrong = subprocess.run([*command, "--songs", "dummy=12"], cwd=tmp_path, capture_output=True, text=True)
    assert wrong.stderr == "error: --songs dummy=12: say SPLIT=SONGSxSECONDS, like dummy=10000x30\n"


def test_every_rule_of_the_scoreboard_is_of_its_stage():
    rules = "".join((ROOT / f"rules/{name}.smk").read_text() for name in ("figures", "scoreboard"))
    assert set(re.findall(r"^rule (\w+):", rules, flags=re.MULTILINE)) <= set(RULES["scoreboard"])

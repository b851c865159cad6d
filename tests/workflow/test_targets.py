"""What is asked for by mistake, and what would be trained again without being asked for, is said while jobs are planned."""

import pytest
import yaml
from workflow import FULL, NONE, ROOT, copy_project, planned, run_snakemake, snakemake, tiny

from nafp.config.targets import problems_of_path, sentence_of_target

SCORES = "results/demo/scores"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("targets"))


@pytest.mark.parametrize(
    "target, says",
    [
        ("tabel3", "unknown target 'tabel3' (did you mean 'table3'?); known: data, verification, "),
        (
            f"{SCORES}/{FULL.replace('full', 'ful')}/epoch=best/l2.json",
            "unknown augmentation 'ful' (did you mean 'full'?)",
        ),
        (f"{SCORES}/{FULL}/epoch=best/l3.json", "unknown index 'l3'; known: l2, ivf"),
        (f"{SCORES}/{FULL}/epoch=bst/l2.json", "unknown epoch 'bst'; known: best, last, or a number"),
        (f"{SCORES}/{FULL}/epoch=best/queries=loud/l2.json", "unknown query set 'loud'; known: none"),
        (
            "results/demo/runs/somebody/epoch=best.safetensors",
            "'somebody' is not the name of a run, which is like aug=full",
        ),
    ],
)
def test_a_target_that_is_not_there(project, target, says):
    done = snakemake(project, target, "-n")
    assert done.returncode != 0
    assert says in done.stdout
    assert "MissingRuleException" not in done.stdout


def test_targets_that_are_there_are_found_as_before(project):
    (project / "ids").write_text("0\n1\n")
    config = tiny(project, search={"lengths": [1, 3, 5], "test_ids": "ids"})
    assert planned(project, f"{SCORES}/{FULL}/epoch=last/l2.json", config=config)["score"] == 1
    assert planned(project, "fingerprints")["fingerprint"] == 6


def test_what_is_unknown_in_a_path():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    run = "aug=full_bsz=x_dim=64_loss=ntxnt_recipe=bas_seed=0"
    assert [
        problem.split(";")[0] for problem in problems_of_path(f"results/a/runs/{run}/epoch=1.safetensors", config)
    ] == [
        "bsz=x: not a number",
        "unknown loss 'ntxnt' (did you mean 'ntxent'?)",
        "unknown recipe 'bas' (did you mean 'base'?)",
    ]
    assert sentence_of_target("q", ["all"], config) == "unknown target 'q'; known: all"


def test_a_run_that_would_be_trained_in_the_place_of_another(edited):
    """It is said once, with the keys that differ, by the main process; not of runs that are not asked for."""
    folder, edit = edited
    edit("config.yaml", "minutes: 10 ", "minutes: 7 ")  # the training is there, and resumes from its last state
    assert "other settings" not in snakemake(folder, "-n").stdout
    edit("config.yaml", "learning_rate: 2.0e-3", "learning_rate: 1.0e-3")
    edit("config.yaml", "ntxent: {tau: 0.05}", "ntxent: {tau: 0.1}")
    said = [line for line in snakemake(folder, "-n").stdout.splitlines() if "other settings" in line]
    assert sorted(line.split(": was trained")[0] for line in said) == sorted(
        f"results/demo/runs/{run}" for run in (FULL, NONE)
    )
    assert all(
        "(loss_options.tau, train.learning_rate); it will be trained again in its place" in line for line in said
    )
    assert "other settings" not in snakemake(folder, "data", "-n").stdout
    edit(f"results/demo/runs/{FULL}/config.yaml", (folder / f"results/demo/runs/{FULL}/config.yaml").read_text(), "")
    planned_again = snakemake(folder, "-n")
    assert planned_again.returncode == 0, planned_again.stdout[-3000:]  # an empty record says nothing
    assert [line for line in planned_again.stdout.splitlines() if "other settings" in line] == [
        line for line in said if line.startswith(f"results/demo/runs/{NONE}:")
    ]


def test_the_summary_of_an_earlier_run_is_not_printed(tmp_path):
    """Of another target: it would pass for this one's."""
    folder = copy_project(tmp_path / "project")
    page = folder / "results/demo/scoreboard"
    page.mkdir(parents=True)
    (page / "summary.txt").write_text("an earlier page\n")
    done = snakemake(folder, "results/demo/data/corpus/aug")
    assert done.returncode == 0 and "composing the demo corpus" in done.stdout, done.stdout[-3000:]
    assert "an earlier page" not in done.stdout


@pytest.mark.parametrize(
    "given",
    [
        *("queries=music/Hits #1", 'queries="music/Hits #1"', "queries=music/Best: of", "library=[live]"),
        *("queries=2023", "library=007", "queries=1e3"),
    ],
)
def test_names_of_folders_that_yaml_reads_differently_are_refused(project, given):
    """Snakemake would search another folder, without a word."""
    key, name = given.replace('"', "").split("=")
    other = {"library": "queries", "queries": "library"}[key] + "=music"
    done = snakemake(project, "identify", "-n", "--config", other, given)
    assert done.returncode != 0
    assert f"{key}: Snakemake reads {name!r} as YAML, in which it means" in done.stdout
    assert f"behind them:  --config '{key}= \"{name}\" '" in done.stdout


def test_names_of_folders_in_quotes(project):
    """As the refusal advises; Snakemake drops quotes without spaces around them."""
    for name in ("Hits #1", "2023", "yes"):
        (project / name).mkdir()
        done = snakemake(project, "identify", "-n", "--config", f'library= "{name}" ', "queries=./2023")
        assert f"identify: {name}: has no audio files" in done.stdout
    done = snakemake(project, "identify", "-n", "--config", 'library="profiles"', "queries=./2023")
    assert "identify: profiles: has no audio files" in done.stdout


PROBE = """import sys; sys.path.insert(0, "scripts")
import nafp.jobfacts; nafp.jobfacts.gpu_here = lambda: {gpu}

include: "Snakefile"
print("at once", workflow.global_resources.get("gpu").value, "threads", MODEL_THREADS)
"""


@pytest.mark.parametrize(
    "gpu, given, expected",
    [
        (False, ["--cores", "2"], "at once 2 threads 1"),
        (False, ["--cores", "1"], "at once 2 threads 1"),
        (False, ["--cores", "6"], "at once 2 threads 3"),
        (False, ["--cores", "64"], "at once 2 threads 8"),
        (False, ["--cores", "6", "--resources", "gpu=1"], "at once 1 threads 6"),
        (False, ["--cores", "6", "--config", "studies={table3: {aug: full, bsz: 16}}"], "at once 1 threads 6"),
        (True, ["--cores", "6"], "at once 1 threads 6"),
    ],
)
def test_trainings_that_share_a_machine(project, gpu, given, expected):
    (project / "probe.smk").write_text(PROBE.format(gpu=gpu))
    output = run_snakemake(project, "-s", "probe.smk", "-n", "--configfile", "tiny.yaml", *given).stdout
    assert expected in output, output

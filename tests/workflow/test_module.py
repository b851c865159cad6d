"""Another workflow that takes this one in as a module."""

from pathlib import Path

import numpy as np
from wavs import data_set
from workflow import copy_project, run_snakemake

OUTER = """
module nafp:
    snakefile:
        "../somewhere/nafp/Snakefile"
    config:
        {
            "dataset": {"name": "mine", "root": "music"},
            "run": {"bsz": 16},
            "studies": {"table3": {"aug": ["full", "none"], "bsz": 16}, "index_types": None, "ablation_augmentation": None},
        }

use rule * from nafp as nafp_*

rule report:
    default_target: True
    input:
        "results/mine/scoreboard/table3.csv",
    output:
        "report.txt",
    shell:
        "cp {input} {output}"
"""


SOME = """
module nafp:
    snakefile:
        "../somewhere/nafp/Snakefile"
    config:
        {"dataset": {"name": "mine", "root": "music"}}

use rule verify, pack from nafp
"""


def run(folder: Path, *arguments: str) -> str:
    done = run_snakemake(folder, "--cores", "1", *arguments)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def test_the_workflow_as_a_module_of_another(tmp_path):
    copy_project(tmp_path / "somewhere/nafp")
    outer = tmp_path / "outer"
    data_set(outer / "music")
    (outer / "Snakefile").write_text(OUTER)
    jobs = dict(line.split() for line in run(outer, "-n", "-q", "rules").splitlines() if len(line.split()) == 2)
    assert {name: jobs[name] for name in ("nafp_train", "nafp_fingerprint", "nafp_make_table", "report")} == {
        **{"nafp_train": "2", "nafp_fingerprint": "6", "nafp_make_table": "1", "report": "1"}
    }
    assert "nafp_score" in run(outer, "nafp_table3", "-n", "-q", "rules")
    run(outer, "results/mine/data/packed/dummy.npy")
    assert np.load(outer / "results/mine/data/packed/dummy.npy").shape == (2 * 3 * 8000,)


def test_the_other_workflow_has_a_config_of_its_own(tmp_path):
    """Its --config is not this one's, also where keys are called as here."""
    copy_project(tmp_path / "somewhere/nafp")
    outer = tmp_path / "outer"
    data_set(outer / "music")
    (outer / "Snakefile").write_text(SOME)
    run(outer, "-n", "results/mine/data/packed/dummy.npy", "--config", "library=2026", "queries=on", "mine=songs")


def test_some_rules_of_the_module_only(tmp_path):
    copy_project(tmp_path / "somewhere/nafp")
    outer = tmp_path / "outer"
    data_set(outer / "music")
    (outer / "Snakefile").write_text(SOME)
    run(outer, "results/mine/data/packed/dummy.npy")
    assert np.load(outer / "results/mine/data/packed/dummy.npy").shape == (2 * 3 * 8000,)

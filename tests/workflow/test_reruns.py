"""What reruns after which change: the table of docs/reruns.md, row by row. Only planned with ``snakemake -n``, never run."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from fake_conda import fake_conda
from wavs import data_set, write
from workflow import copy_project, planned, snakemake, tiny

from nafp.datasets.layout import SPLITS

ROOT = Path(__file__).parents[2]
BOARD = {"scoreboard"}  # tables, plots or page
FOLLOWS = {"fingerprint", "build_index", "score"} | BOARD  # a training
ALL = {"compose_demo", "synthesise_queries", "verify", "pack", "train"} | FOLLOWS
ONE_CELL = {"build_index": 1, "score": 1, "make_table": 1, "listen": 0, "plot_misses": 0, "plot_similarity": 0}
ROWS = {  # the page's row -> file, text, its replacement, what reruns, and of some rules how many jobs
    "`train.learning_rate`, a chain, a recipe, the model": [
        (
            "config.yaml",
            "learning_rate: 2.0e-3",
            "learning_rate: 1.0e-3",
            {"train"} | FOLLOWS,
            {"train": 2, "fingerprint": 6},
        ),
        ("tiny.yaml", "mels: [2, 8]", "mels: [2, 9]", {"train"} | FOLLOWS),
        ("tiny.yaml", "model: {width: 4}", "model: {width: 2}", {"train"} | FOLLOWS),
    ],
    "`fingerprint.shards`": [
        ("config.yaml", "dummy: 1}", "dummy: 3}", {"gather_fingerprints"} | FOLLOWS),
    ],
    "an index's options, or one more index": [
        ("tiny.yaml", "ivfpq: {nlist: 4", "ivfpq: {nlist: 3", {"build_index", "score"} | BOARD),
        ("tiny.yaml", "index: [l2, ivfpq,", "index: [l2, ivfpq, hnsw,", {"build_index", "score"} | BOARD, ONE_CELL),
    ],
    "`search.lengths`, `search.protocol`, ...": [
        ("tiny.yaml", "search: {lengths: [1, 3, 5]}", "search: {lengths: [1, 3]}", {"score"} | BOARD),
    ],
    "`search.device`": [
        ("config.yaml", "device: auto", "device: cpu", {"build_index", "score"} | BOARD, {"measure_scale": 0}),
    ],
    "one more seed, batch size or chain in a study": [
        (
            "tiny.yaml",
            "bsz: 16}",
            "bsz: 16, seed: [0, 1]}",
            {"train"} | FOLLOWS,
            {"train": 2, "fingerprint": 6, "score": 2},
        ),
    ],
    "`train.gpus`, the question of a study": [
        ("config.yaml", "gpus: 1", "gpus: 2", BOARD),
        ("config.yaml", "What a faster index costs", "What a fast index costs", BOARD),
    ],
    "`train.checkpoints`, `train.micro_batch_size`, `train.epochs` of a longer schedule": [
        ("config.yaml", "micro_batch_size: null", "micro_batch_size: 8", {"train"} | FOLLOWS),
    ],
    "a comment in the config; a profile; threads, memory or time of a rule": [
        ("config.yaml", "# 100 in the paper", "# a hundred in the paper", set()),
        ("profiles/default/config.yaml", "rerun-incomplete: true", "rerun-incomplete: true\nretries: 1", set()),
        ("rules/data.smk", "runtime=scale_with_input(60)", "runtime=scale_with_input(90)", set()),
    ],
    "a comment in a rule, or its message": [
        ("rules/search.smk", "rule score:", "rule score:  # edited", set()),
        ("rules/search.smk", '"searching {wildcards.index} for', '"searching in {wildcards.index} for', set()),
    ],
    "anything in a rule's script, a comment too": [
        ("scripts/plot.py", '"""\n', '"""\n# edited\n', BOARD),
        ("scripts/train.py", '"""\n', '"""\n# edited\n', {"train"} | FOLLOWS),
    ],
    "a library module, say `scripts/nafp/search/index.py`": [
        ("scripts/nafp/search/index.py", '"""\n', '"""\n# edited\n', {"build_index", "score"} | BOARD),
        ("scripts/nafp/report/figures/plots.py", '"""\n', '"""\n# edited\n', BOARD, {"plot": 8, "make_table": 0}),
        ("scripts/nafp/training/losses.py", '"""\n', '"""\n# edited\n', {"train"} | FOLLOWS),
        ("scripts/nafp/demo/sounds.py", '"""\n', '"""\n# edited\n', ALL),
    ],
    "`published/nafp.csv`": [("published/nafp.csv", "Table 3", "Table three", BOARD)],
    "a package version in `envs/`, without `--sdm conda`": [
        ("envs/search.yaml", "scipy==", "scipy==1.", set()),
    ],
    "`--sdm conda` or `--sdm apptainer`: added, changed or left out": [],  # as the next three tests say
    "WAV files in your own folder": [],
    "a package version in `envs/`, with `--sdm conda`": [],
}
CASES = [
    pytest.param(*case[:4], case[4] if case[4:] else {}, id=f"{case[0]} {case[1][:20]}")
    for cases in ROWS.values()
    for case in cases
]


def test_the_page_has_these_rows():
    section = (ROOT / "docs/reruns.md").read_text().split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    assert {line.split("|")[1].strip() for line in lines} - {"you change", "---"} == set(ROWS)


def stages(jobs: dict[str, int]) -> set[str]:
    """The rules of a plan; those of the scoreboard and its figures as one, with the scale study that the page shows."""
    rules = "".join((ROOT / f"rules/{name}.smk").read_text() for name in ("figures", "scoreboard"))
    board = ["measure_scale", "extrapolate", *re.findall(r"^rule (\w+):", rules, flags=re.MULTILINE)]
    return {"scoreboard" if rule in board else rule for rule in jobs}


@pytest.mark.parametrize("name, old, new, reruns, counts", CASES)
def test_a_change_reruns_what_depends_on_it(edited, name, old, new, reruns, counts):
    folder, edit = edited
    edit(name, old, new)
    jobs = planned(folder)
    assert stages(jobs) == reruns
    assert {rule: jobs.get(rule, 0) for rule in counts} == counts


def test_a_recipe_runs_its_runs_only(edited):
    folder, edit = edited
    edit("tiny.yaml", "  table3: {", "  recipes_compared: {recipe: [base, narrow]}\n  table3: {")
    edit("tiny.yaml", "run: {bsz: 16", "recipes: {narrow: {model: {width: 2}, train: {epochs: 1}}}\nrun: {bsz: 16")
    jobs = planned(folder)
    assert (jobs["train"], jobs["fingerprint"], jobs["score"]) == (1, 3, 1)


def test_every_rule_has_its_code_as_a_parameter():
    """But those that bring files whose checksums are known, or delete them."""
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    rules = re.split(r"^ *rule (?=\w+:)", text, flags=re.MULTILINE)[1:]
    scripts = [(rule, found[1]) for rule in rules if (found := re.search(r'script:\s*"\.\./scripts/(\w+)\.py"', rule))]
    code = {"answer": "code=method_code,"}  # of the method alone, not of the others
    without = {
        script
        for rule, script in scripts
        if code.get(script, f'code=code("{script}"),') not in rule.split("params:")[-1]
    }
    assert without == {"download", "unpack", "remove_archive", "fetch_test_ids"}


def make_newer(project: Path) -> None:
    """Give all files of a workflow the time of now, as a clone has it."""
    for part in ("scripts", "rules", "published", "envs", "schemas"):
        for path in (project / part).rglob("*.*"):
            path.touch()


def test_code_that_is_only_newer_reruns_nothing(finished):
    make_newer(finished)
    assert planned(finished) == {}


def test_results_in_a_fresh_clone_are_up_to_date(finished, tmp_path):
    """Copied with their times, and with what was recorded of them; or copied without, and declared up to date."""
    clone = copy_project(tmp_path / "clone")
    make_newer(clone)
    shutil.copytree(finished / "results", clone / "results")  # keeps the times
    assert planned(clone) == {}
    module = clone / "scripts/nafp/search/index.py"
    code, changed = module.read_text(), {"build_index", "score"} | BOARD
    shutil.copytree(finished / ".snakemake/metadata", clone / ".snakemake/metadata", dirs_exist_ok=True)
    module.write_text(code + "# edited\n")
    assert stages(planned(clone)) == changed
    shutil.rmtree(clone / ".snakemake")
    for i, path in enumerate(sorted((clone / "results").rglob("*"), reverse=True)):
        os.utime(path, (1e9 + i, 1e9 + i))
    assert "train" in planned(clone)
    assert snakemake(clone, "--touch", "--forceall").returncode == 0
    assert planned(clone) == {}
    module.write_text(code)
    assert stages(planned(clone)) == changed


def test_results_are_up_to_date_wherever_the_workflow_is(finished, tmp_path):
    """But for tables, one of whose inputs is a file of the workflow."""
    for part in ("results", ".snakemake"):
        shutil.copytree(finished / part, tmp_path / "here" / part)  # keeps the times
    workflow = copy_project(tmp_path / "elsewhere" / "workflow")
    jobs = planned(tmp_path / "here", "-s", f"{workflow}/Snakefile", config=f"{workflow}/tiny.yaml")
    assert stages(jobs) == BOARD


def test_files_of_ones_own_folder_are_looked_at_when_asked(tmp_path):
    folder = copy_project(tmp_path)
    root = data_set(folder / "music", seconds=8)
    config = tiny(folder, dataset={"name": "mine", "root": "music"})
    jobs = {"verify": 1, "pack": 1}
    target = "results/mine/data/packed/dummy.npy"
    assert snakemake(folder, target, config=config).returncode == 0
    write(root / SPLITS["dummy"] / "002.wav")
    assert planned(folder, target, config=config) == {}
    assert planned(folder, target, "-R", "verify", config=config) == jobs


def test_a_package_version_reruns_its_stage_where_conda_makes_the_environments(tmp_path):
    """What Snakemake compares is the file; and without conda, that there was one."""
    folder = copy_project(tmp_path / "project")
    data_set(folder / "music")
    config = tiny(folder, dataset={"name": "mine", "root": "music"})
    path = f"{fake_conda(tmp_path)}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    options = {"config": config, "environment": {"PATH": path}}
    target = ("results/mine/data/packed/dummy.npy", "--sdm", "conda")
    done = snakemake(folder, *target, **options)
    assert done.returncode == 0, done.stdout[-3000:]
    for stage, jobs in (("search", {}), ("data", {"verify": 1, "pack": 1})):
        file = folder / f"envs/{stage}.yaml"
        file.write_text(file.read_text().replace("scipy==", "scipy==0.0 # "))
        assert planned(folder, *target, **options) == jobs
    without = {"config": config}
    assert planned(folder, target[0], **without) == {"verify": 1, "pack": 1}
    assert planned(folder, target[0], "--rerun-triggers", "mtime", "params", "input", **without) == {}

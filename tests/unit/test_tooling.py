"""What is written twice agrees."""

import ast
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import yaml

from nafp import resources
from nafp.audio.segments import HOP

ROOT = Path(__file__).parents[2]


def test_a_commit_is_checked_as_by_make_lint():
    """But for Snakemake's own lint, which takes some seconds."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[1]
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines() if "snakemake" not in line]
    # pre-commit appends the files of the commit, make the folders
    assert [hook["entry"] for hook in hooks] == [re.sub(r"( \.| Snakefile rules)$", "", line) for line in commands]


def rules() -> dict[str, str]:
    """Name -> text of each rule of the workflow."""
    texts = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    return {rule.split(":")[0]: rule for rule in re.split(r"^ *rule ", texts, flags=re.MULTILINE)[1:]}


def test_a_job_that_is_tried_again_gets_more_memory_and_time():
    """By a function of the attempt, as the profile of clusters promises; but for jobs that run where Snakemake does."""
    for name, rule in rules().items():
        if "script:" in rule and "localrule: True" not in rule:
            for resource in ("mem_mb", "runtime"):
                assert re.search(rf"^ +{resource}=[a-z_]+\b", rule, re.MULTILINE), (name, resource)


def functions_of_rules(*names: str, **known) -> dict[str, Callable]:
    """Functions of the rules by name; ``known``: what they call of the rules and of the library."""
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    for name in names:
        exec(re.search(rf"^def {name}\(.*?(?=^\S)", text, re.DOTALL | re.MULTILINE)[0], known)
    return {name: known[name] for name in names}


RESOURCES = (
    "bytes_of scale_with_input largest_piece_mb fingerprint_mb fingerprint_minutes training_memory training_minutes"
)


def test_memory_and_time_grow_with_the_input_and_the_attempt(tmp_path):
    """But no time of a job that goes on where it was."""
    packed = tmp_path / "packed.npy"
    packed.touch()
    train = {"gpus": 1, "epochs": 100, "data": {"fraction": 1, "one_per_clip": False}}
    rule = functions_of_rules(
        *RESOURCES.split(),
        **{name: getattr(resources, name) for name in ("ANCHORS_PER_S", "MEMORY", "SEGMENTS_PER_S", "training_mb")},
        **{"os": os, "HOP": HOP, "config": {"fingerprint": {"shards": {"dummy": 2}}}, "packed": lambda split: packed},
        recipe=lambda wildcards: {"train": train},
        training_items=lambda *_: packed.stat().st_size // 8000,
    )
    scaled, resumed = (rule["scale_with_input"](60, 0.05, of=["songs"], resumes=resumes) for resumes in (False, True))
    files = SimpleNamespace(train=packed)

    def asked(size: int, attempt: int) -> list[int]:
        os.truncate(packed, size)
        return [
            *(resource(None, {"songs": [packed, packed]}, attempt) for resource in (scaled, resumed)),
            *(rule[name](None, attempt) for name in ("fingerprint_mb", "fingerprint_minutes")),
            rule["training_memory"](None, files, attempt),
            rule["training_minutes"](None, files),
        ]

    few, many = asked(0, 1), asked(10**10, 1)
    assert few == [60, 60, 6000, 30, 8000, 60]
    assert many == [60 + 1000, 60 + 1000, 6000 + 100, 30 + 5, 8000 + 2000, 60 + 2083]  # 5 GB in each of two shards
    assert [again / first for again, first in zip(asked(10**10, 2), many, strict=True)] == [2, 1, 2, 2, 2, 1]


def imported(text: str) -> set[str]:
    """The modules that a file imports, with what it takes from them: ``urllib.request`` for ``from urllib import request``."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_only_jobs_that_run_where_snakemake_does_need_the_internet():
    """As the page of clusters promises. What asks a Milvus server, inside the network, is not counted."""
    assert all("localrule: True" in rules()[name] for name in ("download", "import_pretrained", "fetch_test_ids"))
    library = {path.name: path.read_text() for path in (ROOT / "scripts/nafp").rglob("*.py")}
    connecting = re.compile(r"(requests|urllib3|urllib\.request|http|httpx|aiohttp|socket|ftplib|ssl)(\.|$)")
    online = {name for name, text in library.items() if any(map(connecting.match, imported(text)))}
    assert set(re.findall(r"\bsocket\.(\w+)", library["files.py"])) == {"gethostname"}
    assert online - {"files.py"} == {"kaggle_api.py", "gdrive.py", "download.py", "zenodo.py"}  # modules of them


def test_make_clean_leaves_downloads_and_snapshots():
    done = subprocess.run(["make", "-n", "clean"], cwd=ROOT, capture_output=True, text=True, check=True)
    removed = re.search(r"rm -rf (.*)", done.stdout)[1].split()
    assert {".venv", ".snakemake", "results/*/"} <= set(removed)
    assert not any(path.startswith(("data", "history")) for path in removed)


def test_time_limits_are_in_proportion_to_the_data():
    """No job of the data set mini, whose largest inputs are 5,040 MB of packed songs, asks for more than a day."""
    pattern = r"runtime=scale_with_input\((\d+)(?:, ([\d.]+))?"
    asked = {name: found for name, rule in rules().items() if (found := re.search(pattern, rule))}
    assert {name for name, found in asked.items() if int(found[1]) + float(found[2] or 0) * 5040 > 24 * 60} == set()
    assert "answer" in asked


def test_the_cluster_profile_names_every_rule_that_requests_a_gpu():
    """In both of its comments: for a partition of GPUs, and for a cluster that has none."""
    asking = {name for name, rule in rules().items() if re.search(r"^ +gpu=(?!gpus_of_search)", rule, re.MULTILINE)}
    profile = (ROOT / "profiles/slurm/config.yaml").read_text()
    partition = re.findall(r"^#   (\w+): \{slurm_partition: gpu", profile, re.MULTILINE)
    assert asking == set(partition) == set(re.findall(r"(\w+): \{gpu: 0\}", profile))
    assert "train" in asking


def test_no_name_of_the_rules_hides_another():
    """Snakefile and rules share one namespace: a function there must not take the name of an import or of another function."""
    paths = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    text = "\n".join(path.read_text() for path in paths)
    imports = re.findall(r"^from [\w.]+ import (?:\(([^)]*)\)|([^(#\n]+))", text, flags=re.MULTILINE)
    names = [name.split(" as ")[-1].strip() for found in imports for name in "".join(found).split(",") if name.strip()]
    names += re.findall(r"^def (\w+)", text, flags=re.MULTILINE)
    assert {name for name in names if names.count(name) > 1} == set()
    assert {"check_config", "own_folders"} <= set(names)

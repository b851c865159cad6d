"""The conda environments are parts of the lock, and hold what their scripts import."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from nafp.augment.steps import STEPS
from nafp.methods import METHODS

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = [*sorted((ROOT / "envs").glob("*.yaml")), ROOT / "environment.yaml"]
# import name -> distribution, where they differ
DISTRIBUTIONS = {"yaml": "pyyaml", "faiss": "faiss-gpu", "PIL": "pillow", "google_crc32c": "google-crc32c"}
DISTRIBUTIONS |= {"vl_convert": "vl-convert-python", "grpc": "grpcio"}


def pins(lines: list[str]) -> dict[str, str]:
    """name -> "version ; marker" of lines like ``numpy==2.4.6 ; marker \\``."""
    matches = (re.match(r"([\w.-]+)==(.*?)\s*\\?$", line) for line in lines)
    return {m[1].lower(): m[2] for m in matches if m}


def environment_pins(path: Path) -> dict[str, str]:
    return pins(yaml.safe_load(path.read_text())["dependencies"][-1]["pip"])


CHOSEN = {
    "search_environment": ["search", "milvus"],
    "method_environment": ["search", *sorted({kind.environment for kind in METHODS.values()} - {"search"})],
}  # functions of rules/jobs_search.smk: their choices


def rule_environments() -> dict[str, list[str]]:
    """script -> environments, from the rules."""
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    pattern = r'conda:\s*(?:"\.\./envs/(\w+)\.yaml"|(\w+)\n).*?script:\s*"\.\./scripts/(\w+)\.py"'
    found = re.findall(pattern, text, flags=re.DOTALL)
    return {script: CHOSEN[function] if function else [environment] for environment, function, script in found}


# environment -> what is imported where its index type or method is used, and only there
OPTIONAL = {"milvus": {"pymilvus", "milvus_lite", "grpcio"}, "landmarks": {"audfprint2"}}
PROGRAMS = {"chromaprint": ["chromaprint"]}  # environment -> what it has of conda-forge besides
WITH_A_GPU = {"search": {"torch"}, "milvus": {"torch"}}  # imported if it is there, on a machine with a GPU


@cache
def imported(path: Path) -> tuple[set[str], list[Path]]:
    """What a file itself imports: distributions, and files of the library."""
    names, local = set(), []
    for node in ast.walk(ast.parse(path.read_text())):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        for module in modules:
            place = ROOT / "scripts" / module.replace(".", "/")
            files = [file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()]
            if files:
                local.append(files[0])
            elif module.split(".")[0] not in {"nafp", *sys.stdlib_module_names}:
                names.add(module.split(".")[0])
    return {DISTRIBUTIONS.get(name, name) for name in names}, local


def third_party(path: Path, seen: set[Path]) -> set[str]:
    """Distributions that a file imports, itself or through files of the library that are not ``seen`` yet."""
    if path in seen:
        return set()
    seen.add(path)
    names, local = imported(path)
    return names.union(*(third_party(file, seen) for file in local))


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_pins_are_those_of_the_lock(path):
    lock = pins((ROOT / "requirements.txt").read_text().splitlines())
    ours = environment_pins(path)
    assert ours
    # a marker may be narrower in a part than in the whole, the version may not differ
    assert {n: v.split(" ;")[0] for n, v in ours.items()} == {n: lock[n].split(" ;")[0] for n in ours}


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environment_is_conda_forge_with_python_and_pip_pinned(path):
    environment = yaml.safe_load(path.read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    names = [re.split("[=>]", dependency)[0] for dependency in environment["dependencies"][:-1]]
    assert names == ["python", "pip", *PROGRAMS.get(path.stem, [])]


def test_every_script_has_an_environment_with_its_imports():
    scripts = rule_environments()
    rules = {path.stem for path in (ROOT / "scripts").glob("*.py")} - {
        "compare",
        "compare_manifests",
        "judge",
        "lock",
        "plan",
        "power",
        "snapshot",
    }
    assert set(scripts) == rules
    for script, environments in scripts.items():
        needed = third_party(ROOT / f"scripts/{script}.py", set())
        for environment in environments:
            pinned = set(environment_pins(ROOT / f"envs/{environment}.yaml"))
            if environment == "milvus":
                pinned |= {"faiss-gpu"} if "faiss-cpu" in pinned else set()  # the same module
            elsewhere = set().union(*OPTIONAL.values()) | WITH_A_GPU.get(environment, set())
            assert needed - elsewhere <= pinned, (script, environment)
            assert {name.replace("-", "_") for name in pinned} >= OPTIONAL.get(environment, set()), environment


def test_environments_hold_what_augmentation_steps_import():
    """Scripts that use a chain load the classes of its steps by the names in the registry."""
    steps = {ROOT / f"scripts/{step.cls.partition(':')[0].replace('.', '/')}.py" for step in STEPS.values()}
    needed = set().union(*(third_party(step, set()) for step in steps))
    for script, environments in rule_environments().items():
        third_party(ROOT / f"scripts/{script}.py", seen := set())
        if ROOT / "scripts/nafp/augment/chain.py" in seen:
            for environment in environments:
                assert needed <= set(environment_pins(ROOT / f"envs/{environment}.yaml")), (script, environment)


def test_a_node_that_only_searches_needs_no_training_stack():
    training = {"torch", "triton", "tensorboard", "safetensors", "nvidia-cudnn-cu13", "nvidia-nccl-cu13"}
    assert training <= set(environment_pins(ROOT / "envs/train.yaml"))
    for stage in ("data", "search", "scoreboard"):
        assert not training & set(environment_pins(ROOT / f"envs/{stage}.yaml"))


def test_a_rule_whose_job_takes_a_gpu_asks_for_one():
    """And a job whose rule asks for none computes on the CPU: it would take a card that another one has been given."""
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    rules = re.findall(r"^ *rule \w+:\n(.*?)script:\s*\"\.\./scripts/(\w+)\.py\"", text, flags=re.DOTALL | re.MULTILINE)
    asking = {
        script: bool(re.search(r"^ *gpu=", body.rsplit("rule ", 1)[-1], flags=re.MULTILINE)) for body, script in rules
    }
    assert len(asking) > 20
    library = {  # scripts that leave claiming a GPU to a module
        "train": "training/job.py",
        "build_index": "search/gpu.py",
        "score": "search/gpu.py",
        "identify": "identify/job.py",
    }
    calls = {script: [(ROOT / "scripts/nafp" / module).read_text()] for script, module in library.items()}
    for script, asks in asking.items():
        sources = [*calls.get(script, []), (ROOT / f"scripts/{script}.py").read_text()]
        set_ups = [call for source in sources for call in re.findall(r"(?:set_up|claim_gpus)\((.*)\)", source)]
        takes = [call for call in set_ups if "gpu=False" not in call]
        assert bool(takes) == asks, script


def test_the_library_knows_nothing_of_snakemake():
    seen = set()
    for path in (ROOT / "scripts/nafp").rglob("*.py"):
        assert "snakemake" not in third_party(path, seen), path


def test_every_locked_package_has_hashes():
    lock = (ROOT / "requirements.txt").read_text()
    for block in re.split(r"\n(?=[a-z])", lock):
        if "==" in block.splitlines()[0]:
            assert "--hash=sha256:" in block, block.splitlines()[0]

"""The commands of README.md and docs/, on a finished experiment: whatever is typed, what another command made stays."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser
from workflow import FULL, ROOT, copy_project, planned, run_snakemake, snakemake

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

RUNS = "results/demo/runs/aug=full_bsz=120_dim=64_loss=ntxent_recipe=base_seed=0"
SCORES = RUNS.replace("/runs/", "/scores/")
OURS, CELL = f"results/demo/runs/{FULL}", f"results/demo/scores/{FULL}/epoch=best/l2.json"
CORPUS = "results/demo/data/corpus/music/test-query-db-500-30s"
THERE = ["table3", "index_types", "data", "verification", "models", f"{OURS}/epoch=last.safetensors"]
RUN = {  # command -> the same on the tiny experiment; all are run, those of what is there already at once
    f"snakemake --cores all {RUNS}/epoch=3.safetensors": [f"{OURS}/epoch=1.safetensors"],
    f"snakemake --cores all {RUNS}/epoch=last.safetensors": THERE,
    f"snakemake --cores all {SCORES}/epoch=best/hnsw.json": [CELL.replace("l2", "hnsw")],
    "snakemake --cores all": [],
    "snakemake --cores all table3": THERE,
    "snakemake --cores all index_types": THERE,
    "snakemake --cores all scoreboard": ["scoreboard"],
    "snakemake --cores all data": THERE,
    "snakemake --cores all verification": THERE,
    "snakemake --cores all models": THERE,
    "snakemake --cores all scale": ["scale"],
    "snakemake --cores all export": ["export"],
    "snakemake --cores all list_queries": ["list_queries"],
    "snakemake --cores all augmented": ["augmented"],
    "snakemake --cores all verification -R verify": ["verification", "-R", "verify"],
    "snakemake identify --cores all --config library=/path/to/songs queries=/path/to/recordings": [
        *("identify", "--config", f"library={CORPUS}/db", f"queries={CORPUS}/query"),
    ],
    "snakemake --report report.zip": ["--report", "report.zip"],
    "snakemake --list-rules": ["--list-rules"],
    "snakemake -n": ["-n"],
    "snakemake --unlock": ["--unlock"],
    "snakemake --touch --forceall --cores all": ["--touch", "--forceall"],  # the last: it changes the times of all
}
PLANNED = {  # hours of work: only planned
    "snakemake methods --cores all --configfile config/methods.yaml": ["methods"],
    "snakemake robustness --cores all --configfile config/robustness.yaml": ["robustness"],
    "snakemake quirks --cores all --configfile config/quirks.yaml": ["quirks"],
    "snakemake robust_training --cores all --configfile config/robust_training.yaml": ["robust_training"],
}
READ = {  # they only read results
    "python scripts/compare.py results/a results/b": ["scripts/compare.py", "results/demo", "results/demo"],
    "python scripts/compare.py results/a results/b --page compared.html": [
        *("scripts/compare.py", "results/demo", "results/demo", "--page", "compared.html"),
    ],
    "python scripts/snapshot.py results/demo": ["scripts/snapshot.py", "results/demo"],
    "python scripts/compare.py history/demo/* results/demo --page history.html": [
        *("scripts/compare.py", "results/demo", "results/demo", "results/demo", "--page", "history.html"),
    ],
    "python scripts/identify.py --library SONGS RECORDING...": [
        *("scripts/identify.py", "--library", f"{CORPUS}/db", "--store", "store", f"{CORPUS}/query"),
    ],
    "python scripts/identify.py --library SONGS --run results/demo/runs/RUN RECORDING...": [
        *("scripts/identify.py", "--library", f"{CORPUS}/db", "--run", OURS, "--store", "store", f"{CORPUS}/query"),
        *("--min-score", "0.1", "--min-margin", "0", "--windows", "1"),  # so small a model is not sure
    ],
}
FRESH = [  # another experiment: only planned, as written, in a folder without results
    "snakemake data --cores all --configfile config/mini.yaml",
    "snakemake data --cores all --configfile config/mini.yaml --config 'dataset={source: gdrive}'",
    "snakemake data --cores all --configfile config/mini.yaml config/full.yaml",
    "snakemake data --cores all --configfile config/mini.yaml config/full.yaml --config 'dataset={dummy: 10000}'",
    "snakemake data --cores all --configfile config/mini.yaml config/full.yaml --config 'dataset={as_published: false}'",
    "snakemake --cores all --configfile config/mini.yaml config/paper.yaml",
    "snakemake --cores all --configfile config/mini.yaml config/full.yaml config/paper.yaml",
    "snakemake --cores all --configfile config/mini.yaml config/nmfp.yaml",
    "snakemake ship --cores all --configfile config/composed.yaml",
    "snakemake rehearsal --cores all --configfile config/rehearsal.yaml",
    "snakemake pretrained --cores all --config accept_licence=AGPL-3.0",
    "snakemake --cores all --config 'train={learning_rate: 1e-3, epochs: 10}'",
    "snakemake --cores all ablation_augmentation",
    "snakemake table3 --profile profiles/slurm --configfile config/mini.yaml",
]
PLACEHOLDERS = ("/path/to", "mine.yaml", "results/copy", "PILOT_A.json")  # what they say of them, their own tests show
PACKAGES = ("--use-conda", "--sdm ")  # other packages: everything is made again with them
OTHERS = (  # they are no commands of the workflow, or have tests of their own
    *(
        "make",
        "pip install ",
        "conda ",
        "docker ",
        "apptainer build",
        "tensorboard ",
        "python benchmarks/",
        "python docs/",
    ),
    *("PYTHONPATH=scripts python tests/support/faults.py", "python scripts/plan.py", "python scripts/judge.py"),
)


def commands(text: str) -> list[str]:
    """What a page gives to type, each once: lines of its shell blocks, and commands inside of sentences."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)).splitlines()
    inside = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = dict.fromkeys(re.sub(r"\s+#.*", "", line).strip() for line in [*blocks, *inside])
    programs = r"([A-Z]+=\S+ )?(snakemake|python|pip|conda|make|docker|apptainer|tensorboard)\b"
    return [line for line in lines if re.match(programs, line)]


def test_every_command_of_the_documentation_is_looked_at():
    """It is one of those above, or of a kind of which the pages say what it changes."""
    found = {command for page in PAGES for command in commands(page.read_text(encoding="utf-8"))}
    known = {*RUN, *PLANNED, *READ, *FRESH}
    excused = {c for c in found if c.startswith(OTHERS) or any(part in c for part in (*PLACEHOLDERS, *PACKAGES))}
    assert found - known - excused == set()
    assert known <= found


@pytest.mark.parametrize("place", [*PAGES, ROOT / "container/nafp.def"], ids=lambda place: place.name)
def test_snakemake_knows_the_options_of_every_command(place):
    """Of those too that no test runs."""
    text = place.read_text(encoding="utf-8")
    in_comments = re.findall(r"^#.*?(snakemake .*?)(?:  |$)", text, re.MULTILINE)
    for command in [*commands(text), *in_comments]:
        if command.startswith("snakemake "):
            get_argument_parser().parse_args(shlex.split(command)[1:])


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("fresh"))
    shutil.copytree(ROOT / "config", folder / "config")
    return folder


@pytest.mark.parametrize("command", FRESH)
def test_a_command_for_another_experiment_plans_it(fresh, command):
    done = run_snakemake(fresh, *shlex.split(command)[1:], "-n", "--quiet", "rules")
    assert done.returncode == 0 and "Job stats:" in done.stdout, done.stdout[-3000:]


def results(folder: Path) -> dict[str, tuple[int, ...]]:
    """File -> what shows that it was written again; without logs and the times of jobs."""
    files = [path for path in (folder / "results/demo").rglob("*") if path.is_file()]
    stats = {path.relative_to(folder / "results/demo").as_posix(): path.stat() for path in files}
    return {
        name: (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        for name, stat in stats.items()
        if not name.startswith(("logs/", "benchmarks/"))
    }


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("commands") / "project"
    shutil.copytree(finished, folder)
    shutil.copytree(ROOT / "config", folder / "config")
    return folder


def test_no_command_changes_what_another_one_made(project):
    """Each is run; afterwards nothing of what was there before has been written, and there is nothing to be done."""
    for arguments in dict.fromkeys(map(tuple, RUN.values())):
        before = results(project)
        done = snakemake(project, *arguments)
        assert done.returncode == 0, (arguments, done.stdout[-3000:])
        after, again = results(project), {"data/manifest.csv", "data/verification.json", "data/files.tsv"}
        changed = {name for name, state in before.items() if after.get(name) != state}
        if "--touch" not in arguments:
            assert changed <= (again if "-R" in arguments else set()), arguments
    assert planned(project) == {}
    assert planned(project, "models", "data", "scale", f"{OURS}/epoch=1.safetensors") == {}


@pytest.mark.parametrize("command", PLANNED)
def test_a_long_command_plans_nothing_that_is_there(project, command):
    config = f"tiny.yaml {command.split('--configfile ')[1]}"
    done = snakemake(project, *PLANNED[command], "--summary", config=config)
    rows = [line.split("\t") for line in done.stdout.splitlines() if line.startswith("results/")]
    plans = {row[0]: row[-1] for row in rows}
    assert {plan for file, plan in plans.items() if (project / file).exists()} == {"no update"}
    assert {plan for file, plan in plans.items() if not (project / file).exists()} == {"update pending"}


@pytest.mark.parametrize("command", READ)
def test_a_command_that_reads_writes_nothing(project, command):
    before = results(project)
    done = subprocess.run([sys.executable, *READ[command]], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert results(project) == before

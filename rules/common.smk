# Validation, the tables of runs and cells, and input functions. No rules.
import ast
import os
import sys

from snakemake.exceptions import WorkflowError

HERE = Path(os.path.relpath(workflow.basedir))  # relative, so that a moved folder stays up to date
SCRIPTS = HERE / "scripts"
sys.path.insert(0, str(SCRIPTS.resolve()))  # rule scripts find the library by themselves, the Snakefile does not

from nafp import grid  # noqa: E402
from nafp.errors import UserError  # noqa: E402
from nafp.data.layout import EXCHANGED, MUSIC, POOL_OF_STEP, SPLITS  # noqa: E402

try:
    grid.check_config(config, HERE / "schemas/config.schema.yaml")
except UserError as error:
    raise WorkflowError(f"config: {error}") from None

IS_DEMO = config["dataset"] == "demo"
DATASET = "demo" if IS_DEMO else config["dataset"]["name"]
RESULTS = f"results/{DATASET}"
CORPUS = f"{RESULTS}/data/corpus" if IS_DEMO else config["dataset"]["root"].rstrip("/")
if not IS_DEMO and not Path(CORPUS, "music").is_dir():
    raise WorkflowError(
        f"dataset.root: {CORPUS} has no folder music/; it should hold aug/ and music/ as the paper's data set does"
    )

STUDIES = {name: study for name, study in config["studies"].items() if study}
CELLS = {name: grid.study_cells(study, config) for name, study in STUDIES.items()}
VARIED = {name: grid.varied_fields(study, config) for name, study in STUDIES.items()}
EPOCH = config["search"]["epoch"]
DEFAULT_RUN = grid.run_name(config["run"])
TEST_SPLITS = ("test_db", "test_query", "dummy")
THREADS = 8  # of the jobs that can use them; Snakemake gives fewer where there are fewer


wildcard_constraints:
    run=f"aug=({'|'.join(config['chains'])})_bsz=\\d+_dim=\\d+_loss=({'|'.join(config['losses'])})"
    f"_recipe=({'|'.join(config['recipes'])})_seed=\\d+|external=({'|'.join(config['external'])})",
    epoch="best|last|\\d+",
    index="|".join(config["indexes"]),
    study="|".join(STUDIES) or "none",
    split="[a-z_]+",


def code(script):
    """The library modules that a script imports, directly or not: a change in one of them reruns the script."""
    found, waiting = set(), [SCRIPTS / f"{script}.py"]
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop().read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nafp":
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                modules = {SCRIPTS / f"{name.replace('.', '/')}.py" for name in names}
                modules = {module for module in modules if module.is_file()} - found
                found |= modules
                waiting += modules
    templates = {template for module in found for template in module.parent.glob(f"{module.stem}.*.j2")}
    return sorted(map(str, found | templates))


def log_of(job):
    """Where a job's log lies; a job is a rule and its wildcards, ``train/{run}``."""
    return f"{RESULTS}/logs/{job}.log"


def benchmark_of(job):
    """Where a job's time and memory are recorded."""
    return f"{RESULTS}/benchmarks/{job}.tsv"


def packed(split):
    """The packed array of a split; its clip table lies beside it."""
    return f"{RESULTS}/data/packed/{split}.npy"


def run_fields(wildcards):
    """The fields of the run that a job is for."""
    if wildcards.run.startswith("external="):
        return {"external": wildcards.run.removeprefix("external=")}
    fields = grid.parse_run(wildcards.run)
    if problems := grid.problems_of(fields, config):
        raise WorkflowError("; ".join(problems))
    return fields


def recipe(wildcards):
    """The sections features, model and train of the config, as the job's run has them."""
    return grid.of_recipe(config, run_fields(wildcards)["recipe"])


def search_environment(wildcards):
    """The conda environment of a job that uses an index: Milvus Lite comes with a Faiss for the CPU only."""
    kind = config["indexes"][wildcards.index].get("type", wildcards.index)
    return f"../envs/{'milvus' if kind == 'milvus' else 'search'}.yaml"


def chain_pools(steps):
    """The kinds of sound that a chain's steps mix in: bg, ir, speech."""
    return sorted({POOL_OF_STEP[name] for step in steps for name in step if name in POOL_OF_STEP})


def training_settings(wildcards):
    """All that a run is trained with (nafp.training.settings.Settings)."""
    fields, sections = run_fields(wildcards), recipe(wildcards)
    options = dict(config["losses"][fields["loss"]])
    settings = {
        **{name: fields[name] for name in ("bsz", "dim", "loss", "seed")},
        **{name: value for name, value in sections["train"].items() if name != "gpus"},
        "features": sections["features"],
        "model": sections["model"],
        "chain": config["chains"][fields["aug"]],
        "positives": grid.positives(options),
        "loss_options": {name: value for name, value in options.items() if name != "positives"},
    }
    validation = dict(settings["validation"])
    queries = validation.pop("queries")
    return settings | {"validation": validation | {"chain": config["chains"].get(queries)}}


def training_splits(wildcards):
    """What a training job reads, by the names it uses.

    train, val_db, val_query; the sounds of its chain: bg, ir, speech; those of its validation queries: val_bg, ...
    """
    settings = training_settings(wildcards)
    splits = {name: packed(name) for name in ("train", "val_db", "val_query")}
    splits |= {pool: packed(f"{pool}_train") for pool in chain_pools(settings["chain"])}
    splits |= {f"val_{pool}": packed(f"{pool}_test") for pool in chain_pools(settings["validation"]["chain"] or [])}
    return splits | ({"start": settings["start"]} if settings["start"] else {})


def cells_of(study):
    """The scores of a study's cells, in its order."""
    return [f"{RESULTS}/scores/{cell.run}/epoch={EPOCH}/{cell.index}.json" for cell in CELLS[study]]


def runs_of(study):
    """Names of the runs of a study, in its order."""
    return list(dict.fromkeys(cell.run for cell in CELLS[study]))


def figures_of(study):
    """Figure -> file, for a study: what it varies decides which ones say something."""
    figures = ["hit_rate"] + (["speed"] if "index" in VARIED[study] else [])
    figures += ["learning"] if len(runs_of(study)) > 1 else []
    return {figure: f"{RESULTS}/scoreboard/{study}.{figure}.svg" for figure in figures}


def study_files(study):
    """All that a study produces."""
    return [f"{RESULTS}/scoreboard/{study}.{kind}" for kind in ("csv", "md")] + list(figures_of(study).values())


def state_of(folder):
    """How many files a folder holds and when the newest was written: what makes ``identify`` run again."""
    if not folder or not os.path.exists(folder):
        return None
    files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names] or [folder]
    return [len(files), int(max(map(os.path.getmtime, files)))]


def own_folders(wildcards):
    """The folders that the target works on, as params; a sentence if they were not given."""
    if not (config.get("library") and config.get("queries")):
        raise WorkflowError("identify: say what to search: --config library=FOLDER queries=FOLDER")
    return {name: config[name] for name in ("library", "queries")}

# Validation, the tables of runs and cells, and where their files lie. No rules.
import hashlib
import os
import re
import sys
from functools import cache

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

IS_MAIN = workflow.modifier.is_main_snakefile()  # not a module of another workflow
RULES = workflow.current_basedir.get_path_or_uri(secret_free=False)  # also where this is a module of another workflow
HERE = Path(os.path.relpath(RULES)).parent  # relative, so that a moved folder stays up to date
SCRIPTS = HERE / "scripts"
sys.path.insert(0, str(SCRIPTS.resolve()))  # rule scripts find the library by themselves, the Snakefile does not

from nafp import grid  # noqa: E402
from nafp.config import overlay  # noqa: E402
from nafp.config.check import FOLDERS, check_config, check_given  # noqa: E402
from nafp.config.keys import check_keys_once  # noqa: E402
from nafp.config.ladders import described_ladders, with_ladders  # noqa: E402
from nafp.config.targets import sentence_of_target  # noqa: E402
from nafp.errors import UserError  # noqa: E402
from nafp.imports import modules  # noqa: E402
from nafp.jobfacts import gpu_here  # noqa: E402
from nafp.search.external import EXCHANGED  # noqa: E402
from nafp.audio.segments import HOP, SAMPLE_RATE  # noqa: E402
from nafp.evaluation.starts import ICASSP_IDS_SHA256  # noqa: E402
from nafp.methods import METHODS, kind_of, method_of  # noqa: E402
from nafp.datasets.layout import MUSIC, SPLITS, TIME_MAP, sounds_split  # noqa: E402
from nafp.augment.steps import chain_pools  # noqa: E402
from nafp.datasets.sources import SOURCES, dataset_of  # noqa: E402
from nafp.identify.options import options_in  # noqa: E402
from nafp.identify.places import check_places, label, named_folder  # noqa: E402
from nafp.search.gpu import wants_gpu  # noqa: E402
from nafp.search.rates import without_rates  # noqa: E402
from nafp.search.types import index_type_of, what_it_is  # noqa: E402
from nafp.report.figures import captions, colour  # noqa: E402
from nafp.resources import ANCHORS_PER_S, MEMORY, SEGMENTS_PER_S, training_mb  # noqa: E402
from nafp.walk import files_below, is_wav, folder_signature  # noqa: E402
from nafp.yaml_text import parse_yaml  # noqa: E402

if re.search(r"[^\w@%+=:,./-]", sys.executable):
    raise WorkflowError(
        f"{sys.executable}: the path of this Python has spaces or other characters that a shell does not take as they are, "
        "so that no job could start; install into a folder without them"
    )

if workflow.is_main_process:
    try:
        check_keys_once([HERE / "config.yaml", *(workflow.config_settings.configfiles if IS_MAIN else ())])
    except UserError as error:
        raise WorkflowError(str(error)) from None

config = overlay.named_run(config, workflow.config_settings.configfiles)
# A module of another workflow gives what differs from config.yaml.
config = overlay.with_changes(parse_yaml((HERE / "config.yaml").read_text(encoding="utf-8")), config)
config = overlay.typed(config, workflow.config_settings.config) | {key: config[key] for key in FOLDERS if key in config}
try:
    check_given(config, sys.argv if IS_MAIN and workflow.is_main_process else ())
    check_config(config, HERE)
except UserError as error:
    raise WorkflowError(f"config: {error}") from None
config = with_ladders(config)

DATA = dataset_of(config)
config = {**config, "dataset": DATA}
DATASET, SOURCE = DATA["name"], SOURCES[DATA["source"]]
RESULTS = f"results/{DATASET}"
CORPUS = f"{RESULTS}/data/corpus" if SOURCE.maker else DATA["root"].rstrip("/")
QUERY_CHAINS, SEED = SOURCE.queries(config)
REMOVED = (
    f"{RESULTS}/data/removed.json"  # names of downloaded archives that were deleted when their files were verified
)
if DATA["source"] == "folder" and not Path(CORPUS, "music").is_dir():
    raise WorkflowError(
        f"dataset.root: {CORPUS} has no folder music/; it should hold aug/ and music/ as the paper's data set does"
    )

AUGMENTED = f"{RESULTS}/augmented/{config['augmented']['split']}-{config['augmented']['aug']}"
STUDIES = {name: study for name, study in config["studies"].items() if study}
LADDERS = {name: described_ladders(study, config) for name, study in STUDIES.items()}
VARIED = {name: grid.varied_fields(study, config) for name, study in STUDIES.items()}
EPOCH = config["search"]["epoch"]
DEFAULT_RUN = grid.run_name(config["run"])
IDENTIFYING_RUN = config["identify"]["run"] or DEFAULT_RUN
IDENTIFYING_EPOCH = kind_of(IDENTIFYING_RUN).epoch or EPOCH
TEST_SPLITS = ("test_db", "test_query", "dummy")
GENERATED = DATA.get("generated")  # distractors drawn from a model of the dummy songs
DISTRACTORS = "generated" if GENERATED else "dummy"  # the split that indexes hold besides the test songs
THREADS = 8  # threads of jobs that can use them; on a smaller machine Snakemake gives fewer
SMALL_DATABASE = 2e7  # bytes of fingerprints, at most, that one thread searches in seconds


RUNS = (
    f"aug=({'|'.join(config['chains'])})_bsz=\\d+_dim=\\d+_loss=({'|'.join(config['losses'])})"
    f"_recipe=({'|'.join(config['recipes'])})_seed=\\d+|external=({'|'.join(config['external'])})"
    f"|pretrained=({'|'.join(config['pretrained'])})"
)
MODELS = "(aug|pretrained)=.+"  # runs that are neural networks here, with weights
EPOCHS = r"best|last|\d+"
INDEXES = "|".join(config["indexes"])
QUERIES = f"(queries=({'|'.join(config['query_sets']) or 'none'})/)?"  # query set of a cell; empty: the data set's own


wildcard_constraints:
    run=RUNS,
    epoch=EPOCHS,
    index=INDEXES,
    study="|".join(STUDIES) or "none",
    split="[a-z0-9_]+",
    query_set="|".join(config["query_sets"]) or "none",
    queries=QUERIES,


@cache
def content_of(*files):
    """Digest of what files hold, as a parameter: a job reruns when that changes, and not when a file is only newer."""
    digest = hashlib.sha256()
    for file in files:
        content = Path(file).read_bytes()
        digest.update(f"{os.path.relpath(file, HERE)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def code(script):
    """Digest of a script and of the library modules that it imports: the parameter that reruns it when one changes."""
    return content_of(str(SCRIPTS / f"{script}.py"), *modules(script, SCRIPTS))


@cache
def lacked_by(name):
    """What this machine lacks for a method, in a sentence; nothing if jobs bring their environment with them."""
    methods = workflow.deployment_settings.deployment_method
    brought = DeploymentMethod.CONDA in methods or (DeploymentMethod.APPTAINER in methods and config.get("container"))
    return "" if brought else method_of(name, config["methods"][name]).lacks()


def why_left_out(cell):
    """Why a cell can neither be made here nor is there already, in a sentence; nothing if it is or can."""
    kind = kind_of(cell.run)
    if GENERATED and not kind.network:
        return "dataset.generated: distractors are generated for the networks of this workflow only"
    if kind.searched or os.path.exists(f"{RESULTS}/scores/{grid.path_of(cell, EPOCH)}"):
        return ""
    return lacked_by(grid.parse_run(cell.run)["method"])


def log_of(job):
    """Where a job's log lies; a job is a rule and its wildcards, ``train/{run}``."""
    return f"{RESULTS}/logs/{job}.log"


def benchmark_of(job):
    """Where a job's time and memory are recorded."""
    return f"{RESULTS}/benchmarks/{job}.tsv"


def scale_with_input(base, per_mb=0.0, of=(), resumes=False):
    """A resource: ``base``, and ``per_mb`` for each MB of the inputs named ``of``.

    Times the attempt: a retry gets more, but not the time of a job that ``resumes`` where it was interrupted.
    """

    def resource(wildcards, input, attempt):
        return int((1 if resumes else attempt) * (base + per_mb * bytes_of(input, of) / 1e6))

    return resource


def bytes_of(input, names):
    """Size of the inputs of a job that have these names."""
    files = [file for name in names for file in ([input[name]] if isinstance(input[name], str) else input[name])]
    return sum(map(os.path.getsize, files))


def packed(split):
    """The packed array of a split; its clip table lies beside it."""
    return f"{RESULTS}/data/packed/{split}.npy"


@cache
def fields_of(run):
    """The fields of a run by its name; a sentence if it could not be trained."""
    fields = grid.parse_run(run)
    if kind_of(run).trained:
        refuse(lambda clips: problems_of_run(fields, config, clips))
    return fields


def run_fields(wildcards):
    """The fields of the run that a job is for."""
    return fields_of(wildcards.run)


@cache
def sections_of(recipe):
    """The sections features, model and train of the config, as a recipe has them."""
    return overlay.of_recipe(config, recipe)


def recipe(wildcards):
    """The sections features, model and train of the config, as the job's run has them."""
    return sections_of(run_fields(wildcards)["recipe"])


def shards_asked(split):
    """How many shards a split is fingerprinted by; more test queries, by as many as the data set's own."""
    counts = config["fingerprint"]["shards"]
    if split == "generated":
        return GENERATED["shards"]
    return counts["test_query" if split.startswith("query_") else split]


def fingerprints_of(run, epoch, split):
    """The fingerprints of a split by a run: one array, or the list of its shards."""
    whole = (run.startswith("external=") and split != "generated") or shards_asked(split) == 1
    return f"{RESULTS}/fingerprints/{run}/epoch={epoch}/{split}.{'npy' if whole else 'json'}"


def shards_of(run, epoch, split):
    """The shards that the fingerprints of a split by a run consist of; none if they are one array."""
    if fingerprints_of(run, epoch, split).endswith(".npy"):
        return []
    count = shards_asked(split)
    return [f"{RESULTS}/fingerprints/{run}/epoch={epoch}/{split}/{shard}-of-{count}.npy" for shard in range(count)]


def vectors(split):
    """The fingerprints of a split by the job's run, as input."""
    if shards_asked(split) == 1:
        return fingerprints_of("{run}", "{epoch}", split)

    def file(wildcards):
        return fingerprints_of(wildcards.run, wildcards.epoch, split)

    return file


def shards(*splits):
    """The shards of splits, as input, so that a lost one is made again; a split may be a function of the wildcards."""
    if set(config["fingerprint"]["shards"].values()) == {1} and not GENERATED:
        return []  # a call of an input function is slow in a grid of thousands of jobs

    def files(wildcards):
        names = [split(wildcards) if callable(split) else split for split in splits]
        return [shard for name in names for shard in shards_of(wildcards.run, wildcards.epoch, name)]

    return files


REASONS = {
    name: {cell: why_left_out(cell) for cell in grid.study_cells(study, config)} for name, study in STUDIES.items()
}
CELLS = {study: [cell for cell, why in reasons.items() if not why] for study, reasons in REASONS.items()}
LEFT_OUT = {  # study -> a line for each of its methods that cannot work here
    study: list(dict.fromkeys(f"study {study}: {cell.run} is left out: {why}" for cell, why in reasons.items() if why))
    for study, reasons in REASONS.items()
}
if any(LEFT_OUT.values()) and IS_MAIN and workflow.is_main_process:
    print(*(line for lines in LEFT_OUT.values() for line in lines), sep="\n", file=sys.stderr)
STUDIES = {name: study for name, study in STUDIES.items() if CELLS[name]}

# Jobs that run here share this machine's GPUs: one, unless --resources says more. A cluster counts its own.
# Without a GPU two trainings share the cores, if there are as many: two at once are faster than one after the other
# (benchmarks/cpu_step.md). A job of its own process, which Snakemake starts for some, keeps the threads that it was given.
LOCAL = workflow.resource_settings.nodes is None
TRAINED = {cell.run for cells in CELLS.values() for cell in cells if cell.run.startswith("aug=")}
ASKED_GPUS = workflow.global_resources.get("gpu").value  # --resources
TRAININGS = (
    2 if LOCAL and workflow.is_main_process and len(TRAINED) > 1 and ASKED_GPUS is None and not gpu_here() else 1
)
MODEL_THREADS = max(min(THREADS, (workflow.resource_settings.cores or THREADS) // TRAININGS), 1)
if LOCAL:
    most = max(overlay.of_recipe(config, name)["train"]["gpus"] for name in config["recipes"])
    workflow.global_resources.setdefault("gpu", max(most, TRAININGS))


def cells_of(study):
    """The scores of a study's cells, in its order."""
    return [f"{RESULTS}/scores/{grid.path_of(cell, EPOCH)}" for cell in CELLS[study]]


def runs_of(study):
    """Names of the runs of a study that are trained, in its order."""
    return [run for run in searched_runs_of(study) if kind_of(run).trained]


def searched_runs_of(study):
    """Names of the runs of a study with fingerprints, in its order."""
    return list(dict.fromkeys(cell.run for cell in CELLS[study] if kind_of(cell.run).searched))

# Validation, the tables of runs and cells, and input functions. No rules.
import ast
import os
import re
import sys
from functools import cache

import yaml
from snakemake.exceptions import WorkflowError

RULES = workflow.current_basedir.get_path_or_uri(secret_free=False)  # also where this is a module of another workflow
HERE = Path(os.path.relpath(RULES)).parent  # relative, so that a moved folder stays up to date
SCRIPTS = HERE / "scripts"
sys.path.insert(0, str(SCRIPTS.resolve()))  # rule scripts find the library by themselves, the Snakefile does not

from nafp import grid  # noqa: E402
from nafp.errors import UserError  # noqa: E402
from nafp.data.layout import EXCHANGED, HOP, MUSIC, POOL_OF_STEP, SPLITS  # noqa: E402
from nafp.data.sources import SOURCES  # noqa: E402
from nafp.resources import ANCHORS_PER_S, MEMORY, SEGMENTS_PER_S  # noqa: E402

config = grid.with_changes(yaml.safe_load((HERE / "config.yaml").read_text()), config)  # a module gives what differs
config = grid.typed(config, workflow.config_settings.config)
try:
    grid.check_config(config, HERE / "schemas/config.schema.yaml")
except UserError as error:
    raise WorkflowError(f"config: {error}") from None

IS_DEMO = config["dataset"] == "demo"
DATASET = "demo" if IS_DEMO else config["dataset"]["name"]
RESULTS = f"results/{DATASET}"
DATA = {"source": "demo"} if IS_DEMO else {"source": "folder", "root": f"data/{DATASET}", **config["dataset"]}
CORPUS = f"{RESULTS}/data/corpus" if DATA["source"] in ("demo", "own") else DATA["root"].rstrip("/")
match DATA["source"]:
    case "demo":
        QUERY_CHAINS, SEED = config["demo"]["queries"], config["demo"]["seed"]
    case "own":
        own_chain = DATA["own"].get("queries", config["demo"]["queries"]["test"])
        QUERY_CHAINS, SEED = {"val": own_chain, "test": own_chain}, DATA["own"].get("seed", 0)
    case _:
        QUERY_CHAINS, SEED = {}, 0
if DATA["source"] == "folder" and not Path(CORPUS, "music").is_dir():
    raise WorkflowError(
        f"dataset.root: {CORPUS} has no folder music/; it should hold aug/ and music/ as the paper's data set does"
    )

AUGMENTED = f"{RESULTS}/augmented/{config['augmented']['split']}-{config['augmented']['aug']}"
STUDIES = {name: study for name, study in config["studies"].items() if study}
CELLS = {name: grid.study_cells(study, config) for name, study in STUDIES.items()}
VARIED = {name: grid.varied_fields(study, config) for name, study in STUDIES.items()}
EPOCH = config["search"]["epoch"]
DEFAULT_RUN = grid.run_name(config["run"])
TEST_SPLITS = ("test_db", "test_query", "dummy")
THREADS = 8  # of the jobs that can use them; Snakemake gives fewer where there are fewer

# Jobs that run here share this machine's GPUs: one, unless --resources says more. A cluster counts its own.
if workflow.resource_settings.nodes is None:
    most = max(grid.of_recipe(config, name)["train"]["gpus"] for name in config["recipes"])
    workflow.global_resources.setdefault("gpu", most)


wildcard_constraints:
    run=f"aug=({'|'.join(config['chains'])})_bsz=\\d+_dim=\\d+_loss=({'|'.join(config['losses'])})"
    f"_recipe=({'|'.join(config['recipes'])})_seed=\\d+|external=({'|'.join(config['external'])})",
    epoch="best|last|\\d+",
    index="|".join(config["indexes"]),
    study="|".join(STUDIES) or "none",
    split="[a-z0-9_]+",
    query_set="|".join(config["query_sets"]) or "none",
    queries=f"(queries=({'|'.join(config['query_sets']) or 'none'})/)?",  # of a cell; nothing: the data set's own
    board="scoreboard|scoreboard/so_far",


@cache
def imported(path):
    """The library modules that a file imports."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nafp":
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            modules |= {SCRIPTS / f"{name.replace('.', '/')}.py" for name in names}
    return {module for module in modules if module.is_file()}


def code(script):
    """The library modules that a script imports, directly or not: a change in one of them reruns the script."""
    found, waiting = set(), [SCRIPTS / f"{script}.py"]
    while waiting:
        modules = imported(waiting.pop()) - found
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


def growing(base, per_mb=0.0, of=()):
    """A resource: ``base``, and ``per_mb`` for each MB of the inputs named ``of``; times the attempt: a retry gets more.

    Inputs that are made in the same cluster job (an index and its cell are) must not be named: they do not exist yet.
    """

    def resource(wildcards, input, attempt):
        files = [file for name in of for file in ([input[name]] if isinstance(input[name], str) else input[name])]
        return int(attempt * (base + per_mb * sum(map(os.path.getsize, files)) / 1e6))

    return resource


def of_gpus(each):
    """``each`` times the GPUs of the job's training."""
    return lambda wildcards: each * recipe(wildcards)["train"]["gpus"]


def training_minutes(wildcards, input, attempt):
    """How long a cluster lets a training run; what it has done until then is not lost."""
    segments = os.path.getsize(str(input.train)) / (2 * HOP)
    train = recipe(wildcards)["train"]
    return int(attempt * (60 + segments * train["epochs"] / (ANCHORS_PER_S * train["gpus"] * 60)))


def largest_piece_mb():
    """Audio of the largest shard of any split: all fingerprinting jobs ask for the same, so that they can be one array."""
    counts = config["fingerprint"]["shards"].items()
    sizes = [os.path.getsize(packed(split)) / count for split, count in counts if os.path.exists(packed(split))]
    return max(sizes, default=0) / 1e6


def fingerprint_mb():
    """Memory of a fingerprinting job."""
    base, per_mb = MEMORY["fingerprint"]
    return int(base + per_mb * largest_piece_mb())


def fingerprint_minutes():
    """How long a cluster lets a fingerprinting job run."""
    return int(30 + largest_piece_mb() * 1e6 / (2 * HOP * SEGMENTS_PER_S * 60))


def packed(split):
    """The packed array of a split; its clip table lies beside it."""
    return f"{RESULTS}/data/packed/{split}.npy"


@cache
def fields_of(run):
    """The fields of a run by its name; a sentence if it could not be trained."""
    if run.startswith("external="):
        return {"external": run.removeprefix("external=")}
    fields = grid.parse_run(run)
    if problems := grid.problems_of(fields, config):
        raise WorkflowError("; ".join(problems))
    return fields


def run_fields(wildcards):
    """The fields of the run that a job is for."""
    return fields_of(wildcards.run)


@cache
def sections_of(recipe):
    """The sections features, model and train of the config, as a recipe has them."""
    return grid.of_recipe(config, recipe)


def recipe(wildcards):
    """The sections features, model and train of the config, as the job's run has them."""
    return sections_of(run_fields(wildcards)["recipe"])


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


def shards_asked(split):
    """How many shards a split is fingerprinted by; more test queries, by as many as the data set's own."""
    counts = config["fingerprint"]["shards"]
    return counts["test_query" if split.startswith("query_") else split]


def fingerprints_of(run, epoch, split):
    """The fingerprints of a split by a run: one array, or the list of its shards."""
    whole = run.startswith("external=") or shards_asked(split) == 1
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
    return lambda wildcards: fingerprints_of(wildcards.run, wildcards.epoch, split)


def shards(*splits):
    """The shards of splits, as input, so that a lost one is made again; a split may be a function of the wildcards."""
    if set(config["fingerprint"]["shards"].values()) == {1}:
        return []  # in a grid of thousands of jobs, what Snakemake does around a call of an input function adds up

    def files(wildcards):
        names = [split(wildcards) if callable(split) else split for split in splits]
        return [shard for name in names for shard in shards_of(wildcards.run, wildcards.epoch, name)]

    return files


def cells_of(study):
    """The scores of a study's cells, in its order."""
    return [
        f"{RESULTS}/scores/{cell.run}/epoch={EPOCH}/{queries_part(cell.query_set)}{cell.index}.json"
        for cell in CELLS[study]
    ]


def queries_part(query_set):
    """The part of a cell's path that says which queries it is for."""
    return "" if query_set == grid.FILES else f"queries={query_set}/"


def query_set_of(wildcards):
    """The query set that a cell is for."""
    return wildcards.queries.removeprefix("queries=").removesuffix("/")


def query_split(wildcards):
    """The split that holds the queries of a cell."""
    return f"query_{query_set_of(wildcards)}" if wildcards.queries else "test_query"


def about_queries(wildcards):
    """What a cell says of its queries, unless they are the data set's own."""
    if not wildcards.queries:
        return {}
    chain = config["query_sets"][query_set_of(wildcards)]
    return {"query_set": query_set_of(wildcards), "snr_db": grid.snr_of(chain), "query_chain": chain}


def runs_of(study):
    """Names of the runs of a study, in its order."""
    return list(dict.fromkeys(cell.run for cell in CELLS[study]))


def study_of(study):
    """What the table and plots of a study show (nafp.report.tables.Study)."""
    chosen = grid.baseline(STUDIES[study], config)
    return {
        "name": study,
        "question": STUDIES[study].get("question", study.replace("_", " ")),
        "varied": VARIED[study],
        "matches": STUDIES[study].get("matches", ["exact", "near"]),
        "planned": [
            {"run": c.run, "index": c.index, "query_set": c.query_set, **grid.parse_run(c.run)} for c in CELLS[study]
        ],
        "baseline": [chosen.run, chosen.index, chosen.query_set],
    }


def looked_at():
    """The runs that are looked at closely: the default one and the first ones of the studies."""
    runs = dict.fromkeys(cell.run for study in STUDIES for cell in CELLS[study])
    return sorted(runs, key=lambda run: run != DEFAULT_RUN)[: config["scoreboard"]["runs"]]


def hits_of(cells):
    """The per-query tables beside cells."""
    return [cell.removesuffix(".json") + ".hits.parquet" for cell in cells]


def due(wildcards, paths):
    """Files as input of a scoreboard's job: the whole one waits for all of them, the one of what has finished for none."""
    return list(paths) if wildcards.board == "scoreboard" else []


def there(wildcards, paths):
    """The files that a scoreboard's job works on: all of them, or those that there are."""
    return [path for path in paths if wildcards.board == "scoreboard" or os.path.exists(path)]


def age(wildcards, paths):
    """When the files that there are were written: what makes a scoreboard of what has finished again."""
    return (
        None if wildcards.board == "scoreboard" else {path: os.path.getmtime(path) for path in there(wildcards, paths)}
    )


def figures_of(study, board="scoreboard"):
    """Figure -> file, for a study: what it varies decides which ones say something, and on a partial board what is there."""
    drawable = board == "scoreboard" or any(map(os.path.exists, cells_of(study)))
    histories = [run for run in runs_of(study) if board == "scoreboard" or os.path.exists(history_of(run))]
    figures = ["hit_rate"] + [name for name in ("bsz", "dim", "aug", "snr_db") if name in VARIED[study]]
    figures += ["costs"] if "index" in VARIED[study] else []
    figures = figures * drawable + (["learning"] if len(histories) > 1 and drawable else [])
    return {figure: f"{RESULTS}/{board}/{study}.{figure}.svg" for figure in figures}


def history_of(run):
    """The learning curve of a run."""
    return f"{RESULTS}/runs/{run}/history.csv"


def closer_of(board="scoreboard"):
    """Figure -> file, for what is drawn of no single study."""
    figures = {}
    if board == "scoreboard" or any(os.path.exists(cell_of(run)) for run in looked_at()):
        figures["misses"] = f"{RESULTS}/{board}/misses.svg"
    if with_fingerprints(board):
        figures["similarity"] = f"{RESULTS}/{board}/similarity.svg"
    if DEFAULT_RUN in looked_at() and (board == "scoreboard" or any(map(os.path.exists, scale_tables()))):
        figures["scale"] = f"{RESULTS}/{board}/scale.svg"
    return figures


def cell_of(run):
    """The cell of a run with the default index."""
    return f"{RESULTS}/scores/{run}/epoch={EPOCH}/{config['search']['index']}.json"


def scale_tables():
    """The results of the scale study."""
    return [f"{RESULTS}/scores/{DEFAULT_RUN}/epoch={EPOCH}/{index}.scale.csv" for index in config["scale"]["index"]]


def vectors_of(run):
    """Split -> the fingerprints of a run."""
    return {split: fingerprints_of(run, EPOCH, split) for split in TEST_SPLITS}


def arrays_of(run):
    """The arrays that the fingerprints of the test songs and of their queries by a run consist of: a list each."""
    return [shards_of(run, EPOCH, split) or [vectors_of(run)[split]] for split in ("test_db", "test_query")]


def with_fingerprints(board):
    """Run -> its ``arrays_of``, of the runs looked at: all, or those that have a cell and all of their fingerprints."""
    runs = {run: arrays_of(run) for run in looked_at()}
    if board == "scoreboard":
        return runs
    return {
        run: arrays
        for run, arrays in runs.items()
        if all(map(os.path.exists, [cell_of(run), *(file for part in arrays for file in part)]))
    }


def weights_of(run):
    """The weights that are searched with."""
    return f"{RESULTS}/runs/{run}/epoch={EPOCH}.safetensors"


def files_to_listen_to(run):
    """All that a run needs to answer."""
    return [weights_of(run), vectors_of(run)["dummy"], vectors_of(run)["test_db"]]


def listening_splits():
    """The splits that the sound demo is cut from."""
    return ["test_db", "dummy", "train", "bg_test", "ir_test"] + [
        f"{pool}_train" for pool in chain_pools(config["chains"][config["run"]["aug"]])
    ]


def listening_run(run):
    """What is needed to compute a run's fingerprints and to search them."""
    fields = grid.parse_run(run)
    sections = grid.of_recipe(config, fields["recipe"])
    vectors = vectors_of(run)
    return {
        "weights": weights_of(run),
        "dummy": vectors["dummy"],
        "db": vectors["test_db"],
        "dim": fields["dim"],
        "features": sections["features"],
        "model": sections["model"],
    }


def study_files(study, board="scoreboard"):
    """All that a study produces."""
    tables = [f"{RESULTS}/{board}/{study}.{kind}" for kind in ("csv", "md", "tex")]
    return tables + list(figures_of(study, board).values())


def board_files(board="scoreboard"):
    """All that a scoreboard consists of."""
    return [f"{RESULTS}/{board}/index.html", *(file for study in STUDIES for file in study_files(study, board))]


def state_of(folder):
    """How many files a folder holds and when the newest was written: what makes ``identify`` run again."""
    if not folder or not os.path.exists(folder):
        return None
    files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names] or [folder]
    return [len(files), int(max(map(os.path.getmtime, files)))]


def own_sources(own):
    """All folders that a data set of one's own is made of."""
    roles = [own[role] for role in ("music", "noise", "impulse_responses", "speech") if role in own]
    return [folder for role in roles for folder in ([role] if isinstance(role, str) else role.values())]


def own_folders(wildcards):
    """The folders that the target works on, as params; a sentence if they were not given."""
    if not (config.get("library") and config.get("queries")):
        raise WorkflowError("identify: say what to search: --config library=FOLDER queries=FOLDER")
    return {name: config[name] for name in ("library", "queries")}

# What cannot work is refused while jobs are planned, as far as config, packed tables and the user's files say it. No rules.
import csv
import json

from nafp.audio.clips import read_clips
from nafp.config.check import (
    planned_clips,
    problems_of_chain,
    problems_of_index,
    problems_of_queries,
    problems_of_run,
    said,
)
from nafp.datasets.checks import OWN_ROLES, check_distractors, check_folders, check_present, folders_of
from nafp.evaluation.protocol import check_protocol
from nafp.search.checks import check_exchanged
from nafp.search.external import OURS, Exchanged
from nafp.pretrained.checks import check_licence, check_source
from nafp.shipped import limits_in, shipped, weights_file
from nafp.training.checks import check_init_from, check_kept, kept_epochs, most_items
from nafp.training.settings import Settings

PLANNED_CLIPS = planned_clips(config)
IMPORTED = f"{RESULTS}/data/imported.json"  # the states of the folders that were imported


@cache
def clips_of(split):
    """The clip table of a packed split, if there is one; None if there is none, or if it is made again for other music."""
    table = Path(packed(split)).with_suffix(".csv")
    if not table.exists() or SOURCE.clips(config) or (SOURCE.maker == "import_audio" and not is_imported()):
        return None
    try:
        return read_clips(table)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a damaged one, of which its reader says so


def refuse(problems_with):
    """Raise an error if something cannot work: with what the config says of the data set, then with its packed tables."""
    if problems := problems_with(PLANNED_CLIPS):
        raise WorkflowError("; ".join(problems))
    if problems := problems_with(clips_of):
        known = f"as {RESULTS}/data/packed says; if the data set has changed: snakemake data -R verify"
        raise WorkflowError(f"{'; '.join(problems)} ({known})")


@cache
def has_sounds(split):
    """Whether the data set has sounds of a kind, of which a chain may take some; True while that is not known."""
    if SOURCE.collect:
        return False
    if SOURCE.maker == "import_audio":
        return not split.startswith("speech_") or "speech" in DATA["own"]  # the others must be given
    unknown = SOURCE.bring and not os.path.exists(f"{RESULTS}/data/verification.json")
    return SOURCE.maker is not None or unknown or bool(files_below(Path(CORPUS, SPLITS[split]), is_wav))


@cache
def sounds(split):
    """The packed sounds of a kind; a sentence if the data set has none."""
    where = "dataset.own" if SOURCE.maker == "import_audio" else Path(CORPUS, SPLITS[split])
    if problems := said(check_present, has_sounds(split), where, split):
        raise WorkflowError(*problems)
    return packed(split)


@cache
def own_states():
    """The state of each folder that a data set of one's own is made of: what makes ``import_audio`` run again."""
    return list(map(folder_signature, own_sources(DATA["own"])))


def is_imported():
    """Whether the songs that were imported are those that are there now."""
    try:
        return json.loads(Path(IMPORTED).read_text(encoding="utf-8")) == own_states()
    except (OSError, ValueError):
        return False


@cache
def dim_of(run):
    """Dimensions of a run's fingerprints; None of somebody's whose files are not there, as Snakemake will say."""
    fields = fields_of(run)
    if kind_of(run).trained:
        return fields["dim"]
    if "pretrained" in fields:
        settings = Path(f"{RESULTS}/runs/{run}/config.yaml")
        return parse_yaml(settings.read_text(encoding="utf-8"))["dim"] if settings.exists() else None
    shapes = [shape_of(fields["external"], split) for split in EXCHANGED]
    if len(dims := {dim for _, dim in filter(None, shapes)}) > 1:
        raise WorkflowError(
            f"external.{fields['external']}: fingerprints of {' and '.join(map(str, sorted(dims)))} dimensions"
        )
    return next(iter(dims), None)


@cache
def shape_of(name, split):
    """(rows, dimensions) of somebody's fingerprints of a split; None if they are not there. A sentence if they are not
    those of the clips."""
    theirs = Exchanged.of(config["external"][name])
    if not theirs.source(split).exists():
        return None

    def problems(clips):
        table = clips(split)
        found = said(check_exchanged, theirs, split, None if table is None else table["samples"])
        return found + said(check_protocol, theirs.grid, SEARCH["protocol"])

    refuse(problems)
    return check_exchanged(theirs, split)


def exchanged(wildcards):
    """Somebody's fingerprints of a split, as input."""
    shape_of(wildcards.name, wildcards.split)
    return list(map(str, Exchanged.of(config["external"][wildcards.name]).sources(wildcards.split)))


def grid_of(run):
    """How the fingerprints of a run divide a clip."""
    return Exchanged.of(config["external"][fields_of(run)["external"]]).grid if run.startswith("external=") else OURS


@cache
def check_index(index, dim, fraction=1.0, grid=OURS):
    """A sentence if an index of fingerprints of ``dim`` dimensions, and of a fraction of the dummy ones, cannot be built."""
    if dim:
        refuse(lambda clips: problems_of_index(index, dim, config, clips, fraction, grid))


@cache
def check_queries(query_set=grid.FILES):
    """A sentence if no test sequence of a query set could start where the config wants it."""
    ids = TEST_IDS if TEST_IDS and os.path.exists(TEST_IDS) else SEARCH["test_ids"]
    steps = config["query_sets"].get(query_set, [])
    refuse(lambda clips: problems_of_queries(SEARCH | {"test_ids": ids}, clips, steps))


@cache
def knows_places():
    """Whether it is known where in their songs all of the data set's own queries are, as far as can be seen."""
    table = Path(CORPUS, TIME_MAP)
    if SOURCE.maker or not table.is_file():
        return SOURCE.placed(DATA)
    try:
        with table.open(newline="", encoding="utf-8") as file:
            return all((row["song_start_s"] or "").lower() not in ("", "nan") for row in csv.DictReader(file))
    except (OSError, ValueError, KeyError, csv.Error):
        return True  # a damaged one, of which its reader says so


def check_placed(what):
    """A sentence if it is not known where in their songs the queries are, and ``what`` asks for it."""
    if not knows_places():
        raise WorkflowError(f"{what}: the data set does not say where in their songs all of its queries are")


def dummy_vectors(wildcards):
    """The dummy fingerprints that an index is built of, as input."""
    check_index(wildcards.index, dim_of(wildcards.run), grid=grid_of(wildcards.run))
    return fingerprints_of(wildcards.run, wildcards.epoch, DISTRACTORS)


def fewest_dummy_vectors(wildcards):
    """The dummy fingerprints whose parts are searched, as input: an index is built of the smallest, too."""
    check_placed("scale")
    check_queries()
    check_index(wildcards.index, dim_of(wildcards.run), min(config["scale"]["fractions"]))
    return fingerprints_of(wildcards.run, wildcards.epoch, "dummy")


def queried_dummy_vectors(wildcards):
    """The dummy fingerprints that are scored without an index, as input."""
    check_placed("extrapolation")
    check_queries()
    return fingerprints_of(wildcards.run, wildcards.epoch, "dummy")


def query_vectors(wildcards):
    """The fingerprints of a cell's queries, as input."""
    check_queries(query_set_of(wildcards))
    return fingerprints_of(wildcards.run, wildcards.epoch, query_split(wildcards))


def trained_weights(wildcards):
    """The weights of a finished training, which keeps those after some epochs, as input; a sentence if not after this one."""
    run, epoch = wildcards.run, int(wildcards.epoch)
    train = recipe(wildcards)["train"]
    kept = kept_epochs(train["epochs"], train["checkpoints"]["every"], train["checkpoints"]["last"])
    stored = {
        int(path.stem.removeprefix("epoch="))
        for path in Path(f"{RESULTS}/runs/{run}/.states").glob("*/epoch=*.safetensors")
    }
    if problems := said(check_kept, epoch, kept | stored, run):
        raise WorkflowError(*problems)
    return f"{RESULTS}/runs/{run}/epoch=last.safetensors"


def degrading_sounds(steps):
    """The held-out sounds that a chain degrades songs with, as input; a sentence if the data set has not what it needs."""
    refuse(lambda clips: problems_of_chain(steps, "test", clips))
    return [sounds(sounds_split(pool, "test")) for pool in chain_pools(steps)]


def refuse_study(study):
    """What raises an error that says why none of a study's cells can be made here, as input."""

    def refuse_it(wildcards):
        raise WorkflowError(*LEFT_OUT[study])

    return refuse_it


def refuse_target(wildcards):
    """Raise an error that says which part of a target is unknown."""
    raise WorkflowError(sentence_of_target(wildcards.target, TARGETS, config))

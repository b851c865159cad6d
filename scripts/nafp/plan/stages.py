"""What a target costs before it runs: jobs, hours, disk and memory of each stage, each with the source of its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace

from nafp import grid
from nafp.config import overlay
from nafp.datasets.sources import SOURCES, dataset_of
from nafp.model.encoders import encoder_of
from nafp.model.shapes import head_parameters, image_shape
from nafp.plan.rates import search_flops, step_flops
from nafp.plan.work import Work, dim_of
from nafp.resources import MEMORY, training_mb
from nafp.search.types import index_type_of
from nafp.training.checks import most_items

PACK_JOBS = 11  # assumed: a job a split, of which few targets need all
RULES = {  # stage -> its rules
    "download": ("download", "fetch_test_ids"),
    "unpack": ("unpack", "remove_archive"),
    "compose": ("compose_demo",),
    "degrade": ("degrade_queries",),
    "train": ("train", "take_checkpoint"),
    "fingerprint": ("import_pretrained", "fingerprint", "gather_fingerprints"),
    "generate": ("list_distractors", "generate_distractors"),
    "scoreboard": (
        *("make_table", "find_limits", "plot", "plot_scale", "plot_beyond", "plot_misses", "plot_similarity"),
        *("plot_learning", "plot_heat_map", "measure_scale", "extrapolate", "tabulate_beyond", "listen", "hear_misses"),
        *("build_page", "scoreboard"),
    ),
}
STATE_COPIES = 8  # weights kept of a run: best, last, and two states with Adam's two moments
GB_PER_QUERY = 6e-7  # disk space of a query in a cell's per-query table
SCOREBOARD_JOBS, SCOREBOARD_HOURS, SCOREBOARD_DISK_GB, SCOREBOARD_MEMORY_GB = 4, 0.01, 0.01, 3.0


@dataclass(frozen=True)
class Stage:
    """One line of the plan: hours of GPUs and of CPU cores over all jobs, memory of the largest job."""

    stage: str
    jobs: int
    gpu_hours: float
    cpu_hours: float
    disk_gb: float
    memory_gb: float
    source: str


def memory_gb(rule: str, input_mb: float = 0.0) -> float:
    """Memory that a job asks for."""
    base, per_mb = MEMORY[rule]
    return (base + per_mb * input_mb) / 1e3


def search_memory_gb(work: Work, rule: str) -> float:
    """Memory that the largest job of a rule that builds or searches indexes asks for."""
    names = {cell.index for cell in work.searched_cells}
    on_disk = {index_type_of(name, work.config["indexes"][name]).on_disk for name in names}
    return max((memory_gb("on_disk" if one else rule, work.largest_vectors_mb()) for one in on_disk), default=0.0)


def download(work: Work) -> Stage | None:
    """Bring the archive, which stays until the data set is verified; None where there is none."""
    if not work.archive_gb:
        return None
    hours = 1e3 * work.archive_gb / work.rates.download_mb_per_s / 3600 if work.downloads else 0.0
    source = work.rates.sources["download_mb_per_s"] if work.downloads else "you bring the archive"
    return Stage("download", 1, 0.0, hours, work.archive_gb, memory_gb("verify"), source)


def unpack(work: Work) -> Stage | None:
    """Unpack the archive; None where there is none."""
    if not work.archive_gb:
        return None
    hours = work.unpacked_mb / work.rates.mb_per_s / 3600
    return Stage("unpack", 1, 0.0, hours, work.unpacked_mb / 1e3, memory_gb("verify"), work.rates.sources["mb_per_s"])


def compose(work: Work) -> Stage | None:
    """Compose the songs, whose queries lie beside them; None of another data set."""
    if SOURCES[dataset_of(work.config)["source"]].maker != "compose_demo":
        return None
    hours = sum(songs.number * songs.seconds for songs in work.songs.values()) / work.rates.composed_s_per_s / 3600
    source = work.rates.sources["composed_s_per_s"]
    return Stage("compose", 1, 0.0, hours, work.audio_mb / 1e3, memory_gb("verify"), source)


def verify(work: Work) -> Stage:
    """Check every file's header and checksum."""
    source = f"{work.rates.sources['files_per_s']}; sizes {work.songs_source}"
    hours = work.clips / work.rates.files_per_s / 3600
    return Stage("verify", 1, 0.0, hours, 0.02, memory_gb("verify"), source)


def pack(work: Work) -> Stage:
    """Pack the splits."""
    source = f"{work.rates.sources['mb_per_s']}; sizes {work.songs_source}"
    hours = work.audio_mb / work.rates.mb_per_s / 3600
    return Stage("pack", PACK_JOBS, 0.0, hours, work.audio_mb / 1e3, memory_gb("pack"), source)


def degrade(work: Work) -> Stage | None:
    """Degrade the test songs into the query sets of the config; None if no cell asks one."""
    if not work.degraded_sets:
        return None
    songs, sets = work.songs["test"], len(work.degraded_sets)
    return Stage(
        stage="degrade",
        jobs=sets,
        gpu_hours=0.0,
        cpu_hours=sets * songs.number * songs.seconds / work.rates.degraded_s_per_s / 3600,
        disk_gb=sets * songs.megabytes / 1e3,
        memory_gb=memory_gb("degrade_queries"),
        source=f"{work.rates.sources['degraded_s_per_s']}; sizes {work.songs_source}",
    )


def train(work: Work) -> Stage:
    """Train every run."""
    flops = disk_gb = memory_mb = 0.0
    songs = work.songs["train"]
    for run in work.runs:
        fields = grid.parse_run(run)
        sections = overlay.of_recipe(work.config, fields["recipe"])
        options, image, encoder = sections["train"], image_shape(sections["features"]), encoder_of(sections["model"])
        replicas = grid.positives(work.config["losses"][fields["loss"]])
        items = most_items(songs.samples, options["data"]["fraction"], options["data"]["one_per_clip"])
        flops += step_flops(encoder.flops(image), replicas) * items * options["epochs"]
        memory_mb = max(memory_mb, training_mb(songs.megabytes, options["gpus"]))
        parameters = encoder.parameters(image) + head_parameters(
            encoder.features(image), fields["dim"], sections["model"].get("head_norm", False)
        )
        disk_gb += STATE_COPIES * 4 * parameters / 1e9
    return Stage(
        stage="train",
        jobs=len(work.runs),
        **work.hours_on_device(flops),
        disk_gb=disk_gb,
        memory_gb=memory_mb / 1e3,
        source=work.rates.sources["tflops"],
    )


def fingerprint(work: Work) -> Stage:
    """Fingerprint database and queries by every run, in shards that are gathered afterwards."""
    shards = work.config["fingerprint"]["shards"]
    jobs_of = {split: count + (count > 1) for split, count in shards.items()}  # one more gathers them
    flops, disk_gb, jobs = 0.0, 0.0, 0
    for run in work.searched_runs:
        if not run.startswith("external="):  # weights of others count as those of the config's model
            sections = overlay.of_recipe(work.config, grid.parse_run(run).get("recipe", "base"))
            flops += encoder_of(sections["model"]).flops(image_shape(sections["features"])) * work.fingerprints(run)
        disk_gb += 4 * dim_of(run) * work.fingerprints(run) / 1e9
        jobs += jobs_of["test_db"] + jobs_of["dummy"] + work.query_sets(run) * jobs_of["test_query"]
    shard_mb = max(work.songs["dummy"].megabytes / shards["dummy"], work.songs["test"].megabytes / shards["test_db"])
    return Stage(
        stage="fingerprint",
        jobs=jobs,
        **work.hours_on_device(flops),
        disk_gb=disk_gb,
        memory_gb=memory_gb("fingerprint", shard_mb),
        source=work.rates.sources["tflops"],
    )


def generate(work: Work) -> Stage | None:
    """Generate distractors for every run, in shards; None where dummy songs are the distractors."""
    if not work.generated:
        return None
    runs, dims = len(work.searched_runs), sum(map(dim_of, work.searched_runs))
    dummy_mb = 4 * max(map(dim_of, work.searched_runs), default=0) * work.songs["dummy"].segments / 1e6
    return Stage(
        "generate",
        1 + runs * dataset_of(work.config)["generated"]["shards"],
        0.0,
        runs * work.generated / work.rates.generated_per_s / 3600,
        4 * dims * work.generated / 1e9,
        memory_gb("generate_distractors", dummy_mb),
        work.rates.sources["generated_per_s"],
    )


def build_index(work: Work) -> Stage:
    """Build the indexes of every run, in which all its query sets are searched."""
    disk_gb, flops, built = 0.0, 0.0, sorted({(cell.run, cell.index) for cell in work.searched_cells})
    trained = min(work.distractors, work.config["search"]["train_max"])
    for run, index in built:
        index_type = index_type_of(index, work.config["indexes"][index])
        disk_gb += index_type.bytes_per_vector(dim_of(run)) * work.database / 1e9
        flops += index_type.build_flops(dim_of(run), work.database, trained)
    hours = flops / (work.rates.build_gflops * 1e9) / 3600
    memory = search_memory_gb(work, "build_index")
    return Stage("build_index", len(built), 0.0, hours, disk_gb, memory, work.rates.sources["build_gflops"])


def score(work: Work) -> Stage:
    """Search for the queries of every cell."""
    flops, segments = 0.0, min(work.queries * max(work.config["search"]["lengths"]), work.songs["test"].segments)
    for cell in work.searched_cells:
        index_type = index_type_of(cell.index, work.config["indexes"][cell.index])
        flops += search_flops(index_type, dim_of(cell.run), work.database, segments)
    return Stage(
        "score",
        len(work.searched_cells),
        0.0,
        flops / (work.rates.search_gflops * 1e9) / 3600,
        len(work.searched_cells) * work.queries * GB_PER_QUERY,
        search_memory_gb(work, "score"),
        work.rates.sources["search_gflops"],
    )


def scoreboard(work: Work) -> Stage:
    """Write tables, figures and the page."""
    source = f"assumed: {SCOREBOARD_HOURS:g} hours"
    return Stage("scoreboard", SCOREBOARD_JOBS, 0.0, SCOREBOARD_HOURS, SCOREBOARD_DISK_GB, SCOREBOARD_MEMORY_GB, source)


STAGES = (
    download,
    unpack,
    compose,
    verify,
    pack,
    degrade,
    train,
    fingerprint,
    generate,
    build_index,
    score,
    scoreboard,
)


def plan(work: Work, jobs: Mapping[str, int] | None = None) -> list[Stage]:
    """The stages of a target, in their order.

    ``jobs``: rule -> number of jobs, as Snakemake counts them (`nafp.plan.jobs`); without, they are estimated. Rules of no
    stage are one line more, without hours.
    """
    stages = [stage for stage in (make(work) for make in STAGES) if stage]
    if jobs is None:
        return stages
    rules = {stage.stage: RULES.get(stage.stage, (stage.stage,)) for stage in stages}
    counted = [replace(stage, jobs=sum(jobs.get(rule, 0) for rule in rules[stage.stage])) for stage in stages]
    if jobs.get("measure_scale"):
        counted[-1] = replace(counted[-1], memory_gb=memory_gb("measure_scale", work.largest_vectors_mb()))
    others = {rule: count for rule, count in jobs.items() if not any(rule in some for some in rules.values())}
    if not others:
        return counted
    said = ", ".join(f"{count} {rule}" for rule, count in others.items())
    return [*counted, Stage("others", sum(others.values()), 0.0, 0.0, 0.0, 0.0, f"hours not known: {said}")]


def as_table(stages: Sequence[Stage]) -> str:
    """The plan as text, a line a stage and one with the totals; memory is not added up but that of the largest job.

    Disk is that of all stages together, the peak; an archive that was downloaded is deleted on the way.
    """
    total = Stage(
        stage="total",
        jobs=sum(stage.jobs for stage in stages),
        gpu_hours=sum(stage.gpu_hours for stage in stages),
        cpu_hours=sum(stage.cpu_hours for stage in stages),
        disk_gb=sum(stage.disk_gb for stage in stages),
        memory_gb=max(stage.memory_gb for stage in stages),
        source="",
    )
    rows = [[f"{x:,.2f}" if isinstance(x, float) else str(x) for x in astuple(stage)] for stage in (*stages, total)]
    columns = list(zip([field.name for field in fields(Stage)], *rows, strict=True))
    padded = [[text.rjust(max(map(len, column))) for text in column] for column in columns]
    return "\n".join(f"{'  '.join(row)} {source}" for *row, source in zip(*padded, strict=True))

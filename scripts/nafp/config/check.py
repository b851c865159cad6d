"""The config, checked before anything runs: by its schema, by the names in it, and for runs and cells that cannot work.

What makes a run or a cell impossible is said by the functions of the rooms that would fail (``*/checks.py`` and others),
which their rules call again; here they are asked about the whole config, with what is known of the data set by then.
Imports PyYAML, jsonschema and the standard library only: it is part of every planning.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from math import inf
from pathlib import Path

from nafp import grid
from nafp.audio.kinds import check_kinds, kinds_of
from nafp.audio.segments import SAMPLE_RATE, segments_of
from nafp.augment.steps import rates_of
from nafp.config import overlay
from nafp.config.chains import empty_bands, misplaced_steps, own_of, reversed_ranges
from nafp.config.keys import keys_that_are_no_text
from nafp.config.ladders import problems_of_ladders, with_ladders
from nafp.config.schema import schema_problems
from nafp.config.targets import SECTIONS, WORDS, problems_of_run_name
from nafp.datasets.checks import check_shares
from nafp.datasets.sources import SOURCES, dataset_of
from nafp.errors import UserError
from nafp.evaluation.metrics import METRICS, of_any_place
from nafp.evaluation.starts import check_icassp, possible_starts, read_ids
from nafp.grid import FILES
from nafp.identify.options import check_index, options_in
from nafp.methods import kind_of, kind_of_fields, method_of
from nafp.model.encoders import encoder_of
from nafp.model.shapes import Image, check_band, check_heads, image_shape
from nafp.search.external import OURS, Grid
from nafp.search.types import index_type_of
from nafp.training.checks import check_batch, check_distinct, check_orders, check_processes, check_supply, most_items

Table = Mapping[str, Sequence]  # columns of a clip table: path, samples
FOLDERS = ("library", "queries")  # keys of the config whose values are names, also where they look like numbers
Clips = Callable[[str], Table | None]  # split -> its clip table as far as it is known; else None


def check_given(config: Mapping, arguments: Sequence[str]) -> None:
    """UserError if Snakemake, which reads what ``--config`` gives as YAML, took something else from the name of a folder.

    ``arguments``: of the command line. Snakemake drops quotes at the ends of a value, unless there are spaces around them.
    """
    for key in FOLDERS:
        given = [text.removeprefix(f"{key}=").strip("'\"") for text in arguments if text.startswith(f"{key}=")]
        if given and given[-1] and given[-1].lstrip()[:1] not in ("'", '"') and config.get(key) != given[-1]:
            raise UserError(
                f"{key}: Snakemake reads {given[-1]!r} as YAML, in which it means {config.get(key)!r}; put the name between "
                f"quotes with a space before and behind them:  --config '{key}= \"{given[-1]}\" '"
            )


def check_config(config: Mapping, root: Path) -> None:
    """Raise UserError with one sentence a problem if the config does not fit the schema, names unknown things, or asks for
    what cannot be trained or searched.

    ``root``: the folder of the workflow, with its schema and rules.
    """
    refuse(keys_that_are_no_text(config) or schema_problems(config, root) or problems_of_ladders(config))
    if config["ladders"]:
        config = with_ladders(config)
        refuse(schema_problems(config, root))  # the chains with the strengths in them
    problems = lost_fields(config) + unknown_names(config) + impossible_names(config, taken_names(root))
    problems = problems or reversed_ranges(config) + said(check_shares, own_of(config).get("shares", {}))
    refuse(problems)
    refuse(
        impossible_cells(config)
        + lost_baselines(config)
        + unknown_places(config)
        + misplaced_steps(config)
        + empty_bands(config)
    )


def refuse(problems: Sequence[str]) -> None:
    """Raise UserError with the problems, each said once, if there are any."""
    if problems:
        raise UserError("; ".join(dict.fromkeys(problems)))


def check_model(model: Mapping, dim: int, image: Image) -> None:
    """Refuse an unknown encoder or option, and a dimension that its features do not divide into."""
    encoder = encoder_of(model)
    check_heads(dim, encoder.features(image), encoder.for_dimension(dim, image))


def said(check: Callable, *arguments: object, **options: object) -> list[str]:
    """The sentence that a check raises, or nothing."""
    try:
        check(*arguments, **options)
    except UserError as error:
        return [str(error)]
    return []


# ---------------------------------------------------------------- names


def unknown_names(config: Mapping) -> list[str]:
    """Names used in ``run``, ``search``, ``train`` and ``studies`` that the config does not define."""
    problems = []
    places = {"run": config["run"], "search": {"index": config["search"]["index"]}, "scale": config["scale"]}
    places["augmented"] = {"aug": config["augmented"]["aug"]}
    places["identify"] = {"index": options_in(config["identify"]).index}
    for name, study in config["studies"].items():
        if study:
            places[f"study {name!r}"] = study
            places |= {f"study {name!r}, run {i}": run for i, run in enumerate(study.get("runs", []))}
    for place, fields in places.items():
        for field, section in SECTIONS.items():
            values, names = fields.get(field, []), [*([FILES] if field == "query_set" else []), *config[section]]
            for value in values if isinstance(values, list) else [values]:
                if value not in names:
                    what = WORDS.get(field, field)
                    problems.append(f"unknown {what} {value!r} in {place}; known: {', '.join(names)}")
    if run := config["identify"]["run"]:
        found = problems_of_run_name(run, config)
        if not found and not kind_of(run).network:
            found = [f"{run} has no weights to fingerprint with; name a trained run or pretrained=NAME"]
        problems += [f"identify.run: {problem}" for problem in found]
    if "rates" in config["indexes"].get(index := places["identify"]["index"], {}):
        problems.append(f"identify.index: {index} has rates, but identify follows no speed; name an index without them")
    if index in config["indexes"]:
        problems += said(check_index, index, config["indexes"][index])
    for name in config["recipes"]:
        queries = overlay.of_recipe(config, name)["train"]["validation"]["queries"]
        if queries not in ("files", *config["chains"]):
            problems.append(
                f"unknown chain {queries!r} in train.validation.queries; known: files, {', '.join(config['chains'])}"
            )
    return problems


def taken_names(root: Path) -> set[str]:
    """Names that no study may have: those of the rules, and of the tables on the scoreboard that are no study's."""
    texts = [path.read_text(encoding="utf-8") for path in (root / "Snakefile", *(root / "rules").glob("*.smk"))]
    rule, table = r"^ *rule (\w+):", r"\{BOARD\}/(\w+)\.(?:csv|md|tex)"
    return {name for text in texts for name in re.findall(rule, text, flags=re.MULTILINE) + re.findall(table, text)}


def impossible_names(config: Mapping, taken: Collection[str]) -> list[str]:
    """Studies that cannot be called so: their names become targets of Snakemake."""
    problems = []
    for name, study in config["studies"].items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            problems.append(f"study {name!r}: a name is lower-case letters, digits and _")
        elif study and name in taken:
            problems.append(
                f"study {name!r}: the workflow has a target or a file of this name; call the study otherwise"
            )
    return problems


def lost_fields(config: Mapping) -> list[str]:
    """Fields of single runs that mean nothing to the method that the run names, one sentence each."""
    problems = []
    for name, study in config["studies"].items():
        for number, fields in enumerate((study or {}).get("runs", [])):
            kind = kind_of_fields(fields)
            if kind.axis and (
                lost := set(fields) - {*kind.fields, "query_set"} - ({"index"} if kind.searched else set())
            ):
                what = f"{kind.axis}={fields[kind.axis]}"
                problems.append(
                    f"study {name!r}, run {number}: {', '.join(sorted(lost))} has no meaning for {what}; leave it out"
                )
    return problems


def lost_baselines(config: Mapping) -> list[str]:
    """Baselines that are no cell of their study, one sentence each."""
    studies = {name: study for name, study in config["studies"].items() if study}
    return [
        f"study {name!r}: {problem}"
        for name, study in studies.items()
        for problem in said(grid.baseline, study, config)
    ]


def unknown_places(config: Mapping) -> list[str]:
    """Studies that show only hits which ask for the place in the song, of queries whose place is not known, one sentence each."""
    dataset, problems = dataset_of(config), []
    source = dataset["source"]
    for name, study in config["studies"].items() if not SOURCES[source].placed(dataset) else ():
        matches = (study or {}).get("matches", METRICS)
        asked = not set(matches) & set(of_any_place())
        if asked and any(cell.query_set == FILES for cell in grid.study_cells(study, config)):
            problems.append(
                f"study {name!r}: {', '.join(matches)} hits are not known, because the source {source} does not say where in "
                f"their songs the queries are; take others as matches: {', '.join(of_any_place())}"
            )
    return problems


# ---------------------------------------------------------------- runs and cells


def planned_clips(config: Mapping) -> Clips:
    """What is known of the data set from the config alone: all songs of one that is composed, nothing of others."""
    planned = SOURCES[dataset_of(config)["source"]].clips(config)

    @cache
    def clips(split: str) -> Table | None:
        count, seconds = planned.get(split, (0, 0))
        return {"samples": [round(seconds * SAMPLE_RATE)] * count} if count else None

    return clips


def impossible_cells(config: Mapping) -> list[str]:
    """Cells of the studies that could not be trained or searched, as far as the config says, one sentence each."""
    clips = planned_clips(config)
    cells = {cell for study in config["studies"].values() if study for cell in grid.study_cells(study, config)}
    runs = sorted({cell.run for cell in cells})
    trained = {run: grid.parse_run(run) for run in runs if kind_of(run).trained}
    problems = [problem for fields in trained.values() for problem in problems_of_run(fields, config, clips)]
    for index, dim in sorted({(cell.index, trained[cell.run]["dim"]) for cell in cells if cell.run in trained}):
        problems += problems_of_index(index, dim, config, clips)
    for name in [grid.parse_run(run)["method"] for run in runs if not kind_of(run).searched]:
        found = said(method_of(name, config["methods"][name]).check)
        problems += [f"methods.{name}: {problem}" for problem in found]
    chains = {cell.query_set: config["query_sets"].get(cell.query_set, []) for cell in cells}
    return problems + [
        each for steps in chains.values() for each in problems_of_queries(config["search"], clips, steps)
    ]


def problems_of_run(fields: Mapping, config: Mapping, clips: Clips) -> list[str]:
    """Why a run of these fields could not be trained."""
    sections = overlay.of_recipe(config, fields["recipe"])
    features, train = sections["features"], sections["train"]
    replicas, bsz, data = grid.positives(config["losses"][fields["loss"]]), fields["bsz"], train["data"]
    problems = said(check_band, features["f_min"], features["f_max"])
    problems += said(check_model, sections["model"], fields["dim"], image_shape(features))
    problems += said(check_batch, bsz, replicas)
    problems += said(check_processes, bsz, train["gpus"], features["max_scope"])
    distinct = data.get("distinct_clips", False)
    problems += said(check_orders, data["one_per_clip"], data.get("shuffle_run_length", 1), distinct)
    if (songs := clips("train")) is not None:
        if distinct and data["fraction"] == 1:
            problems += said(check_distinct, bsz, replicas, list(map(segments_of, songs["samples"])))
        items = most_items(songs["samples"], data["fraction"], data["one_per_clip"])
        problems += said(check_supply, bsz, replicas, items, data["one_per_clip"])
    validation = config["chains"].get(train["validation"]["queries"], [])
    return (
        problems
        + problems_of_chain(config["chains"][fields["aug"]], "train", clips)
        + problems_of_chain(validation, "test", clips)
    )


def problems_of_chain(steps: Sequence[Mapping], part: str, clips: Clips) -> list[str]:
    """Impulse responses that a chain asks for and the data set has not. ``part``: train or test, whose sounds it takes."""
    responses = clips(f"ir_{part}")
    if responses is None:
        return []
    wanted = [(step["impulse_response"] or {}).get("kinds") for step in steps if "impulse_response" in step]
    return [problem for kinds in wanted for problem in said(check_kinds, kinds, kinds_of(responses["path"]))]


def problems_of_index(
    name: str, dim: int, config: Mapping, clips: Clips, fraction: float = 1.0, grid: Grid = OURS
) -> list[str]:
    """Why an index could not be built of fingerprints of ``dim`` dimensions, and of a ``fraction`` of the dummy ones."""
    index_type = index_type_of(name, config["indexes"][name])
    problems = said(index_type.check, dim)
    if config["search"]["device"] == "gpu" and (reason := index_type.gpu_refusal()):
        problems.append(f"search.device: gpu cannot be used: {reason}; use auto or cpu")
    dummy = clips("dummy")
    rows = inf if dummy is None else max(round(fraction * sum(map(grid.count, dummy["samples"]))), 1)
    problems += said(index_type.check_training, min(rows, config["search"]["train_max"]))
    return [f"index {name!r}: {problem.removeprefix(f'{index_type.name}: ')}" for problem in problems]


def problems_of_queries(search: Mapping, clips: Clips, steps: Sequence[Mapping] = ()) -> list[str]:
    """Why no test sequence could start where ``search`` (of the config) wants it. ``steps``: of the chain of a query set, whose
    clips are as long as the songs but for what their rate makes of them; a listed start is then one of the songs. Without steps:
    of the data set's own queries.
    """
    songs = clips("test_db") if steps else clips("test_query") or clips("test_db")
    ids = search["test_ids"]
    samples = None if songs is None else songs["samples"]
    how = {"protocol": search["protocol"], "lengths": search["lengths"]}
    listed = isinstance(ids, str) and ids != "all"
    slowest, fastest = rates_of(steps)
    moved = (slowest, fastest) != (1, 1)
    if samples is not None and moved:
        asked = [round(count / slowest) for count in samples]
        if problems := said(possible_starts, asked, "all" if listed else ids, **how):
            return [f"{problem} (queries that are {slowest:g} times as fast)" for problem in problems]
    if ids == "icassp":
        return said(check_icassp, samples, **how)
    if listed and not Path(ids).is_file():
        return []  # Snakemake says that this input is missing
    if samples is not None and (listed or not moved):
        return said(possible_starts, samples, ids, **how)
    return said(read_ids, Path(ids)) if listed else []

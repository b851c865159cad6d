"""The config: what it means as runs and cells, and what it says when it is wrong."""

import copy
import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from nafp import compute, grid
from nafp.augment.steps import STEPS
from nafp.config import overlay
from nafp.config.check import check_config, problems_of_index, problems_of_queries, problems_of_run, taken_names
from nafp.config.keys import check_keys_once
from nafp.config.schema import Validator
from nafp.config.schema import schema as config_schema
from nafp.errors import UserError
from nafp.imports import modules
from nafp.methods import kind_of
from nafp.search import gpu
from nafp.search.types import INDEX_TYPES
from nafp.training import losses, optim
from nafp.training.settings import Settings

ROOT = Path(__file__).parents[2]
RULES = "\n".join(path.read_text() for path in (ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))))
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(path: str, value) -> dict:
    """The default config with one value changed; the path is dotted."""
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split(".")
    place = config
    for name in parents:
        place = place[name]
    place[last] = value
    return config


def test_the_default_config_is_right():
    check_config(CONFIG, ROOT)


def test_the_baseline_is_the_first_of_the_cells_that_are_possible():
    """Where the one that the study names is not; and where all are, the one that it names."""
    named = {"method": "chromaprint"}
    study = {"runs": [{"aug": "full"}, named, {"aug": "none"}, {"seed": 1}], "baseline": named}
    full, chromaprint, none, other = grid.study_cells(study, CONFIG)
    assert grid.baseline(study, CONFIG) == chromaprint
    assert grid.baseline(study, CONFIG, [other, none, full]) == full
    assert grid.baseline(study, CONFIG, [other, none]) == none


def test_numbers_of_the_command_line_and_with_exponents():
    """Given on the command line: text inside braces. In a file: as YAML reads it, but for exponents."""
    given = {"dataset": {"dummy": "10", "strict": "false", "root": "2024-01-01"}, "search": {"lengths": ["1", "3"]}}
    config = overlay.with_changes(
        {"search": {"test_ids": "7"}, "train": {"learning_rate": "1e-3", "init_from": "1e"}}, given
    )
    assert overlay.typed(config, given) == {
        "dataset": {"dummy": 10, "strict": False, "root": "2024-01-01"},
        "search": {"lengths": [1, 3], "test_ids": "7"},
        "train": {"learning_rate": 0.001, "init_from": "1e"},
    }


@pytest.mark.parametrize("text", ["Loss: a: b", "@home", "2024-13-45", "[", "*"])
def test_text_of_the_command_line_that_is_no_yaml(text):
    given = {"studies": {"mine": {"title": text}}}
    assert overlay.typed(given, given) == given


@pytest.mark.parametrize("lines", [[], ["run: pretrained=composed"], ["run:", "train: {epochs: 1}"]])
def test_a_name_as_run_is_of_the_run_that_identifies(tmp_path, lines):
    """On the command line or in one of the files; the others' fields stay those of the default run."""
    files = [tmp_path / "fields.yaml", tmp_path / "named.yaml"]
    files[0].write_text("run: {dim: 16}")
    files[1].write_text("\n".join(lines))
    found = overlay.named_run({"run": "pretrained=composed", "identify": {"window_s": 5}}, files)
    assert found == {"run": {"dim": 16}, "identify": {"window_s": 5, "run": "pretrained=composed"}}


IMPOSSIBLE = [  # path and value of what no run or cell could do, and what is said of it
    (
        "indexes.ivfpq.m",
        6,
        "index 'ivfpq': m: 6 does not divide the fingerprint's 64 dimensions; use one of 1, 2, 4,",
    ),
    ("indexes.ivfpq-fastscan.m", 48, "index 'ivfpq-fastscan': m: 48 does not divide"),
    ("indexes.hnsw.M", 1, "indexes.hnsw.M: 1 is out of range; allowed: 2 to any"),
    (
        "indexes.milvus.index_type",
        "IVF_PQ",
        "index 'milvus': Milvus Lite has no index_type 'IVF_PQ'; use one of AUTOINDEX",
    ),
    ("indexes.milvus.build", {"M": 1}, "index 'milvus': build.M: a graph of 1 link a node crashes Faiss"),
    ("search.train_max", 1, "index 'ivf': 1 dummy fingerprints are too few to train it"),
    ("search.train_max", 15, "index 'ivfpq-fastscan': 15 dummy fingerprints are too few to train it"),
    ("search.lengths", [1, 60], "no query clip has the 60 segments of the longest sequence; shorten search.lengths"),
    ("search.test_ids", 1641, "test_ids asks for 1641 sequences; only 1640 are possible"),
    ("search.test_ids", "icassp", "test_ids: icassp has segments up to 29,492 of the paper's 500 queries"),
    (
        "demo.songs.train",
        1,
        "bsz 120 needs 60 anchors, but the training split has only 59 segments; use .* at most 118",
    ),
    ("train.data", {"fraction": 0.008, "one_per_clip": False}, "bsz 120 needs 60 anchors, .* has only 59 segments"),
    ("train.data", {"fraction": 0.4, "one_per_clip": True}, "bsz 120 needs 60 anchors, .* has only 48 clips"),
    ("train.gpus", 7, "bsz 120 cannot be shared by 7 processes; use a multiple of them"),
    (
        "recipes.base",
        {"features": {"max_scope": "batch"}, "train": {"gpus": 2}},
        "features.max_scope: batch needs the whole",
    ),
    ("features.f_min", 4000, "features.f_min: 4000, f_max: 4000: f_min must be below f_max"),
    ("recipes.base", {"features": {"f_max": 200}}, "features.f_min: 300, f_max: 200: f_min must be below f_max"),
    ("chains.full", [{"cutout": {"mels": [9, 5]}}], r"chains.full.0.cutout.mels: \[9, 5\] ends below its beginning"),
    ("demo.queries.test", [{"gain": {"db": [0, -3]}}], r"demo.queries.test.0.gain.db: \[0, -3\] ends below"),
    ("query_sets", {"a": [{"speech": {"snr_db": [9, 0]}}]}, r"query_sets.a.0.speech.snr_db: \[9, 0\] ends below"),
    ("train.schedule.first", 1e-9, "train.schedule.first: 1e-09 is out of range"),
    *(
        (f"studies.{name}", {"bsz": 120}, f"study '{name}': the workflow has a target")
        for name in ("models", "all", "misses")
    ),
]


@pytest.mark.parametrize(
    "path, value, says",
    [
        ("run.aug", "ful", "unknown augmentation 'ful' in run; known: none, t, tb, tbi, full"),
        (
            "studies.table3.aug",
            ["none", "fll"],
            "unknown augmentation 'fll' in study 'table3'; known: none, t, tb, tbi, full",
        ),
        (
            "studies.index_types.index",
            ["l2", "ivfqp"],
            "unknown index 'ivfqp' in study 'index_types'; known: l2, ivf, ivfpq,",
        ),
        ("studies.Mine", {"bsz": 120}, "study 'Mine': a name is lower-case letters, digits and _"),
        (
            "studies.table3.batch",
            [120],
            "unknown key 'batch' in studies.table3; known: aug, baseline, bsz, dim, external, index, ladders, loss, matches, "
            "method, pretrained, query_set, question, recipe, runs, seed",
        ),
        (
            "studies.table3.baseline",
            {"bsz": 60},
            "study 'table3': baseline {'bsz': 60} is not one of the study's cells",
        ),
        ("train.epoch", 3, "unknown key 'epoch' in train; known: checkpoints, compile, data, epochs,"),
        (
            "train.data",
            {"past_s": 0, "rest": "later"},
            "train.data: 'past_s' is now called 'context_s'; train.data: 'rest' is",
        ),
        (
            "recipes.base",
            {"train": {"micro_batch": 4}},
            "recipes.base.train: 'micro_batch' is now called 'micro_batch_size'",
        ),
        ("recipes.base", {"train": {"data": {"neighbours": 4}}}, ".*'neighbours' is now called 'shuffle_run_length'"),
        (
            "chains.full",
            [{"gain": {}}],
            "chains.full.0.gain: 'db' is missing: .* the step that sets the peak is now called",
        ),
        (
            "chains.full",
            [{"gain": {"peak_db": [0, 0]}}],
            "unknown key 'peak_db' in .*; .* is now called peak_normalize",
        ),
        ("model.width", 0, "model.width: 0 is out of range; allowed: 1 to 1024"),
        ("model.encoder", "new", "model.encoder: 'new' is not known; known: separable"),
        ("train.epochs", 0, "train.epochs: 0 is out of range; allowed: 1 to any"),
        ("train.learning_rate", "fast", "train.learning_rate: 'fast' is not of type number"),
        ("run.bsz", 121, "run.bsz: 121 is not a multiple of 2"),
        ("studies.table3.bsz", [120, 121], "studies.table3.bsz.1: 121 is not a multiple of 2"),
        ("search.protocol", "clips", "search.protocol: 'clips' is not known; known: clip, release"),
        (
            "chains.full",
            [{"backgrund": {}}],
            "unknown key 'backgrund' in chains.full.0; known: background, band_pass,",
        ),
        ("chains.full", [{"cutout": {"p": 1.5}}], "chains.full.0.cutout.p: 1.5 is out of range; allowed: 0 to 1"),
        (
            "chains.full",
            [{"cutout": {"fill": "max"}}],
            "chains.full.0.cutout.fill: 'max' is not known; known: min, mean,",
        ),
        ("run.recipe", "fast", "unknown recipe 'fast' in run; known: base"),
        ("studies.table3.runs", [{"aug": "fll"}], "unknown augmentation 'fll' in study 'table3', run 0; known: none,"),
        ("train.validation.queries", "fles", "unknown chain 'fles' in train.validation.queries; known: files, none,"),
        ("studies.table3.dim", [64, 48], "dim=48 does not divide the 128 features of the encoder;"),
        ("studies.table3.loss", "triplet", "bsz=120: each anchor comes with 6 replicas, so N is a multiple of 7"),
        ("recipes.base", {"train": {"epoch": 3}}, "unknown key 'epoch' in recipes.base.train; known: checkpoints,"),
        (
            "query_sets.holes",
            [{"background": {}}, {"cutout": {}}, {"time_mask": {}}],
            "query_sets.holes: take out cutout, time_mask: masks act on log-mel images, but queries are sound",
        ),
        (
            "demo.queries.val",
            [{"frequency_mask": {}}],
            "demo.queries.val: take out frequency_mask: masks act on log-mel images,",
        ),
        (
            "dataset",
            {
                "name": "mine",
                "source": "own",
                "own": {"music": "m", "noise": "n", "impulse_responses": "i", "queries": [{"cutout": {}}]},
            },
            "dataset.own.queries: take out cutout: masks act on log-mel images,",
        ),
        (
            "chains.full",
            [{"time_offset": {}}, {"speed": {}}, {"gain": {"db": [0, 0]}}, {"pitch": {}}, {"cutout": {}}],
            "chains.full: pitch acts before all other steps on sound; put it in front of gain",
        ),
        (
            "demo.queries.test",
            [{"tempo": {"factor": [1.1, 1.1]}}],
            "demo.queries.test: its speed or tempo would make queries of other lengths than their songs; make them a query set",
        ),
        ("query_sets.fast", [{"speed": {"percent": [5, -5]}}], "query_sets.fast.0.speed.percent: [5, -5] ends below"),
        (
            "query_sets.narrow",
            [{"time_offset": {}}, {"band_pass": {"high_hz": [200, 900]}}],
            "query_sets.narrow.1.band_pass: low_hz up to 300 and high_hz from 200 on leave no band between them",
        ),
        ("query_sets.fast", [{"tempo": {"factor": [0.4, 1]}}], "query_sets.fast.0.tempo.factor.0: 0.4 is out of range"),
        ("chains.full", [{"splice": {}}, {"splice": {"p": 1}}], "chains.full: splice acts once, but is there 2 times"),
        ("dataset", "dmo", "dataset: 'dmo' is not known; known: demo"),
        *IMPOSSIBLE,
        ("dataset", {"name": "mine"}, "dataset: 'root' is missing"),
        ("dataset", {"name": "a/b", "root": "x"}, "dataset.name: 'a/b' does not match"),
    ],
)
def test_a_wrong_config_is_said_in_one_sentence(path, value, says):
    config = changed(path, value)
    config["losses"]["triplet"]["positives"] = 6
    with pytest.raises(UserError) as error:
        check_config(config, ROOT)
    assert str(error.value).startswith(says) or re.match(says, str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text, says",
    [
        ("studies: {on: {aug: full}}", "studies: YAML reads a key as True, which is no text (no, off, on and yes are "),
        ("studies: {mine: {1: full}}", "studies.mine: YAML reads a key as 1, which is no text; put it in quotes"),
        ("studies: {mine: {runs: [{2024-01-01: 1}]}}", "studies.mine.runs.0: YAML reads a key as 2024-01-01, which"),
        ("chains: {no: []}", "chains: YAML reads a key as False, which is no text"),
        ("1: {}", "config: YAML reads a key as 1, which is no text"),
        ("losses: {null: {}}", "losses: YAML reads a key as None, which is no text"),
        (
            "ladders: {a: {chain: [{gain: {db: $}}], strengths: {on: 1}}}",
            "ladders.a.strengths: YAML reads a key as True",
        ),
    ],
)
def test_a_key_that_is_no_text(text, says):
    with pytest.raises(UserError, match=f"^{re.escape(says)}"):
        check_config(overlay.with_changes(CONFIG, yaml.safe_load(text)), ROOT)


def test_a_key_that_is_twice_in_a_file(tmp_path):
    files = [tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "no.yaml", tmp_path / "empty.yaml"]
    files[0].write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: *a, z: 1}\nd: [{x: 1}, {x: 1}, *a]\n")
    files[2].write_text("\t{]")
    files[3].write_text("")
    check_keys_once([files[0], *files[2:]])
    for text in (
        "studies:\n  a: {}\nrun: {}\nstudies: {}\n",
        "runs:\n- studies: 1\n  b: 1\n\n  'studies': 1\n",
        "a: {b: 1, b: 1}",
    ):
        files[1].write_text(text)
        says = r"bad\.yaml, line (4: the key 'studies' is there a second time; that of line 1|5: .* line 2|1: .* line 1) would"
        with pytest.raises(UserError, match=says):
            check_keys_once(files)
    check_keys_once(sorted((ROOT / "config").glob("*.yaml")) + [ROOT / "config.yaml"])


def integers(part, place=()):
    """Place -> each part of a schema that is an integer and no other number."""
    if isinstance(part, dict):
        kind = part.get("type", [])
        kinds = [kind] if isinstance(kind, str) else kind
        if "integer" in kinds and "number" not in kinds:
            yield place, part
    inside = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, deeper in inside:
        yield from integers(deeper, (*place, key))


def test_what_is_counted_is_no_float():
    leaves = list(integers(config_schema(ROOT)))
    assert len(leaves) > 30
    for place, leaf in leaves:
        count = leaf.get("minimum", 1) + leaf.get("multipleOf", 1)
        assert not Validator(leaf).is_valid(float(count)) and not Validator(leaf).is_valid(True), place
        assert Validator(leaf).is_valid(count), place


@pytest.mark.parametrize(
    "path, value, says",
    [
        ("search.train_max", 1.0e6, "1000000.0 is not of type integer; write 1000000"),
        ("search.test_ids", 100.0, "100.0 is not of type integer or string; write 100"),
        ("search.lengths", [1.0, 3], "1.0 is not of type integer; write 1"),
        ("run.bsz", 120.0, "120.0 is not of type integer; write 120"),
        ("fingerprint.shards.dummy", 3.0, "3.0 is not of type integer; write 3"),
        ("run.dim", 64.5, "64.5 is not of type integer"),
    ],
)
def test_a_float_where_something_is_counted(path, value, says):
    with pytest.raises(UserError) as error:
        check_config(changed(path, value), ROOT)
    assert str(error.value) in (f"{path}: {says}", f"{path}.0: {says}")
    check_config(changed("scale.beyond.segments", [1e5, 10**6]), ROOT)  # numbers, not counts


def test_a_former_key_is_refused_with_its_present_name():
    data = {name: value for name, value in CONFIG["train"]["data"].items() if name != "drop_last"}
    with pytest.raises(UserError) as error:  # and nothing of the present one that is missing
        check_config(changed("train.data", data | {"rest": "never"}), ROOT)
    assert str(error.value) == "train.data: 'rest' is now called 'drop_last'"
    recipe = {"train": {"data": {"rest": "never", "rst": 1}}}
    says = "recipes.base.train.data: 'rest' is now called 'drop_last'; unknown key 'rst' in recipes.base.train.data; known: "
    with pytest.raises(UserError, match=f"^{re.escape(says)}"):
        check_config(changed("recipes.base", recipe), ROOT)


@pytest.mark.parametrize(
    "name, options, says",
    [
        ("ivfpq", {"nlist": 4, "nprobe": 4, "codes": 8, "bits": 8}, {"codes": "m", "bits": "nbits"}),
        (
            "mine",
            {"type": "ivfpq-rr", "nlist": 4, "nprobe": 4, "m": 8, "nbits": 8, "factor": 4},
            {"factor": "k_factor"},
        ),
        (
            "hnsw",
            {"links": 16, "ef_construction": 80, "ef_search": 64},
            {"ef_construction": "efConstruction", "ef_search": "efSearch", "links": "M"},
        ),
    ],
)
def test_options_of_an_index_are_called_as_in_faiss(name, options, says):
    with pytest.raises(UserError) as error:
        check_config(changed(f"indexes.{name}", options), ROOT)
    found = sorted(str(error.value).split("; "))
    assert found == sorted(f"indexes.{name}: {old!r} is now called {new!r}" for old, new in says.items())


@pytest.mark.parametrize(
    "name, options, says",
    [
        ("mine", {"nlist": 4, "nprobe": 4}, "indexes.mine: 'type' is missing"),
        ("mine", {"type": "ivfp"}, "indexes.mine.type: 'ivfp' is not known; known: l2, ivf, ivfpq, ivfpq-rr, "),
        ("mine", {"type": "ivf", "nlist": 4}, "indexes.mine: 'nprobe' is missing"),
        ("mine", {"type": "l2", "nlist": 4}, "unknown key 'nlist' in indexes.mine; known: rates, type"),
        ("ivf", {"nlist": 4, "nprobe": 0}, "indexes.ivf.nprobe: 0 is out of range; allowed: 1 to any"),
        ("l2", {"nlist": 4}, "unknown key 'nlist' in indexes.l2; known: rates, type"),
        ("mine", {"type": "l2", "rates": [0.4, 1]}, "indexes.mine.rates.0: 0.4 is out of range; allowed: 0.5 to 2"),
        (
            "ivfpq-rr",
            CONFIG["indexes"]["ivfpq-rr"] | {"rates": [1, 1.1]},
            "identify.index: ivfpq-rr has rates, but identify",
        ),
    ],
)
def test_wrong_options_of_an_index(name, options, says):
    check_config(changed("indexes.mine", {"type": "ivf", "nlist": 4, "nprobe": 4}), ROOT)
    with pytest.raises(UserError, match=f"^{re.escape(says)}"):
        check_config(changed(f"indexes.{name}", options), ROOT)


def test_an_index_that_identify_cannot_keep():
    for name in CONFIG["indexes"]:
        config = changed("identify.index", name)
        if name == "milvus":
            with pytest.raises(
                UserError, match=r"^identify\.index: milvus is a Milvus collection, which takes no additions"
            ):
                check_config(config, ROOT)
        else:
            check_config(config, ROOT)


def test_no_rule_lends_its_name_to_a_study():
    rules = {
        line.split()[1].rstrip(":")
        for line in RULES.splitlines()
        if line.split()[:1] == ["rule"] and len(line.split()) == 2
    }
    tables = {"beyond", "misses", "hard_songs"}  # on the scoreboard, and no study's
    assert {"all", "data", "train", "scale", "import_audio"} <= rules == taken_names(ROOT) - tables
    for name in tables:
        with pytest.raises(UserError, match=f"study '{name}': the workflow has a target or a file of this name; call"):
            check_config(changed(f"studies.{name}", {"aug": "full"}), ROOT)
    check_config(changed("studies.models", None), ROOT)  # one that is taken out has no target


@pytest.mark.parametrize("shares, total", [({"val": 0.3, "test": 0.3, "dummy": 0.4}, 100), ({"test": 0.8}, 120)])
def test_shares_of_own_music_leave_some_to_train_on(shares, total):
    own = {"music": "m", "noise": "n", "impulse_responses": "r", "shares": shares}
    with pytest.raises(UserError, match=f"dummy songs are {total} % of all, nothing is left to train on"):
        check_config(changed("dataset", {"name": "mine", "source": "own", "own": own}), ROOT)
    own["shares"] = {"test": 0.5}
    check_config(changed("dataset", {"name": "mine", "source": "own", "own": own}), ROOT)


def test_nothing_is_said_of_a_data_set_that_is_not_known():
    """Of the demo, a batch is too large and sequences are too long; of a folder, planning does not know it."""
    config = changed("search.lengths", [1, 100])
    config["run"]["bsz"] = config["studies"]["table3"]["bsz"] = 20_000
    with pytest.raises(UserError, match="bsz 20000 needs 10000 anchors.*; no query clip has the 100 segments"):
        check_config(config, ROOT)
    check_config(config | {"dataset": {"name": "mine", "root": "music"}}, ROOT)


def test_what_the_clip_tables_say():
    """The same checks with the tables of a packed data set."""
    tables = {
        "train": pd.DataFrame({"samples": [40_000] * 3}),
        "test_db": pd.DataFrame({"samples": [40_000] * 2}),
        "dummy": pd.DataFrame({"samples": [40_000]}),
        "ir_train": pd.DataFrame({"path": ["aug/ir/tr/any/a.wav"]}),
    }
    config, fields = copy.deepcopy(CONFIG), CONFIG["run"]
    config["chains"]["full"] = [{"impulse_response": {"kinds": ["mic"]}}]
    assert problems_of_run(fields, config, tables.get) == [
        "bsz 120 needs 60 anchors, but the training split has only 27 segments; use a batch size of at most 54",
        "no impulse responses of kind mic; there are: any",
    ]
    assert problems_of_run(fields | {"bsz": 54, "aug": "none"}, config, tables.get) == []
    assert problems_of_index("ivfpq-fastscan", 64, config, tables.get) == [
        "index 'ivfpq-fastscan': 9 dummy fingerprints are too few to train it; use l2, or a larger database"
    ]
    assert problems_of_index("ivf", 64, config, tables.get) == []
    assert problems_of_index("ivf", 64, config, tables.get, fraction=0.1) != []
    (said,) = problems_of_queries(config["search"], tables.get)
    assert said.startswith("no query clip has the 19 segments")
    assert problems_of_queries(config["search"] | {"lengths": [1, 9]}, tables.get) == []


def test_test_ids_of_a_file(tmp_path):
    ids = tmp_path / "ids.txt"
    search = CONFIG["search"] | {"test_ids": str(ids), "lengths": [5]}
    tables = {"test_db": pd.DataFrame({"samples": [40_000]})}
    assert problems_of_queries(search, tables.get) == []  # Snakemake says that it is missing
    ids.write_text("0 one")
    assert "is not a list of segment numbers" in problems_of_queries(search, {}.get)[0]
    ids.write_text("4\n5\n")
    assert "1 of 2 ids (the first is 5) that cannot start a sequence" in problems_of_queries(search, tables.get)[0]
    ids.write_text("4\n")
    assert problems_of_queries(search, tables.get) == []


def test_queries_that_are_faster_must_fit_their_sequences_too():
    songs = {"test_db": {"samples": [80_000, 88_000]}}.get  # 19 and 21 segments
    fast, slow = ([{"speed": {"percent": [percent, percent]}}] for percent in (10, -20))
    assert problems_of_queries(CONFIG["search"], songs) == problems_of_queries(CONFIG["search"], songs, fast) == []
    search = CONFIG["search"] | {"lengths": [1, 21], "test_ids": 1}
    assert problems_of_queries(search, songs) == []
    (problem,) = problems_of_queries(search, songs, fast)
    assert problem.startswith("no query clip has the 21 segments of the longest sequence")
    assert problem.endswith("(queries that are 1.1 times as fast)")
    assert problems_of_queries(search, songs, [{"speed": {"percent": [0, 10]}}]) == []  # some may fit
    assert "only 1 are possible" in problems_of_queries(search | {"test_ids": 4}, songs)[0]
    assert problems_of_queries(search | {"test_ids": 4}, songs, slow) == []  # 24 and 26 segments
    config = changed("query_sets.fast", [{"tempo": {"factor": [2, 2]}}])
    config["demo"] = config["demo"] | {"clip_s": 12}
    check_config(config, ROOT)  # nothing asks for it
    with pytest.raises(UserError, match="no query clip has the 19 segments .* 2 times as fast"):
        check_config(config | {"studies": {"mine": {"query_set": ["files", "fast"]}}}, ROOT)


def test_the_papers_test_ids():
    paper = {"test_db": pd.DataFrame({"samples": [240_000] * 500})}
    icassp = CONFIG["search"] | {"test_ids": "icassp"}
    for clips in (paper.get, {}.get):
        assert problems_of_queries(icassp | {"protocol": "release"}, clips) == []
        assert problems_of_queries(icassp, clips) != []  # protocol clip


def test_planning_loads_little():
    """What the rules import, in a process of its own: of what is installed for jobs, nothing."""
    imports = "\n".join(re.findall(r"^(?:import|from) (?:[^(\n]*\([^)]*\)|[^#\n]*)", RULES, flags=re.MULTILINE))
    heavy = {"torch", "faiss", "scipy", "soundfile", "numpy", "pandas", "tqdm", "requests", "google_crc32c", "pyarrow"}
    code = (
        f"import sys\n{imports}\nassert 'nafp.config.check' in sys.modules\nprint(sorted({heavy} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_change_of_a_step_reruns_the_training():
    """Classes that only a registry names are part of what a rule's script imports."""
    steps = {step.cls.partition(":")[0].replace(".", "/") for step in STEPS.values()}
    assert {str(ROOT / f"scripts/{step}.py") for step in steps} <= set(modules("train", ROOT / "scripts"))


def test_run_names_round_trip():
    run = {"aug": "full", "bsz": 120, "dim": 64, "loss": "ntxent", "recipe": "base", "seed": 0}
    assert grid.run_name(run) == "aug=full_bsz=120_dim=64_loss=ntxent_recipe=base_seed=0"
    assert grid.parse_run(grid.run_name(run)) == run
    with pytest.raises(UserError, match="'full_120' is not a run"):
        grid.parse_run("full_120")


def test_a_study_is_all_combinations_of_what_it_varies():
    study = {"question": "?", "bsz": [240, 120], "aug": ["full", "none"], "index": "ivf"}
    cells = grid.study_cells(study, CONFIG)
    assert [(grid.parse_run(c.run)["aug"], grid.parse_run(c.run)["bsz"], c.index) for c in cells] == [
        ("full", 240, "ivf"),
        ("full", 120, "ivf"),
        ("none", 240, "ivf"),
        ("none", 120, "ivf"),
    ]
    assert grid.varied_fields(study, CONFIG) == ["bsz", "aug"]


def test_a_study_may_list_its_runs():
    config = changed("recipes.exact", {"train": {"data": {"drop_last": True}}})
    study = {"seed": [0, 1], "runs": [{"aug": "none"}, {"recipe": "exact"}, {"aug": "none"}]}
    cells = [grid.parse_run(cell.run) for cell in grid.study_cells(study, config)]
    assert [(c["aug"], c["recipe"], c["seed"]) for c in cells] == [
        ("none", "base", 0),
        ("none", "base", 1),
        ("full", "exact", 0),
        ("full", "exact", 1),
    ]
    assert grid.varied_fields(study, config) == ["aug", "recipe"]  # seeds are pooled
    assert grid.varied_fields({"seed": [0, 1]}, config) == ["seed"]


def test_a_recipe_replaces_keys_at_any_depth():
    config = changed("recipes.exact", {"model": {"width": 8}, "train": {"data": {"drop_last": True}}})
    sections = overlay.of_recipe(config, "exact")
    assert sections["model"] == CONFIG["model"] | {"width": 8}
    assert sections["train"]["data"] == CONFIG["train"]["data"] | {"drop_last": True}
    assert sections["train"]["epochs"] == CONFIG["train"]["epochs"]
    assert config["train"]["data"]["drop_last"] is False
    assert overlay.of_recipe(config, "base")["features"] == CONFIG["features"]


OVER = {
    "full": ["mini"],
    "paper": ["mini"],
    "release": ["mini"],
    "nmfp": ["mini"],
}  # overlay -> what it lies on


def laid_over(*names: str) -> dict:
    """The default config with overlays on top."""
    config = CONFIG
    for name in names:
        config = overlay.with_changes(config, yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))
    return config


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "config").glob("*.yaml")))
def test_overlays_are_right(name):
    check_config(laid_over(*OVER.get(name, []), name), ROOT)


@pytest.mark.parametrize("names, runs", [(["mini", "nmfp"], 1), (["mini", "release"], 1), (["rehearsal"], 0)])
def test_a_recipe_laid_over_trains_no_more_than_it_says(names, runs):
    config = laid_over(*names)
    studies = [study for study in config["studies"].values() if study]
    found = {key.run for study in studies for key in grid.study_cells(study, config)}
    assert len([run for run in found if kind_of(run).trained]) == runs, found


def test_what_the_schema_says_of_a_key_begins_with_a_noun():
    """And not in the middle of a sentence: such text is read alone, beside the key."""

    def descriptions(part):
        for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
            if key == "description" and isinstance(value, str):
                yield value
            else:
                yield from descriptions(value)

    said = list(descriptions(yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text(encoding="utf-8"))))
    assert len(said) > 50
    dangling = ("of", "that", "whose", "which", "what", "how", "where", "over", "on", "between", "must", "with")
    assert [text for text in said if text.split()[0] in dangling] == []


def test_the_schema_knows_the_registries():
    """Every step, index and loss that the code offers can be configured, with exactly its settings."""
    schema = config_schema(ROOT)
    for step in STEPS.values():
        defaults = {field.name: field.default for field in dataclasses.fields(step.load()) if field.init}
        options = step.schema["properties"]
        assert set(options) == set(defaults)
        assert all(tuple(one["default"]) == defaults[name] for name, one in options.items() if "default" in one)
    assert set(schema["properties"]["indexes"]["properties"]) == set(INDEX_TYPES)
    assert set(schema["properties"]["losses"]["properties"]) == set(losses.LOSSES)
    known = schema["$defs"]["train"]["properties"]
    assert set(known["optimizer"]["properties"]["name"]["enum"]) == set(optim.OPTIMIZERS)
    assert set(known["schedule"]["properties"]["name"]["enum"]) == set(optim.SCHEDULES)
    assert set(known["precision"]["enum"]) == set(compute.PRECISIONS)
    assert set(known) - {"gpus"} <= {field.name for field in dataclasses.fields(Settings)}
    assert schema["properties"]["search"]["properties"]["device"]["enum"] == list(gpu.DEVICES)

"""What a packed data set makes impossible, and somebody's fingerprints of other clips, are refused while jobs are planned."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from wavs import data_set, write
from workflow import copy_project, planned, snakemake, tiny

from nafp.datasets.layout import SPLITS, TIME_MAP
from nafp.search.external import EXCHANGED

MINE = {"name": "mine", "root": "music"}  # two clips of 8 s in each split: 15 segments each
STUDIES = dict.fromkeys(("ablation_augmentation", "ablation_batch", "index_types", "song_level"))
STUDIES |= {"table3": {"aug": "none", "bsz": 16}}
THEIRS = "results/mine/scores/external=theirs/epoch=last/l2.json"
RECHECK = "as results/mine/data/packed says; if the data set has changed: snakemake data -R verify"


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    """A project with a data set of its own, checked and packed, and impulse responses of no kind. Tests leave it as it is."""
    folder = copy_project(tmp_path_factory.mktemp("packed"))
    root = data_set(folder / "music", seconds=8)
    shutil.rmtree(root / SPLITS["speech_test"])
    splits = [f"results/mine/data/packed/{split}.npy" for split in ("bg_train", "ir_train", "bg_test", "ir_test")]
    done = snakemake(folder, "data", *splits, config=tiny(folder, dataset=MINE))
    assert done.returncode == 0, done.stdout[-3000:]
    return folder


def refused(folder: Path, *targets: str, **changes) -> str:
    """What planning says of targets that it refuses, in one line; nothing has run."""
    done = snakemake(folder, *targets, "-n", config=tiny(folder, dataset=MINE, **changes))
    assert done.returncode != 0, done.stdout[-3000:]
    assert "Error in rule" not in done.stdout  # no job has failed
    return " ".join(done.stdout.split())


def test_the_packed_data_set_is_good_for_the_tiny_experiment(packed):
    assert planned(packed, config=tiny(packed, dataset=MINE))["train"] == 2


@pytest.mark.parametrize(
    "changes, says",
    [
        (
            {"studies": STUDIES | {"table3": {"bsz": 64}}},
            f"bsz 64 needs 32 anchors, but the training split has only 30 segments; use a batch size of at most 60 ({RECHECK})",
        ),
        (
            {"search": {"lengths": [1, 16]}},
            f"no query clip has the 16 segments of the longest sequence; .* ({RECHECK})",
        ),
        ({"search": {"lengths": [1, 5], "test_ids": 23}}, "test_ids asks for 23 sequences; only 22 are possible"),
        (
            {"search": {"lengths": [1, 5], "test_ids": "icassp", "protocol": "release"}},
            "test_ids: icassp has segments up to 29,492 of the paper's 500 queries of 30 s",
        ),
        (
            {"chains": {"full": [{"impulse_response": {"kinds": ["mic"]}}]}},
            "no impulse responses of kind mic; there are: tr",
        ),
        (
            {"query_sets": {"a": [{"speech": {}}]}, "studies": STUDIES | {"sets": {"query_set": "a"}}},
            "speech/common_voice_8k/en/test: no WAV files, but a chain of the config needs them (split 'speech_test')",
        ),
        (
            {"scale": {"fractions": [0.4, 1.0], "index": ["ivfpq-fastscan"]}},
            "index 'ivfpq-fastscan': 12 dummy fingerprints",
        ),
    ],
)
def test_what_the_packed_data_set_makes_impossible(packed, changes, says):
    said = refused(packed, **changes)
    assert all(part in said for part in says.split(" .* ")), said[-1500:]


def test_what_asks_for_places_of_queries_that_are_not_known(tmp_path):
    """It is refused with a sentence, and no part of the scoreboard."""
    folder = copy_project(tmp_path / "project")
    table = data_set(folder / "music") / TIME_MAP
    table.write_text("query,song,song_start_s\na.wav,b.wav,0.5\nc.wav,b.wav,\n", encoding="utf-8")
    scores = "results/mine/scores/aug=full_bsz=16_dim=16_loss=ntxent_recipe=base_seed=0/epoch=best"
    for file, what in (("l2.scale.csv", "scale"), ("extrapolation.csv", "extrapolation")):
        assert f"{what}: the data set does not say where in their songs all of its queries are" in refused(
            folder, f"{scores}/{file}"
        )
    jobs = planned(folder, config=tiny(folder, dataset=MINE))
    assert jobs["build_page"] == 1 and jobs["score"] > 1
    assert not {"plot_misses", "plot_similarity", "plot_scale", "plot_beyond", "tabulate_beyond"} & set(jobs)


def test_the_manifest_that_the_config_names(tmp_path):
    """One that is not there is refused; another one has the data set verified again, and refuses it where it differs."""
    folder = copy_project(tmp_path / "project")
    data_set(folder / "music", seconds=8)
    assert snakemake(folder, "verification", config=tiny(folder, dataset=MINE)).returncode == 0
    shutil.copy2(folder / "results/mine/data/manifest.csv", folder / "good.csv")
    config = tiny(folder, dataset=MINE | {"manifest": "god.csv"})
    done = snakemake(folder, "verification", "-n", config=config)
    assert done.returncode != 0 and "dataset.manifest: god.csv: no such file; name the" in done.stdout, done.stdout
    config = tiny(folder, dataset=MINE | {"manifest": "good.csv"})
    assert snakemake(folder, "verification", config=config).returncode == 0
    assert planned(folder, "verification", config=config) == {}
    good = (folder / "good.csv").read_text()
    (folder / "good.csv").write_text(good.replace("test/001.wav", "test/lost.wav"))
    done = snakemake(folder, "verification", config=config)
    assert done.returncode != 0 and "music cannot be used, 1 problem" in done.stdout, done.stdout[-3000:]


@pytest.mark.parametrize(
    "text, says",
    [
        (
            "studies: {table3: {aug: full}}\n\nstudies: {on: {}}\n",
            "keys.yaml, line 3: the key 'studies' is there a second",
        ),
        ("studies: {on: {}}", "config: studies: YAML reads a key as True, which is no text"),
        ("1: {}", "config: config: YAML reads a key as 1, which is no text"),
        ("search: {train_max: 1.0e+6}", "search.train_max: 1000000.0 is not of type integer; write 1000000"),
        ("identify: {index: milvus}", "identify.index: milvus is a Milvus collection"),
    ],
)
def test_what_a_file_of_the_config_says_otherwise_than_was_meant(packed, text, says):
    config = tiny(packed, dataset=MINE)
    (packed / "keys.yaml").write_text(text)
    done = snakemake(packed, "-n", config=f"{config} keys.yaml")
    assert done.returncode != 0
    assert says in " ".join(done.stdout.split()) and "Traceback" not in done.stdout, done.stdout[-3000:]


@pytest.mark.parametrize("text", ["@home", "my: music: here"])
def test_text_of_the_command_line_that_is_no_yaml(packed, text):
    given = f'dataset={{root: "{text}"}}'
    done = snakemake(packed, "-n", "--config", given, config=tiny(packed, dataset=MINE))
    assert f"dataset.root: {text} has no folder music/" in done.stdout, done.stdout[-3000:]


def test_data_may_always_be_made_again(packed):
    """The way out that the sentence names: it asks neither for a run nor for a cell."""
    config = tiny(packed, dataset=MINE, search={"lengths": [1, 16]})
    assert planned(packed, "data", "-R", "verify", config=config)["pack"] >= 6


def test_upper_case_suffixes_and_linked_folders_belong_to_a_data_set(tmp_path):
    """Sounds that are packed are seen while jobs are planned."""
    folder = copy_project(tmp_path / "project")
    root = data_set(folder / "music")
    for path in (root / SPLITS["bg_train"]).iterdir():
        path.rename(path.with_suffix(".WAV"))
    (root / SPLITS["ir_train"]).rename(tmp_path / "room")
    (root / SPLITS["ir_train"]).mkdir()
    (root / SPLITS["ir_train"] / "room").symlink_to(tmp_path / "room")
    assert planned(folder, config=tiny(folder, dataset=MINE))["train"] == 2


def test_music_that_was_added_is_not_known_yet(finished, tmp_path):
    """Own music: too little for a batch, until there is other music in its folder than was imported."""
    folder, corpus = copy_project(tmp_path), finished / "results/demo/data/corpus"
    shutil.copytree(corpus / SPLITS["train"], folder / "songs")
    own = {"music": "songs", "noise": f"{corpus}/aug/bg", "impulse_responses": f"{corpus}/aug/ir"}
    data = {"dataset": {"name": "mine", "source": "own", "own": own}}
    target = "results/mine/runs/aug=none_bsz=400_dim=16_loss=ntxent_recipe=base_seed=0/epoch=last.safetensors"
    done = snakemake(folder, "results/mine/data/packed/train.npy", config=tiny(folder, **data))
    assert done.returncode == 0, done.stdout[-3000:]
    (folder / "songs/.#notes.txt").symlink_to("nobody@nowhere")
    said = snakemake(folder, target, "-n", config=tiny(folder, **data)).stdout
    assert "bsz 400 needs 200 anchors, but the training split has only" in said
    song = next((folder / "songs").rglob("*.wav"))
    write(song, 60)
    os.utime(song, (1e9, 1e9))  # an older file in its place
    assert planned(folder, target, config=tiny(folder, **data))["import_audio"] == 1


def test_a_page_of_a_data_set_without_held_out_sounds(packed, tmp_path):
    """The sound demo has nothing to play then, which is no reason to refuse the page: a chain without sounds needs none."""
    folder = tmp_path / "project"
    shutil.copytree(packed, folder, copy_function=shutil.copy2)
    shutil.rmtree(folder / "music/aug")
    changes = {"run": {"aug": "none", "bsz": 16, "dim": 16}, "studies": STUDIES}
    assert planned(folder, config=tiny(folder, dataset=MINE, **changes))["listen"] == 1
    changes["studies"] = STUDIES | {"table3": {"aug": "full", "bsz": 16}}
    assert "aug/bg/tr: no WAV files, but a chain of the config needs them" in refused(folder, **changes)


# ---------------------------------------------------------------- somebody's fingerprints


@pytest.fixture
def theirs(packed):
    """A function that writes somebody's fingerprints into a folder: rows of each part, dimensions."""
    folder = packed / "theirs"

    def put(dims: int = 16, **rows: int) -> None:
        folder.mkdir(exist_ok=True)
        for part in EXCHANGED.values():
            vectors = np.random.default_rng(0).standard_normal((rows.get(part, 30), dims)).astype(np.float32)
            (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).tofile(folder / f"{part}.mm")
            np.save(folder / f"{part}_shape.npy", np.array(vectors.shape))

    yield put
    shutil.rmtree(folder)


@pytest.mark.parametrize("part", EXCHANGED.values())
@pytest.mark.parametrize("rows", [29, 31])
def test_somebodys_fingerprints_of_other_clips(packed, theirs, part, rows):
    """Of songs, queries and distractors alike, with the name of the user's file."""
    theirs(**{part: rows})
    said = refused(packed, THEIRS, external={"theirs": "theirs"})
    assert f"theirs/{part}.mm: has {rows} fingerprints, but the " in said
    assert "have 30 segments" in said


def test_somebodys_fingerprints_that_do_not_belong_together(packed, theirs):
    theirs(dims=8)
    good = (packed / "theirs/query_shape.npy").read_bytes(), (packed / "theirs/query.mm").read_bytes()
    theirs(dims=16)
    for name, content in zip(("query_shape.npy", "query.mm"), good, strict=True):
        (packed / "theirs" / name).write_bytes(content)
    assert "external.theirs: fingerprints of 8 and 16 dimensions" in refused(
        packed, THEIRS, external={"theirs": "theirs"}
    )
    theirs(dims=12)
    cell = THEIRS.replace("l2", "ivfpq")
    assert "index 'ivfpq': m: 8 does not divide" in refused(packed, cell, external={"theirs": "theirs"})


def test_somebodys_fingerprints_before_the_data_set_is_packed(packed, theirs, tmp_path):
    """Then planning knows no counts, and the job that takes them refuses them, before any index is built."""
    theirs(db=29)
    folder = copy_project(tmp_path / "project")
    for name in ("music", "theirs"):
        shutil.copytree(packed / name, folder / name)
    done = snakemake(folder, THEIRS, config=tiny(folder, dataset=MINE, external={"theirs": "theirs"}))
    assert done.returncode != 0
    assert "error: theirs/db.mm: has 29 fingerprints, but the test songs have 30 segments" in done.stdout
    assert not (folder / "results/mine/indexes").exists()


def test_somebodys_fingerprints_are_planned_where_they_fit(packed, theirs):
    theirs()
    config = tiny(packed, dataset=MINE, external={"theirs": "theirs"})
    assert planned(packed, THEIRS, config=config) == {"import_fingerprints": 3, "build_index": 1, "score": 1}

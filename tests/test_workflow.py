"""The real workflow, on a tiny configuration in a folder of its own: end to end, what reruns, what is refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import yaml
from kaggle_server import HANDLE, KEY, USER, Remote, serving
from test_archive import zipped
from wavs import data_set, write

from nafp.data.layout import SPLITS
from nafp.errors import UserError
from nafp.grid import check_config

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "config.yaml", "rules", "scripts", "schemas", "envs", "published", "profiles")
FULL, NONE = (f"aug={aug}_bsz=16_dim=16_loss=ntxent_recipe=base_seed=0" for aug in ("full", "none"))


def copy_project(folder: Path) -> Path:
    """The workflow without results, so that a test may edit it."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    shutil.copy2(ROOT / "tests/tiny.yaml", folder / "tiny.yaml")
    return folder


def snakemake(
    folder: Path, *arguments: str, config: str = "tiny.yaml", environment: dict | None = None
) -> subprocess.CompletedProcess:
    """Run Snakemake in a copy of the project; stdout and stderr together."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "2", "--configfile", config]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE")}
    return subprocess.run(
        command,
        cwd=folder,
        env=clean | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )


def planned(folder: Path, *arguments: str, config: str = "tiny.yaml") -> dict[str, int]:
    """Rule -> number of jobs that Snakemake would run."""
    output = snakemake(folder, *arguments, "-n", "--quiet", "rules", config=config).stdout
    if "Job stats:" not in output:
        assert "Nothing to be done" in output, output
        return {}
    table = output.split("Job stats:")[1].split("\n\n")[0].splitlines()[3:]
    jobs = {line.split()[0]: int(line.split()[1]) for line in table if len(line.split()) == 2}
    return {rule: count for rule, count in jobs.items() if rule not in ("total", "all")}


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The tiny experiment, run to its end. Tests must leave it as it is."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "scoreboard/index.html" in done.stdout
    return folder


@pytest.fixture
def edited(finished):
    """The finished experiment, and a function that edits one of its files until the test ends."""
    saved = {}

    def edit(name: str, old: str, new: str) -> None:
        path = finished / name
        saved.setdefault(path, (path.read_text(), path.stat()))
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    yield finished, edit
    for path, (text, stat) in saved.items():
        path.write_text(text)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


# ---------------------------------------------------------------- end to end


def test_every_part_is_there(finished):
    results = finished / "results/demo"
    board = results / "scoreboard"
    assert {p.name for p in board.iterdir()} == {
        *("index.html", "summary.txt"),
        *("table3.csv", "table3.md", "table3.hit_rate.svg", "table3.learning.svg"),
        *("index_types.csv", "index_types.md", "index_types.hit_rate.svg", "index_types.speed.svg"),
    }
    assert {p.name for p in (results / "runs" / FULL).iterdir()} == {
        *("config.yaml", "history.csv", "epoch=best.safetensors", "epoch=last.safetensors", "tensorboard", ".states")
    }
    assert not list(results.rglob("*.part"))
    assert (results / f"logs/train/{FULL}.log").read_text().count("validation top1_1s") == 2


def test_fingerprints_are_unit_vectors_one_a_segment(finished):
    folder = finished / f"results/demo/fingerprints/{FULL}/epoch=best"
    for split, clips in (("test_db", 4), ("test_query", 4), ("dummy", 8)):
        vectors = np.load(folder / f"{split}.npy", mmap_mode="r")
        assert vectors.shape == (clips * 15, 16)  # 8 s are 15 segments
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_cells_can_be_counted_again_from_the_per_query_table(finished):
    for path in (finished / "results/demo/scores").rglob("*.json"):
        cell, table = json.loads(path.read_text()), pd.read_parquet(path.with_suffix(".hits.parquet"))
        assert cell["queries"] == 4 * (15 - 5 + 1)
        for i, length in enumerate(cell["lengths"]):
            rows = table[table["length"] == length]
            near = ((rows["place1"] - rows["truth"]).abs() <= 1) & (rows["place1"] >= 0)
            assert cell["hits"]["top1_exact"][i] == (rows["place1"] == rows["truth"]).sum()
            assert cell["hits"]["top1_near"][i] == near.sum()
            assert cell["hits"]["top1_song"][i] == rows["offset_ms"].notna().sum()
            assert cell["mrr"][i] == pytest.approx(rows["rr"].mean(), abs=1e-4)
        assert cell["recall"]["nearest"] == 1 or cell["index"] != "l2"


def test_queries_are_degraded_songs_of_the_same_length(finished):
    root = finished / "results/demo/data/corpus" / "music/test-query-db-500-30s"
    for path in (root / "db").rglob("*.wav"):
        song, query = (sf.read(p)[0] for p in (path, root / "query" / path.relative_to(root / "db")))
        assert len(song) == len(query)
        assert np.abs(query).max() > 0.5
        assert not np.array_equal(song, query)


def test_table_shows_ours_and_the_published_rows(finished):
    table = pd.read_csv(finished / "results/demo/scoreboard/table3.csv")
    assert (table["source"] == "this run").sum() == 4  # two runs, exact and near
    paper = table[
        (table["source"] == "paper") & (table["N"] == 640) & (table["d"] == 128) & (table["match"] == "exact")
    ]
    assert paper["1 s"].tolist() == [62.2]
    assert table.loc[table["source"] != "this run", "comparable"].str.startswith("no").all()


# ---------------------------------------------------------------- what reruns


def test_nothing_is_left_to_do(finished):
    assert planned(finished) == {}


def test_learning_rate_reruns_training_and_what_follows(edited):
    folder, edit = edited
    edit("config.yaml", "learning_rate: 2.0e-3", "learning_rate: 1.0e-3")
    jobs = planned(folder)
    assert jobs["train"] == 2
    assert jobs["fingerprint"] == 6
    assert not jobs.keys() & {"compose_demo", "synthesise_queries", "verify", "pack"}


def test_one_more_index_runs_its_cells_only(edited):
    folder, edit = edited
    edit("tiny.yaml", "index: [l2, ivfpq,", "index: [l2, ivfpq, hnsw,")
    jobs = planned(folder)
    assert (jobs.pop("build_index"), jobs.pop("score")) == (1, 1)
    assert jobs.keys() == {"make_table", "plot", "build_page"}


def test_a_recipe_runs_its_runs_only(edited):
    folder, edit = edited
    edit("tiny.yaml", "  table3: {", "  recipes_compared: {recipe: [base, narrow]}\n  table3: {")
    edit("tiny.yaml", "run: {bsz: 16", "recipes: {narrow: {model: {width: 2}, train: {epochs: 1}}}\nrun: {bsz: 16")
    jobs = planned(folder)
    assert (jobs["train"], jobs["fingerprint"], jobs["score"]) == (1, 3, 1)


def test_one_more_seed_runs_its_runs_only(edited):
    folder, edit = edited
    edit("tiny.yaml", "table3: {aug: [full, none], bsz: 16}", "table3: {aug: [full, none], bsz: 16, seed: [0, 1]}")
    jobs = planned(folder)
    assert jobs["train"] == 2
    assert jobs["fingerprint"] == 6
    assert jobs["score"] == 2
    assert "pack" not in jobs


@pytest.mark.parametrize(
    "module, reruns, spares",
    [
        ("index", {"build_index", "score"}, {"train", "fingerprint", "pack"}),
        ("plots", {"plot"}, {"train", "score", "make_table"}),
        ("losses", {"train", "fingerprint"}, {"pack", "verify"}),
        ("demo_sounds", {"compose_demo", "pack", "train"}, set()),
    ],
)
def test_a_library_module_reruns_what_imports_it(edited, module, reruns, spares):
    folder, edit = edited
    edit(f"scripts/nafp/{module}.py", '"""\n', '"""\n# edited\n')
    jobs = planned(folder).keys()
    assert reruns <= jobs
    assert not spares & jobs


def test_one_cell_by_its_path(finished):
    other = "aug=tb_bsz=32_dim=16_loss=ntxent_recipe=base_seed=5"  # in no study
    jobs = planned(finished, f"results/demo/scores/{other}/epoch=last/ivf.json")
    assert jobs == {"train": 1, "fingerprint": 3, "build_index": 1, "score": 1}


def test_fingerprints_go_out_and_come_back(finished, tmp_path):
    """Exported fingerprints, taken as somebody else's, score as they did."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    assert snakemake(folder, "export").returncode == 0
    (exchange,) = (folder / "results/demo/exchange").glob("*/epoch=best")
    config = tiny(folder, external={"theirs": str(exchange)})
    cell = "results/demo/scores/external=theirs/epoch=last/l2.json"
    done = snakemake(folder, cell, config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    ours = json.loads((folder / f"results/demo/scores/{FULL}/epoch=best/l2.json").read_text())
    theirs = json.loads((folder / cell).read_text())
    assert theirs["hits"] == ours["hits"]
    assert theirs["fields"] == {"external": "theirs"}


def test_the_scale_study(finished, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    done = snakemake(folder, "scale")
    assert done.returncode == 0, done.stdout[-3000:]
    (table,) = (folder / "results/demo/scores").rglob("l2.scale.csv")
    measured = pd.read_csv(table)
    assert measured["segments"].iloc[-2] == 12 * 15  # 8 dummy and 4 test songs
    cell = json.loads(table.with_name("l2.json").read_text())
    expected = 100 * cell["hits"]["top1_exact"][0] / cell["queries"]
    whole = measured[(measured["length"] == 1) & (measured["segments"] == 180)]
    assert whole["measured"].item() == pytest.approx(expected, abs=1e-3)
    assert (folder / "results/demo/scoreboard/scale.svg").stat().st_size > 5000


def test_identify_finds_songs_in_a_folder(finished, tmp_path):
    """The demo's own songs as a library; a piece of one and noise as recordings; then one more song."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    songs = sorted((folder / "results/demo/data/corpus/music").rglob("*.wav"))[:3]
    library, recordings = tmp_path / "songs", tmp_path / "recordings"
    for path in (library, recordings):
        path.mkdir()
    for i, path in enumerate(songs[:2]):
        shutil.copy(path, library / f"{i}.wav")
    (library / "broken.flac").write_bytes(b"no music")
    samples, rate = sf.read(songs[1])
    sf.write(recordings / "piece.flac", np.stack([samples, samples], axis=1)[2 * rate : 6 * rate], rate)
    options = ("identify", "--config", f"library={library}", f"queries={recordings}")
    done = snakemake(folder, *options)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "skipped broken.flac" in done.stdout
    (row,) = pd.read_csv(folder / "results/demo/identify/matches.csv").to_dict("records")
    assert (row["query"], row["song"], row["offset_s"]) == ("piece.flac", "1.wav", 2.0)
    assert "Nothing to be done" in snakemake(folder, *options).stdout
    shutil.copy(songs[2], library / "2.wav")
    done = snakemake(folder, *options)
    assert "3 songs" in done.stdout
    missing = snakemake(folder, "identify")
    assert "identify: say what to search: --config library=FOLDER queries=FOLDER" in missing.stdout


def test_commands_that_run_no_job_need_no_number_of_cores(finished):
    for command in (["--unlock"], ["--list-rules"], ["-n"]):
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *command], cwd=finished, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- interruption


KILLER = """
import os, signal, sys
fsync, saves = os.fsync, []
def counted(descriptor):
    if "nafp.training.train" in sys.modules:
        saves.append(descriptor)
        if len(saves) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)
os.fsync = counted
"""


def test_a_killed_training_goes_on_where_it_was(finished, tmp_path):
    """SIGKILL in the middle of the second save; the second job finishes with the weights of an undisturbed one."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    run = folder / "results/demo/runs" / FULL
    whole = (run / "epoch=last.safetensors").read_bytes()
    target = f"results/demo/runs/{FULL}/epoch=last.safetensors"
    shutil.rmtree(run)
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    killed = snakemake(folder, target, environment={"PYTHONPATH": str(tmp_path)})
    assert killed.returncode != 0
    assert len(list(run.glob(".states/*/epoch=1_step=0.*.pt"))) == 1
    assert not list(run.glob("*.safetensors"))
    done = snakemake(folder, target)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "going on after epoch 1 of 2" in done.stdout
    assert (run / "epoch=last.safetensors").read_bytes() == whole


def test_the_weights_after_an_epoch_by_its_number(finished, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    runs = f"results/demo/runs/{FULL}"
    done = snakemake(folder, f"{runs}/epoch=1.safetensors")
    assert done.returncode == 0, done.stdout[-3000:]
    (kept,) = (folder / runs / ".states").glob("*/epoch=1.safetensors")
    assert (folder / runs / "epoch=1.safetensors").read_bytes() == kept.read_bytes()
    cell = f"results/demo/scores/{FULL}/epoch=1/l2.json"
    assert planned(folder, cell) == {"fingerprint": 3, "build_index": 1, "score": 1}
    missing = snakemake(folder, f"{runs}/epoch=7.safetensors")
    assert missing.returncode != 0
    assert "the weights after epoch 7 were not kept, only those of 1, 2; set train.checkpoints.every" in missing.stdout


# ---------------------------------------------------------------- what is refused


def tiny(folder: Path, **changes) -> str:
    """A config like tiny.yaml with some sections replaced; returns its name."""
    config = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text()) | changes
    (folder / "changed.yaml").write_text(yaml.safe_dump(config))
    return "changed.yaml"


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"run": {"aug": "ful", "bsz": 16}}, "unknown augmentation 'ful' in run; known: full, none, t, tb, tbi"),
        ({"dataset": {"name": "mine", "root": "nowhere"}}, "dataset.root: nowhere has no folder music/"),
        ({"trane": {}}, "unknown key 'trane' in config; known:"),
    ],
)
def test_a_wrong_config_fails_before_anything_runs(tmp_path, changes, says):
    folder = copy_project(tmp_path)
    done = snakemake(folder, "-n", config=tiny(folder, **changes))
    assert done.returncode != 0
    assert says in done.stdout
    assert "Traceback" not in done.stdout
    assert not (folder / "results").exists()


def test_an_unknown_study_and_an_odd_batch(finished):
    done = snakemake(finished, "-n", "table9")
    assert done.returncode != 0
    assert "table9" in done.stdout
    done = snakemake(
        finished, "-n", "results/demo/runs/aug=full_bsz=15_dim=16_loss=ntxent_recipe=base_seed=0/epoch=last.safetensors"
    )
    assert done.returncode != 0
    assert "each anchor comes with a replica, so N is a multiple of 2 and at least 4" in done.stdout


def test_bad_files_are_all_listed_and_nothing_is_packed(tmp_path):
    folder = copy_project(tmp_path)
    root = data_set(folder / "music", seconds=8)
    write(root / SPLITS["train"] / "000.wav", channels=2)
    write(root / SPLITS["dummy"] / "001.wav", rate=44100)
    for path in (root / SPLITS["test_query"]).iterdir():
        path.unlink()
    done = snakemake(folder, "data", config=tiny(folder, dataset={"name": "mine", "root": "music"}))
    assert done.returncode != 0
    for says in ("2 channels, expected 1", "44100 Hz", "no WAV files (split 'test_query')", "3 problem(s)"):
        assert says in done.stdout
    assert says in (folder / "results/mine/logs/verify.log").read_text()
    assert not (folder / "results/mine/data/packed").exists()
    assert not (folder / "results/mine/data/manifest.csv").exists()


def test_a_batch_larger_than_the_split_is_refused_by_the_job(tmp_path):
    folder = copy_project(tmp_path)
    data_set(folder / "music", seconds=8)
    target = "results/mine/runs/aug=none_bsz=400_dim=16_loss=ntxent_recipe=base_seed=0/epoch=last.safetensors"
    done = snakemake(folder, target, config=tiny(folder, dataset={"name": "mine", "root": "music"}))
    assert done.returncode != 0
    assert "bsz 400 needs 200 anchors, but the training split has only 30 segments" in done.stdout
    assert not (folder / target).parent.exists() or not list((folder / target).parent.iterdir())


# ---------------------------------------------------------------- data sets and query sets


POINT = """
import os
if "KAGGLE_SERVER" in os.environ:
    from kagglesdk import kaggle_env
    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = os.environ["KAGGLE_SERVER"]
"""


def test_a_data_set_from_kaggle(tmp_path):
    """Missing credentials; then one command brings, unpacks and checks it; without results/, nothing is downloaded again."""
    folder = copy_project(tmp_path / "project")
    root = data_set(tmp_path / "neural-audio-fp-dataset", clips=1, seconds=2)
    files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in root.rglob("*.wav")}
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(POINT)
    config = tiny(folder, dataset={"name": "small", "source": "kaggle", "handle": HANDLE, "dummy": 1})
    with serving(Remote(zipped(tmp_path / "a.zip", files).read_bytes())) as remote:
        environment = {"PYTHONPATH": str(tmp_path / "site"), "KAGGLE_SERVER": remote.api, "HOME": str(tmp_path)}
        refused = snakemake(folder, "verification", config=config, environment=environment)
        assert refused.returncode != 0
        assert "put kaggle.json into ~/.kaggle/, or set KAGGLE_USERNAME and KAGGLE_KEY" in refused.stdout
        environment |= {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}
        done = snakemake(folder, "verification", config=config, environment=environment)
        assert done.returncode == 0, done.stdout[-3000:]
        assert KEY not in done.stdout
        assert {path.name for path in (folder / "data").iterdir()} == {
            *("small", "small.archives.json", "small.manifest.csv", "small.files.tsv")
        }
        manifest = pd.read_csv(folder / "results/small/data/manifest.csv")
        assert len(manifest) == len(SPLITS)
        assert not manifest["sha256"].isna().any()
        shutil.rmtree(folder / "results")
        remote.asked = []
        again = snakemake(folder, "verification", config=config, environment=environment)
        assert again.returncode == 0, again.stdout[-3000:]
        assert remote.asked == []


def test_ones_own_music_as_a_data_set(finished, tmp_path):
    """The demo's songs and sounds as somebody's folders: imported, given queries, checked."""
    folder, corpus = copy_project(tmp_path / "project"), finished / "results/demo/data/corpus"
    own = {
        "music": f"{corpus}/music/train-10k-30s",
        "noise": f"{corpus}/aug/bg",
        "impulse_responses": f"{corpus}/aug/ir",
    }
    config = tiny(folder, dataset={"name": "mine", "source": "own", "own": own})
    done = snakemake(folder, "verification", config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    facts = json.loads((folder / "results/mine/data/verification.json").read_text())
    clips = {split: row["clips"] for split, row in facts["splits"].items()}
    assert clips["train"] + clips["val_db"] + clips["test_db"] + clips["dummy"] == 8
    assert (clips["val_query"], clips["test_query"]) == (clips["val_db"], clips["test_db"])
    assert planned(folder, "verification", config=config) == {}


@pytest.mark.parametrize(
    "dataset, says",
    [
        ({"name": "x"}, "dataset: 'root' is missing"),
        ({"name": "x", "source": "kaggle"}, "dataset: 'handle' is missing"),
        ({"name": "x", "source": "dataport"}, "dataset: 'archive' is missing"),
        ({"name": "x", "source": "own"}, "dataset: 'own' is missing"),
        ({"name": "x", "source": "ftp"}, "dataset.source: 'ftp' is not known; known: folder, kaggle, gdrive"),
        ({"name": "x", "root": "y", "md5": "5bbeec7f5873d8e5619d6b0de87c90e180363863d"}, "dataset.md5"),
    ],
)
def test_a_data_set_that_is_not_fully_described(dataset, says):
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"dataset": dataset}
    with pytest.raises(UserError) as error:
        check_config(config, ROOT / "schemas/config.schema.yaml")
    assert says in str(error.value)
    assert "; " not in str(error.value).replace("known; known", "")


def test_query_sets_are_searched_beside_the_data_sets_own(finished, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    sets = {f"snr_{snr}": [{"background": {"snr_db": [snr, snr]}}] for snr in (20, 0)}
    config = tiny(folder, query_sets=sets, studies={"noise": {"query_set": ["files", *sets]}}, augmented={"every_s": 2})
    scores = f"results/demo/scores/{FULL}/epoch=best"
    cells = [f"{scores}/queries=snr_{snr}/l2.json" for snr in (20, 0)]
    assert planned(folder, "noise", config=config)["score"] == 2
    done = snakemake(folder, *cells, "augmented", config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    own, easy, hard = (json.loads((folder / path).read_text()) for path in (f"{scores}/l2.json", *cells))
    assert "snr_db" not in own
    assert (easy["query_set"], easy["snr_db"], hard["snr_db"]) == ("snr_20", 20, 0)
    assert easy["queries"] == hard["queries"] == own["queries"]
    assert sum(easy["hits"]["top1_near"]) >= sum(hard["hits"]["top1_near"])
    written = folder / "results/demo/augmented/test_db-full"
    assert len(list(written.rglob("*.wav"))) == 4

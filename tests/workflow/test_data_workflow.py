"""Data sets from their sources and query sets, through the real workflow in a folder of its own."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from archives import tarred, zipped
from checksumdir import dirhash
from kaggle_server import HANDLE, KEY, POINT, USER, Remote, serving
from wavs import data_set, write
from workflow import FULL, ROOT, copy_project, planned, snakemake, tiny

from nafp.config.check import check_config
from nafp.datasets.layout import MUSIC, SPLITS
from nafp.errors import UserError

KILLED = """
import os, signal, tqdm

def die(bar, n=1):
    if getattr(bar, "desc", "").startswith(os.environ["KILLED_WHILE"]):
        os.kill(os.getpid(), signal.SIGKILL)

if os.environ.get("KILLED_WHILE"):
    tqdm.tqdm.update = die
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
            *("small", "small.archives.json", "small.manifest.csv", "small.files.tsv", "small.unpacked.txt")
        }
        manifest = pd.read_csv(folder / "results/small/data/manifest.csv")
        assert len(manifest) == len(SPLITS)
        assert not manifest["sha256"].isna().any()
        shutil.rmtree(folder / "results")
        remote.asked = []
        again = snakemake(folder, "verification", config=config, environment=environment)
        assert again.returncode == 0, again.stdout[-3000:]
        assert remote.asked == []


def test_killed_while_downloading_unpacking_and_packing(tmp_path):
    """The same command three times more: each goes on where the one before was killed; the packed bytes are the same."""
    root = data_set(tmp_path / "set", clips=1, seconds=20)
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.wav")}
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(POINT + KILLED)
    environment = {"PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path)}
    environment |= {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}
    target, packed = "results/small/data/packed/train.npy", {}
    with serving(Remote(zipped(tmp_path / "a.zip", files).read_bytes())) as remote:
        environment["KAGGLE_SERVER"] = remote.api
        for name, kills in (("undisturbed", []), ("killed", ["downloading", "unpacking", "packing"])):
            folder = copy_project(tmp_path / name)
            config = tiny(folder, dataset={"name": "small", "source": "kaggle", "handle": HANDLE, "dummy": 1})
            left = {}
            for stage in [*kills, ""]:
                remote.asked = remote.asked if stage == "downloading" else []
                stop = environment | {"KILLED_WHILE": stage}
                done = snakemake(folder, target, "--retries", "0", config=config, environment=stop)
                assert (done.returncode == 0) == (stage == ""), done.stdout[-3000:]
                assert ("SIGKILL" in done.stdout) == (stage != "")
                left[stage] = sorted(path.name for path in folder.rglob("*") if path.suffix in (".partial", ".part"))
                if stage == "unpacking":
                    (asked,) = [ask["Range"] for ask in remote.asked if ask["Range"]]
                    assert 0 < int(asked[6:-1]) < len(remote.content)  # and no byte before that came again
                    assert 0 < len(list((folder / "data/small").rglob("*.wav"))) < len(SPLITS)
            packed[name] = (folder / target).read_bytes()
            assert left[""] == []
    assert left["downloading"] == ["small.zip.partial"]
    assert left["packing"] == ["train.npy.part"]
    assert packed["killed"] == packed["undisturbed"]


def test_the_commands_for_other_sources(tmp_path):
    """Those of the README for Google Drive and for the tar of DataPort, with a small data set in place of the paper's."""
    folder = copy_project(tmp_path / "project")
    shutil.copytree(ROOT / "config", folder / "config")
    root = data_set(tmp_path / "neural-audio-fp-dataset", clips=1, seconds=2)
    tar = tarred(tmp_path / "a.tar", {f"x/{p.relative_to(root)}": p.read_bytes() for p in root.rglob("*.wav")})
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(POINT)
    small = {
        "unpacked_gb": 0.01,
        "expected": dict.fromkeys(("train", "val_db", "val_query", "test_db", "test_query"), 1),
        "dummy": 1,
    }
    (folder / "small.yaml").write_text(yaml.safe_dump({"dataset": small}))
    (folder / "published.yaml").write_text(yaml.safe_dump({"dataset": {"md5": dirhash(str(root), "md5")}}))
    with serving(Remote(tar.read_bytes())) as remote:
        environment = {"PYTHONPATH": str(tmp_path / "site"), "DRIVE_SERVER": remote.api, "HOME": str(tmp_path)}
        given, config = ("--config", "dataset={source: gdrive}"), "config/mini.yaml small.yaml"
        done = snakemake(folder, "verification", *given, config=config, environment=environment)
        assert done.returncode == 0, done.stdout[-3000:]
        assert (folder / "data/mini/aug").is_dir()
        assert not list((folder / "data").glob("*.tar"))

    config = "config/mini.yaml config/full.yaml small.yaml published.yaml"
    missing = snakemake(folder, "data", "--retries", "0", config=config)
    assert missing.returncode != 0
    assert "data/full-archive: is not there; log in at https://ieee-dataport.org/" in missing.stdout
    (folder / "data/full-archive").mkdir()
    shutil.copy(tar, folder / "data/full-archive")
    done = snakemake(folder, "data", "--config", "dataset={dummy: 1}", config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    facts = json.loads((folder / "results/full/data/verification.json").read_text())
    assert facts["md5"] == facts["published_md5"]
    assert {path.stem for path in (folder / "results/full/data/packed").glob("*.npy")} == set(MUSIC)
    assert (folder / "data/full-archive/a.tar").exists()


def test_the_command_for_another_copy_than_was_published(tmp_path):
    """Of counts, before anything is hashed, then of the checksum: the sentence has the option that goes on; a bad file
    is still refused."""
    folder, target = copy_project(tmp_path), "verification"
    root = data_set(folder / "music")
    published = {"name": "mine", "root": "music", "dummy": "100k_full", "md5": "0" * 32}
    config = tiny(folder, dataset=published)
    refused = snakemake(folder, target, config=config)
    assert refused.returncode != 0
    assert not list((folder / "results/mine/data").glob("*.tsv"))
    option = re.search(r"go on with it: --config '(dataset=\{as_published: false\})'", refused.stdout)[1]
    refused = snakemake(folder, target, "--config", "dataset={dummy: all}", config=config)
    assert re.search(rf"the MD5 of all files is \w+, published is {'0' * 32}; .*--config '{option}'", refused.stdout)
    done = snakemake(folder, target, "--config", option, config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    warnings = json.loads((folder / "results/mine/data/verification.json").read_text())["warnings"]
    assert ["2 clips, expected 100,000" in warnings[0], "published is 000" in warnings[-1]] == [True, True]
    write(root / SPLITS["dummy"] / "001.wav", channels=2)
    refused = snakemake(folder, target, "-R", "verify", "--config", option, config=config)
    assert "001.wav: 2 channels" in refused.stdout


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


def test_folders_of_ones_own_that_cannot_be_used(tmp_path):
    """Wrong ones are refused while planning; where the files are no good, their table stays when the job has failed."""
    folder = copy_project(tmp_path / "project")
    for i in range(8):
        write(folder / f"songs/{i}.wav", seed=i)
        write(folder / f"ir/{i}.WAV", 0.1, seed=i)
    (folder / "noise").mkdir()
    own = {"music": "songs", "noise": "noise", "impulse_responses": "ir"}
    config = tiny(folder, dataset={"name": "mine", "source": "own", "own": own})
    done = snakemake(folder, "verification", "-n", config=config)
    assert done.returncode != 0 and "dataset.own.noise: noise holds no audio files" in done.stdout
    (folder / "noise/a.mp3").write_bytes(b"<html>404</html>")
    assert planned(folder, "verification", config=config)["import_audio"] == 1
    done = snakemake(folder, "verification", config=config)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert (
        "noise/a.mp3: cannot be read (it is a web page); all are listed in results/mine/data/left_out.csv)"
        in done.stdout
    )
    assert "a web page" in (folder / "results/mine/data/left_out.csv").read_text()


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
        check_config(config, ROOT)
    assert says in str(error.value)
    assert "; " not in str(error.value).replace("known; known", "")


def measured_snr_db(packed: Path, split: str) -> float:
    """How much louder the four test songs are than what their degraded copies hold besides them, at whatever level."""
    songs, copies = (np.load(packed / f"{name}.npy").reshape(4, -1).astype(float) for name in ("test_db", split))
    songs *= ((songs * copies).sum(axis=1) / (songs**2).sum(axis=1))[:, None]
    return float(np.median(10 * np.log10((songs**2).sum(axis=1) / ((copies - songs) ** 2).sum(axis=1))))


def test_query_sets_are_searched_beside_the_data_sets_own(finished, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    sets = {f"snr_{snr}": [{"background": {"snr_db": [snr, snr]}}] for snr in (20, 0)}
    config = tiny(folder, query_sets=sets, studies={"noise": {"query_set": ["files", *sets]}}, augmented={"every_s": 2})
    scores = f"results/demo/scores/{FULL}/epoch=best"
    cells = [f"{scores}/queries=snr_{snr}/l2.json" for snr in (20, 0)]
    assert planned(folder, "noise", config=config)["score"] == 2
    done = snakemake(folder, "noise", "augmented", config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    own, easy, hard = (json.loads((folder / path).read_text()) for path in (f"{scores}/l2.json", *cells))
    assert "snr_db" not in own
    assert (easy["query_set"], easy["snr_db"], hard["snr_db"]) == ("snr_20", 20, 0)
    assert easy["queries"] == hard["queries"] == own["queries"]
    easy_db, hard_db = (measured_snr_db(folder / "results/demo/data/packed", f"query_{name}") for name in sets)
    assert easy_db - hard_db == pytest.approx(20, abs=2)  # the same sounds
    assert sum(easy["hits"]["top1_near"]) >= sum(hard["hits"]["top1_near"])
    board = folder / "results/demo/scoreboard"
    rows = pd.read_csv(board / "noise.csv").query("source == 'this run' and match != 'open set'")
    assert rows["p"].notna().tolist() == (~rows["baseline"]).tolist()  # the files' queries are the baseline
    assert {path.name for path in board.glob("noise.*.svg")} == {
        "noise.hit_rate.svg",
        "noise.snr_db.svg",
        "noise.open_set.svg",
    }
    written = folder / "results/demo/augmented/test_db-full"
    assert len(list(written.rglob("*.wav"))) == 4


def test_ladders_are_searched_and_shown(finished, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    chain = [{"background": {"snr_db": ["$", "$"]}}]
    ladders = {"noise": {"strengths": [-20, 20], "unit": "dB", "chain": chain}}
    ladders["codec"] = {"strengths": ["gsm"], "chain": [{"codec": {"names": ["$"]}}]}
    config = tiny(folder, ladders=ladders, studies={"climb": {"query_set": "files", "ladders": "all", "aug": ["full"]}})
    assert planned(folder, "climb", config=config)["degrade_queries"] == 3
    done = snakemake(folder, "climb", "scoreboard", config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    board = folder / "results/demo/scoreboard"
    names = {path.name for path in board.glob("climb.*")}
    assert names == {f"climb.{end}" for end in ("csv", "md", "tex", "heat_map.csv", "limits.csv")} | {
        *(f"climb.{figure}.{kind}" for figure in ("heat_map", "strengths") for kind in ("svg", "png", "pdf")),
        "climb.strengths.vl.json",
    }
    assert {path.name for path in (board / "so_far").glob("climb.*")} == names
    rates = pd.read_csv(board / "climb.heat_map.csv")
    assert rates["query_set"].unique().tolist() == ["files", "codec_gsm", "noise_m20", "noise_20"]
    for row in rates.to_dict("records"):
        queries = "" if row["query_set"] == "files" else f"queries={row['query_set']}/"
        cell = json.loads((folder / f"results/demo/scores/{FULL}/epoch=best/{queries}l2.json").read_text())
        hits = cell["hits"]["top1_exact"][cell["seconds"].index(row["query_s"])]
        assert row["hit_rate_pct"] == pytest.approx(100 * hits / cell["queries"])
    page = (board / "so_far/index.html").read_text(encoding="utf-8")
    sounds = {
        name: re.search(f'<audio id="sound-{name}" .*src="data:audio/mpeg;base64,([^"]+)"', page)
        for name in rates["query_set"]
    }
    assert [name for name, found in sounds.items() if not found] == ["files"]
    assert sounds["noise_m20"][1] != sounds["noise_20"][1]


def test_queries_at_another_speed_are_judged_by_their_time_map(finished, tmp_path):
    """Songs of 8 s, 1.25 times as fast: 6.4 s, so 11 segments of which 7 leave room for 5 more."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    indexes = yaml.safe_load((ROOT / "tests/support/tiny.yaml").read_text())["indexes"]
    indexes["l2-speed"] = {"type": "l2", "rates": [1, 1.25]}
    config = tiny(folder, query_sets={"fast": [{"speed": {"percent": [25, 25]}}]}, indexes=indexes)
    cells = [f"results/demo/scores/{FULL}/epoch=best/queries=fast/{index}.json" for index in ("l2", "l2-speed")]
    done = snakemake(folder, *cells, config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    plain, following = (json.loads((folder / path).read_text()) for path in cells)
    assert plain["queries"] == following["queries"] == 4 * 7
    assert "rates" not in plain["index_options"] and following["index_options"]["rates"] == [1, 1.25]
    for cell in cells:
        table = pd.read_parquet((folder / cell).with_suffix(".hits.parquet"))
        nth = table["query"] % 11
        assert (table["rate"] == 1.25).all() and (table["start"] == nth / 2 * 1.25).all()
        assert (table["truth"] == 8 * 15 + table["query"] // 11 * 15 + (nth * 1.25 + 0.5).astype(int)).all()

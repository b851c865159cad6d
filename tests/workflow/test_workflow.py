"""The real workflow, on a tiny configuration in a folder of its own: end to end, what reruns, what is refused."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import yaml
from recount import answers, by_song, check_table
from wavs import data_set, write
from workflow import FULL, NONE, ROOT, copy_project, planned, run_snakemake, snakemake, tiny

from nafp.audio.splits import Split
from nafp.audio.wav import read_wav
from nafp.augment.chain import Chain
from nafp.augment.held_out import held_out_pools
from nafp.augment.queries import degrade_clip, generator_of_song
from nafp.datasets.layout import SPLITS
from nafp.evaluation.metrics import METRICS
from nafp.jobfacts import gpu_here
from nafp.search.vectors import open_vectors

# ---------------------------------------------------------------- end to end


def test_every_part_is_there(finished):
    results = finished / "results/demo"
    board = results / "scoreboard"
    figures = {
        "table3": ("hit_rate", "aug", "open_set"),
        "index_types": ("hit_rate", "open_set", "costs"),
        "song_level": ("hit_rate", "open_set"),
    }
    drawn = {f"{study}.{figure}" for study, names in figures.items() for figure in names} | {
        "learning",
        "misses",
        "similarity",
        "scale",
        "beyond",
    }
    assert {p.name for p in board.iterdir()} == {
        *("index.html", "summary.txt", "listening.json", "misses.csv", "heard_misses.json", "hard_songs.csv"),
        *("beyond.csv", "beyond.md"),
        *(f"{study}.{kind}" for study in figures for kind in ("csv", "md", "tex")),
        *(f"{name}.{kind}" for name in drawn for kind in ("svg", "png", "pdf", "vl.json")),
    }
    assert {p.name for p in (results / "runs" / FULL).iterdir()} == {
        *("config.yaml", "history.csv", "epoch=best.safetensors", "epoch=last.safetensors", "provenance.json"),
        *("tensorboard", ".states"),
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
        assert (cell["songs"], cell["queries"]) == (4, 4 * (15 - 5 + 1))
        assert table["song"].str.startswith("music/test-query-db-500-30s/db/").all()
        np.testing.assert_array_equal(table["start"], (table["truth"] - 8 * 15) % 15 / 2)  # 8 distractors come first
        for i, length in enumerate(cell["lengths"]):
            rows = table[table["length"] == length]
            again = answers(path.with_suffix(".hits.parquet"), length, rows_a_song=15)
            for match in ("exact", "near", "song", "open set"):
                assert cell["hits"][METRICS[match].column][i] == again[match].sum()
            assert cell["hits"]["top1_song"][i] == rows["offset_ms"].notna().sum()
            assert again["rr"].mean() == pytest.approx(rows["rr"].mean())
            assert cell["mrr"][i] == pytest.approx(rows["rr"].mean(), abs=1e-4)
        assert cell["recall"]["nearest"] == 1 or cell["index"] != "l2"


def test_cells_and_runs_say_what_made_them(finished):
    for path in (finished / "results/demo/scores").rglob("*.json"):
        made = json.loads(path.read_text())["provenance"]
        assert made.keys() == {"index", "search"}
        for facts in made.values():
            assert facts["packages"]["faiss"] == faiss.__version__
            assert "torch" not in facts["packages"]  # these jobs do not load it
            assert facts["device"] == "CPU" or faiss.get_num_gpus()
            assert facts["threads"] == 1  # a small database, whatever the cores
    for run in (FULL, NONE):
        (facts,) = json.loads((finished / f"results/demo/runs/{run}/provenance.json").read_text())["jobs"]
        assert facts["commit"] == "unknown"  # a copy without git
        assert facts["threads"] == (2 if gpu_here() else 1)  # both are trained at once
        assert {"torch", "numpy", "snakemake"} <= facts["packages"].keys()
    page = (finished / "results/demo/scoreboard/index.html").read_text(encoding="utf-8")
    assert "none: all runs and cells were made by the same code and packages on the same kind of machine" in page


def test_queries_are_degraded_songs_of_the_same_length(finished):
    root = finished / "results/demo/data/corpus" / "music/test-query-db-500-30s"
    for path in (root / "db").rglob("*.wav"):
        song, query = (sf.read(p)[0] for p in (path, root / "query" / path.relative_to(root / "db")))
        assert len(song) == len(query)
        assert np.abs(query).max() > 0.5
        assert not np.array_equal(song, query)


@pytest.mark.parametrize("part", ["val", "test"])
def test_queries_are_made_with_their_parts_half_of_the_held_out_sounds(finished, part):
    corpus = finished / "results/demo/data/corpus"
    sounds = {pool: Split.read(corpus, SPLITS[f"{pool}_test"]) for pool in ("bg", "ir")}
    steps = yaml.safe_load((finished / "config.yaml").read_text())["demo"]["queries"][part]
    chain = Chain(steps, held_out_pools(sounds, part), for_queries=True)
    songs = corpus / SPLITS[f"{part}_db"]
    for path in sorted(songs.rglob("*.wav")):
        name = path.relative_to(songs).as_posix()
        expected, gain_db = degrade_clip(read_wav(path), chain, generator_of_song(0, name))
        np.testing.assert_array_equal(read_wav(corpus / SPLITS[f"{part}_query"] / name), expected)
        assert gain_db == 0  # their chain sets the level


def test_table_shows_ours_and_the_published_rows(finished):
    table = pd.read_csv(finished / "results/demo/scoreboard/table3.csv")
    assert table.loc[table["source"] == "this run", "row"].nunique() == 6  # two runs; exact, near and open set
    paper = table[
        (table["source"] == "paper") & (table["N"] == 640) & (table["d"] == 128) & (table["match"] == "exact")
    ]
    assert paper.loc[paper["query_s"] == 1, "hit_rate_pct"].tolist() == [62.2]
    assert table.loc[table["source"] != "this run", "comparable"].str.startswith("no").all()


def test_every_rate_of_the_page_comes_from_the_per_query_tables(finished):
    """All tables of the page, and the counts under the sounds, against tests/support/recount.py."""
    page = (finished / "results/demo/scoreboard/index.html").read_text(encoding="utf-8")
    cells = {
        run: {path.stem: [path] for path in (finished / f"results/demo/scores/{run}/epoch=best").glob("*.json")}
        for run in (FULL, NONE)
    }
    indexes = [cells[FULL][name] for name in ("l2", "ivfpq", "ivfpq-rr-ondisk", "milvus")]
    tables = {
        "table3": [cells[FULL]["l2"], cells[NONE]["l2"]],
        "index-types": indexes,
        "song-level": [cells[FULL]["l2"]],
    }
    for study, configurations in tables.items():
        assert check_table(page, f"{study}-table", configurations, (1, 3, 5), rows_a_song=15, baseline=0) > 0
    assert page.count("44 queries in 4 songs (protocol clip)") == 3  # under each table
    totals = re.findall(r'class="hit">(\d+)</span> / <span class="near">(\d+)</span> / <span class="miss">(\d+)', page)
    assert len(totals) == 4  # two runs, two levels
    for i, kind in enumerate(("hit", "near", "miss")):
        assert sum(int(total[i]) for total in totals) == page.count(f'class="verdict {kind}"')


def test_missed_queries_and_hard_songs_come_from_the_per_query_tables(finished):
    board = finished / "results/demo/scoreboard"
    shown, songs = json.loads((board / "heard_misses.json").read_text()), pd.read_csv(board / "hard_songs.csv")
    assert shown["runs"] == [FULL, NONE]
    tables = {run: finished / f"results/demo/scores/{run}/epoch=best/l2.hits.parquet" for run in (FULL, NONE)}
    hits = pd.read_parquet(tables[FULL]).query("length == 1")
    again = answers(tables[FULL], 1, rows_a_song=15)
    assert len(shown["queries"]) == 12 and shown["sets"][0]["missed"] == (~again["exact"]).sum()
    for query in shown["queries"]:
        (number,) = np.flatnonzero(
            (hits["song"].map(lambda p: Path(p).stem) == query["song"]) & (hits["start"] == query["at_s"])
        )
        assert again["exact"].iloc[number] == query["found"]
        assert query["found"] or query["answered"]["score"] == pytest.approx(hits["score1"].iloc[number], abs=1e-4)
    for run, table in tables.items():
        counted = by_song(table, "exact", 5, rows_a_song=15)
        rates = songs[songs["run"] == run].sort_values("song")["long_pct"]
        assert rates.tolist() == pytest.approx([100 * hits / n for hits, n in counted])
    page = (board / "index.html").read_text(encoding="utf-8")
    assert page.count('<article class="missed"') == 12 and 'href="hard_songs.csv"' in page


def test_snakemakes_own_report(finished, tmp_path):
    """Every table, plot and the page, each with a caption, in its category and labelled by its study."""
    done = snakemake(finished, "--report", str(tmp_path / "report.zip"))
    assert done.returncode == 0, done.stdout[-3000:]
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        page = archive.read("report/report.html").decode()
        names = {Path(name).name for name in archive.namelist()}
    results, categories = (
        json.loads(re.search(rf'<script id="{name}">\s*var {name} = (.*);', page)[1])
        for name in ("results", "categories")
    )
    board = finished / "results/demo/scoreboard"
    shown = {path.name for path in board.iterdir() if path.suffix in (".svg", ".html")} | {
        f"{table}.csv" for table in ("table3", "index_types", "song_level", "beyond")
    }
    assert {Path(path).name for path in results} == shown <= names
    assert {name: sum(map(len, parts.values())) for name, parts in categories.items()} == {
        "Page": 1,
        "Tables": 4,
        "Plots": len(shown) - 5,
    }
    for path, result in results.items():
        assert result["caption"], path
        assert (
            set(result["labels"])
            == {".csv": {"study"}, ".html": {"page"}, ".svg": {"study", "figure"}}[Path(path).suffix]
        )
    assert "Hit rate over query length, by batch size" in results["results/demo/scoreboard/table3.csv"]["caption"]


def test_the_scoreboard_of_what_has_finished(finished, tmp_path):
    """A cell and some fingerprints are missing: nothing is computed for them, the rest is shown; when the cell comes back,
    the page is made again."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    cell = folder / f"results/demo/scores/{NONE}/epoch=best/l2.json"
    cell.rename(tmp_path / "aside.json")
    (folder / f"results/demo/fingerprints/{FULL}/epoch=best/test_query.npy").unlink()
    assert planned(folder, "scoreboard") == {"scoreboard": 1}
    done = snakemake(folder, "scoreboard")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 of 5 cells has not run yet." in done.stdout
    table = pd.read_csv(folder / "results/demo/scoreboard/so_far/table3.csv")
    absent = table[(table["source"] == "this run") & (table["state"] == "not run yet")]
    assert absent["row"].nunique() == 3
    assert absent["hit_rate_pct"].isna().all()
    assert not cell.exists()
    heard = json.loads((folder / "results/demo/scoreboard/so_far/heard_misses.json").read_text())
    assert heard["runs"] == [FULL] and heard["queries"]
    assert not (folder / "results/demo/scoreboard/so_far/similarity.svg").exists()
    assert "scoreboard" not in planned(folder, "scoreboard")
    (tmp_path / "aside.json").rename(cell)
    assert planned(folder, "scoreboard") == {"scoreboard": 1}


def test_the_scoreboard_of_a_study_whose_first_cell_lacks_what_it_varies(finished, tmp_path):
    """The data set's own queries state no level of noise, and are there from another study."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    sets = {f"noise_{level}": [{"background": {"snr_db": [level, level]}}] for level in (0, 10)}
    others = dict.fromkeys(("table3", "ablation_augmentation", "ablation_batch", "index_types", "song_level"))
    config = tiny(folder, query_sets=sets, studies={"noise": {"query_set": ["files", *sets]}, **others})
    done = snakemake(folder, "scoreboard", config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    figures = {path.name for path in (folder / "results/demo/scoreboard/so_far").glob("noise.*.svg")}
    assert figures == {"noise.hit_rate.svg", "noise.open_set.svg"}


def test_one_cell_by_its_path(finished):
    other = "aug=tb_bsz=32_dim=16_loss=ntxent_recipe=base_seed=5"  # a run of no study
    jobs = planned(finished, f"results/demo/scores/{other}/epoch=last/ivf.json")
    assert jobs == {"train": 1, "fingerprint": 3, "build_index": 1, "score": 1}


def test_rivals_in_the_same_tables(finished, tmp_path):
    """Exported fingerprints, taken as somebody else's, score as they did; beside them and the run, a method of one's own, which
    is a file and a line in the registry."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    assert snakemake(folder, "export").returncode == 0
    (exchange,) = (folder / "results/demo/exchange").glob("*/epoch=best")
    shutil.copy(ROOT / "tests/support/sign_bits.py", folder / "scripts/nafp/methods/sign_bits.py")
    registry = folder / "scripts/nafp/methods/__init__.py"
    line = re.sub(r"(METHODS: .*) = \{", r'\1 = {"bits": SignBits, ', registry.read_text())
    registry.write_text(line.replace("\nMETHODS", "\nfrom nafp.methods.sign_bits import SignBits\n\nMETHODS", 1))
    runs = [{"aug": "full"}, {"external": "theirs"}, {"method": "bits"}, {"method": "coarse"}]
    study = {"rivals": {"runs": runs, "matches": ["exact", "song", "open set"]}}
    config = tiny(
        folder,
        external={"theirs": str(exchange)},
        methods={"bits": {}, "coarse": {"type": "bits", "bands": 12}},
        studies=yaml.safe_load((folder / "tiny.yaml").read_text())["studies"] | study,
    )
    jobs = planned(folder, config=config)
    assert (jobs.pop("answer"), jobs.pop("import_fingerprints"), jobs.pop("build_index"), jobs.pop("score")) == (
        2,
        3,
        1,
        1,
    )
    drawn = {
        "make_table",
        "plot",
        "plot_learning",
        "plot_misses",
        "hear_misses",
        "plot_scale",
        "plot_beyond",
        "plot_similarity",
    }
    drawn |= {"tabulate_beyond", "build_page"}
    assert jobs.keys() <= drawn  # nothing is trained, fingerprinted or searched again
    done = snakemake(folder, config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    scores = folder / "results/demo/scores"
    files = [
        *(scores / f"{run}/l2.json" for run in (f"{FULL}/epoch=best", "external=theirs/epoch=last")),
        *(scores / f"method={name}/answers.json" for name in ("bits", "coarse")),
    ]
    cells = [json.loads(file.read_text()) for file in files]
    assert cells[0]["hits"] == cells[1]["hits"] and cells[1]["fields"] == {"external": "theirs"}
    assert len({(cell["audio"], str(cell["database"]), cell["queries"]) for cell in cells}) == 1
    assert cells[2]["hits"]["top1_exact"][-1] > cells[2]["queries"] / 2  # of 3 s; a guess finds one in 180
    assert cells[3]["method_options"] == {"type": "bits", "bands": 12}
    table = pd.read_csv(folder / "results/demo/scoreboard/rivals.csv").query("source == 'this run'")
    assert table["method"].drop_duplicates().tolist() == ["nafp", "theirs", "bits", "coarse"]
    bits = table[table["method"] == "bits"]
    assert bits[["N", "d", "index"]].isna().all(axis=None) and bits["p"].notna().sum() == 2 * 3
    page = (folder / "results/demo/scoreboard/index.html").read_text()
    assert check_table(page, "rivals-table", [[file] for file in files], [1, 3, 5], 15, baseline=0) > 40
    compared = snakemake(folder, "fingerprints", "-n", config=config)
    assert "Nothing to be done" in compared.stdout


def test_a_database_in_shards(finished, tmp_path):
    """Splits in several jobs: the same vectors, index, answers and picture; a lost shard is made again alone."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    config = tiny(folder, fingerprint={"shards": {"dummy": 3, "test_db": 2}})
    cell = f"results/demo/scores/{FULL}/epoch=best/ivfpq.json"
    at = folder / f"results/demo/fingerprints/{FULL}/epoch=best"
    before, answers = np.load(at / "dummy.npy"), pd.read_parquet((folder / cell).with_suffix(".hits.parquet"))
    (at / "dummy.npy").unlink()
    done = snakemake(folder, cell, config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    np.testing.assert_array_equal(np.asarray(open_vectors(at / "dummy.json")), before)
    pd.testing.assert_frame_equal(pd.read_parquet((folder / cell).with_suffix(".hits.parquet")), answers)
    (at / "dummy/1-of-3.npy").unlink()
    (folder / cell).unlink()
    jobs = planned(folder, cell, config=config)
    assert jobs == {"fingerprint": 1, "gather_fingerprints": 1, "build_index": 1, "score": 1}
    picture = "results/demo/scoreboard/similarity.svg"
    done = snakemake(folder, picture, config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / picture).read_bytes() == (finished / picture).read_bytes()


def test_generated_distractors_in_place_of_the_dummy_songs(finished, tmp_path):
    """A database of any size, in shards, drawn from a model of the dummy songs: the same songs by the same seed.

    Nothing of them is heard. Fingerprints made elsewhere and methods, which have no such distractors, are left out, with a
    sentence each.
    """
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    at = folder / f"results/demo/fingerprints/{FULL}/epoch=best"
    generated = {"songs": 13, "seconds": 20, "shards": 3}
    studies = yaml.safe_load((folder / "tiny.yaml").read_text())["studies"] | {
        "index_types": {"index": ["l2", "ivfpq-rr-ondisk"]}
    }
    config = tiny(folder, dataset={"name": "demo", "source": "demo", "generated": generated}, studies=studies)
    board = folder / "results/demo/scoreboard"
    table = "results/demo/scoreboard/index_types.csv"
    jobs = planned(folder, table, config=config)
    assert {"generate_distractors": 3, "list_distractors": 1, "gather_fingerprints": 1}.items() <= jobs.items()
    assert not {"train", "fingerprint"} & set(jobs)
    done = snakemake(folder, table, config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    vectors = np.asarray(open_vectors(at / "generated.json"))
    assert vectors.shape == (13 * 39, 16) == (len(np.unique(vectors, axis=0)), 16)
    alike = np.einsum("srd,srd->sr", *(vectors.reshape(13, 39, 16)[:, part] for part in (np.s_[1:], np.s_[:-1]))).mean()
    assert alike > (vectors[::39] @ vectors[::39].T)[np.triu_indices(13, 1)].mean()  # neighbours, and songs
    cell = json.loads((folder / f"results/demo/scores/{FULL}/epoch=best/ivfpq-rr-ondisk.json").read_text())
    assert cell["database"] == {"generated": 13 * 39, "db": 60}
    assert set(pd.read_csv(folder / table)["database_segments"]) == {13 * 39 + 60}
    assert "567 segments, 507 of them drawn from a model of the dummy songs" in (board / "index_types.md").read_text()
    (at / "generated/1-of-3.npy").unlink()
    again = snakemake(folder, str((at / "generated/1-of-3.npy").relative_to(folder)), config=config)
    assert again.returncode == 0, again.stdout[-3000:]
    np.testing.assert_array_equal(np.asarray(open_vectors(at / "generated.json")), vectors)
    heard = board / "heard_misses.json"
    for target in (str(heard.relative_to(folder)), "scoreboard"):
        done = snakemake(folder, target, config=config)
        assert done.returncode == 0, done.stdout[-3000:]
    assert "generated distractors, which have no audio" in json.loads(heard.read_text())["note"]
    assert (board / "so_far/index.html").exists() and not (board / "so_far/misses.svg").exists()
    assert "plot_misses" not in planned(folder, "all", config=config)
    others = ("external=theirs", "method=landmarks")
    runs = {"runs": [{}, *(dict([other.split("=")]) for other in others)]}
    config = tiny(
        folder,
        dataset={"name": "demo", "source": "demo", "generated": generated},
        external={"theirs": "fp"},
        studies={"rivals": runs},
    )
    listed = snakemake(folder, "rivals", "-n", config=config)
    assert listed.returncode == 0, listed.stdout[-3000:]
    for other in others:
        assert listed.stdout.count(f"study rivals: {other} is left out: dataset.generated: distractors are") == 1


def test_the_scale_study(finished):
    assert planned(finished, "scale") == {}
    (table,) = (finished / "results/demo/scores").rglob("l2.scale.csv")
    measured = pd.read_csv(table)
    assert measured["segments"].iloc[-2] == 12 * 15  # 8 dummy and 4 test songs
    cell = json.loads(table.with_name("l2.json").read_text())
    expected = 100 * cell["hits"]["top1_exact"][0] / cell["queries"]
    whole = measured[(measured["length"] == 1) & (measured["segments"] == 180)]
    assert whole["measured"].item() == pytest.approx(expected, abs=1e-3)
    board = finished / "results/demo/scoreboard"
    assert (board / "scale.svg").stat().st_size > 5000
    beyond = pd.read_csv(board / "beyond.csv")
    assert set(beyond["kind"]) == {"prediction"}  # 30 % of 12 songs are too few to check anything
    assert beyond["segments"].round().drop_duplicates().tolist() == [180, *10.0 ** np.arange(5, 11)]
    here = beyond[(beyond["length"] == 1) & (beyond["segments"] == 180)]
    assert here["measured_pct"].tolist() == pytest.approx(
        [expected] * 3, abs=100 / cell["queries"]
    )  # by each method; windows across songs
    assert "| extreme values |" in (board / "beyond.md").read_text()
    assert 'href="#beyond"' in (board / "index.html").read_text()


@pytest.fixture(scope="module")
def identified(finished, tmp_path_factory):
    """A project in which identify has run, its arguments, and what it said: two of the demo's own songs as a library in
    ``songs``, a piece of one in ``recordings``."""
    place = tmp_path_factory.mktemp("identified")
    folder, library, recordings = (place / name for name in ("project", "songs", "recordings"))
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    for path in (library, recordings):
        path.mkdir()
    songs = songs_of(folder)
    for i, path in enumerate(songs[:2]):
        shutil.copy(path, library / f"{i}.wav")
    (library / "broken.flac").write_bytes(b"no music")
    samples, rate = sf.read(songs[1])
    sf.write(recordings / "piece.flac", np.stack([samples, samples], axis=1)[2 * rate : 6 * rate], rate)
    options = ("identify", "--config", f"library={library}", f"queries={recordings}")
    done = snakemake(folder, *options)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder, options, done.stdout


def songs_of(folder: Path) -> list[Path]:
    return sorted((folder / "results/demo/data/corpus/music").rglob("*.wav"))


def test_identify_runs_again_when_its_folders_change(identified):
    """A file that is replaced by an older one, or renamed; not a link to nothing, nor a text."""
    folder, command, _ = identified
    library, songs = folder.parent / "songs", songs_of(folder)
    assert planned(folder, *command) == {}
    (library / "notes.txt").write_text("x")
    (library / ".#notes.txt").symlink_to("nobody@nowhere")
    assert planned(folder, *command) == {}
    time = (library / "0.wav").stat().st_mtime_ns
    shutil.copy(songs[1], library / "0.wav")
    os.utime(library / "0.wav", ns=(time - 10**9, time - 10**9))
    assert planned(folder, *command) == {"identify": 1}
    shutil.copy(songs[0], library / "0.wav")
    os.utime(library / "0.wav", ns=(time, time))
    assert planned(folder, *command) == {}
    (library / "1.wav").rename(library / "other.wav")
    assert planned(folder, *command) == {"identify": 1}
    (library / "other.wav").rename(library / "1.wav")


def test_identify_finds_songs_in_a_folder(identified, tmp_path):
    """A piece of a song and then the same under another name; one more song in the library."""
    folder, options, said = identified
    library, recordings = folder.parent / "songs", folder.parent / "recordings"
    assert "skipped broken.flac" in said
    answers = said.split("recording  ")[-1]  # the last lines
    assert answers.split("\n")[1].startswith("piece.flac")
    assert "1 of 1 recordings recognised" in said[-1000:]
    (table,) = (folder / "results/demo/identify").glob("recordings-*/matches.csv")
    (row,) = pd.read_csv(table).to_dict("records")
    assert (row["query"], row["song"], row["offset_s"]) == ("piece.flac", "1.wav", 2.0)
    assert "Nothing to be done" in snakemake(folder, *options).stdout
    shown = said.split("Job stats")[1].split("total")[0]  # the model that comes with the pipeline
    assert (
        "import_pretrained" in shown
        and "train" not in shown.replace("import_pretrained", "")
        and "calibrate" not in shown
    )
    assert planned(folder, *options, "identify={run: null}")["calibrate"] == 1
    shutil.copy(songs_of(folder)[2], library / "2.wav")
    done = snakemake(folder, *options)
    assert "3 songs" in done.stdout

    (tmp_path / "more").mkdir()
    shutil.copy(recordings / "piece.flac", tmp_path / "more/same.flac")
    shared = f'identify={{library: {{mine: "{library}"}}, min_score: 0.5, min_margin: 0.0}}'
    done = snakemake(folder, "identify", "--config", "library=mine", f"queries={tmp_path / 'more'}", shared)
    assert done.returncode == 0, done.stdout[-3000:]
    assert table.exists()
    (other,) = (folder / "results/demo/identify").glob("more-*/matches.csv")
    assert pd.read_csv(other)["song"].tolist() == ["1.wav"]


def test_identify_looks_at_its_folders_before_anything_is_trained(tmp_path):
    folder = copy_project(tmp_path / "project")
    missing = snakemake(folder, "identify", "-n")
    assert "identify: say what to search: --config library=FOLDER queries=FOLDER" in missing.stdout
    (tmp_path / "empty").mkdir()
    for library, problem in (("/typo", "is not a folder"), (tmp_path / "empty", "has no audio files")):
        done = snakemake(folder, "identify", "-n", "--config", f"library={library}", f"queries={folder}")
        assert done.returncode != 0
        assert f"identify: {library}: {problem}" in done.stdout
        assert "rule train" not in done.stdout


def test_commands_that_run_no_job_need_no_number_of_cores(finished):
    for command in (["--unlock"], ["--list-rules"], ["-n"]):
        done = run_snakemake(finished, *command)
        assert done.returncode == 0, done.stdout


# ---------------------------------------------------------------- interruption


KILLER = """
import os, signal, sys
fsync, saves = os.fsync, []
def counted(descriptor):
    if "nafp.training.train" in sys.modules:
        saves.append(descriptor)
        if len(saves) == 4:  # of weights and a state each epoch
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
    for target in (f"{runs}/epoch=7.safetensors", f"results/demo/scores/{FULL}/epoch=7/l2.json"):
        missing = snakemake(folder, target, "-n")
        assert missing.returncode != 0
        assert (
            "the weights after epoch 7 are not kept, only those of 1, 2; set train.checkpoints.every" in missing.stdout
        )
    kept.rename(kept.with_name("epoch=7.safetensors"))  # as that of a best epoch, which no policy asks for
    assert planned(folder, f"{runs}/epoch=7.safetensors") == {"take_checkpoint": 1}


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"run": {"aug": "ful", "bsz": 16}}, "unknown augmentation 'ful' in run; known: none, t, tb, tbi, full"),
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


def test_an_odd_batch(finished):
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

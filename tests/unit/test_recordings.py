"""Data sets of real recordings: small made-up copies of their layouts, imported, checked and packed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import recordings
import soundfile as sf
import yaml
from denied import deny, drops_out
from recordings import cut, song

from nafp.audio.packing import pack
from nafp.audio.splits import Split
from nafp.audio.wav import read_wav, write_wav
from nafp.config.check import check_config
from nafp.datasets import recordings as recordings_of
from nafp.datasets.layout import SPLITS, TIME_MAP
from nafp.datasets.manifest import make_manifest, read_time_map, with_places
from nafp.datasets.recordings import import_recordings
from nafp.datasets.sources import SOURCES
from nafp.datasets.verification import judge
from nafp.errors import UserError
from nafp.evaluation.asked import Asked
from nafp.evaluation.cell import Cell
from nafp.evaluation.hits import per_query_table
from nafp.search.result import Result

ROOT = Path(__file__).parents[2]
MAKERS = {"sd-rr": recordings.sd_rr, "pex": recordings.pex, "annotated": recordings.annotated}


@pytest.fixture
def described(tmp_path):
    """A function: source -> the config's ``dataset`` for a copy of its layout, with a folder of one distractor."""
    write_wav(tmp_path / "others/x/y.wav", song(77, 5))

    def make(source: str, **options) -> dict:
        folder = MAKERS[source](tmp_path / source)
        base = {"name": "real", "source": source, "folder": str(folder), "distractors": str(tmp_path / "others")}
        return base | ({"annotations": "cross_annotations.csv"} if source == "annotated" else {}) | options

    return make


def imported(dataset: Mapping, root: Path) -> tuple[pd.DataFrame, Split]:
    """The table of an import, and the packed queries after a verification that passed."""
    table = import_recordings(dataset, root, 2)
    manifest, splits = make_manifest(root), SOURCES[dataset["source"]].splits
    assert judge(manifest, root, {}, splits=splits).fatal == []
    clips = manifest[manifest["split"] == "test_query"]
    pack(root, with_places(clips, root), root / "q.npy", root / "q.csv")
    return table, Split.open(root / "q.npy")


def clips(split: Split) -> list[np.ndarray]:
    return [split.audio[one.start : one.start + one.samples] for one in split.clips.itertuples()]


def test_recordings_by_phone(described, tmp_path):
    table, queries = imported(described("sd-rr"), tmp_path / "out")
    assert table.groupby("split").size().to_dict() == {"dummy": 1, "test_db": 2, "test_query": 3}
    assert queries.clips["song_start_s"].tolist() == [3, 7, 11]
    assert queries.clips["song"].tolist() == [f"{SPLITS['test_db']}/{name}.wav" for name in ("002", "002", "003")]
    for got, want in zip(clips(queries), [cut(2, 3, 10), cut(2, 7, 10), cut(3, 11, 10)], strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(read_wav(tmp_path / "out" / SPLITS["test_db"] / "003.wav"), song(3, 30))
    assert (tmp_path / "out" / SPLITS["dummy"] / "distractors/x/y.wav.wav").is_file()


@pytest.mark.parametrize("suffix", ["", ".wav"])
def test_montages(described, tmp_path, suffix):
    """A second is left out at both ends of an annotation, which the last one does not have to spare."""
    dataset = described("pex")
    for song_id in ("005", "006"):
        names = f"{song_id}{suffix},query0001{suffix},"
        replace("annotations.csv", f"{song_id},query0001,", names)(Path(dataset["folder"]))
    table, queries = imported(dataset, tmp_path / "out")
    assert queries.clips["song"].tolist() == [f"{SPLITS['test_db']}/00{number}.wav" for number in (5, 6)]
    assert queries.clips["song_start_s"].isna().all()
    for got, want in zip(clips(queries), [cut(5, 5.5, 10), cut(6, 1.3, 7)], strict=True):
        np.testing.assert_array_equal(got, want)
    (left,) = table[table["problem"].ne("")].to_dict("records")
    assert (left["row"], left["problem"]) == (4, "shorter than 1 s")


def test_annotated_broadcasts(described, tmp_path):
    """The third song is a distractor; an annotation that runs beyond its recording ends with it."""
    dataset = described("annotated", agreement=["unanimity", "majority"])
    del dataset["distractors"]
    table, queries = imported(dataset, tmp_path / "out")
    assert table[table["split"].eq("dummy")]["song"].tolist() == ["ref_0003"]
    assert queries.clips["song"].tolist() == [f"{SPLITS['test_db']}/ref_000{number}.wav" for number in (1, 2)]
    for got, want in zip(clips(queries), [cut(1, 2, 9.75), cut(2, 5.25, 9.75)], strict=True):
        np.testing.assert_array_equal(got, want)
    assert len(imported(described("annotated"), tmp_path / "all")[1].clips) == 3  # whoever agrees


def test_agreement_needs_the_column_that_states_it(described, tmp_path):
    dataset = described("annotated", agreement=["unanimity"])
    replace("cross_annotations.csv", "x_tag", "tag")(Path(dataset["folder"]))
    with pytest.raises(UserError, match="has no column x_tag; .* and x_tag if dataset.agreement says which rows count"):
        import_recordings(dataset, tmp_path / "out", 1)


def test_an_excerpt_behind_the_end_of_its_recording_is_left_out_for_that(described, tmp_path):
    dataset = described("annotated")
    replace("cross_annotations.csv", ",15.25,99,", ",5000,5009,")(Path(dataset["folder"]))
    table = imported(dataset, tmp_path / "out")[0]
    problem = table.set_index("row").at[3, "problem"]
    assert problem == "begins at 5000 s, after the end of the recording (25.0 s)"


def test_a_column_says_where_in_the_song(described, tmp_path):
    dataset = described("annotated")
    table = Path(dataset["folder"]) / "cross_annotations.csv"
    rows = table.read_text().splitlines()
    table.write_text(
        "\n".join(f"{row},{start}" for row, start in zip(rows, ("reference_start", 2, 5.25, 1), strict=True))
    )
    assert imported(dataset, tmp_path / "out")[1].clips["song_start_s"].tolist() == [2, 1, 5.25]


def test_one_bad_file_ends_nothing(described, tmp_path):
    dataset = described("sd-rr")
    (Path(dataset["folder"]) / "references/002.wav").write_bytes(b"<html>404</html>")
    table, queries = imported(dataset, tmp_path / "out")
    assert len(queries.clips) == 1
    assert table[table["problem"].ne("")]["problem"].tolist()[1:] == ["its song was left out"] * 2
    (Path(dataset["folder"]) / "queries/003-q1.wav").write_bytes(b"")
    with pytest.raises(UserError, match="sd-rr: no recording of a song is left .4 were left out: .*002.wav"):
        import_recordings(dataset, tmp_path / "none", 1)


def test_what_is_odd_silent_or_unreadable_is_said(described, tmp_path, monkeypatch):
    dataset = described("annotated")
    folder, others = Path(dataset["folder"]), tmp_path / "others"
    whole = (folder / "queries/query_0001.wav").read_bytes()
    (folder / "queries/query_0001.wav").write_bytes(whole[: len(whole) * 4 // 5])
    inverted = song(5, 8)
    sf.write(others / "inverted.wav", np.stack([inverted, -inverted], axis=1), 8000)
    write_wav(others / "nothing.wav", np.zeros(16000, np.int16))
    for denied in (others / "denied", folder / "references/denied"):
        denied.mkdir()
        deny(monkeypatch, "scandir", denied)
    table, queries = imported(dataset, tmp_path / "out")
    notes = table[table["note"].ne("")].set_index("source")["note"].to_dict()
    assert notes[str(others / "inverted.wav")] == "the channels cancel each other out; the left one was taken"
    assert notes[str(folder / "queries/query_0001.wav")] == "20.0 of 25.0 seconds could be read" and len(notes) == 2
    problems = table[table["problem"].ne("")].set_index("source")["problem"].to_dict()
    reasons = dict.fromkeys(["denied", "references/denied"], "cannot be read (Permission denied)")
    assert problems == {
        str(others / "nothing.wav"): "silent",
        str(others / "denied"): reasons["denied"],
        str(folder / "references/denied"): reasons["references/denied"],
    }
    assert not list((tmp_path / "out").rglob("*nothing*")) and len(queries.clips) == 3


@pytest.mark.parametrize("block", [1, 7, 100, 1000])
def test_excerpts_are_cut_as_blocks_pass(block):
    """Also those that overlap, are in one another, begin or end outside of the recording, or have no end."""
    samples = np.arange(100, dtype=np.int16)
    spans = [(0, 10), (5, 60), (20, 30), (90, np.inf), (95, 300), (100, 110), (60, 60), (0, np.inf)]
    found = dict(recordings_of.cut_spans((samples[at : at + block] for at in range(0, 100, block)), spans))
    assert found.keys() == set(range(len(spans)))
    for number, (begin, end) in enumerate(spans):
        np.testing.assert_array_equal(found[number], samples[begin : int(min(end, 100))])
        assert found[number].base is None  # a view would keep its block in memory


def test_a_disk_that_drops_out_ends_the_import(described, tmp_path, monkeypatch):
    dataset = described("sd-rr")
    broken = Path(dataset["folder"]) / "queries/003-q1.wav"
    monkeypatch.setattr("nafp.audio.open.sounds", drops_out(broken, times=1))
    with pytest.raises(
        UserError, match=r"003-q1.wav: cannot be read \(Input/output error\); run the same command again"
    ):
        import_recordings(dataset, tmp_path / "out", 2)
    assert not (tmp_path / "out" / TIME_MAP).exists()
    table = import_recordings(dataset, tmp_path / "out", 2)
    assert table["problem"].eq("").all()


def test_names_of_any_length_and_script(described, tmp_path):
    """Names of up to 200 bytes stay; longer ones are cut at a letter and get a hash, so that two that begin alike stay two."""
    concerto, sonata = "Пётр Чайковский - Концерт для фортепиано с оркестром", "月光ソナタ" * 16  # 100 and 240 bytes
    dataset = described("annotated")
    for name in (f"{concerto}.wav", f"{sonata}1.wav", f"{sonata}2.wav"):
        write_wav(tmp_path / "others" / name, song(len(name), 5))
    folder = Path(dataset["folder"])
    for old, new in (
        ("references/ref_0001", sonata),
        ("queries/query_0001", concerto * 2 + "!" * 40),
        ("queries/query_0002", "a\\b\n"),
    ):
        path = folder / f"{old}.wav"
        path.rename(path.with_stem(new))
        replace("cross_annotations.csv", f"{path.stem}.wav", f'"{new}.wav"')(folder)
    table, queries = imported(dataset, tmp_path / "out")
    assert table["problem"].eq("").all() and len(queries.clips) == 3
    paths = [Path(path) for path in table["path"]]
    assert f"{SPLITS['dummy']}/distractors/{concerto}.wav.wav" in table["path"].tolist()
    assert (
        max(len(part.encode()) for path in paths for part in path.parts) == 211
    )  # 66 letters of 3 bytes, hash, suffix
    assert len({path for path in paths if path.name.startswith("月光ソナタ" * 13 + "月-")}) == 2 + 1
    assert sorted(path.name for path in paths if path.name.startswith("a")) == ["a_b_-00004.wav"]


def test_names_of_songs_stay_inside_the_data_set(described, tmp_path):
    dataset = described("sd-rr")
    replace("manifest.csv", ",003,", ",../../../../../003,")(Path(dataset["folder"]))
    table, queries = imported(dataset, tmp_path / "deep/out")
    assert len(queries.clips) == 3 and not any(".." in Path(path).parts for path in table["path"])
    assert not list(tmp_path.glob("003*"))


def remove(name):
    return lambda root: (root / name).unlink()


def replace(name, old, new):
    return lambda root: (root / name).write_text((root / name).read_text().replace(old, new))


@pytest.mark.parametrize(
    ("source", "spoil", "says"),
    [
        (
            "sd-rr",
            remove("manifest.csv"),
            r"manifest.csv: is not there; the folder of SD-RR has manifest.csv, references/",
        ),
        ("sd-rr", remove("queries/003-q1.wav"), r"manifest.csv: row 4: .*queries/003-q1.wav is not there"),
        (
            "sd-rr",
            replace("manifest.csv", "begin_seconds", "start"),
            "has no column reference_begin_seconds; the folder",
        ),
        (
            "sd-rr",
            replace("manifest.csv", "11.000", "eleven"),
            "row 4: reference_begin_seconds is 'eleven000', not a number",
        ),
        ("sd-rr", replace("manifest.csv", ",3.000", ",-3.000"), "row 2: reference_begin_seconds is '-3.000000'"),
        (
            "sd-rr",
            lambda root: (root / "manifest.csv").open("a").write("004-q1,004"),
            "manifest.csv: row 5: ends before query_path, reference_path, reference_begin_seconds; the folder of SD-RR",
        ),
        (
            "pex",
            replace("annotations.csv", ",0,12,", ",12,12,"),
            "annotations.csv: row 2: query_begin '12' and query_end '12' are no interval in seconds",
        ),
        (
            "annotated",
            replace("cross_annotations.csv", ",0.0,9.75", ",9.75,0.5"),
            "cross_annotations.csv: row 2: query_start '9.75' and query_end '0.5' are no interval in seconds",
        ),
        (
            "pex",
            remove("annotations.csv"),
            r"annotations.csv: is not there; the folder of one of the toolkit's data sets has",
        ),
        (
            "pex",
            remove("queries/query0001.wav"),
            r"pex/queries: holds no sound files; the folder of one of the toolkit's",
        ),
        (
            "pex",
            replace("annotations.csv", "006,query", "007,query"),
            "annotations.csv: row 3: there is no file '007'; unpack",
        ),
        (
            "pex",
            lambda root: write_wav(root / "references/a/006.wav", song(1, 1)),
            "has the name of .*references/006/006.wav too|00",
        ),
        (
            "annotated",
            replace("cross_annotations.csv", ",query_end", ",until"),
            "has no column query_end; a folder of annotated",
        ),
        (
            "annotated",
            remove("cross_annotations.csv"),
            "cross_annotations.csv: is not there; a folder of annotated recordings",
        ),
    ],
)
def test_a_folder_that_looks_different(described, tmp_path, source, spoil, says):
    dataset = described(source)
    spoil(Path(dataset["folder"]))
    with pytest.raises(UserError, match=says):
        import_recordings(dataset, tmp_path / "out", 1)
    assert not (tmp_path / "out").exists()


def test_without_a_distractor_it_is_said_what_to_name(described, tmp_path):
    dataset = described("pex")
    del dataset["distractors"]
    with pytest.raises(
        UserError, match="there is no song without a recording.*; name a folder of other music: distractors"
    ):
        import_recordings(dataset, tmp_path / "out", 1)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda places: places.iloc[1:], "is not in"),
        (lambda places: places.assign(song="music/x.wav"), "there is no"),
        (lambda places: places.assign(song_start_s=31), "begins at 31 s, after the end of its song"),
        (lambda places: places.assign(song_start_s=-1), "begins at -1 s, before the beginning of its song"),
        (lambda places: places.drop(columns="song"), "cannot be read as a table of query, song and song_start_s"),
        (lambda places: places.assign(query=places["query"].iloc[0]), "cannot be read as a table"),
    ],
)
def test_a_time_map_that_does_not_fit(described, tmp_path, spoil, says):
    root = tmp_path / "out"
    import_recordings(described("sd-rr"), root, 1)
    spoil(pd.read_csv(root / TIME_MAP)).to_csv(root / TIME_MAP, index=False)
    problems = judge(make_manifest(root), root, {}, splits=SOURCES["sd-rr"].splits).fatal
    assert problems and all(says in problem for problem in problems)


SEARCH = {"test_ids": "all", "protocol": "clip", "lengths": [1, 3], "seed": 0}
SONGS = pd.DataFrame({"path": ["a.wav", "b.wav"], "samples": [8000 * 20, 8000 * 10]})  # 39 and 19 segments


def places_of(song: list[str], begin: list, seconds: float = 2.5) -> pd.DataFrame:
    samples = [round(8000 * seconds)] * len(song)
    return pd.DataFrame({"path": ["q"] * len(song), "samples": samples, "song": song, "song_start_s": begin})


def test_the_right_segment_of_a_recording():
    """Clips of 4 segments, two starts each: of the second song from 3 s on, twice of the first one, from 17.8 and 0.25 s on."""
    asked = Asked.of(SONGS, places_of(["b.wav", "a.wav", "a.wav"], [3, 17.8, 0.25]), SEARCH)
    assert asked.starts.tolist() == [0, 1, 4, 5, 8, 9]
    assert asked.right.tolist() == [
        39 + 6,
        39 + 7,
        36,
        37,
        1,
        2,
    ]  # 35.6 and 0.5 segments: the nearest, the later of two
    assert (
        asked.placed and asked.moved["start"].tolist() == [3, 3.5, 17.8, 18.3, 0.25, 0.75] and "rate" not in asked.moved
    )
    late = Asked.of(SONGS, places_of(["b.wav"], [9.9]), SEARCH)
    assert late.right.tolist() == [57, 57]  # never in the next song


def test_of_a_recording_without_a_place_the_right_song_counts():
    asked = Asked.of(SONGS, places_of(["b.wav", "a.wav"], [None, None]), SEARCH)
    assert not asked.placed and asked.right.tolist() == [39, 39, 0, 0]
    song_of_row = np.repeat([0, 1], [39, 19])
    answers = Result(1, np.array([[50], [3], [0], [7]]), np.ones((4, 1)), np.full(4, -1), np.full(4, -np.inf), 1.0)
    how = (asked.starts, asked.right, song_of_row, ["a.wav", "b.wav"], asked.moved, asked.placed)
    table = per_query_table([answers], *how)
    assert table["top1_song"].tolist() == [False] * 4  # one answer: a tie with what is not kept
    two = [np.array([[50, 0], [3, 50], [0, 50], [7, 50]]), np.tile([1.0, 0.5], (4, 1))]
    table = per_query_table([Result(1, *two, np.full(4, -1), np.full(4, -np.inf), 1.0)], *how)
    cell = Cell.count(table, asked.placed, dataset="d", run="r", fields={}, index="", database={"db": 58})
    assert cell.hits == {"top1_song": [3], "open_set": [3]} and cell.mrr is None and cell.offset_ms is None
    assert not table[["top1_exact", "top1_near", "top10_exact"]].any(axis=None)


def test_a_song_that_is_not_there():
    with pytest.raises(UserError, match="c.wav: is none of the test songs, but the table of queries names it"):
        Asked.of(SONGS, places_of(["c.wav"], [0]), SEARCH)


def test_whole_songs_have_no_time_map(tmp_path):
    table = pd.DataFrame({"path": ["a.wav"]})
    assert with_places(table, tmp_path) is table
    with pytest.raises(UserError, match=r"queries.csv: cannot be read"):
        read_time_map(tmp_path)


@pytest.mark.parametrize("source", MAKERS)
def test_the_config_takes_them(described, source):
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"dataset": described(source)}
    check_config(config, ROOT)
    del config["dataset"]["folder"]
    with pytest.raises(UserError, match="dataset: 'folder' is missing"):
        check_config(config, ROOT)


def test_matches_that_ask_for_an_unknown_place_are_refused_before_anything_runs(described):
    """Of query sets made of the songs the place is known; of annotations, their header says whether it is."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"dataset": described("pex")}
    config["query_sets"] = {"moved": [{"time_offset": {"max_s": 0.2}}]}

    def check(**study) -> None:
        check_config(config | {"studies": {"mine": {"pretrained": "nmfp-triplet"} | study}}, ROOT)

    check()
    check(matches=["exact", "song"])
    check(matches=["exact"], query_set="moved", baseline={"query_set": "moved"})
    says = "^study 'mine': exact, near hits are not known, because the source pex does not say .* as matches: song, open set$"
    with pytest.raises(UserError, match=says):
        check(matches=["exact", "near"], query_set=["files", "moved"])
    dataset = config["dataset"] = described("annotated")
    with pytest.raises(UserError, match="because the source annotated does not say"):
        check(matches=["exact", "near"])
    table = Path(dataset["folder"]) / "cross_annotations.csv"
    table.write_text(table.read_text().replace("x_tag", "reference_start"))
    check(matches=["exact", "near"])
    table.unlink()
    check(matches=["exact", "near"])

"""From a source to a verified folder: what is downloaded, kept, compared, and never downloaded twice."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from archives import zipped
from checksumdir import dirhash
from kaggle_server import HANDLE, KEY, USER, Remote, serving
from wavs import data_set, write

from nafp import disk as space
from nafp.audio.wav import write_wav
from nafp.config.check import check_config
from nafp.datasets import download, manifest
from nafp.datasets.digests import Hasher, Journal, digest_files, directory_md5
from nafp.datasets.layout import SPLITS
from nafp.datasets.manifest import changed_files, make_manifest, read_manifest, select_dummies, with_digests
from nafp.datasets.obtain import obtain, record_first, remove_archives, unpack_all
from nafp.datasets.sources import SOURCES, Place, dataset_of, gdrive
from nafp.datasets.verification import (
    OTHER_COPY,
    SHOWN,
    checksum_problems,
    content_problems,
    content_warnings,
    judge,
    late_responses,
    refuse,
    same_audio,
)
from nafp.errors import UserError

ROOT = Path(__file__).parents[2]
KAGGLE = {"source": "kaggle", "handle": HANDLE}


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> bytes:
    """A small data set as Kaggle has it: a zip with a folder in it."""
    root = data_set(tmp_path_factory.mktemp("set") / "neural-audio-fp-dataset", clips=1, seconds=1)
    files = {path.relative_to(root.parent).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return zipped(root.with_name("a.zip"), files).read_bytes()


@pytest.fixture
def remote(archive, monkeypatch):
    from kagglesdk import kaggle_env

    monkeypatch.setattr(download, "WAIT_S", 0.001)
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    with serving(Remote(archive)) as running:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, running.api)
        yield running


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path / "data/mini", tmp_path / "results")


def verified(place: Place, archives: list[dict], keep_archive: bool = False) -> pd.DataFrame:
    """What the rules verify and remove_archive do, without the report."""
    digests = digest_files(place.root, Journal(place.journal))
    whole = with_digests(make_manifest(place.root), digests)
    whole.to_csv(place.root.with_name("new.csv"), index=False)
    record_first(archives, place.root.with_name("new.csv"), place)
    if not keep_archive:
        remove_archives(archives)
    return whole


def test_a_second_run_downloads_nothing(remote, place):
    archives = obtain(KAGGLE, place)
    assert unpack_all(archives, None, place) == len(SPLITS)
    assert place.beside("zip").exists()
    verified(place, archives)
    assert not place.beside("zip").exists()
    remote.served, remote.asked = 0, []
    assert obtain(KAGGLE, place) == archives
    assert unpack_all(archives, None, place) == len(SPLITS)
    assert (remote.served, remote.asked) == (0, [])


def test_the_archive_can_be_kept(remote, place):
    archives = obtain(KAGGLE, place)
    unpack_all(archives, None, place)
    verified(place, archives, keep_archive=True)
    assert place.beside("zip").exists()


def test_a_lost_file_is_brought_back(remote, place):
    archives = obtain(KAGGLE, place)
    unpack_all(archives, None, place)
    verified(place, archives)
    lost = place.root / SPLITS["train"] / "000.wav"
    before = lost.read_bytes()
    lost.unlink()
    again = obtain(KAGGLE, place)
    assert again == archives
    unpack_all(again, None, place)
    assert lost.read_bytes() == before


def test_a_later_download_is_compared_with_the_first(remote, place, archive):
    archives = obtain(KAGGLE, place)
    unpack_all(archives, None, place)
    verified(place, archives)
    shutil.rmtree(place.root)
    remote.content, remote.etag = archive + b"\0", '"2"'
    with pytest.raises(UserError, match="differs from the first verified download .SHA-256 .*if this is a new version"):
        obtain(KAGGLE, place)
    assert place.beside("zip").exists()


@pytest.mark.parametrize("other", [KAGGLE | {"handle": "someone/else"}, {"source": "gdrive", "drive_id": "1-abc"}])
def test_a_verified_folder_is_not_taken_for_another_download(remote, place, other):
    archives = obtain(KAGGLE, place)
    unpack_all(archives, None, place)
    verified(place, archives)
    remote.asked = []
    with pytest.raises(
        UserError, match=f"was verified with other archives .source: kaggle, handle: {HANDLE}, recorded in"
    ):
        obtain(other, place)
    assert remote.asked == []
    place.record.write_text(json.dumps([{name: archives[0][name] for name in ("path", "bytes", "sha256")}]))
    assert obtain(KAGGLE, place)  # a record of an older form


def test_a_verified_folder_is_not_taken_for_another_archive_of_the_user(place, tmp_path, archive, capsys):
    mine, other = tmp_path / "a.zip", tmp_path / "b.zip"
    mine.write_bytes(archive)
    archives = obtain({"source": "local", "archive": str(mine)}, place)
    unpack_all(archives, None, place)
    verified(place, archives)
    moved = str(mine.rename(tmp_path / "moved.zip"))
    assert obtain({"source": "local", "archive": moved}, place)[0]["path"] == moved
    other.write_bytes(archive + bytes(1))
    with pytest.raises(UserError, match=r"b.zip: differs from the first verified archive \([\d,]+ bytes, recorded in"):
        obtain({"source": "local", "archive": str(other)}, place)


def test_a_zip_corrupted_at_its_source_is_refused_and_named(remote, place, archive):
    remote.content = archive[: len(archive) // 2] + b"\xff" * 100 + archive[len(archive) // 2 + 100 :]
    archives = obtain(KAGGLE, place)
    with pytest.raises(UserError, match=r"mini.zip: .* delete the archive and get it again"):
        unpack_all(archives, None, place)


def test_room_for_archive_and_unpacked_and_packed(remote, place, monkeypatch):
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000_000))
    with pytest.raises(UserError, match=r"\(archive, unpacked and packed\) needs 22.40 GB, but only 1.00 GB are free"):
        obtain(KAGGLE | {"unpacked_gb": 11.2}, place)
    assert not place.root.parent.exists() or list(place.root.parent.iterdir()) == []


def test_one_archive_or_a_folder_of_archives(place, tmp_path, archive):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.zip").write_bytes(archive)
    for given in (tmp_path / "mine", tmp_path / "mine/a.zip"):
        archives = obtain({"source": "local", "archive": str(given)}, place)
        assert [fact["path"] for fact in archives] == [str(tmp_path / "mine/a.zip")]
    unpack_all(archives, None, place)
    verified(place, archives)
    assert (tmp_path / "mine/a.zip").exists()  # the user's own


def test_a_corrected_archive_is_unpacked_anew(place, tmp_path, capsys):
    """Of the same paths and sizes; one that only moved is not."""
    mine = zipped(tmp_path / "a.zip", {"music/1.wav": b"wrong", "music/2.wav": b"right"})
    unpack_all(obtain({"source": "local", "archive": str(mine)}, place), None, place)
    moved = mine.rename(tmp_path / "b.zip")
    archives = obtain({"source": "local", "archive": str(moved)}, place)
    unpack_all(archives, None, place)
    assert "2 of 2 files are unpacked already" in capsys.readouterr().out
    zipped(moved, {"music/1.wav": b"fixed", "music/2.wav": b"right"})
    unpack_all(archives, None, place)
    assert (place.root / "music/1.wav").read_bytes() == b"fixed"
    assert "was unpacked from another archive, and is unpacked anew" in capsys.readouterr().out


@pytest.mark.parametrize(
    "files, says",
    [
        (None, "is not there; log in at https://ieee-dataport.org/.* download the tar .443 GB. and put it there"),
        ([], r"holds no archive .\.zip, \.tar, .*; log in at"),
        (["full.tar.crdownload"], "full.tar.crdownload: is an unfinished download"),
    ],
)
def test_what_dataport_lacks_is_said(place, tmp_path, files, says):
    if files is not None:
        (tmp_path / "dataport").mkdir()
        for name in files:
            (tmp_path / "dataport" / name).write_bytes(b"")
    with pytest.raises(UserError, match=says):
        obtain({"source": "dataport", "archive": str(tmp_path / "dataport")}, place)


def test_google_drive(remote, place, monkeypatch):
    """gdown itself, with the address of the local server in place of Google's."""
    options = {"source": "gdrive", "drive_id": "1-abc"}
    monkeypatch.setattr(gdrive, "DRIVE", f"{remote.api}/storage/uc?id=")
    remote.faults = [404]
    with pytest.raises(UserError, match="gdrive 1-abc: cannot be downloaded .*source: local"):
        obtain(options, place)
    archives = obtain(options, place)
    assert unpack_all(archives, None, place) == len(SPLITS)


# ---------------------------------------------------------------- the registry


def test_the_short_form_of_a_data_set_is_a_source():
    assert dataset_of({"dataset": "demo"}) == {"name": "demo", "source": "demo"}
    assert dataset_of({"dataset": {"name": "a"}}) == {"name": "a", "source": "folder", "root": "data/a"}
    for given in ("demo", {"name": "mine", "source": "kaggle", "handle": "a/b", "root": "x"}):
        once = dataset_of({"dataset": given})
        assert dataset_of({"dataset": once}) == once


def test_every_source_brings_its_files_in_one_way():
    """A rule of rules/data.smk makes them, an archive is brought, or they lie there."""
    rules = (ROOT / "rules/data.smk").read_text()
    for name, source in SOURCES.items():
        assert source.maker is None or f"rule {source.maker}:" in rules, name
        assert source.maker is None or source.bring is None, name
        assert set(source.required) <= {*source.options, "root"}, name
        assert source.about, name


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_can_be_configured_with_its_options(name):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    values = {"root": "x", "handle": "a/b", "drive_id": "c", "archive": "d.zip", "folder": "f", "distractors": "o"}
    values["own"] = {"music": "m", "noise": "n", "impulse_responses": "i"}
    given = {option: values[option] for option in SOURCES[name].required}
    check_config(config | {"dataset": {"name": "mine", "source": name, **given}}, ROOT)
    for option in given:
        less = {key: value for key, value in given.items() if key != option}
        with pytest.raises(UserError, match=f"dataset: '{option}' is missing"):
            check_config(config | {"dataset": {"name": "mine", "source": name, **less}}, ROOT)


# ---------------------------------------------------------------- checksums and manifests


def test_the_checksum_of_a_folder_is_checksumdirs(tmp_path):
    root = data_set(tmp_path / "set")
    (root / ".hidden").write_bytes(b"hidden")
    (root / "music/empty.wav").write_bytes(b"")
    assert directory_md5(digest_files(root, Journal(tmp_path / "j.tsv"))) == dirhash(root, "md5")


def test_checksums_are_computed_once(tmp_path, monkeypatch):
    root, journal = data_set(tmp_path / "set"), tmp_path / "j.tsv"
    first = digest_files(root, Journal(journal))
    changed = root / SPLITS["train"] / "000.wav"
    write(changed, seed=9)
    read, digest = [], Hasher.digest
    monkeypatch.setattr(Hasher, "digest", lambda self, root, path: read.append(root / path) or digest(self, root, path))
    second = digest_files(root, Journal(journal))
    assert read == [changed]
    differing = first["sha256"] != second["sha256"]
    assert first.loc[differing, "path"].tolist() == [changed.relative_to(root).as_posix()]


def manifest_of(root: Path, journal: Path) -> pd.DataFrame:
    return with_digests(make_manifest(root), digest_files(root, Journal(journal)))


def test_two_copies_are_compared(tmp_path):
    one, other = data_set(tmp_path / "one"), data_set(tmp_path / "other")
    (one / "README.md").write_text("read me")
    changed, lost = other / SPLITS["train"] / "001.wav", other / SPLITS["dummy"] / "000.wav"
    write(changed, 3.0, seed=77)
    lost.unlink()
    (other / "more.txt").write_text("more")
    for root in (one, other):
        manifest_of(root, root.with_suffix(".tsv")).to_csv(root.with_suffix(".csv"), index=False)
    tables = [read_manifest(tmp_path / f"{name}.csv") for name in ("one", "other")]
    found = changed_files(*tables).set_index("path")["difference"].to_dict()
    assert found == {
        "README.md": "missing",
        f"{SPLITS['train']}/001.wav": "changed",
        f"{SPLITS['dummy']}/000.wav": "missing",
        "more.txt": "added",
    }
    assert changed_files(tables[0], tables[0]).empty
    problems = content_problems(manifest_of(other, tmp_path / "o.tsv"), [tmp_path / "one.csv"])
    assert len(problems) == 3
    script = ROOT / "scripts/compare_manifests.py"
    command = [sys.executable, str(script), str(tmp_path / "one.csv")]
    done = subprocess.run([*command, str(tmp_path / "other.csv")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "1 changed, 2 missing, 1 added" in done.stdout
    wrong = subprocess.run([*command, str(tmp_path / "one.tsv")], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert "is not a manifest" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_published_checksum_is_compared():
    assert checksum_problems("aa", "bb") == ["the MD5 of all files is aa, published is bb"]
    assert checksum_problems("aa", "aa") == checksum_problems("aa", None) == []


def test_counts_and_lengths_are_checked(tmp_path):
    table = make_manifest(data_set(tmp_path))
    expected = {"train": 3, "val_db": 2}
    verdict = judge(table, tmp_path, expected)
    assert [p.split(": ", 1)[1] for p in verdict.fatal] == [f"2 clips, expected 3; {OTHER_COPY}"]
    assert judge(table, tmp_path, {}, 2).fatal == []
    count, length = judge(table, tmp_path, {}, "10k_30s").fatal
    assert count.endswith(": 2 clips, expected 10,000")
    assert "2 songs are not 30 s long, but dummy is 10k_30s, " in length
    assert length.endswith(f"'dummy: 10000' takes as many in the length that they have; {OTHER_COPY}")


def test_another_copy_than_was_published_is_good_enough_if_one_says_so(tmp_path):
    """With other counts; a bad file is none the less refused, and a split without files, too."""
    root = data_set(tmp_path)
    verdict = judge(make_manifest(root), root, {"train": 3}, 100, as_published=False)
    assert verdict.fatal == []
    assert [p.split(": ", 1)[1] for p in verdict.warnings] == ["2 clips, expected 3", "2 clips, expected 100"]
    assert len(verdict.manifest) == len(make_manifest(root))
    write(root / SPLITS["dummy"] / "001.wav", channels=2)
    shutil.rmtree(root / SPLITS["train"])
    bad, empty = judge(make_manifest(root), root, {"train": 3}, 100, as_published=False).fatal
    assert "2 channels" in bad
    assert "no WAV files (split 'train')" in empty


def test_what_is_not_fatal_is_left_out(tmp_path):
    root = data_set(tmp_path)
    write(root / SPLITS["train"] / "001.wav", channels=2)
    verdict = judge(make_manifest(root), root, {"train": 2}, strict=False)
    assert verdict.fatal == []
    assert len(verdict.warnings) == 1
    assert "2 channels" in verdict.warnings[0]
    assert (verdict.manifest["split"] == "train").sum() == 1
    write(root / SPLITS["test_query"] / "001.wav", 3.0, subtype="PCM_24")
    (problem,) = judge(make_manifest(root), root, {}, strict=False).fatal  # a hole among the queries
    assert "PCM_24" in problem


def test_the_first_dummies_are_taken(tmp_path):
    table = make_manifest(data_set(tmp_path, clips=4, seconds=1))
    for dummy, count in (("all", 4), (3, 3), (9, 4), ("10k_30s", 4)):
        assert (select_dummies(table, dummy)["split"] == "dummy").sum() == count
    assert len(select_dummies(table, 1)) == len(table) - 3
    first = select_dummies(table, 1).query("split == 'dummy'")["path"].item()
    assert first.endswith("000.wav")


def test_a_song_in_two_splits_is_reported(tmp_path):
    root = data_set(tmp_path / "set")
    shutil.copy(root / SPLITS["train"] / "000.wav", root / SPLITS["test_db"] / "000.wav")
    (warning,) = same_audio(manifest_of(root, tmp_path / "j.tsv"))
    assert warning.endswith(f"{SPLITS['train']}/000.wav, {SPLITS['test_db']}/000.wav")


def test_responses_that_begin_late_are_named(tmp_path):
    root = data_set(tmp_path / "set")
    assert late_responses(make_manifest(root), root) == []
    click = np.zeros(4000, np.int16)
    click[2000:] = 3000 * np.exp(-np.arange(2000) / 300)
    write_wav(root / SPLITS["ir_test"] / "room/late.wav", click)
    write_wav(root / SPLITS["ir_train"] / "room/early.wav", click[1601:])  # 50 ms
    write_wav(root / SPLITS["bg_train"] / "noise.wav", np.pad(click, (0, 4000)))
    (warning,) = content_warnings(manifest_of(root, tmp_path / "j.tsv"), root)
    assert warning.startswith("the direct sound of 1 of ")
    assert warning.endswith(f": {SPLITS['ir_test']}/room/late.wav (250 ms)")


def test_many_problems_are_all_in_a_file(tmp_path):
    problems = [f"problem {i}" for i in range(SHOWN + 5)]
    with pytest.raises(UserError, match="35 problem.s.(.|\n)*and 5 more: all are in .*problems.txt"):
        refuse(problems, Path("data"), tmp_path / "problems.txt")
    assert (tmp_path / "problems.txt").read_text().splitlines() == problems
    refuse([], Path("data"), tmp_path / "problems.txt")
    assert not (tmp_path / "problems.txt").exists()


def test_records_are_plain(remote, place):
    archives = obtain(KAGGLE, place)
    unpack_all(archives, None, place)
    whole = verified(place, archives)
    assert json.loads(place.record.read_text()) == archives
    assert set(archives[0]) == {"path", "bytes", "sha256", "source", "handle"}
    assert {"path", "bytes", "seconds", "sha256"} <= set(whole.columns)
    assert (whole["sha256"].str.len() == 64).all()
    assert manifest.read_manifest(place.manifest)["bytes"].gt(0).all()

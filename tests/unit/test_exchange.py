"""Fingerprints in the original code's format: there and back, and what is wrong with a folder."""

import numpy as np
import pytest

from nafp.audio.segments import count_segments
from nafp.errors import UserError
from nafp.search.exchange import export_vectors, import_vectors
from nafp.search.external import EXCHANGED


@pytest.fixture
def exported(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((700, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(tmp_path / "dummy.npy", vectors)
    export_vectors(tmp_path / "dummy.npy", tmp_path / "out", "dummy")
    return tmp_path


def test_there_and_back(exported, monkeypatch):
    monkeypatch.setattr("nafp.search.exchange.CHUNK_ROWS", 300)
    raw = np.fromfile(exported / "out/dummy_db.mm", "<f4").reshape(np.load(exported / "out/dummy_db_shape.npy"))
    np.testing.assert_array_equal(raw, np.load(exported / "dummy.npy"))
    import_vectors(exported / "out", "dummy", exported / "again.npy")
    assert (exported / "again.npy").read_bytes() == (exported / "dummy.npy").read_bytes()


def test_a_folder_that_is_not_complete(exported):
    with pytest.raises(UserError, match="query.mm: not found"):
        import_vectors(exported / "out", "test_query", exported / "again.npy")
    with open(exported / "out/dummy_db.mm", "ab") as file:
        file.write(bytes(32))
    with pytest.raises(UserError, match="holds 22432 bytes, but 700 x 8 float32 need 22400; if an evaluation has app"):
        import_vectors(exported / "out", "dummy", exported / "again.npy")
    assert not (exported / "again.npy").exists()


def test_vectors_that_are_no_fingerprints(exported):
    raw = np.fromfile(exported / "out/dummy_db.mm", "<f4")
    raw[8:16] = np.nan
    raw.tofile(exported / "out/dummy_db.mm")
    with pytest.raises(UserError, match="out/dummy_db.mm: row 1 has length nan"):
        import_vectors(exported / "out", "dummy", exported / "again.npy")
    assert not (exported / "again.npy").exists()


@pytest.mark.parametrize("split, part", EXCHANGED.items())
@pytest.mark.parametrize("clips", [[5.0] * 77, [5.0] * 79, [350.0]])
def test_fingerprints_of_other_clips(tmp_path, split, part, clips):
    """700 rows are 77 clips of 5 s (9 segments) and one of 4 s (7): each other set of clips is refused, by the user's file."""
    vectors = np.random.default_rng(0).standard_normal((700, 8)).astype(np.float32)
    np.save(tmp_path / "own.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    export_vectors(tmp_path / "own.npy", tmp_path / "out", split)
    import_vectors(tmp_path / "out", split, tmp_path / "again.npy", samples=np.array([40_000] * 77 + [32_000]))
    samples = (np.array(clips) * 8000).astype(int)
    segments = int(count_segments(samples).sum())
    says = f"out/{part}.mm: has 700 fingerprints, but the .* have {segments} segments"
    with pytest.raises(UserError, match=says):
        import_vectors(tmp_path / "out", split, tmp_path / "other.npy", samples=samples)
    assert not (tmp_path / "other.npy").exists()


@pytest.mark.parametrize(
    "shape, says",
    [
        ([-1, 8], r"dummy_db_shape.npy: holds \[-1, 8\], not the rows and dimensions of dummy_db.mm"),
        ([0, 8], r"holds \[0, 8\]"),
        ([5600], r"holds \[5600\]"),
        ([100, 7, 8], r"holds \[100, 7, 8\]"),
        ([700.5, 8], r"holds \[700.5, 8.0\]"),
        (700, r"holds 700,"),
        ([[700, 8]], r"holds \[\[700, 8\]\]"),
        (["700", "8"], "is not an array of two numbers"),
        ([350, 8], "22400 bytes, but 350 x 8 float32 need 11200; it seems to hold float64, save float32"),
        ([1400, 8], "22400 bytes, but 1400 x 8 float32 need 44800; it seems to hold float16, save float32"),
    ],
)
def test_a_shape_that_is_none(exported, shape, says):
    np.save(exported / "out/dummy_db_shape.npy", np.array(shape))
    with pytest.raises(UserError, match=says):
        import_vectors(exported / "out", "dummy", exported / "again.npy")


def test_a_shape_file_that_is_no_array(exported):
    """It is the user's own file: nobody is told to delete it, as a damaged result may be."""
    file = exported / "out/dummy_db_shape.npy"
    for content in (file.read_bytes()[:40], b"700 x 8", b""):
        file.write_bytes(content)
        with pytest.raises(UserError, match="dummy_db_shape.npy: is not an array of two numbers .*; make it again"):
            import_vectors(exported / "out", "dummy", exported / "again.npy")

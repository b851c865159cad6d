"""Fingerprints in the published code's format: there and back, and what is wrong with a folder."""

import numpy as np
import pytest

from nafp.errors import UserError
from nafp.search.exchange import export_vectors, import_vectors


@pytest.fixture
def exported(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((700, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(tmp_path / "dummy.npy", vectors)
    export_vectors(tmp_path / "dummy.npy", tmp_path / "out", "dummy")
    return tmp_path


def test_there_and_back(exported, monkeypatch):
    monkeypatch.setattr("nafp.search.exchange.ROWS", 300)
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
    with pytest.raises(UserError, match="row 1 has length nan"):
        import_vectors(exported / "out", "dummy", exported / "again.npy")
    assert not (exported / "again.npy").exists()

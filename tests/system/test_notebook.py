"""The notebook of docs/: its code cells, run in order, find the song, wherever they are run."""

from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs/find-a-song.ipynb"


@pytest.fixture
def cells() -> list:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    return notebook.cells


def test_the_notebook_finds_the_song(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    names: dict = {}
    for cell in cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, NOTEBOOK.name, "exec"), names)
    best = names["found"].iloc[0]
    assert (best["song"], best["offset_s"]) == ("second", 12)
    assert len(names["figure"].axes) == 3
    assert names["library"]["first"].shape == (59, 128)
    assert not any(tmp_path.iterdir())


def test_the_notebook_is_stored_without_outputs(cells):
    assert [cell.outputs for cell in cells if cell.cell_type == "code"] == [[]] * 6

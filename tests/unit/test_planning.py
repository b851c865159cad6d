"""What planning knows without NumPy and pandas is what the jobs know with them."""

import numpy as np
import pandas as pd
import pytest

from nafp.audio.clips import read_clips
from nafp.audio.segments import count_segments, segments_of
from nafp.evaluation.starts import choose_starts, possible_starts
from nafp.npy import read_npy
from nafp.training.checks import count_items, most_items

LENGTHS = [8000, 100, 12_000, 240_000, 239_999, 16_001]


def test_segments_of_one_clip_and_of_many():
    assert [segments_of(samples) for samples in LENGTHS] == count_segments(LENGTHS).tolist()


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", ">i4", "float64", "float16", "bool"])
@pytest.mark.parametrize("shape", [(2,), (2, 3), (0,), ()])
def test_small_arrays_are_read_without_numpy(tmp_path, dtype, shape):
    array = (np.arange(np.prod(shape, dtype=int)) + 1).reshape(shape).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    found = read_npy(tmp_path / "a.npy")
    assert (found.numbers, found.shape, found.dtype) == (array.ravel().tolist(), shape, array.dtype.name)
    assert found.tolist() == array.tolist()


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no array at all"),
        lambda path: np.save(path, np.array(["a", "b"])),
        lambda path: np.save(path, np.array([{}]), allow_pickle=True),
        lambda path: (np.save(path, np.arange(9)), path.write_bytes(path.read_bytes()[:-8])),
    ],
)
def test_what_is_no_array_of_numbers(tmp_path, write):
    write(tmp_path / "a.npy")
    with pytest.raises(ValueError):
        read_npy(tmp_path / "a.npy")


def test_a_clip_table(tmp_path):
    table = pd.DataFrame({"path": ["a, b.wav", 'c".wav'], "start": [0, 9], "samples": [9, 4]})
    table.to_csv(tmp_path / "t.csv", index=False)
    assert read_clips(tmp_path / "t.csv") == {name: table[name].tolist() for name in ("path", "samples")}


@pytest.mark.parametrize("protocol", ["clip", "release"])
def test_starts_are_drawn_from_the_possible_ones(protocol):
    possible = list(possible_starts(LENGTHS, 3, protocol, [1, 3]))
    assert choose_starts(LENGTHS, "all", protocol, [1, 3]).tolist() == possible
    assert set(choose_starts(LENGTHS, 3, protocol, [1, 3], seed=5)) <= set(possible)


@pytest.mark.parametrize("one_per_clip", [False, True])
def test_the_most_items_of_a_fraction(one_per_clip):
    """Exact where it does not matter which clips are taken."""
    for samples, fraction in ((LENGTHS, 1.0), ([24_000] * 10, 0.3)):
        items = count_items(samples, fraction, one_per_clip)
        assert most_items(samples, fraction, one_per_clip) == items
    assert most_items(LENGTHS, 0.4, one_per_clip) >= count_items(LENGTHS, 0.4, one_per_clip)

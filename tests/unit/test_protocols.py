"""Protocols: where sequences start, and what may answer them; NMFP's against answers of its authors' code."""

import numpy as np
import pytest
from indexes import vectors
from recipes import needs_parity, reference

from nafp.audio.songs import songs_of_rows
from nafp.evaluation.protocol import PROTOCOLS
from nafp.evaluation.starts import allowed_starts
from nafp.search.index import build_index, read_index
from nafp.search.sequences import inside_a_song, search_sequences
from nafp.search.vectors import Database

SECONDS = {59: 30, 8: 4.5, 3: 2}  # segments of a clip of so many seconds


def samples(*segments: int) -> np.ndarray:
    return np.array([4000 * (count + 1) for count in segments])


def searched(tmp_path, database: np.ndarray, query: np.ndarray, starts, lengths, songs: np.ndarray | None) -> list:
    whole = Database(database[:0], database)
    build_index("l2", {}, whole, tmp_path / "l2")
    index = read_index("l2", {}, tmp_path / "l2", whole)
    return search_sequences(index, whole, query, np.asarray(starts), lengths, progress=False, songs=songs)


def test_where_sequences_start():
    clips = samples(20, 3, 8)
    assert list(allowed_starts(clips, "clip", [1, 8])) == [*range(13), 23]
    assert list(allowed_starts(clips, "release", [1, 8])) == list(range(31))
    assert list(allowed_starts(clips, "nmfp", [1, 8])) == [0, 7, 23]
    assert list(allowed_starts(clips, "nmfp", [1, 3])) == [0, 7, 14, 20, 23]
    assert len(list(allowed_starts(samples(59), "nmfp", [1, 19]))) == 6


def test_which_windows_lie_inside_a_song():
    songs = songs_of_rows(samples(3, 2))
    places = np.array([[-1, 0, 1, 2, 3, 4, 5]])
    assert inside_a_song(places, 2, songs).tolist() == [[False, True, True, False, True, False, False]]
    assert inside_a_song(places, 1, songs).tolist() == [[False, True, True, True, True, True, False]]


def test_an_answer_lies_inside_one_song(tmp_path):
    """The end of one song and the beginning of the next sound like the query; only without the rule they answer it."""
    database = vectors(0, 12)
    query, songs = database[4:8], np.repeat([0, 1], 6)
    for rule, best in ((None, 4), (songs, [0, 1, 2, 6, 7, 8])):
        (found,) = searched(tmp_path, database, query, [0], [4], rule)
        assert found.place[0, 0] in np.atleast_1d(best)


def test_every_protocol_is_one_of_the_config():
    assert set(PROTOCOLS) == {"clip", "release", "nmfp"}


@needs_parity
def test_answers_of_nmfp(tmp_path):
    """All of its 775 answers, without the two faults at the borders (`nafp.evaluation.protocol`), in float64."""
    vectors = reference("nmfp_eval")
    lengths, tracks = vectors["lengths"].tolist(), np.diff(vectors["db_track_start"])
    counts = np.diff(vectors["query_start"])
    clips = samples(*counts)
    starts = np.array(allowed_starts(clips, "nmfp", lengths))
    queries = np.repeat(np.arange(len(counts)), counts)[starts]
    assert queries.tolist() == vectors["seq_query"].tolist()
    assert (starts - vectors["query_start"][queries]).tolist() == vectors["seq_start"].tolist()
    songs = np.repeat(np.arange(len(tracks)), tracks)
    found = searched(tmp_path, vectors["db"], vectors["query"], starts, lengths, songs)
    places = np.stack([one.place[:, 0] for one in found], axis=1)
    track = songs[places]
    start = places - vectors["db_track_start"][track]
    other = (track != vectors["no_quirk_pred_track"]) | (start != vectors["no_quirk_pred_start_segment"])
    copies = np.isin(track, (5, 7)) & np.isin(vectors["no_quirk_pred_track"], (5, 7))  # track 7 is a copy of 5
    assert not (other & ~copies).any()
    assert other.sum() <= vectors["exact_tie"].sum()
    theirs = [vectors[f"no_quirk_{name}"] != vectors[name] for name in ("pred_track", "pred_start_segment")]
    copies = np.isin(vectors["pred_track"], (5, 7)) & np.isin(vectors["no_quirk_pred_track"], (5, 7))
    assert (np.logical_or(*theirs) & ~copies).sum() == 62  # with the two faults, as docs/evaluation.md says


@pytest.mark.parametrize("segments", SECONDS)
def test_segments_of_seconds(segments):
    assert samples(segments)[0] == SECONDS[segments] * 8000

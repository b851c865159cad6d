"""Which songs are hard: hits of each song, and the song that its queries are taken for."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nafp.audio.segments import sequence_seconds
from nafp.evaluation.metrics import METRICS

COLUMNS = ["song", "length", "truth", "place1"]


def song_numbers(hits: pd.DataFrame, songs: np.ndarray, names: Sequence[str], match: str) -> pd.DataFrame:
    """A row a song, by its name: song, queries (of each length), short_s, short_pct, long_s, long_pct, taken_for, times.

    ``hits``: per-query table. ``songs``: (rows,) song of each row of the database; ``names``: (songs,) theirs. The rates are
    those of ``match`` at the shortest and the longest query, percent. ``taken_for``: the other song that most of the shortest
    queries are answered with, the first of the database if several are, empty if none is; ``times``: how many queries that are.
    """
    column, lengths = METRICS[match].column, (hits["length"].min(), hits["length"].max())
    short, long = (hits[hits["length"] == length] for length in lengths)
    by_song = short.groupby("song", observed=True)[column]
    table = pd.DataFrame(
        {"queries": by_song.size(), "short_s": sequence_seconds(lengths[0]), "short_pct": 100 * by_song.mean()}
    )
    table["long_s"] = sequence_seconds(lengths[1])
    table["long_pct"] = 100 * long.groupby("song", observed=True)[column].mean()
    answered = short[short["place1"] >= 0]
    pairs = pd.DataFrame({"song": answered["song"], "rival": songs[answered["place1"]]})
    pairs = pairs[pairs["rival"].to_numpy() != songs[answered["truth"]]]
    counted = pairs.groupby(["song", "rival"], observed=True).size().rename("times").reset_index()
    counted = counted.sort_values(["times", "rival"], ascending=[False, True]).drop_duplicates("song").set_index("song")
    rivals = {song: names[rival] for song, rival in counted["rival"].items()}
    table["taken_for"] = [rivals.get(song, "") for song in table.index]
    table["times"] = counted["times"].reindex(table.index).fillna(0).astype(int)
    return table.rename_axis("song").reset_index().astype({"song": str})


def hardest_first(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Run -> ``song_numbers`` -> one table with a column run, songs in the order of the first run's rates, the lowest first."""
    ranked = next(iter(tables.values())).sort_values(["short_pct", "long_pct", "song"], kind="stable")["song"].tolist()
    found = pd.concat([table.assign(run=run) for run, table in tables.items()], ignore_index=True)
    order = found["song"].map({song: number for number, song in enumerate(ranked)})
    return found.iloc[np.argsort(order.to_numpy(), kind="stable")].reset_index(drop=True)

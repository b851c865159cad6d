"""How a search is asked and what it may answer, by name: a row of PROTOCOLS each. Planning reads this file."""

from dataclasses import dataclass

from nafp.errors import UserError
from nafp.search.external import OURS, Grid


@dataclass(frozen=True)
class Protocol:
    """``within_clip``: the longest sequence lies inside its query clip, so that all lengths have the same starts. ``every``: a
    sequence starts at each n-th segment of a clip. ``within_song``: an answer lies inside one song. ``partial_mean``: a
    score is the mean over what lies inside the database (`nafp.search.sequences`). ``near_across_songs``: the row beside the
    right one is near in another song too.
    """

    within_clip: bool = True
    every: int = 1
    within_song: bool = False
    partial_mean: bool = False
    near_across_songs: bool = False


PROTOCOLS = {
    "clip": Protocol(),
    # the original NAFP evaluation: sequences run across clips, and the last ones are cut short
    "release": Protocol(within_clip=False, partial_mean=True, near_across_songs=True),
    # the NMFP evaluation (arXiv 2506.22661), but for two faults at its borders: it never answers the last song of a database, nor
    # the window that ends where its song ends
    "nmfp": Protocol(every=7, within_song=True),
}


def check_protocol(grid: Grid, protocol: str) -> None:
    """Refuse a protocol whose sequences run across clips, which has no meaning in seconds."""
    if grid != OURS and not PROTOCOLS[protocol].within_clip:
        raise UserError(
            f"search.protocol: {protocol} counts segments of 1 s, every 0.5 s, and does not go with fingerprints of {grid}; "
            "use clip"
        )

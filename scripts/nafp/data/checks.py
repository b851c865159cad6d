"""What a data set cannot give: known from the config and from names of files, without PyTorch."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from nafp.errors import UserError

SHARES = {"val": 0.1, "test": 0.1, "dummy": 0.3}  # usual shares of one folder's songs; the rest is for training


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse shares, laid over the usual ones, that leave no songs to train on."""
    total = sum((SHARES | dict(shares)).values())
    if total > 1 - 1e-9:
        raise UserError(
            f"dataset.own.shares: validation, test and dummy songs are {100 * total:.0f} % of all, nothing is left to train on"
        )


def kinds_of(paths: Iterable[str]) -> list[str]:
    """Paths of sounds -> their kinds: the names of the folders that they lie in (room, mic)."""
    return [path.split("/")[-2] for path in paths]


def check_kinds(wanted: Collection[str] | None, present: Collection[str]) -> None:
    """Refuse kinds of impulse responses of which there is none."""
    if not set(wanted or present) & set(present):
        raise UserError(
            f"no impulse responses of kind {', '.join(wanted or ['any'])}; there are: {', '.join(sorted(set(present)))}"
        )


def check_present(clips: int, where: Path | str, split: str) -> None:
    """Refuse a split without any clip."""
    if not clips:
        raise UserError(f"{where}: no WAV files, but a chain of the config needs them (split {split!r})")

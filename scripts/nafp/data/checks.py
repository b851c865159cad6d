"""What a data set lacks that a chain needs: known before sounds are packed, without PyTorch."""

from collections.abc import Collection, Iterable
from pathlib import Path

from nafp.errors import UserError


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

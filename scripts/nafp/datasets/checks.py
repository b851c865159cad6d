"""Checks of data sets by the config and the names of files, without PyTorch."""

from collections.abc import Mapping
from pathlib import Path

from nafp.errors import UserError
from nafp.walk import files_below, is_audio

OWN_ROLES = ("music", "noise", "impulse_responses", "speech")  # folders of one's own data set
Folders = str | Mapping[str, str]  # one folder, or part -> folder
SHARES = {"val": 0.1, "test": 0.1, "dummy": 0.3}  # usual shares of one folder's songs; the rest is for training


def folders_of(folders: Folders) -> list[tuple[str, Path]]:
    """The folders of a role of one's own data set, as (part, folder); part is '' where songs are divided by shares."""
    return [(part, Path(name)) for part, name in ({"": folders} if isinstance(folders, str) else folders).items()]


def check_folders(own: Mapping) -> None:
    """Refuse folders of ``dataset.own`` that are not there, or that hold no audio files."""
    for role in OWN_ROLES:
        given: dict[Path, str] = {}
        for part, folder in folders_of(own.get(role) or {}):
            where = f"dataset.own.{role}.{part}" if part else f"dataset.own.{role}"
            if given.setdefault(folder.resolve(), where) != where:
                raise UserError(f"{where}: {folder} is the folder of {given[folder.resolve()]} too; give another one")
            if not folder.is_dir():
                raise UserError(f"{where}: {folder} is not a folder")
            if not files_below(folder, is_audio):
                raise UserError(f"{where}: {folder} holds no audio files; give another folder, or put some there")


def check_distractors(dataset: Mapping) -> None:
    """Refuse a folder of distractors that is not there, or that holds no audio files."""
    folder = dataset.get("distractors")
    if folder and not files_below(folder, is_audio):
        raise UserError(f"distractors: {folder} holds no audio files; give another folder, or put some there")


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse shares, laid over the usual ones, that leave no songs to train on."""
    total = sum((SHARES | dict(shares)).values())
    if total > 1 - 1e-9:
        raise UserError(
            f"dataset.own.shares: validation, test and dummy songs are {100 * total:.0f} % of all, nothing is left to train on"
        )


def check_present(clips: int, where: Path | str, split: str) -> None:
    """Refuse a split without any clip."""
    if not clips:
        raise UserError(f"{where}: no WAV files, but a chain of the config needs them (split {split!r})")

"""Kinds of impulse responses, by the folders that they lie in."""

from collections.abc import Collection, Iterable

from nafp.errors import UserError

RESPONSE_KINDS = ("room", "mic")  # folders of impulse responses that a step can choose


def kinds_of(paths: Iterable[str]) -> list[str]:
    """Paths of sounds -> their kinds: the names of the folders that they lie in (room, mic)."""
    return [path.split("/")[-2] for path in paths]


def check_kinds(wanted: Collection[str] | None, present: Collection[str]) -> None:
    """Refuse kinds of impulse responses of which there is none."""
    if not set(wanted or present) & set(present):
        raise UserError(
            f"no impulse responses of kind {', '.join(wanted or ['any'])}; there are: {', '.join(sorted(set(present)))}"
        )

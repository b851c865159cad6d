"""Kinds of impulse responses, by their folders."""

from collections.abc import Collection, Iterable

from nafp.errors import UserError

RESPONSE_KINDS = ("room", "mic")  # kinds that an augmentation step can choose


def kinds_of(paths: Iterable[str]) -> list[str]:
    """Paths of sounds -> their kinds: the names of their parent folders (room, mic)."""
    return [path.split("/")[-2] for path in paths]


def check_kinds(wanted: Collection[str] | None, present: Collection[str]) -> None:
    """Refuse kinds without any impulse response."""
    if not set(wanted or present) & set(present):
        raise UserError(
            f"no impulse responses of kind {', '.join(wanted or ['any'])}; there are: {', '.join(sorted(set(present)))}"
        )

"""The interface of methods: songs and queries in, ranked answers out. `nafp.evaluation` judges them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from nafp.audio.songs import Songs
    from nafp.methods.answers import Answers, Queries


FILES = "files"  # the query set that the data set brings


class Method:
    """A kind of method, by which runs are named.

    ``axis``: the field that studies name it by, none for trained runs. ``fields``: of its runs, in the order of their names.
    ``searched``: whether it makes fingerprints, which an index searches: a cell for each index type. ``trained``: whether the
    workflow trains it. ``network``: whether its runs have weights here. ``epoch``: of its fingerprints, if not the config's.
    """

    axis: ClassVar[str | None] = None
    fields: ClassVar[tuple[str, ...]]
    searched: ClassVar[bool] = False
    trained: ClassVar[bool] = False
    network: ClassVar[bool] = False
    epoch: ClassVar[str | None] = None

    @classmethod
    def parse(cls, run: str) -> dict | None:
        """The fields of a run by its name, numbers of trained runs as int; None if it is of another kind."""
        match = re.fullmatch("_".join(f"{field}=(?P<{field}>.+?)" for field in cls.fields), run)
        if not match:
            return None
        return {
            name: int(value) if cls.trained and value.isdecimal() else value
            for name, value in match.groupdict().items()
        }


@dataclass(frozen=True)
class Answering(Method, ABC):
    """A method that answers by itself, without an index. A subclass is a dataclass of its options (`nafp.options.option`).

    ``environment``: of envs/, with what its job imports; ``inputs``: files that its answers depend on. ``timed``: whether the
    time that its job takes is that of the method.
    """

    axis = "method"
    fields = ("method",)
    environment: ClassVar[str] = "search"
    timed: ClassVar[bool] = True

    @property
    def inputs(self) -> list[str]:
        return []

    def check(self) -> None:
        """Raise UserError, while jobs are planned, if the method cannot work with these options."""

    def lacks(self) -> str:
        """What this machine lacks of what the method's ``environment`` has, in a sentence that says how to get it; empty if
        nothing. Studies then do without the method, unless its jobs bring their environment with them.
        """
        return ""

    @abstractmethod
    def build(self, songs: Songs, threads: int) -> Built:
        """Take in the songs to be searched; what this takes is measured."""


class Built(Protocol):
    """A method that knows the songs. ``size_bytes``: of what it keeps of them; None if that is not known."""

    size_bytes: int | None

    def answer(self, queries: Queries, length: int) -> Answers:
        """Answers to the queries of one length, in segments; what this takes is measured."""

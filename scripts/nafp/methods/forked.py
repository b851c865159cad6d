"""Work of a method that is plain Python, in several processes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

_work: Callable = range  # what a process of a pool does; each has its own


def in_processes(function: Callable[[int], Any], count: int, processes: int) -> Iterator[Any]:
    """The function's values for 0, ..., count - 1, in order, computed by so many processes.

    The processes are forked, so they share what the function refers to, a large table say, without a copy.
    """
    if processes == 1:
        yield from map(function, range(count))
        return
    with ProcessPoolExecutor(processes, get_context("fork"), _adopt, (function,)) as pool:
        yield from pool.map(_call, range(count), chunksize=8)


def _adopt(function: Callable) -> None:
    global _work
    _work = function


def _call(number: int) -> object:
    return _work(number)

"""Memory that this process may use: the machine's, or what the limits of its job leave of it (SLURM's --mem, a container)."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
# control groups, version 2 and 1: folder of their tree, names of its files, prefix in memory.stat of what descendants add up to
VERSION_2 = ("sys/fs/cgroup", "memory.max", "memory.current", "")
VERSION_1 = ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def total_memory(root: Path = ROOT) -> int:
    """Bytes of memory that this process may use if nothing else does."""
    return min([os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE, *(limit for limit, _ in limits(root))])


def free_memory(root: Path = ROOT) -> int:
    """Bytes of memory that this process can still take, by the system's estimate and below every limit; Linux only."""
    lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    return min([available, *(max(limit - used, 0) for limit, used in limits(root))])


def limits(root: Path = ROOT) -> Iterator[tuple[int, int]]:
    """(limit, bytes used without cached files) of each control group that this process is in, and of those around them."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return  # no Linux
    for _, controllers, path in (line.split(":", 2) for line in groups):
        if controllers and "memory" not in controllers.split(","):
            continue
        tree, limit, used, prefix = VERSION_1 if controllers else VERSION_2
        top = root / tree
        inner = top / path.lstrip("/")
        for group in (inner, *(outer for outer in inner.parents if outer.is_relative_to(top))):
            try:
                most = (group / limit).read_text(encoding="ascii").strip()
                if most != "max":
                    yield int(most), int((group / used).read_text(encoding="ascii")) - cached_files(group, prefix)
            except OSError:
                continue  # the outermost has no limit, and a container does not see those around it


def cached_files(group: Path, prefix: str) -> int:
    """Bytes of files that a control group keeps in memory, which are dropped where memory is needed."""
    lines = (line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
    return sum(int(size) for name, size in lines if name in (f"{prefix}active_file", f"{prefix}inactive_file"))

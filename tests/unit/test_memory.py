"""Memory of a process by made-up trees of /proc and /sys."""

from pathlib import Path

import pytest

from nafp.memory import free_memory, total_memory

GB = 10**9
MEMINFO = "MemTotal: 64000000 kB\nMemFree: 1000 kB\nMemAvailable: 40000000 kB\n"
JOB = "system.slice/slurmstepd.scope/job_7"


def tree(root: Path, cgroup: str, files: dict[str, object]) -> Path:
    """A root folder whose process is in the groups of ``cgroup``; ``files``: path below sys/fs/cgroup -> content."""
    everything = {f"sys/fs/cgroup/{path}": content for path, content in files.items()}
    for path, content in {"proc/meminfo": MEMINFO, "proc/self/cgroup": cgroup, **everything}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(str(content))
    return root


def group(path: str, limit: object, used: int, stat: str = "") -> dict[str, object]:
    """A group of version 2."""
    return {f"{path}/memory.max": limit, f"{path}/memory.current": used, f"{path}/memory.stat": stat}


def test_without_a_limit_the_machine_counts(tmp_path):
    found = tree(tmp_path, "0::/user.slice", group("user.slice", "max", 3 * GB))
    assert free_memory(found) == 40_000_000 * 1024
    assert total_memory(found) == total_memory(tmp_path / "nowhere") > 0


def test_the_least_of_all_groups_around_the_process_counts(tmp_path):
    """As SLURM has them: a limit of the job, none of its step; with files that are cached and can be dropped."""
    step, stat = f"{JOB}/step_batch/user/task_0", "anon 1\ninactive_file 1500000000\nactive_file 500000000\nshmem 9"
    files = group(step, "max", GB) | group(JOB, 8 * GB, 7 * GB, stat) | group("system.slice", 30 * GB, 9 * GB)
    found = tree(tmp_path, f"0::/{step}", files)
    assert free_memory(found) == 8 * GB - (7 - 2) * GB
    assert total_memory(found) <= 8 * GB


@pytest.mark.parametrize("stat, free", [("total_inactive_file 1000000000\ninactive_file 5", 2 * GB), ("", GB)])
def test_version_1(tmp_path, stat, free):
    """Its hierarchies are listed one by one; without a limit it says a number that no machine has."""
    files = {
        "memory/slurm/memory.limit_in_bytes": 9223372036854771712,
        "memory/slurm/memory.usage_in_bytes": 5 * GB,
        "memory/slurm/memory.stat": "",
        "memory/slurm/job_7/memory.limit_in_bytes": 4 * GB,
        "memory/slurm/job_7/memory.usage_in_bytes": 3 * GB,
        "memory/slurm/job_7/memory.stat": stat,
    }
    found = tree(tmp_path, "9:cpu,cpuacct:/\n8:memory:/slurm/job_7\n1:name=systemd:/user.slice\n0::/user.slice", files)
    assert free_memory(found) == free


def test_a_container_sees_its_own_group_at_the_top(tmp_path):
    """Whatever path it has outside of it; used up, nothing is free."""
    found = tree(tmp_path, "0::/docker/0123", group("", 2 * GB, 2 * GB + 4096))
    assert free_memory(found) == 0


def test_here():
    assert 0 <= free_memory() <= total_memory()

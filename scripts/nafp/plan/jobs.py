"""How many jobs a target has, rule by rule: as Snakemake itself plans it."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from nafp.errors import UserError

_REASON = re.compile(r"WorkflowError[^\n]*:\n\s*([^\n]+)")  # what follows the place of an error
_COUNT = re.compile(r"^(\w+) +(\d+)$", re.MULTILINE)


def jobs_by_rule(root: Path, target: str, configfiles: Sequence[Path]) -> dict[str, int]:
    """Rule -> number of jobs if nothing was there yet, of ``snakemake -n --forceall`` in the checkout ``root``.

    Raises UserError with what Snakemake said if it cannot plan the target, or is not installed.
    """
    command = [sys.executable, "-m", "snakemake", "-n", "--forceall", "--nolock", "--quiet", "rules", "--cores", "1"]
    configs = ["--configfile", *(str(file.resolve()) for file in configfiles)] if configfiles else []
    done = subprocess.run([*command, *configs, "--", target], cwd=root, capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode or "Job stats:" not in said:
        reason = _REASON.search(said)
        raise UserError(reason[1] if reason else (said.strip().splitlines() or ["it said nothing"])[-1])
    counts = {rule: int(jobs) for rule, jobs in _COUNT.findall(said.split("Job stats:")[-1])}
    counts.pop("total")
    return counts

"""Draw the graph of the rules that make the demo's scoreboard, as Snakemake plans them, in docs/rule-graph.md.

python docs/rulegraph.py
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/rule-graph.md"
TARGETS = ["all", "export", "augmented"]  # the last two are not part of the scoreboard
NAMES = {"all", "augmented"}  # targets without a command, which are not drawn
BLOCK = re.compile(r"```mermaid\n.*?```", flags=re.DOTALL)


def edges(mermaid: str) -> list[tuple[str, str]]:
    """(rule, the rule that needs it) of Snakemake's drawing, sorted; its order and colours differ from call to call."""
    names = dict(re.findall(r"^\s*(id\d+)\[(.+)\]$", mermaid, flags=re.MULTILINE))
    return sorted((names[a], names[b]) for a, b in re.findall(r"^\s*(id\d+) --> (id\d+)$", mermaid, flags=re.MULTILINE))


def planned_graph(project: Path = ROOT) -> list[tuple[str, str]]:
    """The edges of the plan of ``TARGETS``, from and to rules that do something."""
    command = [sys.executable, "-m", "snakemake", *TARGETS, "--rulegraph", "mermaid-js"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return [edge for edge in edges(done.stdout) if not NAMES & set(edge)]


def drawing(graph: list[tuple[str, str]]) -> str:
    """The edges as a block of Mermaid."""
    lines = [f"    {rule} --> {user}" for rule, user in graph]
    return "\n".join(["```mermaid", "flowchart TB", *lines, "```"])


def written_graph() -> list[tuple[str, str]]:
    """The edges that the page shows."""
    return sorted(re.findall(r"^\s*(\w+) --> (\w+)$", BLOCK.search(PAGE.read_text())[0], flags=re.MULTILINE))


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda _: drawing(planned_graph()), PAGE.read_text()))

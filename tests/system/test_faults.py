"""Some cases of tests/support/faults.py, which tries every rule with every fault."""

import os
import re

import pytest
from faults import JOBS, UNTRIED, Outcome, sentence, try_case
from workflow import ROOT


@pytest.mark.parametrize(
    "rule, fault, says",
    [
        ("make_table", "power cut", "nothing (exit status -9)"),
        ("build_index", "SIGKILL", "died with <Signals.SIGKILL: 9>"),
        ("score", "corrupt input", "cannot be read, it is damaged or missing; delete "),
        pytest.param(
            *("pack", "disk full", "GB are free there"),
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a small tmpfs"),
        ),
    ],
)
def test_a_fault_leaves_nothing_and_is_mended_by_a_rerun(finished, tmp_path, rule, fault, says):
    outcome = try_case(finished, rule, fault, tmp_path)
    assert says in outcome.said
    left = "nothing" if fault != "power cut" else outcome.left  # Snakemake knows that it is incomplete
    assert outcome == Outcome(outcome.said, left, "the same")


def test_the_sentence_a_user_reads():
    assert sentence("x\nerror: y: is z\nRuleException", 1) == "y: is z"
    assert sentence("a\nCommand ... died with <Signals.SIGTERM: 15>.", 1) == "died with <Signals.SIGTERM: 15>"


def test_every_rule_is_tried_or_it_is_said_why_not():
    files = [path for path in (ROOT / "rules").glob("*.smk") if path.name != "targets.smk"]
    rules = {name for path in files for name in re.findall(r"^ *rule (\w+):", path.read_text(), flags=re.MULTILINE)}
    assert rules == JOBS.keys() | UNTRIED.keys()
    page = (ROOT / "benchmarks/faults.md").read_text()
    assert [rule for rule in JOBS if f"| {rule} |" not in page and f"`{rule}`" not in page] == []
    assert all(f"Not tried: `{rule}`, which {why}." in page for rule, why in UNTRIED.items())

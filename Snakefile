# Neural Audio Fingerprint (arXiv 2010.11910), reproduced as one workflow.
#
#   results/{dataset}/data/                                     the data set, checked and packed
#   results/{dataset}/runs/{run}/                               a model; {run} is aug=full_bsz=120_dim=64_... or pretrained=NAME
#   results/{dataset}/identify/                                 fingerprints of your songs, answers to your recordings
#   results/{dataset}/fingerprints/{run}/epoch={epoch}/         fingerprints of test_db, test_query and dummy
#   results/{dataset}/indexes/{run}/epoch={epoch}/{index}/  an index, and what it cost in {index}.json
#   results/{dataset}/scores/{run}/epoch={epoch}/{index}.json   one cell: a run searched with an index type
#       .../epoch={epoch}/queries={query_set}/{index}.json      the same for other queries than the data set's own
#   results/{dataset}/scoreboard/                               tables and plots a study; index.html shows all
#   results/{dataset}/scoreboard/so_far/                        the same of what has finished: snakemake scoreboard
from pathlib import Path

from snakemake.utils import min_version

min_version("9.21.1")


configfile: f"{workflow.basedir}/config.yaml"


report: "report/workflow.rst"


if config.get("container"):

    container: config["container"]


include: "rules/common.smk"
include: "rules/checks.smk"
include: "rules/jobs_data.smk"
include: "rules/jobs_runs.smk"
include: "rules/jobs_search.smk"
include: "rules/jobs_identify.smk"
include: "rules/boards.smk"
include: "rules/jobs_misses.smk"
include: "rules/targets.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/fingerprint.smk"
include: "rules/search.smk"
include: "rules/figures.smk"
include: "rules/scoreboard.smk"
include: "rules/identify.smk"
include: "rules/ship.smk"


rule all:
    """The scoreboard page and all that it needs."""
    input:
        board_files(),
    localrule: True


if IS_MAIN:  # a workflow that takes this one as a module has targets of its own

    include: "rules/unknown.smk"


FORMER = summaries() if IS_MAIN and workflow.is_main_process else {}  # from before this run, which says nothing of them


onsuccess:
    written = dict(summaries().items() - FORMER.items())
    if summary := max(written, key=written.get, default=None):
        print(f"\n{summary.read_text(encoding='utf-8')}")

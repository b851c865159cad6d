"""Delete the archive that was downloaded, or keep it."""

import json
from pathlib import Path

from nafp.console import tee_to_log
from nafp.datasets.obtain import remove_archives

with tee_to_log(snakemake.log[0]):
    archives = json.loads(Path(snakemake.input.archives).read_text(encoding="utf-8"))
    removed = [] if snakemake.params.keep else [str(path) for path in remove_archives(archives)]
    Path(snakemake.output.removed).write_text(json.dumps(removed, indent=2) + "\n", encoding="utf-8")

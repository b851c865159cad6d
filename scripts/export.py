"""Write fingerprints in the original code's format."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.search.checks import EXCHANGED
from nafp.search.exchange import export_vectors

with tee_to_log(snakemake.log[0]):
    for split in EXCHANGED:
        export_vectors(snakemake.input[split], Path(snakemake.output.db).parent, split)

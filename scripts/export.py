"""Write fingerprints in the original code's format."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.search.exchange import export_vectors
from nafp.search.external import EXCHANGED

with tee_to_log(snakemake.log[0]):
    for split in EXCHANGED:
        export_vectors(snakemake.input[split], Path(snakemake.output.db).parent, split)

"""Write fingerprints in the published code's format."""

from pathlib import Path

from nafp.console import logged
from nafp.search.checks import EXCHANGED
from nafp.search.exchange import export_vectors

with logged(snakemake.log[0]):
    for split in EXCHANGED:
        export_vectors(snakemake.input[split], Path(snakemake.output.db).parent, split)

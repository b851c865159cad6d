"""Take fingerprints made elsewhere."""

from nafp.console import logged
from nafp.search.exchange import import_vectors

with logged(snakemake.log[0]):
    import_vectors(snakemake.params.folder, snakemake.wildcards.split, snakemake.output[0])

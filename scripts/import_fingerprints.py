"""Take fingerprints made elsewhere."""

import pandas as pd

from nafp.console import tee_to_log
from nafp.search.exchange import import_vectors

with tee_to_log(snakemake.log[0]):
    samples = pd.read_csv(snakemake.input.clips)["samples"].to_numpy()
    import_vectors(snakemake.params.folder, snakemake.wildcards.split, snakemake.output.vectors, samples)

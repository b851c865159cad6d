"""Take fingerprints made elsewhere."""

import pandas as pd

from nafp.console import tee_to_log
from nafp.search.exchange import import_vectors
from nafp.search.external import Exchanged

with tee_to_log(snakemake.log[0]):
    samples = pd.read_csv(snakemake.input.clips)["samples"].to_numpy()
    theirs = Exchanged.of(snakemake.params.theirs)
    import_vectors(theirs, snakemake.wildcards.split, snakemake.output.vectors, samples)

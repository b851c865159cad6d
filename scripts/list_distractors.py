"""List the generated distractors."""

import pandas as pd

from nafp.console import tee_to_log

with tee_to_log(snakemake.log[0]):
    songs = [f"generated/{number}" for number in range(snakemake.params.songs)]
    pd.DataFrame({"path": songs, "samples": snakemake.params.samples}).to_csv(snakemake.output.clips, index=False)

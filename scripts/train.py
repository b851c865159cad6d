"""Train one run."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.training import job

with tee_to_log(snakemake.log[0]):
    named = {name: str(path) for name, path in snakemake.input.items()}
    job.run(
        {
            "name": snakemake.wildcards.run,
            "settings": snakemake.params.settings,
            "splits": {name: path for name, path in named.items() if name != "init_from"},
            "code": [str(Path(snakemake.scriptdir, module)) for module in snakemake.params.modules],
            "outputs": {name: str(path) for name, path in snakemake.output.items()},
            "threads": snakemake.threads,
        },
        max(snakemake.resources.gpu, 1),  # no parameter: it changes last bits at most, so nothing is trained again
    )

"""Let a method answer, and score one cell."""

import numpy as np

from nafp.audio.splits import Split
from nafp.console import tee_to_log
from nafp.errors import UserError
from nafp.evaluation.answered import ask
from nafp.evaluation.asked import Asked
from nafp.evaluation.cell import Cell
from nafp.evaluation.hits import per_query_table
from nafp.evaluation.identity import digest_of_audio, name_of_ids
from nafp.evaluation.protocol import PROTOCOLS
from nafp.jobfacts import device_name, job_facts
from nafp.methods import method_of
from nafp.methods.answers import Queries, Songs
from nafp.methods.interface import FILES
from nafp.secrets import without_secrets

with tee_to_log(snakemake.log[0]):
    inputs, params, search = snakemake.input, snakemake.params, snakemake.params.search
    songs, query = Songs(Split.open(inputs.dummy), Split.open(inputs.db)), Split.open(inputs.query)
    asked = Asked.of(songs.db.clips, query.clips, search)
    songs_of_rows, truth = np.repeat(np.arange(len(songs)), songs.segments), asked.right + len(songs.dummy.segments)
    method = method_of(snakemake.wildcards.name, params.method)
    if lack := method.lacks():  # planning let it pass, because its cell is there
        raise UserError(f"methods.{snakemake.wildcards.name}: {lack}; the cell that is there is out of date")
    queries = Queries(query, asked.starts, params.queries.get("query_set", FILES))
    answered = ask(method, songs, queries, search["lengths"], truth, snakemake.threads)
    how_asked = asked.moved, asked.placed, PROTOCOLS[search["protocol"]].near_across_songs
    table = per_query_table(answered.placed, asked.starts, truth, songs_of_rows, songs.names, *how_asked)
    cell = Cell.count(
        table,
        asked.placed,
        dataset=params.dataset,
        run=f"method={snakemake.wildcards.name}",
        fields={"method": snakemake.wildcards.name},
        **params.queries,
        index="",
        method_options=without_secrets(params.method),
        protocol=search["protocol"],
        test_ids=name_of_ids(search["test_ids"]),
        audio=digest_of_audio([path.removesuffix(".npy") + ".csv" for path in (inputs.dummy, inputs.db, inputs.query)]),
        database={"dummy": len(songs.dummy.segments), "db": len(songs.db.segments)},
        ms_per_query=[round(placed.ms, 4) for placed in answered.placed] if method.timed else None,
        provenance={"search": job_facts(device_name(None), snakemake.threads)},
        build_s=round(answered.build_s, 3) if method.timed else None,
        index_bytes=answered.size_bytes,
        unanswered=[int((placed.place[:, 0] < 0).sum()) for placed in answered.placed],
    )
    cell.write(snakemake.output.cell, table)
    print(cell.summary())

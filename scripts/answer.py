"""Let a method answer, and score one cell."""

from nafp.audio.songs import Songs
from nafp.audio.splits import Split
from nafp.console import tee_to_log
from nafp.errors import UserError
from nafp.evaluation.answered import ask
from nafp.evaluation.question import Question
from nafp.jobfacts import device_name, job_facts
from nafp.methods import method_of
from nafp.methods.answers import Queries
from nafp.methods.interface import FILES
from nafp.secrets import without_secrets

with tee_to_log(snakemake.log[0]):
    inputs, params, name = snakemake.input, snakemake.params, snakemake.wildcards.name
    songs, query = Songs(Split.open(inputs.dummy), Split.open(inputs.db)), Split.open(inputs.query)
    question = Question(songs.dummy.clips, songs.db.clips, query.clips, params.search)
    method = method_of(name, params.method)
    if lack := method.lacks():  # planning let it pass, because its cell is there
        raise UserError(f"methods.{name}: {lack}; the cell that is there is out of date")
    queries = Queries(query, question.asked.starts, params.queries.get("query_set", FILES))
    answered = ask(method, songs, queries, params.search["lengths"], question.truth, snakemake.threads)
    cell, table = question.cell(
        answered.placed,
        dataset=params.dataset,
        run=f"method={name}",
        fields={"method": name},
        index="",
        method_options=without_secrets(params.method),
        provenance={"search": job_facts(device_name(None), snakemake.threads)},
        **params.queries,
        **answered.facts(method.timed),
    )
    cell.write(snakemake.output.cell, table)
    print(cell.summary())

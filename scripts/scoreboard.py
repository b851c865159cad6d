"""Write the scoreboard of whatever has finished."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.report.board import write_board
from nafp.report.page.sound_demo import Demo, write_demo

with tee_to_log(snakemake.log[0]):
    params, folder = snakemake.params, Path(snakemake.output.board)
    folder.mkdir(parents=True, exist_ok=True)
    listening = folder / "listening.json"
    write_demo(Demo(**params.demo), listening, snakemake.threads)
    write_board(params.board, folder, listening, snakemake.threads)

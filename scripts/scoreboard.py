"""Write the scoreboard of whatever has finished."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.report.board import write_board
from nafp.report.misses.replay import Replay, write_misses
from nafp.report.page.sound_demo import Demo, write_demo

with tee_to_log(snakemake.log[0]):
    params, folder = snakemake.params, Path(snakemake.output.board)
    folder.mkdir(parents=True, exist_ok=True)
    listening = folder / "listening.json"
    write_demo(Demo(**params.demo), listening, snakemake.threads)
    misses = folder / "heard_misses.json"
    write_misses(Replay(**params.misses), misses, folder / "hard_songs.csv", snakemake.threads)
    write_board(params.board, folder, listening, snakemake.threads, misses)

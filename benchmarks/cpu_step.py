"""A training step on a CPU beside the original's, in turns in one run: how many anchors a second, and how many times as many.

PYTHONPATH=scripts python benchmarks/cpu_step.py --original ENV/bin/python [--steps 8] [--threads N] >> benchmarks/cpu_step.md

ENV: an environment with TensorFlow (benchmarks/original_step.py says how); without --original only our own ways are compared.
Our step includes the data: cutting, augmentation chain, log-mel images and masks. The original's is given its images.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from nafp import compute
from nafp.model.encoders.separable import Separable
from train import IMAGE, MODELS, machine, noise, peak_flops, trainer

OURS = {"float32, eager": "eager", "float32": "layers", "bfloat16, eager": "eager", "bfloat16": "layers"}


def our_steps(model: str, batch: int, device: torch.device) -> dict[str, Callable[[], float]]:
    """Way -> a function that does a step and returns its seconds."""
    splits = {"train": noise(200, 30), "bg": noise(50, 6), "ir": noise(60, 1, "room")}
    steps = {}
    for way, backend in OURS.items():
        made = trainer(model, batch, way.split(",")[0], False, device, splits)
        made.network.encoder.backend = backend
        chosen = made.batches.order(0)[0]

        def step(made=made, chosen=chosen) -> float:
            made.step, started = 0, time.perf_counter()
            made.train_step(chosen)
            return time.perf_counter() - started

        steps[way] = step
    return steps


def original_step(python: Path, model: str, batch: int, threads: int) -> Callable[[], float]:
    """The same of the original, in a process of its own."""
    command = [python, Path(__file__).with_name("original_step.py"), MODELS[model]["width"], batch, threads]
    keras = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer() -> float:
        line = keras.stdout.readline()
        if not line:
            sys.exit(f"{python}: no answer; is TensorFlow there?")
        return float(line)

    answer()

    def step() -> float:
        keras.stdin.write("\n")
        keras.stdin.flush()
        return answer()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--original", type=Path, help="Python of an environment with TensorFlow")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--bsz", type=int, default=120)
    options = parser.parse_args()
    device = compute.set_up(options.threads, gpu=False)
    print(f"\n## {machine(device, options.threads)}\n")
    peaks = {precision: peak_flops(precision, 3, device) for precision in ("float32", "bfloat16")}
    print("Matrix product: " + ", ".join(f"{name} {peak / 1e9:,.0f} GFLOP/s" for name, peak in peaks.items()) + "\n")
    rows = []
    for model in options.models:
        steps = our_steps(model, options.bsz, device)
        if options.original:
            steps = {"original": original_step(options.original, model, options.bsz, options.threads)} | steps
        turns = [{way: step() for way, step in steps.items()} for _ in range(options.steps + 1)][1:]
        seconds = {way: statistics.median(turn[way] for turn in turns) for way in steps}
        flops = 3 * options.bsz * Separable(MODELS[model]["width"]).flops(IMAGE)
        for way in steps:
            row = {
                "model": model,
                "step": way,
                "seconds": f"{seconds[way]:.3f}",
                "fastest": f"{min(t[way] for t in turns):.3f}",
            }
            row["anchors/s"] = f"{options.bsz / 2 / seconds[way]:,.1f}"
            if options.original:
                ratios = sorted(turn["original"] / turn[way] for turn in turns)
                row["times the original"] = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            row["of the roofline"] = (
                f"{flops / seconds[way] / peaks['bfloat16' if 'bfloat16' in way else 'float32']:.0%}"
            )
            rows.append(row)
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()

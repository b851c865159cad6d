"""How fast training is, and how fast this machine lets it be: one table.

PYTHONPATH=scripts python benchmarks/train.py [--seconds 5] [--threads N] [--only full] [--record] >> benchmarks/train.md

Rows are a model, a batch size N and a precision. Columns are anchors/s of the data alone (cut, chain, log-mel, masks), of
the forward pass, of forward and backward, and of the whole step with the optimizer. The roofline is the whole step's
arithmetic (three forward passes) at the rate of this machine's own large matrix product in the same precision. The peak of
memory on a CPU is that of the process so far. --record writes the whole steps in float32 to rates.json, which nafp plan reads.
"""

import argparse
import contextlib
import datetime
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from nafp import compute
from nafp.audio.splits import Split
from nafp.compute import PRECISIONS
from nafp.jobfacts import processor
from nafp.model.encoders.separable import Separable
from nafp.plan.rates import TrainingSpeed, write_speeds
from nafp.training.batches import generator_for
from nafp.training.gradients import backward
from nafp.training.settings import Settings
from nafp.training.trainer import Trainer

FULL_CHAIN = [
    {"time_offset": {}},
    {"background": {}},
    {"impulse_response": {}},
    {"peak_normalize": {}},
    {"cutout": {}},
    {"frequency_mask": {}},
]
IMAGE = 256, 32  # mels and frames of the paper's segments
MODELS = {"full": {"width": 128, "dim": 128}, "width 32": {"width": 32, "dim": 128}, "demo": {"width": 16, "dim": 64}}


def noise(clips: int, seconds: float, folder: str = "x") -> Split:
    """A packed split of noise."""
    samples = int(8000 * seconds)
    audio = np.random.default_rng(0).normal(0, 3000, clips * samples).astype(np.int16)
    table = {
        "path": [f"{folder}/{i}.wav" for i in range(clips)],
        "start": samples * np.arange(clips),
        "samples": samples,
    }
    return Split(audio, pd.DataFrame(table))


def trainer(model: str, bsz: int, precision: str, compiled: bool, device: torch.device, splits: dict) -> Trainer:
    """A run of the full chain, ready to train."""
    settings = Settings(
        features={},
        model={"variant": "release", "width": MODELS[model]["width"]},
        chain=FULL_CHAIN,
        bsz=bsz,
        dim=MODELS[model]["dim"],
        loss="ntxent",
        loss_options={},
        seed=0,
        epochs=1,
        learning_rate=1e-4,
        schedule={"name": "constant"},
        optimizer={"name": "adam"},
        precision=precision,
        compile=compiled,
        micro_batch_size="auto",
    )
    made = Trainer(settings, splits, device)
    with contextlib.redirect_stdout(sys.stderr):
        made.choose_micro_batch()
    return made


def seconds_of(work: Callable[[], object], budget: float, device: torch.device) -> float:
    """Median time of one call, over as many calls as the budget allows, three at least, after one to warm up."""
    times, started = [], time.perf_counter()
    while len(times) < 4 or time.perf_counter() - started < budget:
        before = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - before)
    return statistics.median(times[1:])


def peak_flops(precision: str, budget: float, device: torch.device, n: int | None = None) -> float:
    """Floating-point operations per second of a product of (n, n) matrices."""
    n = n or (16384 if device.type == "cuda" else 4096)
    a = torch.randn(n, n, device=device, dtype=PRECISIONS[precision])
    return 2 * n**3 / seconds_of(lambda: a @ a, budget, device)


def measure(
    model: str, bsz: int, precision: str, peak: float, options: argparse.Namespace, device: torch.device
) -> dict:
    """One row of the table."""
    splits = {"train": noise(200, 30), "bg": noise(50, 6), "ir": noise(60, 1, "room")}
    t = trainer(model, bsz, precision, options.compile, device, splits)
    anchors, order = bsz // 2, t.batches.order(0)
    images = t.batches.images(t.plan(order[0]))

    def forward() -> None:
        with torch.no_grad():
            for part in images.split(t.micro_batch_size or bsz):
                t.embed(part)

    def forward_and_backward() -> None:
        t.optimizer.zero_grad(set_to_none=True)
        backward(t.embed, images, t.loss_of, t.micro_batch_size)

    def step() -> None:
        t.step = 0
        t.train_step(order[0])

    work = {
        "data": lambda: t.batches.images(t.batches.plan(order[0], generator_for(0, 0, 0))),
        "forward": forward,
        "forward + backward": forward_and_backward,
        "whole step": step,
    }
    found = {name: anchors / seconds_of(call, options.seconds, device) for name, call in work.items()}
    flops = (
        2 * 3 * Separable(MODELS[model]["width"]).flops(IMAGE)
    )  # anchor and replica, forward and twice that backward
    roofline = peak / flops
    if device.type == "cuda":
        memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f} (GPU)"
    else:
        memory = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f}"
    return {
        "model": model,
        "N": bsz,
        "precision": precision + (", compiled" if options.compile else ""),
        "micro-batch": t.micro_batch_size or "whole",
        **{name: f"{speed:,.1f}" for name, speed in found.items()},
        "roofline": f"{roofline:,.0f}",
        "of it": f"{found['whole step'] / roofline:.0%}",
        "data share": f"{found['whole step'] / found['data']:.0%}",
        "peak GiB": memory,
    }


def machine(device: torch.device, threads: int) -> str:
    """What it ran on."""
    gpu = f", {torch.cuda.get_device_name()}" if device.type == "cuda" else ", no GPU"
    return f"{datetime.date.today()}, {processor()}, {threads} of {os.cpu_count()} CPUs{gpu}, torch {torch.__version__}"


def speeds_of(rows: list[dict], device: torch.device, threads: int) -> list[TrainingSpeed]:
    """What ``nafp plan`` reads of the table: whole steps in float32, of whole batches."""
    facts = {"device": "gpu", "cores": 1} if device.type == "cuda" else {"device": "cpu", "cores": threads}
    return [
        TrainingSpeed(
            model=row["model"],
            flops=Separable(MODELS[row["model"]]["width"]).flops(IMAGE),
            batch=row["N"],
            **facts,
            anchors_per_s=float(row["whole step"].replace(",", "")),
            source="benchmarks/train.md",
            machine=machine(device, threads),
        )
        for row in rows
        if (row["precision"], row["micro-batch"]) == ("float32", "whole")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5, help="for each measurement")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=MODELS, help="one model")
    parser.add_argument("--bsz", type=int, nargs="+", default=[120, 640], help="batch sizes")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--record", action="store_true", help="write rates.json, in place of this device's rates")
    options = parser.parse_args()
    device = compute.set_up(options.threads, tf32=True)
    print(f"\n## {machine(device, options.threads)}\n")
    peaks = {name: peak_flops(name, options.seconds, device) for name in options.precision}
    print("Matrix product: " + ", ".join(f"{name} {peak / 1e9:,.0f} GFLOP/s" for name, peak in peaks.items()))
    gflop = Separable().flops(IMAGE) / 1e9
    print(
        f"Arithmetic of the full model: {gflop:.2f} GFLOP a segment forward, so {6 * gflop:.2f} GFLOP an anchor and step.\n"
    )
    rows = []
    for model in [options.only] if options.only else MODELS:
        for bsz in options.bsz:
            for precision in options.precision:
                rows.append(measure(model, bsz, precision, peaks[precision], options, device))
                print(rows[-1], file=sys.stderr, flush=True)
    print(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))
    if options.record:
        write_speeds(Path(__file__).with_name("rates.json"), speeds_of(rows, device, options.threads))


if __name__ == "__main__":
    main()

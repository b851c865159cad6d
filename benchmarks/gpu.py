"""Everything that only a real GPU can show: is training on it right, how fast is it, and where does the time go.

PYTHONPATH=scripts python benchmarks/gpu.py [--device cpu] [--quick] [--only SECTION ...] [--json FILE]

It takes at most 8 minutes and needs the repository, PyTorch, NumPy, pandas, SciPy, PyYAML, safetensors, tqdm and soundfile:
neither Faiss nor Snakemake. Each section prints a table as soon as it has one and adds it to the JSON file, so that nothing
is lost if the time runs out. ``--device cpu --quick`` tries the script itself, with small sizes. Results: benchmarks/gpu.md.
"""

import argparse
import contextlib
import datetime
import io
import json
import os
import platform
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from torch import Tensor

from nafp import compute
from nafp.audio.segments import sequence_seconds
from nafp.audio.splits import Split
from nafp.config import overlay
from nafp.demo.corpus import write_corpus
from nafp.errors import UserError
from nafp.model.encoders.separable import Separable
from nafp.model.fingerprint import fingerprint
from nafp.model.model import Model, build_model
from nafp.search.exact import ExactSearch
from nafp.search.vectors import Database
from nafp.training.checkpoints import Checkpoints
from nafp.training.mini_search import sequence_similarities
from nafp.training.settings import Settings
from nafp.training.train import train
from nafp.training.trainer import Trainer
from train import FULL_CHAIN, noise, peak_flops, seconds_of

ROOT = Path(__file__).parents[1]
ADAM = {"name": "adam", "betas": [0.9, 0.999], "weight_decay": 0}
MODES = {  # name -> what a training computes in and with
    "float32": {"precision": "float32"},
    "tf32": {"precision": "float32", "tf32": True},
    "bfloat16": {"precision": "bfloat16"},
    "float32, kernels": {"precision": "float32", "kernels": "auto"},
    "tf32, kernels": {"precision": "float32", "tf32": True, "kernels": "auto"},
    "bfloat16, kernels": {"precision": "bfloat16", "kernels": "auto"},
    "bfloat16, compiled": {"precision": "bfloat16", "compile": True},
}


def settings(width: int, bsz: int, mode: str, **changes) -> Settings:
    """A run of the full chain at a constant rate."""
    base = {
        "features": {},
        "model": {"variant": "release", "width": width},
        "chain": FULL_CHAIN,
        "dim": 128 if width >= 16 else 16,
        "loss": "ntxent",
        "loss_options": {"tau": 0.05},
        "seed": 0,
        "epochs": 1,
        "learning_rate": 1e-4,
        "schedule": {"name": "constant"},
        "optimizer": ADAM,
    }
    return Settings(**base | {"bsz": bsz} | MODES[mode] | changes)


def trainer(s: Settings, splits: dict[str, Split], device: torch.device, **options) -> Trainer:
    """A training that is ready for its first step; sets whether products may round to TF32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = s.tf32
    made = Trainer(s, splits, device, **options)
    made.choose_micro_batch()
    made.network.train()
    return made


def sounds(clips: int = 40) -> dict[str, Split]:
    """Noise to train on, and to degrade it with."""
    return {"train": noise(clips, 30), "bg": noise(20, 6), "ir": noise(20, 1, "room")}


def losses_of(t: Trainer, steps: int) -> list[float]:
    """The losses of the next steps."""
    order = t.batches.order(t.epoch)
    return [float(t.train_step(order[t.step])) for _ in range(steps)]


def relative(a: Tensor, b: Tensor) -> float:
    """The norm of a difference over that of b, in float64."""
    a, b = a.detach().double().cpu(), b.detach().double().cpu()
    return float((a - b).norm() / b.norm().clamp(min=1e-30))


def bandwidth(device: torch.device) -> float:
    """Bytes a second that a large copy reads and writes."""
    x = torch.ones(2**30 if device.type == "cuda" else 2**20, device=device)
    y = torch.empty_like(x)
    return 2 * x.nbytes / seconds_of(lambda: y.copy_(x), 0.3, device)


# ---------------------------------------------------------------- sections


def machine(device: torch.device, options: argparse.Namespace) -> pd.DataFrame:
    """What it runs on, and what that can do: a large matrix product and a large copy."""
    facts = {
        "date": str(datetime.date.today()),
        "python, torch": f"{platform.python_version()}, {torch.__version__}",
        "CPUs": os.cpu_count(),
    }
    if device.type == "cuda":
        p = torch.cuda.get_device_properties(device)
        facts |= {
            "GPU": f"{p.name}, {p.total_memory / 2**30:.0f} GiB, {p.multi_processor_count} multiprocessors",
            "compute capability": f"{p.major}.{p.minor}",
        }
    for name, precision, tf32 in (
        ("float32", "float32", False),
        ("tf32", "float32", True),
        ("bfloat16",) * 2 + (False,),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        n = None if device.type == "cuda" else 512
        facts[f"matrix product, {name}, TFLOP/s"] = f"{peak_flops(precision, 0.3, device, n) / 1e12:,.1f}"
    facts["copy, read and written, GB/s"] = f"{bandwidth(device) / 1e9:,.0f}"
    return pd.DataFrame({"what": facts.keys(), "found": facts.values()})


def kernels(device: torch.device, options: argparse.Namespace) -> pd.DataFrame:
    """Each layer of the encoder by our kernels and by PyTorch in bfloat16: how far from float32, and how long."""
    if not compute.runs_kernels(device):
        return pd.DataFrame([{"layer": "no GPU that Triton's kernels run on"}])
    from triton.testing import do_bench_cudagraph

    from nafp.model.kernels.layer import layer

    width, items = (16, 4) if options.quick else (128, 640)
    encoder = build_model({}, {"width": width}, 128).to(device).encoder
    shape, rows, generator = (256, 32, 1), [], torch.Generator(device).manual_seed(0)
    for number, (conv, norm) in enumerate(encoder.layers()):
        parameters = [*conv.parameters(), *norm.parameters()]
        for p in parameters:
            p.data += 0.1 * torch.randn(p.shape, generator=generator, device=device)
        first = shape[-1] == 1
        x = torch.randn((items, *shape), generator=generator, device=device).bfloat16()
        ways = {
            "ours": lambda x, first=first, c=conv, n=norm: layer(x.float() if first else x, c, n, torch.bfloat16),
            "eager": lambda x, c=conv, n=norm: n(c(x)),
        }

        def gradients(call: Callable, x: Tensor, dz: Tensor, p=parameters, first=first) -> tuple[Tensor, list[Tensor]]:
            x = x.detach().requires_grad_(not first)
            z = call(x)
            return z, torch.autograd.grad(z, p if first else [*p, x], dz.to(z.dtype))

        few = x[:32]
        with torch.no_grad():
            dz = torch.randn(ways["eager"](few).shape, generator=generator, device=device)
        truth = gradients(ways["eager"], few.float(), dz)
        row = {"layer": f"{number + 1}: {shape} -> {tuple(dz.shape[1:])}"}
        for name, call in ways.items():
            z, found = gradients(call, few, dz)
            worst = max(map(relative, found, truth[1]))
            row[f"{name}: error of z, of the worst gradient"] = f"{relative(z, truth[0]):.4f}, {worst:.4f}"
        shape = tuple(dz.shape[1:])
        dz = torch.randn((items, *shape), generator=generator, device=device).bfloat16()
        for name, call in ways.items():
            row[f"{name}: ms"] = round(do_bench_cudagraph(lambda call=call, x=x, dz=dz: gradients(call, x, dz), 20), 3)
        rows.append(row)
    table = pd.DataFrame(rows)
    sums = table.select_dtypes("number").sum().round(2).to_dict()
    return pd.concat([table, pd.DataFrame([{"layer": "all", **sums}])]).fillna("")


def losses(device: torch.device, options: argparse.Namespace) -> pd.DataFrame:
    """The losses of 20 steps in each mode beside those of the CPU in float32."""
    width, bsz = (8, 16) if options.quick else (128, 32)
    splits, steps = sounds(), 20
    truth = losses_of(trainer(settings(width, bsz, "float32"), splits, torch.device("cpu")), steps)
    rows = [{"mode": "CPU, float32", "first": truth[0], "last": truth[-1]}]
    for mode in modes(device, compiled=False):
        found = losses_of(trainer(settings(width, bsz, mode), splits, device), steps)
        apart = np.abs(np.array(found) - truth)
        rows.append(
            {
                "mode": mode,
                "first": found[0],
                "last": found[-1],
                "first step apart": apart[0],
                "most apart": apart.max(),
            }
        )
    return pd.DataFrame(rows).round(6)


def resume(device: torch.device, options: argparse.Namespace) -> pd.DataFrame:
    """Ten steps, a state, a new process's ten more: as twenty at once? And does a step make the host wait?"""
    width, bsz = (8, 16) if options.quick else (64, 120)
    splits, rows = sounds(), []
    for mode in [m for m in modes(device, compiled=False) if m in ("float32", "bfloat16", "bfloat16, kernels")]:
        s = settings(width, bsz, mode)
        whole = trainer(s, splits, device)
        at_once = losses_of(whole, 20)
        with tempfile.TemporaryDirectory() as folder:
            first = trainer(s, splits, device)
            losses_of(first, 10)
            Checkpoints(folder).save_state(first.state(), 0, 10)
            second = trainer(s, splits, device)
            second.restore(Checkpoints(folder).load_state())
        after = losses_of(second, 10)
        same = all(torch.equal(a, b) for a, b in zip(whole.weights().values(), second.weights().values(), strict=True))
        rows.append(
            {
                "mode": mode,
                "most apart": np.abs(np.array(after) - at_once[10:]).max(),
                "same weights to the bit": same,
                "waits of the host in a step": waits(second),
            }
        )
    return pd.DataFrame(rows)


def waits(t: Trainer) -> int:
    """How often the host waits for the GPU in a step, as PyTorch notices it."""
    if t.device.type == "cpu":
        return 0
    order = t.batches.order(0)
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        t.train_step(order[t.step])
    torch.cuda.set_sync_debug_mode("default")
    return len([w for w in said if "synchroniz" in str(w.message)])


def memory(device: torch.device, options: argparse.Namespace) -> pd.DataFrame:
    """What ``micro_batch_size: auto`` chooses when little is free, whether that then works, and what running out says."""
    width, bsz = (8, 32) if options.quick else (128, 640)
    splits, said = sounds(), io.StringIO()
    if device.type == "cpu":
        t = trainer(settings(width, bsz, "float32", micro_batch_size="auto"), splits, device)
        return pd.DataFrame(
            [{"what": "micro_batch_size: auto", "found": f"micro-batches of {t.micro_batch_size or 'the whole batch'}"}]
        )
    held = torch.empty(max(torch.cuda.mem_get_info(device)[0] - 14 * 2**30, 0), dtype=torch.uint8, device=device)
    with contextlib.redirect_stdout(said):
        t = trainer(settings(width, bsz, "float32", micro_batch_size="auto"), splits, device)
    loss = losses_of(t, 2)[-1]
    rows = [{"what": "micro_batch_size: auto", "found": f"{said.getvalue().strip()}; loss of step 2: {loss:.4f}"}]
    del t
    torch.cuda.empty_cache()
    for mode in ("float32", "bfloat16, kernels"):
        try:
            losses_of(trainer(settings(width, 8 * bsz, mode), sounds(200), device), 1)
            rows.append({"what": f"out of memory, {mode}", "found": "did not happen"})
        except UserError as error:
            rows.append({"what": f"out of memory, {mode}", "found": str(error)})
        torch.cuda.empty_cache()
    del held
    torch.cuda.empty_cache()
    return pd.DataFrame(rows)


def search(device: torch.device, options: argparse.Namespace) -> pd.DataFrame:
    """Exhaustive search by PyTorch: the answers of NumPy, and how long for a large database."""
    rng = np.random.default_rng(0)

    def unit(n: int) -> np.ndarray:
        x = rng.standard_normal((n, 128), np.float32)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    songs, queries = (10_000, 200) if options.quick else (100_000, 2000)
    few, query = Database(unit(songs), unit(1000)), unit(queries)
    products = np.concatenate([query[:50] @ part.T for part in (few.dummy, few.db)], axis=1, dtype=np.float64)
    truth = np.argsort(-products, axis=1)[:, :20]
    same = (ExactSearch(few, device).nearest(query[:50], 20) == truth).mean()
    copies = 1 if options.quick else 40
    database = Database(np.tile(few.dummy, (copies, 1)), few.db)
    exact, size = ExactSearch(database, device), len(database)
    seconds = seconds_of(lambda: exact.nearest(query, 20), 1, device)
    exact.resident = None
    sent = seconds_of(lambda: exact.nearest(query, 20), 0, device)
    what = {
        "same neighbours as NumPy": f"{same:.2%} of 1,000",
        f"{queries:,} queries among {size:,}, 20 neighbours": f"{seconds:.3f} s",
        "... with a database that is sent in pieces": f"{sent:.3f} s",
        "arithmetic": f"{2 * queries * size * 128 / seconds / 1e12:.1f} TFLOP/s",
    }
    return pd.DataFrame({"what": what.keys(), "found": what.values()})


def fingerprints(device: torch.device, options: argparse.Namespace) -> pd.DataFrame:
    """Fingerprints of the full model: those of the CPU, and how many a second."""
    width = 8 if options.quick else 128
    split, few = noise(20 if options.quick else 400, 30), noise(3, 30)
    torch.manual_seed(0)
    network = build_model({}, {"variant": "release", "width": width}, 128 if width >= 16 else 16).eval()

    def embed(split: Split, where: torch.device) -> np.ndarray:
        out = np.empty((len(split.segments), network.dim), np.float32)
        fingerprint(network.to(where), split, where, out, disable=True)
        return out

    truth, rows = embed(few, torch.device("cpu")), []
    for mode in modes(device, compiled=False):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = MODES[mode].get("tf32", False)
        network.encoder.dtype = compute.PRECISIONS[MODES[mode]["precision"]]
        network.encoder.backend = (
            network.encoder.backend_for(device) if MODES[mode].get("kernels") == "auto" else "eager"
        )
        found = embed(few, device)
        seconds = seconds_of(lambda: embed(split, device), 1, device)
        rows.append(
            {
                "mode": mode,
                "least cosine to the CPU's": (found * truth).sum(axis=1).min(),
                "most apart": np.abs(found - truth).max(),
                "segments/s": round(len(split.segments) / seconds),
            }
        )
    return pd.DataFrame(rows).round(6)


def speed(device: torch.device, options: argparse.Namespace) -> pd.DataFrame:
    """Whole training steps of the full model."""
    width, sizes = (8, [16]) if options.quick else (128, options.bsz)
    splits = sounds(100)
    return pd.DataFrame(
        [
            {
                "N": bsz,
                "mode": mode,
                **step_facts(settings(width, bsz, mode), splits, device),
            }
            for bsz in sizes
            for mode in modes(device, compiled=bsz == options.compiled)
        ]
    )


def step_facts(s: Settings, splits: dict[str, Split], device: torch.device) -> dict:
    """How fast training steps are, what the host and the data have of that, and how much memory they take."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    t = trainer(s, splits, device)
    order = t.batches.order(0)
    float(t.train_step(order[0]))
    ready, asked = time.perf_counter() - began, []
    one = seconds_of(lambda: float(t.train_step(order[0])), 0, device)
    steps = min(max(round(0.2 / one), 3), 20)

    def some_steps() -> None:
        began = time.perf_counter()
        for i in range(steps):
            t.step = 0
            t.train_step(order[i % len(order)])
        asked.append(time.perf_counter() - began)  # the launches; the GPU may still be working

    seconds = seconds_of(some_steps, 0.6, device) / steps
    data = seconds_of(lambda: t.batches.images(t.plan(order[0])), 0.1, device)
    flops = 3 * Separable(s.model["width"]).flops((256, 32)) * s.bsz  # forward, and twice that backward
    return {
        "anchors/s": round(s.bsz / 2 / seconds),
        "ms a step": round(1e3 * seconds, 2),
        "the host's": round(1e3 * min(asked) / steps, 2),
        "data alone, ms": round(1e3 * data, 2),
        "TFLOP/s": round(flops / seconds / 1e12, 1),
        "s to the first step": round(ready, 1),
        "peak GiB": round(torch.cuda.max_memory_allocated() / 2**30, 1) if device.type == "cuda" else "",
    }


def profile(device: torch.device, options: argparse.Namespace) -> pd.DataFrame:
    """The kernels that take most of a step, and the time that its activations take at the bandwidth of a copy."""
    if device.type == "cpu":
        return pd.DataFrame([{"kernel": "only on a GPU"}])
    width, bsz, steps = (16, 16, 3) if options.quick else (128, 640, 3)
    rows = []
    for mode in ("bfloat16", "bfloat16, kernels"):
        t = trainer(settings(width, bsz, mode), sounds(), device)
        losses_of(t, 2)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA], acc_events=True) as seen:
            losses_of(t, steps)
            torch.cuda.synchronize()
        times = {e.key: e.self_device_time_total / steps / 1e3 for e in seen.key_averages()}
        launches = {e.key: e.count / steps for e in seen.key_averages()}
        total = sum(times.values())
        for key in sorted(times, key=lambda key: -times[key])[:10]:
            row = {"mode": mode, "kernel": short(key), "ms a step": round(times[key], 3)}
            rows.append(row | {"share": f"{times[key] / total:.0%}", "launches": round(launches[key], 1)})
        rows.append({"mode": mode, "kernel": "all", "ms a step": round(total, 3), "launches": sum(launches.values())})
    moved = activation_bytes(t.network) * bsz
    floor = 1e3 * moved / bandwidth(device)
    what = f"{moved / 1e9:.1f} GB of activations by count, at the bandwidth of a copy"
    rows.append({"mode": mode, "kernel": what, "ms a step": round(floor, 3), "share": f"{floor / total:.0%}"})
    return pd.DataFrame(rows).fillna("")


def short(kernel: str) -> str:
    """A kernel's name without what all of PyTorch's have in common."""
    for words in ("void ", "at::native::", "(anonymous namespace)::"):
        kernel = kernel.replace(words, "")
    return kernel[:80]


def activation_bytes(model: Model) -> int:
    """Bytes that the kernels move for a segment in a training step: the first layer's 6 times, all others' 13 times."""
    sizes = [norm.norm.weight.numel() for _, norm in model.encoder.layers()]
    return 2 * (6 * sizes[0] + 13 * sum(sizes[1:]))


def recipe(device: torch.device, options: argparse.Namespace) -> pd.DataFrame:
    """``config/corpus-cpu.yaml`` trained on the composed demo corpus: hit rates among all places, and how long it took."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config = overlay.with_changes(config, yaml.safe_load((ROOT / "config/corpus-cpu.yaml").read_text()))
    config["train"] |= {"init_from": None, "learning_rate": 1.4e-3, "epochs": 40}  # composed heard these songs
    demo, rows = config["demo"], []
    if options.quick:
        demo |= {"songs": {"train": 4, "val": 1, "test": 2, "dummy": 2}, "clip_s": 8}
        config["run"]["bsz"], config["train"]["epochs"], config["features"]["n_mels"] = 16, 1, 64
    with tempfile.TemporaryDirectory() as folder:
        splits = demo_splits(Path(folder), demo)
    validation = {name: value for name, value in config["train"].pop("validation").items() if name != "queries"}
    del config["train"]["gpus"]
    for mode in ("float32",) if device.type == "cpu" else ("float32", "bfloat16, kernels"):
        for seed in range(1 if options.quick else options.seeds):
            s = Settings(
                **config["train"] | MODES[mode] | {"seed": seed},
                **{name: config["run"][name] for name in ("bsz", "dim", "loss")},
                features=config["features"],
                model=config["model"],
                chain=config["chains"]["full"],
                loss_options=config["losses"]["ntxent"],
                validation=validation | {"chain": None},
            )
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
                began, states = time.perf_counter(), Checkpoints(Path(folder) / "states")
                t = train(trainer(s, splits, device, checkpoints=states), mode, Path(folder) / "tensorboard")
                seconds = time.perf_counter() - began
            times = {"seconds": round(seconds, 1), "of them steps": round(sum(e["seconds"] for e in t.history), 1)}
            found = {"last loss": round(t.history[-1]["loss"], 4), **hit_rates(t.network.eval(), splits, device)}
            rows.append({"mode": mode, "seed": seed, **times, **found})
    return pd.DataFrame(rows)


def demo_splits(folder: Path, demo: dict) -> dict[str, Split]:
    """The demo corpus, composed, with its queries."""
    from nafp.augment.chain import Chain
    from nafp.augment.held_out import held_out_pools
    from nafp.augment.queries import write_queries
    from nafp.datasets.layout import SPLITS

    with contextlib.redirect_stderr(io.StringIO()):
        write_corpus(folder, demo["songs"], demo["seed"], demo["clip_s"], os.cpu_count())
        sounds = {kind: Split.read(folder, SPLITS[f"{kind}_test"]) for kind in ("bg", "ir", "speech")}
        chain = Chain(demo["queries"]["test"], held_out_pools(sounds, "test"))
        for part in ("val", "test"):
            write_queries(folder / SPLITS[f"{part}_db"], folder / SPLITS[f"{part}_query"], chain, demo["seed"])
    names = {name: name for name in ("train", "val_db", "val_query", "test_db", "test_query", "dummy")}
    names |= {"bg": "bg_train", "ir": "ir_train"}
    return {name: Split.read(folder, SPLITS[split]) for name, split in names.items()}


def hit_rates(network: torch.nn.Module, splits: dict[str, Split], device: torch.device) -> dict[str, float]:
    """Percent of sequences of 1 to 10 s whose best place among all places is the right one."""
    vectors = {}
    for name in ("test_query", "dummy", "test_db"):
        vectors[name] = np.empty((len(splits[name].segments), network.dim), np.float32)
        fingerprint(network, splits[name], device, vectors[name], disable=True)
    database, clip = np.concatenate([vectors["test_db"], vectors["dummy"]]), splits["test_query"].segments.clip
    similarity, rates = vectors["test_query"] @ database.T, {}
    for length in (1, 3, 5, 9, 11, 19):
        if length > len(clip):
            break
        sums = sequence_similarities(similarity, length)
        inside = clip[: len(sums)] == clip[length - 1 :]  # sequences that stay in their clip
        rates[f"{sequence_seconds(length):g} s"] = (
            round(100 * (sums.argmax(axis=1) == np.arange(len(sums)))[inside].mean(), 1) if inside.any() else None
        )
    return rates


# ---------------------------------------------------------------- the command


def modes(device: torch.device, compiled: bool) -> list[str]:
    """The modes that a device has."""
    if device.type == "cpu":
        return ["float32"]
    return [name for name in MODES if compiled or name != "bfloat16, compiled"]


SECTIONS: dict[str, Callable[[torch.device, argparse.Namespace], pd.DataFrame]] = {
    section.__name__: section
    for section in (machine, losses, resume, memory, fingerprints, speed, profile, recipe, search, kernels)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script itself")
    parser.add_argument("--only", choices=SECTIONS, nargs="+", default=list(SECTIONS))
    parser.add_argument("--bsz", type=int, nargs="+", default=[120, 640, 1280], help="batch sizes of the section speed")
    parser.add_argument(
        "--compiled", type=int, help="the one of these batch sizes that torch.compile is tried with: a minute"
    )
    parser.add_argument("--seeds", type=int, default=1, help="trainings of the recipe (default 1)")
    parser.add_argument("--json", type=Path, default=Path("results/gpu.json"), help="default %(default)s")
    options = parser.parse_args()
    device = compute.set_up(os.cpu_count(), gpu=options.device == "cuda")
    if device.type != options.device:
        sys.exit("error: PyTorch finds no GPU here; --device cpu --quick tries the script itself")
    record, failed = {}, []
    for name in options.only:
        began = time.perf_counter()
        try:
            table = SECTIONS[name](device, options)
        except Exception:
            failed.append(name)
            table = pd.DataFrame([{"failed": line} for line in traceback.format_exc().splitlines()[-8:]])
            traceback.print_exc()
        seconds = time.perf_counter() - began
        print(f"\n## {name}: {SECTIONS[name].__doc__.splitlines()[0]} ({seconds:.0f} s)\n", flush=True)
        print(table.to_markdown(index=False), flush=True)
        record[name] = {"seconds": round(seconds, 1), "rows": json.loads(table.to_json(orient="records"))}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())

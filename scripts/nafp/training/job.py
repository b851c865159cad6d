"""One training job: from packed splits to weights on disk, in one process or, with torchrun, in one for each GPU."""

import ast
import codecs
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import torch
import torch.distributed as dist
import yaml

from nafp import compute
from nafp.audio.segments import SEGMENT
from nafp.audio.splits import Split
from nafp.console import error_text
from nafp.errors import UserError
from nafp.files import atomic_write, lock
from nafp.jobfacts import device_name, job_facts
from nafp.shipped import weights_file
from nafp.training.checkpoints import Checkpoints
from nafp.training.gradients import rank_and_world_size
from nafp.training.settings import Settings
from nafp.training.train import train
from nafp.training.trainer import Trainer

BLOCKS, BLOCK_BYTES = 64, 4096  # parts of a packed split by which it is told from others
LOCKED = (
    "another process trains this run, perhaps one that went on when its Snakemake was killed; wait until it has finished, "
    "or end it with kill, and run the same command again"
)


def run(job: Mapping, processes: int = 1) -> None:
    """Do a job, in this process or in several.

    ``job``: name; settings (fields of settings.Settings); splits: name -> packed array; code: modules that the result
    depends on; outputs: last, best (weights), history, config; threads.
    """
    if processes == 1:
        train_and_publish(job)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        if torch.cuda.is_available():
            environment[compute.GIVEN] = ",".join(map(str, compute.claim_gpus(processes)))
        command = [sys.executable, "-m", *launcher, "-m", "nafp.training.job", str(path)]
        if run_aloud(command, environment):
            raise UserError(f"one of {processes} training processes failed; its message is above")


def run_aloud(command: list[str], environment: Mapping[str, str]) -> int:
    """Run a program; what it prints goes through ``sys.stdout``, so to the log too. Returns its exit status."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        while piece := child.stdout.read1():
            for text in re.findall(r"\r[^\r\n]*|[^\r]+", decode(piece)):  # a progress bar is redrawn by itself
                sys.stdout.write(text)
            sys.stdout.flush()
    return child.returncode


def train_and_publish(job: Mapping) -> None:
    """Train from the newest state and write the results; UserError if another process trains this run."""
    settings, outputs = Settings(**job["settings"]), {name: Path(path) for name, path in job["outputs"].items()}
    threads = max(job["threads"] // rank_and_world_size()[1], 1)
    device = compute.set_up(threads, int(os.environ.get("LOCAL_RANK", 0)), settings.tf32)
    splits = {name: Split.open(path) for name, path in job["splits"].items()}
    check(splits, settings)
    folder = outputs["history"].parent
    checkpoints = Checkpoints(folder / ".states" / key_of(settings, job["splits"].values(), job["code"]))
    facts = job_facts(device_name(device.index if device.type == "cuda" else None), threads)
    facts["processes"] = rank_and_world_size()[1]
    trainer = Trainer(settings, splits, device, checkpoints, facts)  # writes nothing, so a refused run leaves no trace
    with nullcontext() if trainer.rank else lock(folder / ".states/lock", LOCKED):
        train(trainer, job["name"], folder / "tensorboard")
        if not trainer.rank:
            publish(trainer, checkpoints, outputs, job["settings"])


def publish(trainer: Trainer, checkpoints: Checkpoints, outputs: Mapping[str, Path], settings: Mapping) -> None:
    """Write the results of a finished training, and drop the states of others."""
    checkpoints.publish(trainer.best, outputs["best"])
    checkpoints.publish(trainer.epoch, outputs["last"])
    with atomic_write(outputs["history"]) as part:
        pd.DataFrame(trainer.history).to_csv(part, index=False)
    with atomic_write(outputs["history"].with_name("provenance.json")) as part:
        part.write_text(json.dumps({"jobs": trainer.jobs}, indent=1) + "\n", encoding="utf-8")
    outputs["config"].write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    checkpoints.drop_others()


def check(splits: Mapping[str, Split], settings: Settings) -> None:
    """Refuse empty splits and report clips shorter than a segment, before anything is computed."""
    for name, split in splits.items():
        if not len(split.clips):
            raise UserError(f"the split {name!r} has no files, but this run needs it, by its chain or for validation")
    clips = splits["train"].clips
    short = clips["path"][clips["samples"] < SEGMENT].tolist()
    if short:
        print(f"{len(short)} of {len(clips)} training clips are shorter than 1 s and end in silence: {short[0]}, ...")


def key_of(settings: Settings, arrays: Iterable[str], code: Iterable[str]) -> str:
    """A name for all that the weights depend on: settings, data, and code without its comments and docstrings."""
    digest = hashlib.sha256(json.dumps(settings.identity(), sort_keys=True).encode())
    for array in sorted(arrays):
        digest.update(Path(array).with_suffix(".csv").read_bytes())
        digest.update(sample_of(Path(array)))
    for module in sorted(code):
        digest.update(meaning(Path(module).read_text(encoding="utf-8")).encode())
    if settings.init_from:
        digest.update(weights_file(settings.init_from).read_bytes())
    return digest.hexdigest()[:16]


def sample_of(path: Path) -> bytes:
    """Size and BLOCKS blocks of a file, which tell packed splits apart without reading gigabytes."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        parts = [str(size).encode()]
        for i in range(BLOCKS):
            file.seek(i * max(size - BLOCK_BYTES, 0) // (BLOCKS - 1))
            parts.append(file.read(BLOCK_BYTES))
    return b"".join(parts)


def meaning(source: str) -> str:
    """A module's syntax tree without docstrings: the same before and after an edit of comments."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            del body[0]
    return ast.dump(tree)


def main(path: str) -> None:
    """One of several processes, started by torchrun.

    On an error it ends at once: to leave the group it would wait for the others, which may wait for it (NCCL), unheard.
    """
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        train_and_publish(job)
    except Exception as error:
        sys.stdout.flush()
        print(f"\n{error_text(error)}", file=sys.stderr, flush=True)  # below another's progress bar
        os._exit(1)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])

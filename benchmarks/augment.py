"""What each augmentation step costs: CPU time of a batch of replicas in one thread, a table.

PYTHONPATH=scripts:tests/support python benchmarks/augment.py [--rows 120] [--repeats 5]
"""

import argparse
import time

import numpy as np
import torch
from audio_splits import split

from nafp.audio.codecs import CODECS
from nafp.audio.pools import AudioPool
from nafp.audio.segments import SEGMENT
from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.augment.steps import STEPS
from nafp.jobfacts import processor

OPTIONS = {"gain": {"db": [-6, 6]}}  # options of the steps that have no defaults
SOUNDS = split(0, clips=20, samples=80_000)
ROOMS = [np.random.default_rng(i).normal(0, 1, 8000) * 0.999 ** np.arange(8000) * 8000 for i in range(20)]
RESPONSES = Split.of_clips(
    [room.clip(-32768, 32767).astype(np.int16) for room in ROOMS], [f"room/{i}" for i in range(20)]
)
POOLS = {"bg": SOUNDS, "speech": SOUNDS, "train": SOUNDS, "ir": RESPONSES}


def milliseconds(step: str, options: dict, rows: int, repeats: int) -> float:
    """CPU time of one step for a batch of rows, draws included: the least of the repeats."""
    chain = Chain([{step: options}], {name: AudioPool(sounds) for name, sounds in POOLS.items()})
    audio, starts = AudioPool(SOUNDS), SEGMENT * torch.arange(rows)
    x, ends = audio.cut(starts, SEGMENT), (torch.zeros(rows, dtype=torch.long), torch.full((rows,), len(SOUNDS.audio)))
    rng, times = torch.Generator().manual_seed(0), []
    for _ in range(repeats + 1):
        started = time.process_time()
        if chain.time:
            chain.time.cut(audio, chain.time.places(chain.time.draw(rows, rng), audio, starts, *ends), SEGMENT)
        chain.degrade(x, chain.draw_wave(rows, SEGMENT, rng))
        times.append(time.process_time() - started)
    return 1000 * min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=120, help="replicas of 1 s in a batch")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{processor()}, {options.rows} replicas of 1 s\n\n| step | ms |\n| --- | --- |")
    for name in [name for name, step in STEPS.items() if step.stage in ("time", "wave") and name != "codec"]:
        taken = milliseconds(name, OPTIONS.get(name, {}), options.rows, options.repeats)
        print(f"| `{name}` | {taken:.1f} |", flush=True)
    for name in CODECS:
        print(f"| `codec: {name}` | {milliseconds('codec', {'names': [name]}, options.rows, 2):.0f} |", flush=True)


if __name__ == "__main__":
    main()

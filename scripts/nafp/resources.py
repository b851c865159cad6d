"""Resources that jobs request of a cluster; ``nafp plan`` reads them too."""

MEMORY = {  # rule, or kind of job -> MB, and MB for each MB of its largest input
    "verify": (4000, 0),
    "pack": (2000, 0),
    "degrade_queries": (4000, 0),
    "train": (8000, 0.2),
    "fingerprint": (6000, 0.02),
    "generate_distractors": (2000, 3),
    "build_index": (3000, 2),
    "score": (3000, 1.5),
    "measure_scale": (3000, 2.5),
    "on_disk": (3000, 0.02),  # jobs of both rules where the index stays on the disk (benchmarks/rehearsal.md)
}
TRAINING_PROCESS_MB = 4000  # memory for each GPU beyond a training's first: a process of its own, with CUDA's context
ANCHORS_PER_S = 1000  # lower bound for the paper's model on a GPU; sets the time limit of a training
SEGMENTS_PER_S = 2000  # lower bound of fingerprinting


def training_mb(audio_mb: float, gpus: int) -> float:
    """Memory, in MB, that a training asks for: by the MB of its packed songs, and a process for each of its GPUs."""
    base, per_mb = MEMORY["train"]
    return base + per_mb * audio_mb + TRAINING_PROCESS_MB * (gpus - 1)

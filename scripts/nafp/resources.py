"""Resources that jobs request of a cluster; ``nafp plan`` reads them too."""

MEMORY = {  # rule, or kind of job -> MB, and MB for each MB of its largest input
    "verify": (4000, 0),
    "pack": (2000, 0),
    "train": (8000, 0.2),
    "fingerprint": (6000, 0.02),
    "build_index": (3000, 2),
    "score": (3000, 1.5),
    "on_disk": (3000, 0.02),  # jobs of both rules where the index stays on the disk (benchmarks/rehearsal.md)
}
ANCHORS_PER_S = 1000  # lower bound for the paper's model on a GPU; sets the time limit of a training
SEGMENTS_PER_S = 2000  # lower bound of fingerprinting

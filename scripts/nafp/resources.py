"""What jobs ask of a cluster. nafp plan reads it too."""

MEMORY = {  # rule -> MB, and MB for each MB of the inputs that decide
    "verify": (4000, 0),
    "pack": (2000, 0),
    "train": (8000, 0.2),
    "fingerprint": (6000, 0.02),
    "build_index": (3000, 2),
    "score": (3000, 1.5),
}
ANCHORS_PER_S = 1000  # at least, of the paper's model on a GPU: how long a training may run
SEGMENTS_PER_S = 2000  # at least, fingerprinted

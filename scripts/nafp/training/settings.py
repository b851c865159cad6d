"""What one run is trained with."""

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Settings:
    """All that decides about a run; ``schemas/config.schema.yaml`` explains the keys."""

    features: dict  # of model.features.LogMel
    model: dict  # of model.encoders: which one, and its options
    chain: list  # steps of augment.chain.Chain
    bsz: int  # N of the paper: anchors and their replicas
    dim: int
    loss: str
    loss_options: dict
    seed: int
    epochs: int
    learning_rate: float
    schedule: dict  # of optim.learning_rate, and "epochs" it takes (None: all)
    optimizer: dict
    lr_bsz: int | None = None  # learning_rate is that of this batch size, and grows in proportion
    positives: int = 1  # replicas of an anchor
    data: dict = field(default_factory=dict)  # of batches.Batches
    validation: dict = field(default_factory=dict)  # of validation.Validation; "chain": steps or None
    precision: str = "float32"
    compile: bool = False
    kernels: str = "eager"  # or auto: compute.KERNELS
    tf32: bool = False
    micro_batch: int | str | None = None
    checkpoints: dict = field(default_factory=lambda: {"every": None, "last": 1, "minutes": 10})
    start: str | None = None  # weights to begin with

    @property
    def horizon(self) -> int:
        """Epochs that the schedule takes."""
        return self.schedule.get("epochs") or self.epochs

    @property
    def peak_learning_rate(self) -> float:
        """Of the schedule, for this batch size."""
        return self.learning_rate * (self.bsz / self.lr_bsz if self.lr_bsz else 1)

    def identity(self) -> dict:
        """What the weights after an epoch depend on: neither how many more follow nor how a batch is cut to pieces."""
        settings = asdict(self)
        for name in ("epochs", "micro_batch", "checkpoints"):
            del settings[name]
        return settings | {"schedule": {**self.schedule, "epochs": self.horizon}}

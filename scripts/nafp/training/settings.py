"""The settings of one run."""

from dataclasses import asdict, dataclass, field

from nafp.training.former_names import accept_former_names


@accept_former_names
@dataclass(frozen=True)
class Settings:
    """All that decides about a run; ``schemas/config.schema.yaml`` explains the keys."""

    features: dict  # options of model.features.LogMel
    model: dict  # name and options of an encoder in model.encoders
    chain: list  # steps of augment.chain.Chain
    bsz: int  # N of the paper: anchors and their replicas
    dim: int  # dimensions of a fingerprint
    loss: str  # name in losses.LOSSES
    loss_options: dict
    seed: int
    epochs: int
    learning_rate: float  # highest of the schedule, for lr_bsz
    schedule: dict  # options of optim.learning_rate, and "epochs" it takes (None: all)
    optimizer: dict  # name in optim.OPTIMIZERS, and its options
    lr_bsz: int | None = None  # batch size of learning_rate, which is scaled in proportion; None: any
    positives: int = 1  # replicas of an anchor
    data: dict = field(default_factory=dict)  # options of batches.Batches
    validation: dict = field(default_factory=dict)  # options of validation.Validation; "chain": steps or None
    precision: str = "float32"  # name in compute.PRECISIONS
    compile: bool = False  # torch.compile
    kernels: str = "eager"  # or auto: the encoder's fastest on the device
    tf32: bool = False  # whether float32 products may round to 10 bits
    micro_batch_size: int | str | None = None  # segments embedded at a time; None: all; auto: as many as fit
    checkpoints: dict = field(default_factory=lambda: {"every": None, "last": 1, "minutes": 10})
    init_from: str | None = None  # safetensors file of the initial weights, or a name of nafp.shipped

    @property
    def horizon(self) -> int:
        """Number of epochs of the schedule."""
        return self.schedule.get("epochs") or self.epochs

    @property
    def peak_learning_rate(self) -> float:
        """Highest learning rate of the schedule, for this batch size."""
        return self.learning_rate * (self.bsz / self.lr_bsz if self.lr_bsz else 1)

    def identity(self) -> dict:
        """What the weights after an epoch depend on: neither the number of later epochs nor the size of micro-batches."""
        settings = asdict(self)
        for name in ("epochs", "micro_batch_size", "checkpoints"):
            del settings[name]
        return settings | {"schedule": {**self.schedule, "epochs": self.horizon}}

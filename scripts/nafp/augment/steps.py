"""The augmentation steps by name, and what is known of each without PyTorch: planning reads this file.

A new step is a class (see ``base``) and an entry of STEPS.
"""

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nafp.audio.codecs import CODECS
from nafp.audio.kinds import RESPONSE_KINDS

RANGE = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}}
POSITIVE = {"type": "number", "exclusiveMinimum": 0}
NOT_NEGATIVE = {"type": "number", "minimum": 0}
HERTZ = RANGE | {"items": POSITIVE | {"maximum": 4000}}
COUNT = {"type": "integer", "minimum": 1}
PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
DB = "range of the gain in dB; the step that sets the peak is now called peak_normalize"
SNR = {
    "snr_db": RANGE | {"default": [0, 10]},
    "over": {
        "enum": ["segment", "context"],
        "description": "what levels are measured over; context: what precedes it too",
    },
}
ORDER = COUNT | {"maximum": 16}
FILTER = {"cutoff_hz": HERTZ, "order": ORDER}
BAND = {"low_hz": HERTZ | {"default": [300, 300]}, "high_hz": HERTZ | {"default": [3400, 3400]}}
MASK = {
    "fill": {"anyOf": [{"type": "string", "enum": ["min", "mean", "batch_mean", "zeros", "random"]}, RANGE]},
    "holes": COUNT,
    "shared": {"type": "boolean", "description": "one set of holes for the whole batch"},
}


def range_of(low: float, high: float, default: Sequence[float]) -> dict:
    """The JSON Schema of a range within bounds."""
    return RANGE | {"items": {"type": "number", "minimum": low, "maximum": high}, "default": default}


@dataclass(frozen=True)
class StepType:
    """One kind of step: its class, where in a chain it acts, its options and the sounds it needs.

    ``stage``: ``crop`` (where anchor and replicas are cut), ``time`` (how fast replicas and whole query clips are read),
    ``splice`` (where a second crop takes over), ``wave`` (samples of the replica) or ``image`` (log-mel images). ``rate``: song
    seconds a second of the copy, by the value of the only option of a step that moves time.
    """

    cls: str  # "module:class", imported by ``load``
    stage: str
    options: Mapping[str, Mapping]  # option -> JSON Schema; ``p`` is added
    required: Sequence[str] = ()
    pool: str = field(default="", kw_only=True)  # sounds it draws from: bg, ir, speech, or train, which are songs
    rate: Callable[[float], float] | None = field(default=None, kw_only=True)

    @property
    def unique(self) -> bool:
        """Whether a chain has at most one of it."""
        return self.stage in ("crop", "splice")

    @property
    def schema(self) -> dict:
        """The JSON Schema of its options; all steps but those of the stage ``crop`` have a probability."""
        options = dict(self.options) if self.stage == "crop" else {**self.options, "p": PROBABILITY}
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": options,
            "required": list(self.required),
        }

    def load(self) -> type:
        """The class; imports PyTorch."""
        return pkgutil.resolve_name(self.cls)


STEPS = {
    "time_offset": StepType(
        "nafp.augment.crop:TimeOffset",
        "crop",
        {
            "max_s": {"type": "number", "minimum": 0, "maximum": 0.5},
            "frozen": {"type": "boolean", "description": "the same offsets in every epoch and run"},
        },
    ),
    "speed": StepType(
        "nafp.augment.time:Speed",
        "time",
        {"percent": range_of(-50, 100, [-5, 5])},
        rate=lambda percent: 1 + percent / 100,
    ),
    "tempo": StepType("nafp.augment.time:Tempo", "time", {"factor": range_of(0.5, 2, [0.9, 1.1])}, rate=float),
    "pitch": StepType("nafp.augment.time:Pitch", "time", {"semitones": range_of(-12, 12, [-1, 1])}),
    "splice": StepType(
        "nafp.augment.crop:Splice",
        "splice",
        {"at_s": RANGE | {"description": "seconds into the segment, from 0 to 1"}},
    ),
    "background": StepType("nafp.augment.noise:Noise", "wave", SNR, pool="bg"),
    "speech": StepType("nafp.augment.noise:Noise", "wave", SNR, pool="speech"),
    "second_song": StepType("nafp.augment.noise:SecondSong", "wave", SNR, pool="train"),
    "impulse_response": StepType(
        "nafp.augment.response:ImpulseResponse",
        "wave",
        {
            "kinds": {"type": "array", "items": {"enum": list(RESPONSE_KINDS)}},
            "mode": {"enum": ["linear", "circular"]},
            "max_samples": {
                "anyOf": [{"type": "null"}, COUNT],
                "description": "of a response; null - all",
            },
            "trim": {
                "type": ["boolean", "null"],
                "description": "responses from their direct sound on, without a delay; null - in queries only",
            },
            "rt60_s": RANGE
            | {"items": NOT_NEGATIVE, "description": "reverberation times of the responses that are taken"},
        },
        pool="ir",
    ),
    "drop_context": StepType("nafp.augment.response:DropContext", "wave", {}),
    "peak_normalize": StepType("nafp.augment.level:PeakNormalize", "wave", {"peak_db": RANGE}),
    "gain": StepType("nafp.augment.level:Gain", "wave", {"db": RANGE | {"description": DB}}, required=["db"]),
    "low_pass": StepType("nafp.augment.filters:LowPass", "wave", FILTER),
    "high_pass": StepType("nafp.augment.filters:HighPass", "wave", FILTER),
    "band_pass": StepType("nafp.augment.filters:BandPass", "wave", {**BAND, "order": ORDER}),
    "equalizer": StepType(
        "nafp.augment.filters:Equalizer",
        "wave",
        {"bands": COUNT | {"maximum": 32}, "gain_db": RANGE, "centre_hz": HERTZ, "q": RANGE | {"items": POSITIVE}},
    ),
    "compressor": StepType(
        "nafp.augment.dynamics:Compressor",
        "wave",
        {
            "threshold_db": RANGE | {"items": {"type": "number", "maximum": 0}, "description": "below the peak"},
            "ratio": RANGE | {"items": {"type": "number", "minimum": 1}},
            "attack_s": POSITIVE,
            "release_s": POSITIVE,
        },
    ),
    "clipping": StepType(
        "nafp.augment.dynamics:Clipping",
        "wave",
        {"drive_db": RANGE | {"items": NOT_NEGATIVE}, "mode": {"enum": ["hard", "soft"]}},
    ),
    "dropouts": StepType(
        "nafp.augment.dropouts:Dropouts",
        "wave",
        {
            "length_s": RANGE | {"items": {"type": "number", "minimum": 0.001}},
            "share": RANGE | {"items": PROBABILITY, "description": "of the sound that is lost, on average"},
        },
    ),
    "codec": StepType(
        "nafp.augment.codec:Codec",
        "wave",
        {"names": {"type": "array", "minItems": 1, "items": {"enum": list(CODECS)}}},
    ),
    "cutout": StepType("nafp.augment.masks:Cutout", "image", {"mels": RANGE, "frames": RANGE, **MASK}),
    "frequency_mask": StepType("nafp.augment.masks:FrequencyMask", "image", {"mels": RANGE, **MASK}),
    "time_mask": StepType("nafp.augment.masks:TimeMask", "image", {"frames": RANGE, **MASK}),
}
SOUND_POOLS = tuple(sorted({step.pool for step in STEPS.values() if step.pool}))  # kinds of sounds that steps need


def with_options(steps: Sequence[Mapping[str, Mapping | None]]) -> list[tuple[str, Mapping]]:
    """Name and options of each of a chain's steps, in order."""
    return [(name, options or {}) for step in steps for name, options in step.items()]


def names_of(steps: Sequence[Mapping]) -> list[str]:
    """The names of a chain's steps, in order."""
    return [name for name, _ in with_options(steps)]


def chain_pools(steps: Sequence[Mapping]) -> list[str]:
    """The kinds of sounds that a chain's steps need, sorted."""
    return sorted({STEPS[name].pool for name in names_of(steps)} - {""})


def snr_of(steps: Sequence[Mapping[str, Mapping | None]]) -> float | None:
    """The middle of the SNR range, in dB, of a chain's first step that adds noise; None without one."""
    for name, options in with_options(steps):
        if "snr_db" in STEPS[name].options:
            return sum(options.get("snr_db", STEPS[name].options["snr_db"]["default"])) / 2
    return None


def rates_of(steps: Sequence[Mapping[str, Mapping | None]]) -> tuple[float, float]:
    """The slowest and the fastest rate of a chain's copies: song seconds a second of the copy."""
    slowest = fastest = 1.0
    for name, options in with_options(steps):
        if rate := STEPS[name].rate:
            ((option, schema),) = STEPS[name].options.items()
            values = [rate(value) for value in options.get(option, schema["default"])]
            values += [1.0] if options.get("p", 1) < 1 else []
            slowest, fastest = slowest * min(values), fastest * max(values)
    return slowest, fastest

"""The schema: what an experiment file may say, as frozen dataclasses whose fields are the keys.

Everything but data, model and train has a default; `cnntrain config` shows them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from cnntrain import registry
from cnntrain.config.fields import (
    Duration,
    Finite,
    Kind,
    Layers,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    Range,
    RunName,
    Seed,
    check_exactly_one,
    check_fields,
)
from cnntrain.registry import Part

Initializer = Annotated[Part, Kind("initializers")]
Transforms = tuple[Annotated[Part, Kind("transforms")], ...]
Source = Annotated[Part, Kind("datasets")]


def _part(kind: str, name: str) -> Any:
    """The default of a field that holds a part; made when needed, so that reading the schema imports no NumPy."""
    return field(default_factory=lambda: registry.make(kind, name))


@dataclass(frozen=True)
class NodeOptions:
    """What any entry of `model.layers` may say beside its layer's own keys."""

    name: str | None = None  # how checkpoints, tables and `from` call it; by default its type and a number
    from_: str | tuple[str, ...] | None = None  # the layers it reads, by name; by default the one before it


@dataclass(frozen=True)
class TrainedOptions(NodeOptions):
    """What an entry with parameters may say further."""

    init: Initializer | None = None  # its weights; by default what the `init` section says
    bias_init: Initializer | None = None
    freeze: bool = False  # keep its parameters, and its statistics, as they are
    lr_mult: NonNegative = 1.0  # its learning rate, as a multiple of everybody's

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Data:
    """Where samples come from, which of them validate, and what is done to them."""

    source: Source
    val: Annotated[float, Range(0, 1, open_low=True, open_high=True)] | Source | None = None
    train_transforms: Transforms = ()
    eval_transforms: Transforms = ()
    cache: bool = True  # keep decoded pictures and sounds in runs/.cache, from where the next epochs and runs read them


@dataclass(frozen=True)
class InitFrom:
    """First parameters from another run: what its checkpoint has under the same name with the same shape."""

    checkpoint: str  # a checkpoint, or a run directory: its best; or a .safetensors with PyTorch's names and layout
    strict: bool = True  # anything missing, unused or of another shape is an error
    ignore: tuple[str, ...] = ()  # layers or parameters left to the initializers, by name or shell pattern


@dataclass(frozen=True)
class Model:
    """The network: a list of layers and structures, or a ready model that stands for one.

    The key `blocks`, which defines layers of one's own, is resolved before this is built (config/blocks.py).
    """

    layers: Layers | None = None
    preset: Annotated[Part, Kind("models")] | None = None
    init_from: InitFrom | None = None

    exactly_one: ClassVar[tuple[str, ...]] = ("layers", "preset")

    def __post_init__(self) -> None:
        check_exactly_one(self, "model")


@dataclass(frozen=True)
class InitRule:
    """Initializers for the nodes whose name matches: the whole name or a shell pattern (`stage1.*`)."""

    match: str
    weights: Initializer | None = None
    biases: Initializer | None = None


@dataclass(frozen=True)
class Init:
    """How parameters start. A layer's own `init` wins over the last matching rule, a rule over the defaults."""

    weights: Initializer = _part("initializers", "he_normal")
    biases: Initializer = _part("initializers", "zeros")
    rules: tuple[InitRule, ...] = ()


@dataclass(frozen=True)
class Until:
    """A threshold that ends training: the metric, judged at the end of each epoch, is at most or at least this."""

    metric: str
    at_most: Finite | None = None
    at_least: Finite | None = None

    exactly_one: ClassVar[tuple[str, ...]] = ("at_most", "at_least")

    def __post_init__(self) -> None:
        check_fields(self)
        check_exactly_one(self, "until")


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the monitored metric has not improved by more than `min_delta` for `patience` epochs."""

    monitor: str = "val/loss"
    patience: PositiveInt = 10
    min_delta: NonNegative = 0.0
    mode: Literal["min", "max", "auto"] = "auto"  # auto: max for accuracies, min for the rest

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Train:
    """How long, in what batches, and when to stop."""

    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    samples: PositiveInt | None = None  # at least so many, in whole steps
    batch_size: PositiveInt = 64
    accumulate: PositiveInt = 1  # batches that make one step
    shard: PositiveInt | Literal["auto"] = "auto"  # samples a worker takes at a time: of fewer, more workers have some
    order: Annotated[Part, Kind("orders")] = _part("orders", "shuffle")
    clip_norm: Positive | None = None  # the largest Euclidean norm of the whole gradient, after the two below
    clip_value: Positive | None = None  # the largest absolute value of any of its entries
    agc: Positive | None = None  # the largest norm of a unit's gradient, as a share of its weights' (0.01 is usual)
    regularize: tuple[Annotated[Part, Kind("regularizers")], ...] = ()  # penalties join the gradient before clipping
    average: Annotated[Part, Kind("averages")] | None = None  # of the weights; measured beside them
    until: Until | None = None
    early_stopping: EarlyStopping | None = None
    metrics: tuple[Annotated[Part, Kind("metrics")], ...] | None = None  # by default accuracy and error
    log_every: PositiveInt = 50  # steps between two train rows of metrics.jsonl

    exactly_one: ClassVar[tuple[str, ...]] = ("epochs", "steps", "samples")

    def __post_init__(self) -> None:
        check_fields(self)
        check_exactly_one(self, "train")


@dataclass(frozen=True)
class Best:
    """Which checkpoint is kept as best.npz."""

    monitor: str | None = None  # by default val/loss, and train/loss where there is no validation split
    mode: Literal["min", "max", "auto"] = "auto"


@dataclass(frozen=True)
class Checkpoint:
    """How often last.npz is replaced, and which checkpoints are kept beside it."""

    every: Duration = Duration(1, "ep")
    keep: NonNegativeInt = 0  # this many checkpoints/epoch-NNNN.npz, the newest
    best: Best = Best()

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.every.value:
            raise ValueError(f"every must be longer than nothing, got {self.every}")


@dataclass(frozen=True)
class Warnings:
    """Which warnings of meaning are silenced, by their code."""

    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment, whole. `extends` and `vars` are resolved before this is built."""

    name: RunName = ""  # names the run directory; by default the config's file name
    seed: Seed = 0
    data: Data
    model: Model
    init: Init = field(default_factory=Init)
    task: Annotated[Part, Kind("tasks")] | None = None  # by default found from the data's targets and the loss
    loss: Annotated[Part, Kind("losses")] | None = None  # by default the task's own, cross_entropy where none is named
    optimizer: Annotated[Part, Kind("optimizers")] = _part("optimizers", "sgd")
    schedule: Annotated[Part, Kind("schedules")] = _part("schedules", "constant")
    momentum_schedule: Annotated[Part, Kind("schedules")] | None = None  # of the momentum, or of the first beta
    train: Train
    checkpoint: Checkpoint = Checkpoint()
    warnings: Warnings = Warnings()

    def __post_init__(self) -> None:
        if self.loss is None:
            usual: str = getattr(self.task, "loss", "cross_entropy")
            object.__setattr__(self, "loss", registry.make("losses", usual))

"""The schema: what an experiment file may say, as frozen dataclasses whose fields are the keys.

Everything but data, model and train has a default; `cnntrain config` shows them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

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
from cnntrain.core import registry
from cnntrain.core.registry import Part

InitializerPart = Annotated[Part, Kind("initializers")]
Transforms = tuple[Annotated[Part, Kind("transforms")], ...]
DatasetPart = Annotated[Part, Kind("datasets")]


def _part(kind: str, name: str) -> Any:
    """The default of a field that holds a part; made when needed, so that reading the schema imports no NumPy."""
    return field(default_factory=lambda: registry.make(kind, name))


@dataclass(frozen=True)
class NodeOptions:
    """The keys that any entry of `model.layers` may have besides its layer's own."""

    name: str | None = None  # the entry's name in checkpoints, tables and `from`; by default its type and a number
    from_: str | tuple[str, ...] | None = None  # the layers it reads, by name; by default the one before it


@dataclass(frozen=True)
class TrainedOptions(NodeOptions):
    """The keys that an entry with parameters may have as well."""

    init: InitializerPart | None = None  # initializer of its weights; by default that of the `init` section
    bias_init: InitializerPart | None = None  # initializer of its biases; by default that of the `init` section
    freeze: bool = False  # keep its parameters and running statistics as they are
    lr_mult: NonNegative = 1.0  # its learning rate, as a multiple of the optimizer's

    def __post_init__(self) -> None:
        check_fields(self)


_Share = Annotated[float, Range(0, 1, open_low=True, open_high=True)]


@dataclass(frozen=True)
class ValidationShare:
    """A share of the training samples to validate on, in whole groups: no burst of one scene is on both sides."""

    share: _Share  # how much of the training samples to validate on; with groups, as near to it as whole groups come
    # what tells which samples belong together: a column of a CSV file, or a pattern of file names such as "^(.*?)_"
    group: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class DataConfig:
    """Where samples come from, which of them validate, and what is done to them."""

    source: DatasetPart  # the data set
    # a share of the training samples, or of its groups, to validate on, or another data set; if null, the source's own
    # validation split
    val: _Share | ValidationShare | DatasetPart | None = None
    train_transforms: Transforms = ()  # what is done to a sample each time it is trained on, in this order
    eval_transforms: Transforms = ()  # what is done to a sample in validation, test and prediction, in this order
    cache: bool = True  # keep decoded pictures and sounds in runs/.cache, where later epochs and runs read them

    @property
    def share(self) -> float | None:
        """How much of the training samples to validate on; None where `val` is no share of them."""
        if isinstance(self.val, ValidationShare):
            return self.val.share
        return self.val if isinstance(self.val, float) else None


@dataclass(frozen=True)
class InitFrom:
    """Initial parameters from another run: those its checkpoint holds under the same name with the same shape."""

    # a checkpoint, a run directory (its best one), a .safetensors of PyTorch, or `builtin`: those of the preset
    checkpoint: str
    strict: bool = True  # report anything missing, unused or of another shape as an error
    ignore: tuple[str, ...] = ()  # layers or parameters to leave to the initializers, by name or shell pattern
    # whose names a .safetensors file uses; by default recognized from the file
    names: Literal["cnntrain", "torchvision", "timm"] | None = None


@dataclass(frozen=True)
class ModelConfig:
    """The network: a list of layers and structures, or a ready model instead of one.

    The key `blocks`, which defines custom layers, is resolved before this is built (config/blocks.py).
    """

    layers: Layers | None = None  # the layers and structures, in order
    preset: Annotated[Part, Kind("models")] | None = None  # a ready model, instead of `layers`
    init_from: InitFrom | None = None  # start from another network's parameters

    exactly_one: ClassVar[tuple[str, ...]] = ("layers", "preset")

    def __post_init__(self) -> None:
        check_exactly_one(self, "model")


@dataclass(frozen=True)
class InitRule:
    """Initializers for the layers that `match` names; a parameter that declares what it starts with keeps that."""

    match: str  # the layers it applies to: a name or a shell pattern; a structure's name in full means all its layers
    weights: InitializerPart | None = None  # initializer of their weights
    biases: InitializerPart | None = None  # initializer of their biases


@dataclass(frozen=True)
class InitConfig:
    """How parameters start. A layer's own `init` wins over the last matching rule, a rule over the defaults."""

    # initializer of all weights that nothing else applies to
    weights: InitializerPart = _part("initializers", "he_normal")
    # initializer of all biases that nothing else applies to
    biases: InitializerPart = _part("initializers", "zeros")
    # other initializers for some layers, by name; a later rule wins over an earlier one
    rules: tuple[InitRule, ...] = ()


@dataclass(frozen=True)
class Until:
    """A threshold that ends training: at the end of an epoch, the metric is at most or at least this."""

    metric: str  # the metric that is compared, such as `train/error`
    at_most: Finite | None = None  # stop once the metric is this or less
    at_least: Finite | None = None  # stop once the metric is this or more

    exactly_one: ClassVar[tuple[str, ...]] = ("at_most", "at_least")

    def __post_init__(self) -> None:
        check_fields(self)
        check_exactly_one(self, "until")


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the monitored metric has not improved by more than `min_delta` for `patience` epochs."""

    monitor: str = "val/loss"  # the metric that should improve
    patience: PositiveInt = 10  # stop after this many epochs without an improvement
    min_delta: NonNegative = 0.0  # a change of no more than this does not count as an improvement
    # whether smaller or larger is better; `auto` takes larger for accuracies and the like
    mode: Literal["min", "max", "auto"] = "auto"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Freeze:
    """Layers whose parameters and running statistics stay as they are: for good, until a time, or from one on."""

    match: str  # the layers it applies to: a name or a shell pattern; one for a structure means all its layers
    until: Duration | None = None  # when they begin to be trained, from the start of training
    after: Duration | None = None  # when they stop being trained; with neither they are never trained


@dataclass(frozen=True)
class TrainConfig:
    """How long, in what batches, and when to stop."""

    epochs: PositiveInt | None = None  # length of the training in passes over the training samples
    steps: PositiveInt | None = None  # length of the training in steps
    samples: PositiveInt | None = None  # length of the training in samples, rounded up to whole steps
    batch_size: PositiveInt = 64  # samples in a batch
    accumulate: PositiveInt = 1  # batches whose gradients are added up for one step
    # samples a worker takes at a time; with fewer, a batch feeds more workers
    shard: PositiveInt | Literal["auto"] = "auto"
    # which samples an epoch sees, and in what order
    order: Annotated[Part, Kind("orders")] = _part("orders", "shuffle")
    # scale the whole gradient down to at most this Euclidean norm, after `clip_value` and `agc`
    clip_norm: Positive | None = None
    clip_value: Positive | None = None  # clip every entry of the gradient to at most this absolute value
    # scale each unit's gradient down to at most this share of the norm of its weights (0.01 is usual)
    agc: Positive | None = None
    # penalties on the parameters; they join the gradient before it is clipped
    regularize: tuple[Annotated[Part, Kind("regularizers")], ...] = ()
    # an average of the weights over training, which is validated alongside them
    average: Annotated[Part, Kind("averages")] | None = None
    freeze: tuple[Freeze, ...] = ()  # layers to keep as they are; of several rules for a layer, the longest holds
    until: Until | None = None  # stop when a metric reaches a threshold
    early_stopping: EarlyStopping | None = None  # stop when a metric no longer improves
    # what to measure; by default the task's own metrics, such as accuracy and error for classes
    metrics: tuple[Annotated[Part, Kind("metrics")], ...] | None = None
    log_every: PositiveInt = 50  # steps between two train rows of metrics.jsonl

    exactly_one: ClassVar[tuple[str, ...]] = ("epochs", "steps", "samples")

    def __post_init__(self) -> None:
        check_fields(self)
        check_exactly_one(self, "train")


@dataclass(frozen=True)
class Best:
    """Which checkpoint is kept as best.npz."""

    # the metric that decides; by default `val/loss`, `val_average/loss` of averaged weights, or else `train/loss`
    monitor: str | None = None
    # whether smaller or larger is better; `auto` takes larger for accuracies and the like
    mode: Literal["min", "max", "auto"] = "auto"


@dataclass(frozen=True)
class CheckpointConfig:
    """How often last.npz is replaced, and which checkpoints are kept beside it."""

    every: Duration = Duration(1, "ep")  # how often last.npz is replaced
    keep: NonNegativeInt = 0  # how many of the newest numbered checkpoints to keep, such as epoch-0007.npz
    best: Best = Best()  # which checkpoint is kept as best.npz
    # moments of training to keep for `report --film`, from the first step to the last: 20 show a lot; 0 keeps none
    film: Annotated[int, Range(0, 1000)] = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.every.value:
            raise ValueError(f"every must be greater than zero, got {self.every}")
        if self.film == 1:
            raise ValueError("film must be 0 or at least 2, for the first step and the last, got 1")


@dataclass(frozen=True)
class WarningsConfig:
    """Which warnings about what a config means are silenced, by their code."""

    ignore: tuple[str, ...] = ()  # codes of the warnings to silence


def usual_loss(task: Part | type[Part] | None) -> str:
    """The name of the loss that is there by default."""
    name: str = getattr(task, "loss", "cross_entropy")
    return name


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment, whole. `extends` and `vars` are resolved before this is built."""

    name: RunName = ""  # the run directory's name; by default the config's file name
    # what all random numbers derive from: initial weights, the order of samples, augmentation and dropout
    seed: Seed = 0
    data: DataConfig  # where samples come from and how they are prepared
    model: ModelConfig  # the network
    init: InitConfig = field(default_factory=InitConfig)  # how weights and biases start
    # what the network does; by default inferred from the data's targets and the loss
    task: Annotated[Part, Kind("tasks")] | None = None
    # what training minimizes; by default the task's own, cross_entropy where no task is named
    loss: Annotated[Part, Kind("losses")] | None = None
    optimizer: Annotated[Part, Kind("optimizers")] = _part("optimizers", "sgd")  # how gradients become steps
    # how the learning rate changes during training
    schedule: Annotated[Part, Kind("schedules")] = _part("schedules", "constant")
    # how the momentum (or the first of the betas) changes during training; by default it stays constant
    momentum_schedule: Annotated[Part, Kind("schedules")] | None = None
    train: TrainConfig  # how long to train, in what batches, and when to stop
    checkpoint: CheckpointConfig = CheckpointConfig()  # when to save, and which checkpoints to keep
    warnings: WarningsConfig = WarningsConfig()  # which warnings to silence

    def __post_init__(self) -> None:
        if self.loss is None:
            object.__setattr__(self, "loss", registry.make("losses", usual_loss(self.task)))

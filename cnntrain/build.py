"""Build turns a config into the objects that train: data, network, loss, loader, first parameters.

Straight-line code, in the order in which things depend on each other. What does not fit together is reported at the
line of the config that says it.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from cnntrain.arrays import Array, Shape
from cnntrain.config.fields import Declared
from cnntrain.config.load import Loaded
from cnntrain.config.schema import Experiment, Init
from cnntrain.datasets.base import Dataset, Description, Images
from cnntrain.engine.tally import Tally
from cnntrain.engine.update import Rules, unmatched
from cnntrain.errors import ConfigError, DataError, Problem
from cnntrain.graph import Graph, Node, weave
from cnntrain.initializers.base import Initializer
from cnntrain.loader import Known, Loader, fit, output_shape, split_validation
from cnntrain.losses.base import Loss
from cnntrain.losses.distillation import with_logits
from cnntrain.metrics.base import Metric
from cnntrain.models.base import Preset
from cnntrain.optimizers.base import Optimizer
from cnntrain.orders.base import Order
from cnntrain.random import stream
from cnntrain.reader import ALONE, Reader
from cnntrain.registry import Part, make
from cnntrain.regularizers.base import Regularizer
from cnntrain.schedules.base import Horizon, Schedule
from cnntrain.transforms.base import Transform


def problem(loaded: Loaded, path: str, message: str) -> ConfigError:
    """An error at the place of a dotted key."""
    return ConfigError(Problem(loaded.where(path), message))


@dataclass(frozen=True)
class Network:
    """What follows from the config and the shape of the data: the graph, the loss, the metrics."""

    graph: Graph
    tally: Tally
    image_shape: Shape  # of one sample as it is stored, before any transform
    classes: tuple[str, ...]

    @property
    def loss(self) -> Loss:
        """The loss it is trained on."""
        return self.tally.loss


def network(loaded: Loaded, description: Description, counts: Sequence[int] | None = None) -> Network:
    """The network for samples of this shape and these classes. Raises ConfigError at the line that does not fit.

    `counts`, training samples of each class, turn balanced class weights into numbers.
    """
    experiment = loaded.experiment
    shapes = {}
    for name in ("train_transforms", "eval_transforms"):
        try:
            shapes[name] = output_shape(transforms(getattr(experiment.data, name)), description.shape)
        except ValueError as error:
            raise problem(loaded, f"data.{name}", str(error)) from error
    if shapes["train_transforms"] != shapes["eval_transforms"]:
        raise problem(
            loaded,
            "data.eval_transforms",
            f"training images become {shapes['train_transforms']}, evaluation images {shapes['eval_transforms']}: "
            "give both lists the transforms that change the shape",
        )
    _check_mixing(loaded)
    try:
        graph = weave(layers(loaded), shapes["eval_transforms"], description.outputs)
    except ValueError as error:
        raise problem(loaded, "model.layers", str(error)) from error
    train = experiment.train
    graph.shard = graph.shard_for(train.batch_size) if train.shard == "auto" else min(train.shard, train.batch_size)
    loss = cast(Loss, experiment.loss)
    try:
        loss.check(graph.output_shape, description.outputs, bool(description.classes))
        loss = loss if counts is None else loss.fit(counts)
    except ValueError as error:
        where = loaded.marks.get("loss", graph.nodes[-1].where)
        raise ConfigError(Problem(where, str(error))) from error
    _check_matches(loaded, graph)
    try:
        cast(Order, experiment.train.order).check(len(description.classes))
    except ValueError as error:
        raise problem(loaded, "train.order", str(error)) from error
    scored = tally(experiment, description, loss)
    for metric in scored.metrics:
        try:
            metric.check(bool(description.classes))
        except ValueError as error:
            raise problem(loaded, "train.metrics", str(error)) from error
    return Network(graph, scored, description.shape, description.classes)


def _check_mixing(loaded: Loaded) -> None:
    """Raise ConfigError where samples would be mixed that must stay as they are."""
    data = loaded.experiment.data
    for index, transform in enumerate(transforms(data.eval_transforms)):
        if transform.on == "pair":
            raise problem(
                loaded,
                f"data.eval_transforms.{index}",
                f"{transform.name_in_config} mixes samples with each other, and evaluation must see them as they are: "
                "leave it to train_transforms",
            )
    mixing = [index for index, transform in enumerate(transforms(data.train_transforms)) if transform.on == "pair"]
    if mixing and getattr(loaded.experiment.loss, "teacher", None) is not None:
        name = data.train_transforms[mixing[0]].name_in_config
        raise problem(
            loaded,
            f"data.train_transforms.{mixing[0]}",
            f"{name} mixes samples, and the teacher of the loss was asked about unmixed ones: remove {name}, or the "
            "teacher",
        )


def _check_matches(loaded: Loaded, graph: Graph) -> None:
    """Raise ConfigError where a pattern of a group or a regularizer matches nothing, or no momentum can be set."""
    experiment = loaded.experiment
    places = {
        "optimizer.groups": [group.match for group in optimizer(experiment).groups],
        "train.regularize": [regularizer.match for regularizer in rules(experiment).regularizers],
    }
    for place, patterns in places.items():
        for index, message in unmatched(graph.layout, patterns):
            raise problem(loaded, f"{place}.{index}", message)
    if experiment.momentum_schedule is not None and not optimizer(experiment).base_momentum:
        raise problem(loaded, "momentum_schedule", "momentum_schedule needs an optimizer with a momentum above 0")


def class_counts(data: Data) -> list[int] | None:
    """Training samples of each class; None for target values, or where samples have several labels."""
    targets = data.train.targets
    if not data.train.classes or targets.ndim != 1:
        return None
    return [int(n) for n in np.bincount(targets[data.train_indices], minlength=len(data.train.classes))]


def layers(loaded: Loaded) -> tuple[Declared, ...]:
    """The list of layers the config holds, or that its ready model stands for."""
    model = loaded.experiment.model
    if model.layers is not None:
        return model.layers
    return cast(Preset, model.preset).entries(loaded.where("model.preset"))


def tally(experiment: Experiment, description: Description, loss: Loss) -> Tally:
    """Loss and metrics of the experiment; for classes, accuracy and error unless it says otherwise."""
    chosen = experiment.train.metrics
    if chosen is None:
        chosen = (make("metrics", "accuracy"), make("metrics", "error")) if description.classes else ()
    metrics = [cast(Metric, part) for part in chosen if part.name_in_config != "loss"]  # which is always measured
    return Tally(loss, metrics, description.outputs)


def transforms(parts: tuple[Part, ...]) -> tuple[Transform, ...]:
    """A list of transforms as the config has it."""
    return tuple(cast(Transform, part) for part in parts)


@dataclass(frozen=True)
class Data:
    """The samples of a run, and the transforms with what they measured on the training split."""

    description: Description
    train: Images
    train_indices: Array
    val: Images | None
    val_indices: Array
    train_transforms: tuple[Transform, ...]
    eval_transforms: tuple[Transform, ...]
    lesson: Any = None  # a teacher's logits for the training samples


def describe(loaded: Loaded) -> Description | None:
    """Shape and classes as far as the config alone tells."""
    return cast(Dataset, loaded.experiment.data.source).describe()


def load(loaded: Loaded, source: Dataset, split: str, reader: Reader) -> Images:
    """A split of a source, with the reader's cache if the config wants one. Raises DataError."""
    return source.load(split, reader if loaded.experiment.data.cache else replace(reader, cache=None))


def read_data(loaded: Loaded, reader: Reader = ALONE, measure: bool = True) -> Data:
    """Read training and validation samples, split and fit. Raises DataError, or ConfigError for an impossible split.

    Without `measure`, transforms are left as the config has them: for who only wants the split.
    """
    experiment = loaded.experiment
    source = cast(Dataset, experiment.data.source)
    train = load(loaded, source, "train", reader)
    indices = np.arange(len(train))
    val, val_indices = _validation(loaded, source, train, reader)
    if val is train:
        indices = np.setdiff1d(indices, val_indices, assume_unique=True)
    if val is not None and (val.shape != train.shape or val.classes != train.classes):
        raise DataError(
            f"validation samples are {val.shape} of {len(val.classes)} classes, training samples {train.shape} of "
            f"{len(train.classes)}: both must have the same shape and the same class names"
        )
    lists = [transforms(experiment.data.train_transforms), transforms(experiment.data.eval_transforms)]
    if measure:
        known: Known = {}
        lists = [fit(chosen, train, indices, known) for chosen in lists]
    return Data(train.description, train, indices, val, val_indices, *lists)


def _validation(loaded: Loaded, source: Dataset, train: Images, reader: Reader) -> tuple[Images | None, Array]:
    """The samples that validate, and their indices: a share of train, a source of its own, or the source's own."""
    experiment = loaded.experiment
    val = experiment.data.val
    if isinstance(val, float):
        _, indices = split_validation(train.targets, val, experiment.seed, stratified=bool(train.classes))
        if not len(indices):
            raise problem(
                loaded, "data.val", f"a share of {val:g} of {len(train)} samples is none: raise it, or leave val out"
            )
        return train, indices
    if val is not None:
        other = cast(Dataset, val)
        images = load(loaded, other, "val" if "val" in other.splits() else "train", reader)
    elif "val" in source.splits():
        images = load(loaded, source, "val", reader)
    else:
        return None, np.arange(0)
    return images, np.arange(len(images))


def check_targets(loaded: Loaded, split: str, images: Images, indices: Array, source: Dataset) -> None:
    """Raise DataError for the first target value of these samples on which the loss is not defined."""
    loss = cast(Loss, loaded.experiment.loss)
    if images.targets.ndim == 1:
        return
    wrong = np.argwhere(loss.wrong_targets(images.targets[indices]))
    if not len(wrong):
        return
    sample, column = int(indices[wrong[0, 0]]), int(wrong[0, 1])
    value = float(images.targets[sample, column])
    low, high = loss.target_range
    place = (
        source.place_of_target(split, sample, column, value) or f"sample {sample} of {split}: its target value {column}"
    )
    takes = f"{low:g} to {high:g}" if math.isfinite(high - low) else "finite numbers"
    raise DataError(
        f"{place} is {value:g}, {loss.name_in_config} takes {takes}. Mend the data, leave such samples out, or choose "
        "another loss"
    )


def validates(experiment: Experiment) -> bool:
    """Whether a run will have validation samples, as far as the config and a look for files tell; True in doubt."""
    if experiment.data.val is not None:
        return True
    try:
        return "val" in cast(Dataset, experiment.data.source).splits()
    except DataError:  # to be raised by whoever reads the data
        return True


def loader(experiment: Experiment, data: Data) -> Loader:
    """The batches of training."""
    train, images = experiment.train, data.train
    if data.lesson is not None:
        images = replace(images, targets=with_logits(images.targets, data.lesson.logits))
    return Loader(
        images,
        data.train_indices,
        data.train_transforms,
        batch_size=train.batch_size,
        accumulate=train.accumulate,
        order=cast(Order, train.order),
        seed=experiment.seed,
        labels=data.train.targets if data.train.classes and data.train.targets.ndim == 1 else None,
    )


def check_batches(network: Network, loader: Loader) -> None:
    """Raise ConfigError where a batch is too small for a layer that takes statistics over it."""
    smallest = len(loader.indices) % loader.batch_size or loader.batch_size
    for index, node in enumerate(network.graph.nodes):
        if node.coupled and smallest * math.prod(network.graph.input_shapes(index)[0][:-1]) < 2:
            raise ConfigError(
                Problem(
                    node.where,
                    f"{node.name} would get a batch with one value per channel, which has no variance: of "
                    f"{len(loader.indices)} samples in batches of {loader.batch_size} the last has {smallest}. "
                    "Choose another train.batch_size",
                )
            )


def horizon(experiment: Experiment, steps_per_epoch: int, samples: int | None = None) -> Horizon:
    """How long training is, in steps; `samples` are those of an epoch, by default as many as fill its steps."""
    train = experiment.train
    if train.samples is not None:
        batch = train.batch_size * train.accumulate
        epochs, rest = divmod(train.samples, samples or steps_per_epoch * batch)
        return Horizon(epochs * steps_per_epoch + -(-rest // batch), steps_per_epoch)
    total = train.steps if train.steps is not None else cast(int, train.epochs) * steps_per_epoch
    return Horizon(total, steps_per_epoch)


def optimizer(experiment: Experiment) -> Optimizer:
    """The optimizer the config names."""
    return cast(Optimizer, experiment.optimizer)


def schedule(experiment: Experiment) -> Schedule:
    """The schedule the config names."""
    return cast(Schedule, experiment.schedule)


def rules(experiment: Experiment) -> Rules:
    """What is done to gradients and parameters beside the optimizer's step."""
    train = experiment.train
    return Rules(train.clip_value, train.agc, tuple(cast(Regularizer, part) for part in train.regularize))


def vectors(experiment: Experiment) -> int:
    """How many vectors of the parameters' size training keeps beside parameters and gradient."""
    chosen = optimizer(experiment)
    saved = (chosen.sam is not None) + 2 * (experiment.train.average is not None)
    return len(chosen.state_names()) + saved + 1  # and the weights before a step, for the update ratio


def initialize(graph: Graph, init: Init, seed: int, params: Array) -> None:
    """Write the first values of every parameter into the flat vector.

    Each parameter draws from a stream of its own name, so that adding a layer leaves the others' values alone.
    """
    views = graph.layout.views(params)
    for node in graph.nodes:
        for name, param in node.params.items():
            full = f"{node.name}.{name}"
            which = "biases" if param.role == "bias" or name == "shift" else "weights"
            if param.start is not None and (param.role == "statistic" or _own(node, which) is None):
                views[full][...] = param.start
                continue
            initializer = _initializer(node, init, which)
            initializer.fill(views[full], param, stream(seed, f"init:{full}"))


def _initializer(node: Node, init: Init, which: str) -> Initializer:
    """The layer's own, else that of the last rule that matches its name, else the default."""
    chosen = _own(node, which)
    if chosen is None:
        matching = [getattr(rule, which) for rule in init.rules if fnmatch.fnmatchcase(node.name, rule.match)]
        candidates = [getattr(init, which), *(part for part in matching if part is not None)]
        chosen = candidates[-1]
    return cast(Initializer, cast(Part, chosen))


def _own(node: Node, which: str) -> Part | None:
    """The initializer the layer was given itself: `init` for weights and scales, `bias_init` for biases and shifts."""
    own: Part | None = node.options.bias_init if which == "biases" else node.options.init
    return own

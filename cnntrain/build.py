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
from cnntrain.datasets.base import Dataset, Images
from cnntrain.description import Description
from cnntrain.engine.tally import Tally
from cnntrain.engine.update import Rules, unmatched
from cnntrain.errors import ConfigError, DataError, Problem
from cnntrain.graph import Graph, Node, weave
from cnntrain.initializers.base import Initializer
from cnntrain.loader import Known, Loader, fit, output_shape, split_validation
from cnntrain.losses.base import Loss, beside, teacher_of
from cnntrain.metrics.base import Metric
from cnntrain.models.base import Preset
from cnntrain.optimizers.base import Optimizer
from cnntrain.orders.base import Order
from cnntrain.random import stream
from cnntrain.reader import ALONE, Reader
from cnntrain.registry import Part, make
from cnntrain.regularizers.base import Regularizer
from cnntrain.schedules.base import Horizon, Schedule
from cnntrain.tasks.base import Task, find, told
from cnntrain.transforms.base import Transform


def problem(loaded: Loaded, path: str, message: str) -> ConfigError:
    """An error at the place of a dotted key."""
    return ConfigError(Problem(loaded.where(path), message))


@dataclass(frozen=True)
class Network:
    """What follows from the config and the shape of the data: the graph, the task, the loss, the metrics."""

    graph: Graph
    tally: Tally
    task: Task
    data: Description  # of samples as they are stored, before any transform

    @property
    def image_shape(self) -> Shape:
        """Of one sample as it is stored, before any transform."""
        return self.data.shape

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of labels; empty where the data names none."""
        return self.data.classes

    @property
    def loss(self) -> Loss:
        """The loss it is trained on."""
        return self.tally.loss


def task(loaded: Loaded, description: Description) -> Task:
    """What the network is asked: what `task` says, else what fits the data and the loss. Raises ConfigError."""
    chosen = cast(Task | None, loaded.experiment.task)
    try:
        if chosen is None:
            return find(description, cast(Loss, loaded.experiment.loss))
        chosen.check_data(description)
    except ValueError as error:
        raise problem(loaded, "data.source" if chosen is None else "task", str(error)) from error
    return chosen


def network(loaded: Loaded, description: Description, counts: Sequence[int] | None = None) -> Network:
    """The network for samples of this shape and these classes. Raises ConfigError at the line that does not fit.

    `counts`, training samples of each class, turn balanced class weights into numbers.
    """
    experiment, asked = loaded.experiment, task(loaded, description)
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
        graph = weave(layers(loaded), shapes["eval_transforms"], asked.outputs(description))
    except ValueError as error:
        raise problem(loaded, "model.layers", str(error)) from error
    train = experiment.train
    graph.shard = graph.shard_for(train.batch_size) if train.shard == "auto" else min(train.shard, train.batch_size)
    loss = cast(Loss, experiment.loss)
    try:
        asked.check_loss(loss)
        loss.check(graph.output_shape, asked.outputs(description), description)
        loss = loss if counts is None else loss.fit(counts)
    except ValueError as error:
        where = loaded.marks.get("loss", graph.nodes[-1].where)
        raise ConfigError(Problem(where, str(error))) from error
    _check_matches(loaded, graph)
    try:
        cast(Order, experiment.train.order).check(len(asked.groups(description)))
    except ValueError as error:
        raise problem(loaded, "train.order", str(error)) from error
    scored = tally(experiment, asked, description, loss)
    for metric in scored.metrics:
        try:
            asked.check_metric(metric)
        except ValueError as error:
            raise problem(loaded, "train.metrics", str(error)) from error
    return Network(graph, scored, asked, description)


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
    if mixing and teacher_of(cast(Loss, loaded.experiment.loss)) is not None:
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
    """Training samples of each class; None where samples are not each of one class."""
    return data.task.counts(data.train.targets[data.train_indices], data.description)


def layers(loaded: Loaded) -> tuple[Declared, ...]:
    """The list of layers the config holds, or that its ready model stands for."""
    model = loaded.experiment.model
    if model.layers is not None:
        return model.layers
    return cast(Preset, model.preset).entries(loaded.where("model.preset"))


def tally(experiment: Experiment, asked: Task, description: Description, loss: Loss) -> Tally:
    """Loss and metrics of the experiment; those of the task unless it says otherwise."""
    chosen = experiment.train.metrics
    if chosen is None:
        chosen = tuple(make("metrics", name) for name in asked.metrics)
    metrics = [cast(Metric, part) for part in chosen if part.name_in_config != "loss"]  # which is always measured
    return Tally(loss, metrics, asked.counted(description))


def transforms(parts: tuple[Part, ...]) -> tuple[Transform, ...]:
    """A list of transforms as the config has it."""
    return tuple(cast(Transform, part) for part in parts)


@dataclass(frozen=True)
class Data:
    """The samples of a run, and the transforms with what they measured on the training split."""

    description: Description
    task: Task
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
    asked = task(loaded, train.description)
    if experiment.task is not None:
        _check_targets(loaded, train.targets)
    indices = np.arange(len(train))
    val, val_indices = _validation(loaded, source, train, asked, reader)
    if val is train:
        indices = np.setdiff1d(indices, val_indices, assume_unique=True)
    if val is not None and val.description != train.description:
        raise DataError(
            f"validation samples are {told(val.description)}, training samples {told(train.description)}: both must "
            "have the same shape and the same class names"
        )
    lists = [transforms(experiment.data.train_transforms), transforms(experiment.data.eval_transforms)]
    if measure:
        known: Known = {}
        lists = [fit(chosen, train, indices, known) for chosen in lists]
    return Data(train.description, asked, train, indices, val, val_indices, *lists)


def _check_targets(loaded: Loaded, targets: Array) -> None:
    """Raise DataError where the targets are not those of the task that the config names."""
    try:
        cast(Task, loaded.experiment.task).check_targets(targets)
    except ValueError as error:
        raise DataError(f"{loaded.where('task')}: {error}") from error


def _validation(
    loaded: Loaded, source: Dataset, train: Images, asked: Task, reader: Reader
) -> tuple[Images | None, Array]:
    """The samples that validate, and their indices: a share of train, a source of its own, or the source's own."""
    experiment = loaded.experiment
    val = experiment.data.val
    if isinstance(val, float):
        labels = asked.labels(train.targets, train.description)
        _, indices = split_validation(
            train.targets if labels is None else labels, val, experiment.seed, stratified=labels is not None
        )
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
    train, images, asked = experiment.train, data.train, data.task
    labels = asked.labels(images.targets, data.description)
    if data.lesson is not None:
        images = replace(images, targets=beside(images.targets, data.lesson.logits))
    return Loader(
        images,
        data.train_indices,
        data.train_transforms,
        batch_size=train.batch_size,
        accumulate=train.accumulate,
        order=cast(Order, train.order),
        seed=experiment.seed,
        labels=labels,
        mixable=lambda targets: asked.mixable(targets, data.description),
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

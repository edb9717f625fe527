"""Build turns a config into a network: the graph, the loss and the metrics, the initial parameters.

Straight-line code, in the order in which things depend on each other. What does not fit together is reported at the
line of the config that says it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import cast

from cnntrain.config.fields import Declared
from cnntrain.config.load import Loaded, problem
from cnntrain.config.schema import Experiment, InitConfig
from cnntrain.config.tree import SET
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.description import Description
from cnntrain.core.errors import ConfigError, Problem
from cnntrain.core.random import stream
from cnntrain.core.registry import make
from cnntrain.data.build_data import task, transforms
from cnntrain.network import effects, freezing, initial
from cnntrain.network.graph import Graph, weave
from cnntrain.network.tally import Tally
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.losses.base import Loss, teacher_of
from cnntrain.parts.metrics.base import Metric
from cnntrain.parts.models.base import Preset
from cnntrain.parts.optimizers.base import Optimizer
from cnntrain.parts.orders.base import Order
from cnntrain.parts.tasks.base import Task
from cnntrain.parts.transforms.base import Transform

_LISTS = ("train_transforms", "eval_transforms")  # of the config


@dataclass(frozen=True)
class Network:
    """What follows from the config and the shape of the data: the graph, the task, the loss, the metrics."""

    graph: Graph
    tally: Tally
    task: Task
    data: Description  # of samples as they are stored, before any transform

    @property
    def image_shape(self) -> Shape:
        """Shape of one sample as it is stored, before any transform."""
        return self.data.shape

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of labels; empty where the data names none."""
        return self.data.classes

    @property
    def loss(self) -> Loss:
        """The loss it is trained on."""
        return self.tally.loss


def network(loaded: Loaded, description: Description) -> Network:
    """The network for samples of this shape and these classes. Raises ConfigError at the line that does not fit."""
    experiment, asked = loaded.experiment, task(loaded, description)
    _check_rates(loaded)  # before shapes, which differ where rates do
    shapes = {name: _shape_after(loaded, name, description.shape) for name in _LISTS}
    if shapes["train_transforms"] != shapes["eval_transforms"]:
        raise problem(
            loaded,
            "data.eval_transforms",
            f"training images become {shapes['train_transforms']}, evaluation images {shapes['eval_transforms']}: "
            "give both lists the transforms that change the shape",
        )
    _check_mixing(loaded, asked)
    _check_transforms(loaded, asked, description)
    _check_sides(loaded, description.shape, shapes["eval_transforms"])
    try:
        graph = weave(layers(loaded), shapes["eval_transforms"], asked.outputs(description))
    except ValueError as error:
        raise problem(loaded, "model.layers", str(error)) from error
    graph = freezing.frozen(loaded, graph)
    train = experiment.train
    views = math.prod(transform.views for transform in transforms(experiment.data.eval_transforms))
    size = train.batch_size
    graph.shard = graph.shard_for(size, views) if train.shard == "auto" else min(train.shard, size)
    if views > graph.shard:
        raise problem(
            loaded,
            "data.eval_transforms",
            f"{views} views of a sample, at most {graph.shard} (train.shard) fit together: use fewer",
        )
    loss = cast(Loss, experiment.loss)
    try:
        asked.check_loss(loss)
        loss.check(graph.output_shape, asked.outputs(description), replace(description, shape=graph.input_shape))
    except ValueError as error:
        raise _problem_of_loss(loaded, graph, error) from error
    if experiment.momentum_schedule is not None and not optimizer(experiment).base_momentum:
        raise problem(loaded, "momentum_schedule", "momentum_schedule needs an optimizer with a momentum above 0")
    if not loaded.begun:
        initial.check(loaded, graph)
        effects.check(loaded, graph)
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


def balanced(loaded: Loaded, network: Network, counts: Sequence[int] | None) -> Network:
    """The network with its balanced class weights, if it has such, turned into numbers by how often each class
    occurs.

    Raises ConfigError where the loss cannot be balanced by them.
    """
    if counts is None:
        return network
    try:
        loss = network.loss.fit(counts)
    except ValueError as error:
        raise _problem_of_loss(loaded, network.graph, error) from error
    return replace(network, tally=Tally(loss, network.tally.metrics, network.tally.outputs))


def _problem_of_loss(loaded: Loaded, graph: Graph, error: ValueError) -> ConfigError:
    """An error at the loss; at the last layer where the config names no loss, or the command line set that layer."""
    last = graph.nodes[-1].where
    where = last if last.override or last.file == SET else loaded.marks.get("loss", last)
    return ConfigError(Problem(where, str(error)))


def _shape_after(loaded: Loaded, name: str, shape: Shape) -> Shape:
    """Shape of one sample after a list of transforms. Raises ConfigError at the one that cannot take its input."""
    for index, transform in enumerate(transforms(getattr(loaded.experiment.data, name))):
        try:
            shape = transform.shape_after(shape)
        except ValueError as error:
            raise problem(loaded, f"data.{name}.{index}", f"{transform.name_in_config}: {error}") from error
    return shape


def _check_transforms(loaded: Loaded, asked: Task, description: Description) -> None:
    """Raise ConfigError at the first transform that does not suit the task or the data."""
    data = loaded.experiment.data
    for name in _LISTS:
        shape = description.shape
        for index, transform in enumerate(transforms(getattr(data, name))):
            try:
                _check_followed(transform, asked, shape)
                _check_needs(transform, asked, description)
            except ValueError as error:
                raise problem(loaded, f"data.{name}.{index}", str(error)) from error
            shape = transform.shape_after(shape)


def _check_followed(transform: Transform, asked: Task, shape: Shape) -> None:
    """Raise ValueError where targets that are places in the picture cannot follow a transform."""
    if asked.follows:
        try:
            transform.check_followed(shape)
        except ValueError as error:
            raise ValueError(f"{transform.name_in_config}: {error}") from error


def _check_needs(transform: Transform, asked: Task, description: Description) -> None:
    """Raise ValueError where a transform needs what the targets do not have."""
    joins = transform.on == "tiles"
    if joins and (not asked.follows or asked.joined([asked.blank(1, description)] * 2) is None):
        raise ValueError(
            f"{transform.name_in_config} joins pictures, but {description.target} cannot be joined: remove it"
        )
    if transform.looks and asked.things(asked.blank(1, description)) is None:
        raise ValueError(
            f"{transform.name_in_config} needs boxes around things, but the data has {description.target}: remove "
            "it, or use random_resized_crop"
        )


def _check_rates(loaded: Loaded) -> None:
    """Raise ConfigError at the first transform that expects sounds of another rate than the source gives."""
    data = loaded.experiment.data
    given = {rate for one in cast(Dataset, data.source).origins() if (rate := getattr(one, "sample_rate", None))}
    for name in _LISTS:
        for index, transform in enumerate(transforms(getattr(data, name))):
            try:
                _check_rate(transform, given)
            except ValueError as error:
                raise problem(loaded, f"data.{name}.{index}", str(error)) from error


def _check_rate(transform: Transform, given: Collection[int]) -> None:
    """Raise ValueError where a transform expects sounds of another rate than the source gives."""
    taken = getattr(transform, "sample_rate", None)
    if taken is not None and given and {*given} != {taken}:
        listed = " and ".join(f"{rate:,}" for rate in sorted(given))
        raise ValueError(
            f"{transform.name_in_config} has sample_rate {taken:,}, the sounds have {listed}: give both the same"
        )


def _check_mixing(loaded: Loaded, asked: Task) -> None:
    """Raise ConfigError where samples would be mixed that must stay as they are."""
    data = loaded.experiment.data
    for index, transform in enumerate(transforms(data.eval_transforms)):
        if transform.on not in ("image", "views"):
            raise problem(
                loaded,
                f"data.eval_transforms.{index}",
                f"{transform.name_in_config} mixes samples with each other, but evaluation must see them as they are: "
                "use it in train_transforms only",
            )
    for index, transform in enumerate(transforms(data.train_transforms)):
        if transform.on == "views":
            raise problem(
                loaded,
                f"data.train_transforms.{index}",
                f"{transform.name_in_config} makes several samples from one, for evaluation: use "
                f"{transform.in_training} here",
            )
    mixing = [index for index, transform in enumerate(transforms(data.train_transforms)) if transform.on != "image"]
    pairs = [index for index in mixing if transforms(data.train_transforms)[index].on == "pair"]
    if pairs and not asked.mixes:
        name = data.train_transforms[pairs[0]].name_in_config
        raise problem(
            loaded,
            f"data.train_transforms.{pairs[0]}",
            f"{name} takes weighted sums of targets, which {asked.target} do not allow: remove {name}",
        )
    if mixing and teacher_of(cast(Loss, loaded.experiment.loss)) is not None:
        name = data.train_transforms[mixing[0]].name_in_config
        raise problem(
            loaded,
            f"data.train_transforms.{mixing[0]}",
            f"{name} mixes samples, but the teacher of the loss was asked about unmixed ones: remove {name}, or the "
            "teacher",
        )


def _check_sides(loaded: Loaded, stored: Shape, shape: Shape) -> None:
    """Raise ConfigError where a ready model cannot take pictures of this shape: at their size, if that is written."""
    preset = loaded.experiment.model.preset
    if preset is None or len(shape) != 3:
        return
    try:
        cast(Preset, preset).check_sides(shape[0], shape[1])
    except ValueError as error:
        written = "data.source.size" in loaded.marks and stored == shape
        place = "data.source.size" if written else "model.preset"
        raise problem(loaded, place, str(error)) from error


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


def optimizer(experiment: Experiment) -> Optimizer:
    """The optimizer the config names."""
    return cast(Optimizer, experiment.optimizer)


def initialize(graph: Graph, init: InitConfig, seed: int, params: Array) -> None:
    """Write the initial values of every parameter into the flat vector.

    Each parameter draws from a stream of its own name, so that adding a layer leaves the other layers' values alone.
    """
    views = graph.layout.views(params)
    for node in graph.nodes:
        for name, param in node.params.items():
            full, initializer = f"{node.name}.{name}", initial.initializer(node, init, name)
            if initializer is None:
                views[full][...] = param.start
            else:
                initializer.fill(views[full], param, stream(seed, f"init:{full}"))

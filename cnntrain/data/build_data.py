"""The data of an experiment: its samples, read and split, and the transforms with what they measured on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from cnntrain.config.load import Loaded, problem
from cnntrain.config.schema import Experiment
from cnntrain.core.arrays import Array
from cnntrain.core.description import Description
from cnntrain.core.errors import DataError
from cnntrain.core.registry import Part
from cnntrain.data.loader import Known, Loader, fit, split_validation
from cnntrain.parts.datasets.base import Dataset, Images
from cnntrain.parts.losses.base import Loss, beside
from cnntrain.parts.orders.base import Order
from cnntrain.parts.tasks.base import Task, find, told
from cnntrain.parts.transforms.base import Transform
from cnntrain.reading.reader import ALONE, Reader


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


def class_counts(data: Data) -> list[int] | None:
    """Training samples of each class; None where samples are not each of one class."""
    return data.task.counts(data.train.targets[data.train_indices], data.description)


def transforms(parts: tuple[Part, ...]) -> tuple[Transform, ...]:
    """A list of transforms as the config has it."""
    return tuple(cast(Transform, part) for part in parts)

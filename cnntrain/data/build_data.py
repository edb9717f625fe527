"""The data of an experiment: its samples, read and split, and the transforms with what they measured on them."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnntrain.config.load import Loaded, problem
from cnntrain.config.schema import Experiment, ValidationShare
from cnntrain.core import scale
from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.description import Description
from cnntrain.core.errors import DataError
from cnntrain.core.registry import Part
from cnntrain.data.loader import Fitted, Loader, fit, followed, split_groups, split_validation
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.labels import places_among
from cnntrain.parts.losses.base import Loss, beside
from cnntrain.parts.orders.base import Order
from cnntrain.parts.tasks.base import Task, find, told
from cnntrain.parts.transforms.base import Transform
from cnntrain.reading.attended import attended
from cnntrain.reading.folders import class_name, one_look
from cnntrain.reading.name_patterns import NamePattern
from cnntrain.reading.reader import ALONE, Reader


@dataclass(frozen=True)
class Data:
    """The samples of a run, and the transforms, once `measured` with what they measured on the training split."""

    description: Description
    task: Task
    train: Images
    train_indices: Array
    val: Images | None
    val_indices: Array
    train_transforms: tuple[Transform, ...]
    eval_transforms: tuple[Transform, ...]
    lesson: Any = None  # a teacher's logits for the training samples

    @functools.cached_property
    def occurrences(self) -> list[int] | None:
        """How often each class occurs in training, for balanced weights; None where there are no classes."""
        return self.task.occurrences(self.train.targets[self.train_indices], self.description)


def describe(loaded: Loaded) -> Description | None:
    """Shape and classes, as far as the config alone tells."""
    return cast(Dataset, loaded.experiment.data.source).describe()


def task(loaded: Loaded, description: Description) -> Task:
    """What the network is asked: `task`, or else the one that fits the data and the loss. Raises ConfigError."""
    chosen = cast(Task | None, loaded.experiment.task)
    try:
        if chosen is None:
            return find(description, cast(Loss, loaded.experiment.loss))
        chosen.check_data(description)
    except ValueError as error:
        raise problem(loaded, "data.source" if chosen is None else "task", str(error)) from error
    return chosen


def load(loaded: Loaded, source: Dataset, split: str, reader: Reader, some: bool = False) -> Images:
    """A split of a source, with the reader's cache if the config wants one. Raises DataError.

    With `some`, it need not have every class.
    """
    reader = reader if loaded.experiment.data.cache else replace(reader, cache=None)

    def read() -> Images:
        images = source.load_some(split, reader) if some else source.load(split, reader)
        source.tell_of_special(split, reader)
        return images

    with one_look():
        return attended(read)


def read_data(loaded: Loaded, reader: Reader = ALONE) -> Data:
    """Read and split training and validation samples. Raises DataError, or ConfigError for an impossible split.

    Transforms are left as the config has them: whether they fit the samples, building the network tells.
    """
    experiment = loaded.experiment
    source = _grouped(loaded)
    train = _with_kin(loaded, load(loaded, source, "train", reader))
    asked = task(loaded, train.description)
    if experiment.task is not None:
        _check_kind(loaded, train.targets)
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
    if val is not None and val is not train:
        mine, theirs = scale.of(train.pixels), scale.of(val.pixels)
        if not mine.takes(theirs, len(val)):
            raise DataError(scale.mismatch("the validation split", theirs, "the network", mine))
    return Data(train.description, asked, train, indices, val, val_indices, *lists)


def measured(data: Data) -> Data:
    """The data with transforms that have measured on its training samples what they need."""
    known: Fitted = {}
    train, evaluation = (
        fit(chosen, data.train, data.train_indices, known) for chosen in (data.train_transforms, data.eval_transforms)
    )
    return replace(data, train_transforms=train, eval_transforms=evaluation)


def _check_kind(loaded: Loaded, targets: Array) -> None:
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
    val, share = experiment.data.val, experiment.data.share
    if share is not None:
        labels = asked.labels(train.targets, train.description)
        if train.kin:
            _, indices = split_groups(train.kin, share, experiment.seed)
        else:
            _, indices = split_validation(
                train.targets if labels is None else labels, share, experiment.seed, stratified=labels is not None
            )
        if train.kin and not len(indices):
            raise problem(loaded, "data.val", f"all samples are of the one group {train.kin[0]!r}: none can validate")
        if not len(indices):
            raise problem(
                loaded,
                "data.val",
                f"a share of {share:g} of {counted(len(train), 'sample')} is none: raise it, or leave val out",
            )
        return train, indices
    if val is not None:
        other = cast(Dataset, val)
        split = "val" if "val" in other.splits() else "train"
        images = _of_classes(load(loaded, other, split, reader, some=True), train, asked)
        for name in sorted({*images.kin} & {*train.kin}):
            raise DataError(f"{loaded.where('data.val')}: the group {name!r} trains, too. Validate on other groups")
    elif "val" in source.splits():
        images = load(loaded, source, "val", reader)
    else:
        return None, np.arange(0)
    return images, np.arange(len(images))


def check_validation(loaded: Loaded) -> None:
    """Raise ConfigError where `data.val` would leave unused the validation split that the source is there to draw.

    For what is to be trained: runs that have begun so go on.
    """
    data = loaded.experiment.data
    source = cast(Dataset, data.source)
    if not loaded.begun and data.val is not None and source.chooses_validation():
        raise problem(
            loaded,
            "data.val",
            f"{source.name_in_config} gives a validation split of its own, which would go unused. Set data.val to null",
        )


def spare_validation(experiment: Experiment) -> bool:
    """Whether the source has a validation split that goes unused because of `data.val`, as far as files tell."""
    try:
        return experiment.data.val is not None and "val" in cast(Dataset, experiment.data.source).splits()
    except DataError:  # reading the data will raise it
        return False


def _grouped(loaded: Loaded) -> Dataset:
    """The source of the training samples, in the groups that `data.val` asks for where it can tell them itself."""
    source, val = cast(Dataset, loaded.experiment.data.source), loaded.experiment.data.val
    if not isinstance(val, ValidationShare) or val.group is None:
        return source
    try:
        return source.grouped(val.group) or source
    except ValueError as error:
        raise problem(loaded, "data.val.group", str(error)) from error


def _with_kin(loaded: Loaded, images: Images) -> Images:
    """Training samples with the groups that `data.val` asks for, by the names of files where the source knows none."""
    val = loaded.experiment.data.val
    if images.kin or not isinstance(val, ValidationShare) or val.group is None:
        return images
    if not images.names:
        source = loaded.experiment.data.source.name_in_config
        message = f"samples of {source} are not files of their own, whose names could tell their groups. Leave it out"
        raise problem(loaded, "data.val.group", message)
    try:
        kin = NamePattern("group", val.group).read(class_name(Path(name).name) for name in images.names)
    except ValueError as error:
        raise problem(loaded, "data.val.group", str(error)) from error
    return replace(images, kin=tuple(kin))


def _of_classes(images: Images, train: Images, asked: Task) -> Images:
    """Validation samples with the labels of training, classes matched by name. Raises DataError."""
    if images.description.target != train.description.target or images.classes == train.classes:
        return images
    try:
        places = places_among(images.classes, train.classes)
    except ValueError as error:
        raise DataError(
            f"validation samples have classes that are not among the {len(train.classes)} of training: {error}. Rename "
            "them, or leave them out"
        ) from error
    return replace(images, targets=asked.renumbered(images.targets, places), classes=train.classes)


def check_targets(loaded: Loaded, data: Data) -> None:
    """Raise DataError where the loss is not defined on a target of training or validation."""
    chosen = loaded.experiment.data
    source = cast(Dataset, chosen.source)
    check_split(loaded, "train", data.train, data.train_indices, source)
    if data.val is data.train:
        check_split(loaded, "train", data.train, data.val_indices, source)
    elif data.val is not None:
        other = cast(Dataset, chosen.val) if isinstance(chosen.val, Part) else source
        check_split(loaded, "val" if "val" in other.splits() else "train", data.val, data.val_indices, other)


def check_split(loaded: Loaded, split: str, images: Images, indices: Array, source: Dataset) -> None:
    """Raise DataError for the first target value of these samples on which the loss is not defined."""
    loss = cast(Loss, loaded.experiment.loss)
    rows = task(loaded, images.description).numbers(images.targets[indices])
    if rows is None:
        return
    wrong = np.argwhere(loss.wrong_targets(rows))
    if not len(wrong):
        return
    row, column = wrong[0].tolist()
    sample, value = int(indices[row]), float(rows[row, column])
    low, high = loss.target_range
    place = (
        source.place_of_target(split, sample, column, value) or f"sample {sample} of {split}: its target value {column}"
    )
    takes = f"{low:g} to {high:g}" if math.isfinite(high - low) else "finite numbers"
    raise DataError(
        f"{place} is {value:g}, {loss.name_in_config} takes {takes}. Mend the data, leave such samples out, or choose "
        "another loss"
    )


def cut_away(asked: Task, split: str, images: Images, indices: Array, transforms: Sequence[Transform]) -> str | None:
    """The complaint about targets of samples to evaluate on that transforms leave out of view; None where none are."""
    gone = asked.cut_away(images.targets[indices], followed(images, indices, transforms))
    if not gone:
        return None
    return (
        f"{split}: eval_transforms leave out {gone}: only what is in view is judged, while other programs judge "
        "answers by all that is there. Bring pictures to size with the source's size and fit, or with resize"
    )


def validates(experiment: Experiment) -> bool:
    """Whether a run will have validation samples, as far as the config and a look for files tell; True in doubt."""
    if experiment.data.val is not None:
        return True
    try:
        return "val" in cast(Dataset, experiment.data.source).splits()
    except DataError:  # reading the data will raise it
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


def transforms(parts: tuple[Part, ...]) -> tuple[Transform, ...]:
    """A list of transforms as the config has it."""
    return tuple(cast(Transform, part) for part in parts)

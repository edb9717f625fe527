"""Data advice: properties of training data that are allowed but rarely meant, as rules of the warnings with codes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cnntrain.config.schema import Experiment
from cnntrain.core.description import Description
from cnntrain.data import build_data
from cnntrain.data.build_data import Data
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.labels import numbered
from cnntrain.parts.tasks.base import Task

_BETWEEN = re.compile(r"(?<=[^\W_])[\s_-]+(?=[^\W_])")  # words
_MANY = 10  # classes, which a first try with a picture of each does not have
_PLACES = re.compile(  # names of values that are places, directions or extents in a picture
    r"(.*[_ .-])?(c?[xy]\d*|[xy](min|max|pos|center|centre)|(min|max|pos|center|centre)[xy]|left|right|top|bottom|row"
    r"|col|column|lat|lon|angle|theta|yaw|pitch|roll|heading|steering|direction|rotation|w|h|width|height)\d*",
    re.IGNORECASE,
)


def empty_classes(data: Data) -> str | None:
    """Classes that nothing in training shows."""
    counts = data.occurrences
    return None if counts is None else without_samples(data.task, data.description, counts)


def single_samples(data: Data) -> str | None:
    """Many classes of one sample each."""
    counts = data.occurrences
    return None if counts is None else of_one_sample(data.task, data.description, counts)


def classes_alike(data: Data) -> str | None:
    """Two classes that are likely one."""
    return names_alike(data.description.classes)


def of_one_sample(task: Task, data: Description, counts: Sequence[int]) -> str | None:
    """The complaint about many classes none of which has two samples, as where a column is one of values or notes."""
    if task.learned_from != "sample" or len(counts) < _MANY or max(counts) > 1:
        return None
    return (
        f"none of {len(task.occurring(data)):,} classes has two training samples, so that nothing they share is "
        "learned. Check whether the labels are classes, or add samples"
    )


def names_alike(classes: Sequence[str]) -> str | None:
    """The complaint about names that differ in capitals, spaces and hyphens alone; letters do so on purpose."""
    seen: dict[str, str] = {}
    for name in classes:
        other = seen.setdefault(_BETWEEN.sub(" ", name).casefold(), name) if len(name) > 1 else name
        if other != name:
            return (
                f"{other!r} and {name!r} are two classes. If they are meant to be one, write it in one way throughout"
            )
    return None


def without_samples(task: Task, data: Description, counts: Sequence[int]) -> str | None:
    """The complaint about classes without samples, or whatever else teaches one; None where each has some."""
    classes = task.occurring(data)
    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    if not empty:
        return None
    if len(empty) == 1:
        what = f"class {empty[0]!r} has no training {task.learned_from}"
    else:
        what = f"{len(empty):,} of {len(classes):,} classes have no training {task.learned_from}, first {empty[0]!r}"
    if task.follows or tuple(classes) != numbered(len(classes)):
        ignored = ", leave the class out, or see whether `ignore` takes its pixels"
        other = ignored if task.learned_from == "pixel" else ", or leave the class out"
        return f"{what}: the network has an output for it that nothing teaches. Add samples{other}"
    used = [label for label, count in enumerate(counts) if count]
    if used and used == [*range(used[0], len(classes))]:
        return f"{what}: labels are {used[0]:,} to {used[-1]:,}. Number them from 0: save y - {used[0]}"
    return f"{what}: some of the labels 0 to {len(classes) - 1:,} do not occur. Number those that do from 0"


def batch_beyond_data(experiment: Experiment, data: Data) -> str | None:
    """A batch of more samples than there are."""
    size, samples = experiment.train.batch_size, len(data.train_indices)
    if size <= samples:
        return None
    return (
        f"train.batch_size is {size:,}, more than there are training samples ({samples:,}): each step sees all. Set "
        f"train.batch_size to {max(samples // 4, 1):,} or so"
    )


def targets_cut_away(data: Data) -> str | None:
    """Targets of validation that are out of view after the transforms."""
    if data.val is None:
        return None
    return build_data.cut_away(data.task, "val", data.val, data.val_indices, data.eval_transforms)


def targets_stay(experiment: Experiment, data: Data) -> str | None:
    """Transforms that move the picture under targets that may be places in it."""
    transforms = build_data.transforms(experiment.data.train_transforms)
    moving = [transform.name_in_config for transform in transforms if transform.displaces]
    source = experiment.data.source
    names = source.target_names() if isinstance(source, Dataset) else ()
    if not moving or not data.task.placed(data.train.targets, names):
        return None
    places = [name for name in names if _PLACES.fullmatch(name)]
    if names and not places:
        return None
    what = ", ".join(places) if places else "the targets"
    return (
        f"{' and '.join(moving)} in train_transforms move what a picture shows, and {what} stay as they are. Leave "
        f"{'them' if len(moving) > 1 else 'it'} out if targets are places, directions or sizes in the picture"
    )

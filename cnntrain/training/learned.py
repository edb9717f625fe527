"""Whether anything was learned: a network may answer no better than without looking at the picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.figures import figure
from cnntrain.parts.layers.denormalize import Denormalize
from cnntrain.parts.losses.base import Loss, teacher_of
from cnntrain.training.job import Job

FEWEST = 200  # training samples; with fewer, chance can give nearly any result
FEWEST_OF_VALUES = 40  # likewise, where samples have values, each of which says more than a class
FEWEST_STEPS = 50  # with fewer, a network may have learned nothing yet at any learning rate
_LR = "The learning rate may be too high or too low"
_TIMES = 1e3  # an eps may be larger than it should be
_FAR_OFF = "Values so far from 0, or so close together, are all but out of reach of any usual learning rate"
_CLOSE = "Values that differ by so little have gradients smaller than the optimizer's eps"
_DEVIATIONS = 2.0  # by which a share of samples may differ from what blind answers get
_CLEARLY = 0.95  # of a constant's loss, below which answers say more than a constant, right or wrong
_BLOCK = 1024  # samples whose losses are computed at a time
_MOST = 200  # steps downhill
_GAIN = 1e-5  # share of a loss that is not worth another
_BEYOND = 0.25  # of p (1 - p), further: an untrained network is right a little more or less often than by chance


@dataclass(frozen=True)
class Complaint:
    """What is to be said where nothing was learned: what shows it, and what may help."""

    found: str
    remedy: str

    @property
    def blames_lr(self) -> bool:
        """Whether it may be the learning rate's fault."""
        return self.remedy == _LR

    def __str__(self) -> str:
        return f"{self.found}. {self.remedy}"


def complaint(job: Job, values: Mapping[str, float], steps: int) -> Complaint | None:
    """What is to be said where the values of the last epoch show that nothing was learned; None where they do not.

    So they never do after too few steps, such as those of a trial: nothing could be learned yet.
    """
    return None if steps < FEWEST_STEPS else at_chance(job, values) or at_variance(job, values)


def at_chance(job: Job, values: Mapping[str, float]) -> Complaint | None:
    """The complaint where the values of the last epoch, in training and in validation, are those of blind answers.

    A share of n samples counts as theirs within 2 sqrt(p (1 - p) / n) + p (1 - p) / 4 of a share p that they get, or
    below all of them. None where a metric says otherwise or is not measured, or a loss is clearly less than that of a
    constant, as one may be long before rare classes are answered; and with too few samples to tell.
    """
    if len(job.data.train_indices) < FEWEST:
        return None
    found = []
    for split, targets in _splits(job):
        for name, blind in job.data.task.blind(targets, job.data.description).items():
            key = f"{split}/{name}"
            if key in values:
                value, samples = values[key], len(targets)
                near = value < min(blind) or any(_near(value, share, samples) for share in blind)
                found.append((key, value, near))
    if not found or not all(near for _, _, near in found) or any(below for *_, below in _losses(job, values, _CLEARLY)):
        return None
    told, are = _told([(key, value) for key, value, _ in found])
    return Complaint(f"{told} {are} about what guesses without the picture get", _LR)


def at_variance(job: Job, values: Mapping[str, float]) -> Complaint | None:
    """The complaint where the loss of the last epoch, in training and in validation, is no less than a constant's.

    That is the loss of answers which are the same for every picture. None where they are not known, where answers are
    right or wrong, which `at_chance` judges, and with too few samples to tell.
    """
    data = job.data
    if len(data.train_indices) < FEWEST_OF_VALUES or data.task.blind(data.train.targets[:0], data.description):
        return None
    found = [*_losses(job, values)]
    if not found or any(below for *_, below in found):
        return None
    told, are = _told([(key, value) for key, value, _ in found])
    return Complaint(f"{told} {are} no less than what one answer for every picture gets", _remedy(job))


def _losses(job: Job, values: Mapping[str, float], share: float = 1.0) -> Iterator[tuple[str, float, bool]]:
    """Key and value of each loss of the last epoch, and whether it is below a share of a constant's, where known."""
    for split, targets in _splits(job):
        key, least = f"{split}/loss", _least_of_constants(job, targets)
        if key in values and least is not None:
            yield key, values[key], values[key] < share * least


def _least_of_constants(job: Job, targets: Array) -> float | None:
    """The least loss of answers that are the same for every picture; None where that is not known or 0."""
    task, loss = job.data.task, job.network.loss
    blind = task.blind_outputs(targets, job.data.description) if len(targets) else None
    if blind is None or teacher_of(loss) is not None:
        return None
    kinds, counts = np.unique(targets, axis=0, return_counts=True)
    return _descended(lambda outputs: _of_one(loss, outputs, kinds, counts.astype(np.float64)), blind) or None


def _descended(function: Callable[[Array], tuple[float, Array]], starts: Array) -> float:
    """About the least value of a function that gives its gradient, too: downhill from the best of these starts (m, n).

    A step is twice as long as the one before, or where that led no lower a quarter.
    """
    tried = [(*function(start), start) for start in starts]
    value, gradient, at = min(tried, key=lambda one: one[0])
    rate = float(at.size)  # a loss may be a mean over outputs
    for _ in range(_MOST):
        if not rate * (gradient @ gradient) > _GAIN * value:
            break
        further = at - rate * gradient
        lower, slope = function(further)
        if lower < value:
            value, gradient, at, rate = lower, slope, further, rate * 2
        else:
            rate /= 4
    return value


def _of_one(loss: Loss, outputs: Array, targets: Array, counts: Array) -> tuple[float, Array]:
    """The loss where all samples, so many of each target, get the same outputs (units,), and its gradient."""
    total, gradient = 0.0, np.zeros(outputs.shape)
    for start in range(0, len(targets), _BLOCK):
        part = slice(start, start + _BLOCK)
        same = np.tile(outputs, (len(targets[part]), 1))
        losses, slopes = np.empty(len(same)), np.empty(same.shape)
        loss(same, targets[part], counts[part], losses, slopes)
        total, gradient = total + float(counts[part] @ losses), gradient + slopes.sum(axis=0)
    normalizer = loss.normalizer(targets, counts) or 1.0
    return total / normalizer, gradient / normalizer


def _remedy(job: Job) -> str:
    """What may help where the loss has stayed at that of a constant."""
    task, targets, experiment = job.data.task, job.data.train.targets, job.loaded.experiment
    eps = task.eps(targets)
    hidden = eps is not None and getattr(experiment.optimizer, "eps", 0) > _TIMES * eps
    if isinstance(job.network.graph.nodes[-1].layer, Denormalize):
        return f"{_CLOSE}: set optimizer.eps to {eps:.0e}" if hidden else _LR
    if task.within_reach(targets):
        return _LR
    if experiment.model.preset is not None:
        return f"{_FAR_OFF}: bring them to about -1 to 1 in the data"
    more = f", and set optimizer.eps to {eps:.0e}" if hidden else ""
    return f"{_FAR_OFF}: end model.layers with {task.ending(targets, job.data.description)}{more}"


def _told(found: Sequence[tuple[str, float]]) -> tuple[str, str]:
    """Values in words, and the verb that goes with them."""
    return " and ".join(f"{key} {figure(value)}" for key, value in found), "are" if len(found) > 1 else "is"


def _near(value: float, share: float, samples: int) -> bool:
    variance = share * (1 - share)
    return abs(value - share) <= _DEVIATIONS * math.sqrt(variance / samples) + _BEYOND * variance


def _splits(job: Job) -> Iterator[tuple[str, Array]]:
    """The targets of training, each as often as an epoch has it, and of validation."""
    data = job.data
    yield "train", data.train.targets[job.loader.order(0) % len(data.train)]
    if data.val is not None:
        yield "val", data.val.targets[data.val_indices]

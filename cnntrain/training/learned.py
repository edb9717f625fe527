"""Whether anything was learned: a network may answer no better than without looking at the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from cnntrain.core.arrays import Array
from cnntrain.training.job import Job

FEWEST = 200  # training samples; with fewer, chance can give nearly any result
_DEVIATIONS = 2.0  # by which a share of samples may differ from what blind answers get
_BEYOND = 0.25  # of p (1 - p), further: an untrained network is right a little more or less often than by chance


def at_chance(job: Job, values: Mapping[str, float]) -> str | None:
    """The complaint where the values of the last epoch, in training and in validation, are those of blind answers.

    A share of n samples counts as theirs within 2 sqrt(p (1 - p) / n) + p (1 - p) / 4 of a share p that they get, or
    below all of them. None where a metric says otherwise or is not measured, and with too few samples to tell.
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
    if not found or not all(near for _, _, near in found):
        return None
    told = " and ".join(f"{key} {value:.4f}" for key, value, _ in found)
    are = "are" if len(found) > 1 else "is"
    return f"{told} {are} about what guesses without the picture get. The learning rate may be too high or too low"


def _near(value: float, share: float, samples: int) -> bool:
    variance = share * (1 - share)
    return abs(value - share) <= _DEVIATIONS * math.sqrt(variance / samples) + _BEYOND * variance


def _splits(job: Job) -> Iterator[tuple[str, Array]]:
    data = job.data
    yield "train", data.train.targets[data.train_indices]
    if data.val is not None:
        yield "val", data.val.targets[data.val_indices]

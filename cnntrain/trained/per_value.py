"""Figures of each value or label by itself, besides the averages of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.description import Description
from cnntrain.parts.metrics.base import Metric
from cnntrain.parts.tasks.base import Task


@dataclass(frozen=True)
class PerValue(Metric):
    """The task's figures of each output by itself. State: the sums of `Task.apart`, row by row, and the weight."""

    task: Task
    data: Description

    def __post_init__(self) -> None:
        """Nothing comes from a config."""

    @property
    def counts(self) -> int:
        """How many numbers of each output are summed; 0 where the task has no figures of single outputs."""
        nothing = np.zeros((0, 1))
        return len(self.task.apart(nothing, nothing))

    def label(self) -> str:
        """The key of an evaluation."""
        return "per_value"

    def zeros(self, classes: int) -> Array:
        """Zeros for the sums, and for the weight of all samples, flat."""
        return np.zeros(self.counts * classes + 1)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Add a shard."""
        w = weights.astype(np.float64)
        sums = w @ self.task.apart(outputs, targets)  # (numbers, units)
        state += np.append(sums, w.sum())

    def value(self, state: Array) -> list[dict[str, Any]]:
        """A row for each output: its name and figures."""
        return self.task.figures(state[:-1].reshape(self.counts, -1), float(state[-1]), self.data)

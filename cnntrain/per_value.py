"""Figures of each value or label by itself, and what values are called, beside the averages of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.arrays import Array
from cnntrain.datasets.base import Dataset, Description
from cnntrain.metrics.base import Metric, rows_of

PER_VALUE = "per_value"


@dataclass(frozen=True)
class PerValue(Metric):
    """Of each output: where it answers yes or no, samples with a yes, recall, precision and F1; else mae and rmse.

    State, of each output: true yes, false yes, false no; or summed errors, summed squares, and nothing; and the weight.
    """

    yes_or_no: bool = False

    def label(self) -> str:
        """The key of an evaluation."""
        return PER_VALUE

    def zeros(self, classes: int) -> Array:
        """Three rows of zeros and the weight of all samples, flat."""
        return np.zeros(3 * classes + 1)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Count a shard."""
        w, meant = weights.astype(np.float64), rows_of(targets, outputs)
        if self.yes_or_no:
            said, true = outputs > 0, meant > 0.5
            parts = [w @ (said & true), w @ (said & ~true), w @ (~said & true)]
        else:
            errors = np.abs(outputs.astype(np.float64) - meant)
            parts = [w @ errors, w @ np.square(errors), np.zeros(outputs.shape[1])]
        state += np.concatenate([*parts, [w.sum()]])

    def value(self, state: Array) -> list[dict[str, Any]]:
        """A row for each output."""
        weight, rows = float(state[-1]), state[:-1].reshape(3, -1).T.tolist()
        if not self.yes_or_no:
            return [{"mae": _share(first, weight), "rmse": _root(_share(second, weight))} for first, second, _ in rows]
        return [
            {
                "samples": int(hit + missed),
                "recall": _share(hit, hit + missed),
                "precision": _share(hit, hit + wrong),
                "f1": _share(2 * hit, 2 * hit + wrong + missed),
            }
            for hit, wrong, missed in rows
        ]


def target_names(source: Dataset, description: Description) -> tuple[str, ...]:
    """What the values of a sample are called, where the source has a name for each."""
    names = source.target_names()
    return names if len(names) == description.values else ()


def numbered_values(count: int) -> tuple[str, ...]:
    """Names for values that have none: "value_1", "value_2", ..."""
    return tuple(f"value_{number}" for number in range(1, count + 1))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _root(value: float | None) -> float | None:
    return None if value is None else value**0.5

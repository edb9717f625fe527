"""Regression: one or more numbers to be estimated from each picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.dump import to_line
from cnntrain.core.arrays import Array
from cnntrain.core.description import Description
from cnntrain.core.display import Section, Table
from cnntrain.core.figures import figure
from cnntrain.core.registry import register
from cnntrain.parts.tasks.base import OfValues, Scoring, Start, share

_ERRORS = ("mae", "rmse")  # of a value
_REACHED = 10.0  # from 0: an untrained network's outputs are about 1
_TOLD_APART = 0.03  # a deviation: less is lost among those
_SMALL = 1e-3  # a deviation, by whose square gradients are smaller: usual values of eps would hide them
_USUAL_EPS, _LEAST_EPS = 1e-8, 1e-30


@register("regress")
@dataclass(frozen=True)
class Regress(OfValues):
    """One or more numbers for each sample; the outputs are the estimates."""

    examples: ClassVar[tuple[Description, ...]] = (Description((6, 6, 1), (), 1), Description((6, 6, 1), (), 3))
    loss: ClassVar[str] = "mse"
    usual_metrics: ClassVar[tuple[str, ...]] = ("mae", "mse")

    def answered_by(self, loss: Scoring) -> bool:
        """Whether the loss takes outputs as numbers, not as answers to yes-or-no questions."""
        return not loss.yes_or_no

    def recognizes(self, targets: Array) -> bool:
        """Whether there are numbers other than 0 and 1."""
        return not np.isin(targets, (0, 1)).all()

    def about(self, targets: Array, data: Description) -> str:  # noqa: ARG002  (the contract's signature)
        """How many numbers."""
        return f"{self.amount(data, each=True)} to be estimated"

    def start(self, batch: int) -> Start:  # noqa: ARG002  (the contract's signature)
        """Squared error, and the best epoch by it."""
        optimizer = "optimizer: {type: adamw, lr: 1e-3}"
        return Start("loss: mse", optimizer, ("mae",), "val/loss", "for each value", shifts=False)

    def ending(self, targets: Array, data: Description) -> str:
        """The way from numbers near 0, which a network learns soonest, to the units of the data."""
        values = _finite(targets.reshape(len(targets), data.values))
        if not len(values):
            return ""
        std = [float(f"{spread or 1:.3g}") for spread in values.std(axis=0).tolist()]
        mean = [_rounded(middle, spread) for middle, spread in zip(values.mean(axis=0).tolist(), std, strict=True)]
        return to_line({"type": "denormalize", "mean": mean, "std": std})

    def within_reach(self, targets: Array) -> bool:
        """Whether values lie about 0, and apart: a weight moves by about the learning rate a step."""
        values = _finite(targets)
        return bool((np.abs(values) <= _REACHED).all()) and _least_spread(values) >= _TOLD_APART

    def eps(self, targets: Array) -> float | None:
        """One for gradients that shrink with the square of the spread: once by `denormalize`, once by the errors."""
        spread = _least_spread(_finite(targets))
        if spread >= _SMALL:
            return None
        return max(10.0 ** round(math.log10(_USUAL_EPS * spread**2)), _LEAST_EPS)

    def blind_outputs(self, targets: Array, data: Description) -> Array:  # noqa: ARG002  (the contract's signature)
        """Means, which have the least squared error, and medians, which have the least absolute one."""
        return np.stack([targets.mean(axis=0, dtype=np.float64), np.median(targets, axis=0)])

    def apart(self, outputs: Array, targets: Array) -> Array:
        """Absolute and squared errors."""
        errors = np.abs(outputs.astype(np.float64) - targets)
        return np.stack([errors, np.square(errors)])

    def figures_of(self, sums: Sequence[float], weight: float) -> dict[str, Any]:
        """The mean absolute error and the root of the mean squared one."""
        absolute, squared = (share(total, weight) for total in sums)
        return dict(zip(_ERRORS, (absolute, None if squared is None else squared**0.5), strict=True))

    def each(self, figures: list[dict[str, Any]]) -> Section:
        """Both errors of each value."""
        rows = [[row["name"], *(_cell(row[key]) for key in _ERRORS)] for row in figures]
        note = "MAE: the mean absolute error. RMSE: the root of the mean squared error, which weighs large ones more."
        return Section("Values", [Table(["value", "MAE", "RMSE"], rows, right={1, 2})], note, half=True)

    def placed(self, targets: Array, names: Sequence[str]) -> bool:
        """Numbers may be places, where they are not all 0 or 1; a single one without a name rarely is."""
        return self.recognizes(targets) and (bool(names) or targets.shape[1] > 1)

    def evaluated(self, data: Description) -> tuple[str, ...]:  # noqa: ARG002  (the contract's signature)
        """The errors, and the share of the spread that is explained."""
        return ("mae", "mse", "r2")


def _finite(targets: Array) -> Array:
    """The rows of values without NaN and infinities, float64."""
    values = targets.astype(np.float64)
    return values[np.isfinite(values).all(axis=1)]


def _least_spread(values: Array) -> float:
    """The least standard deviation of a column that is no constant; 1 where all are."""
    spreads = values.std(axis=0) if len(values) else np.zeros(0)
    return float(min(spreads[spreads > 0], default=1.0))


def _rounded(mean: float, std: float) -> float:
    """A mean to about a hundredth of the deviation."""
    return round(mean, 2 - math.floor(math.log10(std)))


def _cell(error: float | None) -> str:
    return "–" if error is None else figure(error)

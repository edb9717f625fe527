"""The loss as a metric: to be named where nothing else is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.description import CLASSES, VALUES
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Metric


@register("loss")
@dataclass(frozen=True)
class MeanLoss(Metric):
    """The experiment's own loss. It is always measured; `metrics: [loss]` leaves out accuracy and error.

    The tally keeps it, because it alone knows the losses of the samples; this part has an empty state.
    """

    larger_is_better: ClassVar[bool] = False
    scores: ClassVar[tuple[str, ...]] = (CLASSES, VALUES)

    def zeros(self, classes: int) -> Array:  # noqa: ARG002  (the contract's signature)
        """Nothing to keep."""
        return np.zeros(0)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Nothing to add: the tally does."""

    def value(self, state: Array) -> float:  # noqa: ARG002  (the contract's signature)
        """NaN: the tally has the value."""
        return float("nan")

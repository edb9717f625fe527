"""Mean squared error: how far the outputs lie from the targets, large distances counting more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.description import CLASSES, VALUES
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Mean, rows_of


@register("mse")
@dataclass(frozen=True)
class MSE(Mean):
    """Mean of (y - t)^2 over outputs, then over samples (Gauss 1809). Labels become one-hot rows."""

    bounds: ClassVar[tuple[float, float]] = (0, math.inf)
    scores: ClassVar[tuple[str, ...]] = (CLASSES, VALUES)
    of_logits: ClassVar[bool] = False

    def each(self, outputs: Array, targets: Array) -> Array:
        """The error of each sample."""
        with np.errstate(invalid="ignore", over="ignore"):  # outputs that are not finite give no finite error
            error: Array = np.square(outputs - rows_of(targets, outputs)).mean(axis=1)
        return error

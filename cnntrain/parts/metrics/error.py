"""Error: the share of samples whose class the network gets wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.metrics.base import Share, correct


@register("error")
@dataclass(frozen=True)
class Error(Share):
    """Share of samples whose largest output is not the true class, in [0, 1]: 1 - accuracy."""

    larger_is_better: ClassVar[bool] = False

    def hits(self, outputs: Array, labels: Array) -> Array:
        """Where the prediction is wrong."""
        return ~correct(outputs, labels)

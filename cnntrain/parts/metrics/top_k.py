"""Top-k accuracy: the share of samples whose class is among the k the network finds likeliest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import PositiveInt
from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.ops.argmax import undecided
from cnntrain.parts.metrics.base import Share


@register("top_k")
@dataclass(frozen=True)
class TopK(Share):
    """Share of samples whose true class has one of the k largest outputs, in [0, 1]; `top5` in the metrics.

    Equal outputs rank in the order of their classes, so that with k = 1 it is exactly accuracy.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"k": 1}, {"k": 3})

    k: PositiveInt = 5  # how many of the largest outputs count

    def label(self) -> str:
        """`top5` for k = 5."""
        return f"top{self.k}"

    @classmethod
    def has_label(cls, label: str) -> bool:
        """`top1`, `top5` and so on."""
        return re.fullmatch(r"top\d+", label) is not None

    def tells(self, classes: int) -> bool:
        """Unless there are no more than k."""
        return self.k < classes

    def hits(self, outputs: Array, labels: Array) -> Array:
        """Where fewer than k classes rank before the true one."""
        own = outputs[np.arange(len(labels)), labels][:, None]
        ahead = outputs > own
        ahead |= (outputs == own) & (np.arange(outputs.shape[1]) < labels[:, None])
        hit: Array = np.count_nonzero(ahead, axis=1) < self.k
        return hit & ~undecided(outputs)

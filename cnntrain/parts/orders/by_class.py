"""Orders in which some classes come more often than they occur: against unbalanced data, or on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative
from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.registry import register
from cnntrain.parts.orders.base import ByClass


@register("balanced")
@dataclass(frozen=True)
class Balanced(ByClass):
    """Every class equally often, however many samples it has; an epoch keeps its length.

    PyTorch's WeightedRandomSampler with weights of 1 / samples of the class has the same shares, but draws samples at
    random; here the samples of a class come equally often, give or take one.
    """

    def frequencies(self, counts: Array) -> Array:
        """1 / samples of the class."""
        weights: Array = np.divide(1.0, counts, out=np.zeros(len(counts)), where=counts > 0)
        return weights


@register("weighted")
@dataclass(frozen=True)
class Weighted(ByClass):
    """A sample of class k comes `weights[k]` times as often as one whose class has weight 1; 0 leaves a class out.

    The weights are in the order of the classes, which `cnntrain check` shows.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"weights": (1.0, 2.5, 0.0)},)

    weights: tuple[NonNegative, ...]  # weight of each class, in the order of the class names

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(self.weights):
            raise ValueError("weights needs a weight above 0 for at least one class")

    def check(self, groups: int) -> None:
        """Needs as many weights as there are classes."""
        super().check(groups)
        if len(self.weights) != groups:
            raise ValueError(f"weights has {counted(len(self.weights), 'weight')}, the data has {groups} classes")

    def frequencies(self, counts: Array) -> Array:
        """Those of the config."""
        return np.array(self.weights)[: len(counts)]

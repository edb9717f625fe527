"""A metric is a number about predictions that adds up: states of shards, steps and epochs are summed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.arrays import Array
from cnntrain.config.fields import check_fields
from cnntrain.registry import Part

# isort: split
import numpy as np


@dataclass(frozen=True)
class Metric(Part):
    """Base of every metric. A state is a float64 vector; adding two states merges what they saw."""

    kind: ClassVar[str] = "metrics"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    larger_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self)

    def label(self) -> str:
        """The name it has in metrics.jsonl and in `until`, such as "top5"; unique among settings."""
        return self.name_in_config

    def zeros(self, classes: int) -> Array:
        """The state that has seen nothing: float64, 1-D."""
        raise NotImplementedError

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Add a shard to the state: outputs (n, classes), targets (n,) labels or (n, k), weights (n,)."""
        raise NotImplementedError

    def value(self, state: Array) -> Any:
        """The metric of all that was added: a float, or nested lists of floats; NaN of nothing."""
        raise NotImplementedError


@dataclass(frozen=True)
class Share(Metric):
    """Base of the metrics that are the share of samples for which something holds. State: [their weight, all weight].

    Targets that are rows count as the label of their largest value.
    """

    def hits(self, outputs: Array, labels: Array) -> Array:
        """For which samples it holds: bool, shape (n,). A NaN among the outputs is never right."""
        raise NotImplementedError

    def zeros(self, classes: int) -> Array:
        """Two zeros."""
        return np.zeros(2)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Add a shard to the state."""
        state += (weights[self.hits(outputs, labels_of(targets))].sum(dtype=np.float64), weights.sum(dtype=np.float64))

    def value(self, state: Array) -> float:
        """The share, in [0, 1]; NaN of nothing."""
        hit, seen = state.tolist()
        return hit / seen if seen else math.nan


def labels_of(targets: Array) -> Array:
    """Targets as labels (n,); of rows (n, k), the place of the largest value."""
    return targets if targets.ndim == 1 else targets.argmax(axis=1)


def correct(outputs: Array, labels: Array) -> Array:
    """Whether the largest output, the first of equal ones, is the label's: bool (n,); False where it is NaN."""
    best = outputs.argmax(axis=1)
    right: Array = (best == labels) & ~np.isnan(outputs[np.arange(len(best)), best])
    return right

"""A metric is a number about predictions that adds up: states of shards, steps and epochs are summed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.arrays import Array
from cnntrain.config.fields import check_fields
from cnntrain.registry import Part


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

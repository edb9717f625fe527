"""A sequential epoch sees every sample once, in the order of the data."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.orders.base import Order


@register("sequential")
@dataclass(frozen=True)
class Sequential(Order):
    """Every sample once, as the data has them: the same batches in every epoch."""

    def __call__(self, samples: Array, labels: Array, seed: int, epoch: int) -> Array:  # noqa: ARG002  (always the same)
        """As they are."""
        return samples

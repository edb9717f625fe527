"""A shuffled epoch sees every sample once, in another order each time."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.arrays import Array
from cnntrain.core.random import stream
from cnntrain.core.registry import register
from cnntrain.parts.orders.base import Order


@register("shuffle")
@dataclass(frozen=True)
class Shuffle(Order):
    """Every sample once, in an order drawn for each epoch."""

    def __call__(self, samples: Array, labels: Array, seed: int, epoch: int) -> Array:  # noqa: ARG002  (of any class)
        """A permutation."""
        return stream(seed, "order", epoch).permutation(samples)

"""An order says which training samples an epoch sees, and in what order.

It is a function of (seed, epoch): nothing of it is stored, and an epoch can be entered anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import check_fields
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.core.random import stream
from cnntrain.core.registry import Part


@dataclass(frozen=True)
class Order(Part):
    """Base of every order."""

    kind: ClassVar[str] = "orders"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, groups: int) -> None:
        """Raise ValueError where it cannot order samples of so many classes; 0 where they have no classes."""

    def __call__(self, samples: Array, labels: Array, seed: int, epoch: int) -> Array:
        """As many of the samples (n,) as there are, in the order of an epoch; `labels` (n,) are theirs.

        A sample may come several times, and others not at all.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ByClass(Order):
    """Base of the orders that decide how often each class comes. Every epoch has as many samples as there are.

    Within a class no sample comes again before all have come, so that each epoch sees other samples of a class that
    comes less often than it has samples. Shares that are not whole numbers are met on average over epochs, by
    systematic sampling (Madow 1949).
    """

    def frequencies(self, counts: Array) -> Array:
        """The relative frequency with which a sample of each class comes, given the number of samples of each class."""
        raise NotImplementedError

    def check(self, groups: int) -> None:
        """Needs classes."""
        if not groups:
            raise ValueError(f"{self.name_in_config} needs samples of one class each, the data has none: use shuffle")

    def __call__(self, samples: Array, labels: Array, seed: int, epoch: int) -> Array:
        """Draw."""
        rng = stream(seed, "order", epoch)
        counts = np.bincount(labels)
        masses = self.frequencies(counts) * counts
        if not masses.any():
            raise DataError(
                f"{self.name_in_config}: no training sample is of a class with a weight above 0. Change the weights"
            )
        edges = np.cumsum(masses) / masses.sum() * len(samples)
        edges[edges > len(samples) - 1e-6] = len(samples)  # which a sum of floats may miss
        shares = np.diff(np.floor(edges + rng.random()), prepend=0).astype(np.int64)
        chosen = [_rounds(samples[labels == label], share, rng) for label, share in enumerate(shares) if share]
        return rng.permutation(np.concatenate(chosen))


def _rounds(samples: Array, count: int, rng: np.random.Generator) -> Array:
    """`count` samples: all of them in random order, again and again."""
    rounds = [rng.permutation(samples) for _ in range(-(-count // len(samples)))]
    return np.concatenate(rounds)[:count]

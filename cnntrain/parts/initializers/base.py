"""An initializer fills a parameter with its first values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import check_fields
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.registry import Part


@dataclass(frozen=True)
class Initializer(Part):
    """Base of every initializer."""

    kind: ClassVar[str] = "initializers"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)

    @property
    def random(self) -> bool:
        """Whether, as set, it draws from rng; else it writes the same values for every seed."""
        return True

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, param: Param) -> None:
        """Raise ValueError for a parameter that it cannot fill."""

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Write every value of `out`, of shape param.shape, in whatever float type it has.

        Draws in float64, so that float32 and float64 networks start from the same numbers.
        """
        raise NotImplementedError


def truncated(shape: Shape, rng: np.random.Generator) -> Array:
    """Standard normal values, float64; those beyond 2 are drawn again. Their standard deviation is 0.8796."""
    values = rng.standard_normal(shape)
    flat = values.reshape(-1)
    while len(beyond := np.flatnonzero(np.abs(flat) > 2)):
        flat[beyond] = rng.standard_normal(len(beyond))
    return values

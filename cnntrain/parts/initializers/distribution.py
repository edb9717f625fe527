"""A plain distribution fills a parameter with random values whatever its shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnntrain.config.fields import Finite, NonNegative
from cnntrain.core.arrays import Array, Param
from cnntrain.core.registry import register
from cnntrain.parts.initializers.base import Initializer, truncated


@register("uniform")
@dataclass(frozen=True)
class Uniform(Initializer):
    """Uniform in [low, high). Defaults are Keras's."""

    low: Finite = -0.05  # lower bound
    high: Finite = 0.05  # upper bound

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise ValueError(f"low must be at most high, got low {self.low:g} and high {self.high:g}")

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Draw out ~ U[low, high)."""
        out[...] = rng.uniform(self.low, self.high, param.shape)


@register("normal")
@dataclass(frozen=True)
class Normal(Initializer):
    """Normal with this mean and standard deviation. Defaults are Keras's."""

    mean: Finite = 0.0  # mean
    std: NonNegative = 0.05  # standard deviation

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Draw out ~ N(mean, std^2)."""
        out[...] = rng.normal(self.mean, self.std, param.shape)


@register("truncated_normal")
@dataclass(frozen=True)
class TruncatedNormal(Initializer):
    """Normal with this mean and standard deviation, drawn again while more than two deviations from the mean.

    What is left has 0.8796 of the deviation asked for, as in PyTorch's trunc_normal_(a=mean - 2 * std, b=mean + 2 *
    std) and Keras's TruncatedNormal, whose defaults these are.
    """

    mean: Finite = 0.0  # mean
    std: NonNegative = 0.05  # standard deviation before values are cut off

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Draw out ~ N(mean, std^2) within mean +- 2 * std."""
        out[...] = self.mean + self.std * truncated(param.shape, rng)

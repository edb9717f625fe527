"""A fan-scaled start sizes random weights by how many inputs meet in an output, so that signals keep their scale.

Let a layer sum `fan_in` inputs of variance v, each times a weight of variance s. Its outputs have variance
fan_in * s * v, so s = 1 / fan_in keeps it; backward, fan_out stands in its place. A uniform distribution on
[-a, a] has variance a * a / 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cnntrain.config.fields import Positive
from cnntrain.core.arrays import Array, Param
from cnntrain.core.registry import register
from cnntrain.parts.initializers.base import Initializer, truncated

GAINS = {  # PyTorch's calculate_gain; leaky_relu with this package's slope of 0.01
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
}
TRUNCATED = 0.87962566103423978  # the deviation of a standard normal value within +-2


@dataclass(frozen=True)
class FanScaled(Initializer):
    """Base of the initializers that scale by the number of a parameter's inputs or outputs."""

    def std(self, param: Param) -> float:
        """The standard deviation of the values. Raises ValueError for a parameter that sums nothing."""
        raise NotImplementedError

    def check(self, param: Param) -> None:
        """Raise ValueError for a parameter that sums nothing."""
        self.std(param)


@dataclass(frozen=True)
class Glorot(FanScaled):
    """Glorot and Bengio (2010): variance gain^2 * 2 / (fan_in + fan_out), a compromise between the two directions."""

    gain: Positive = 1.0  # factor on the standard deviation

    def std(self, param: Param) -> float:
        """The standard deviation of the values."""
        return self.gain * math.sqrt(2 / _counted(self, param.fan_in + param.fan_out))


@dataclass(frozen=True)
class He(FanScaled):
    """He et al. (2015): variance gain^2 / fan, with the gain that makes up for what the nonlinearity takes away.

    The gains are PyTorch's: linear 1, sigmoid 1, tanh 5/3, relu sqrt(2), leaky_relu for a slope of 0.01.
    """

    mode: Literal["fan_in", "fan_out"] = "fan_in"  # whether the forward or the backward pass keeps its variance
    # the activation that follows, whose loss of variance is made up for
    nonlinearity: Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu"] = "relu"

    def std(self, param: Param) -> float:
        """The standard deviation of the values."""
        fan = param.fan_in if self.mode == "fan_in" else param.fan_out
        return GAINS[self.nonlinearity] / math.sqrt(_counted(self, fan))


@register("glorot_uniform")
@dataclass(frozen=True)
class GlorotUniform(Glorot):
    """Uniform of Glorot's variance. PyTorch's xavier_uniform_."""

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Draw out ~ U[-a, a) with a = sqrt(3) * std."""
        _fill_uniform(out, self.std(param), rng)


@register("glorot_normal")
@dataclass(frozen=True)
class GlorotNormal(Glorot):
    """Normal of Glorot's variance. PyTorch's xavier_normal_."""

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Draw out ~ N(0, std^2)."""
        out[...] = rng.normal(0, self.std(param), param.shape)


@register("he_uniform")
@dataclass(frozen=True)
class HeUniform(He):
    """Uniform of He's variance. PyTorch's kaiming_uniform_."""

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Draw out ~ U[-a, a) with a = sqrt(3) * std."""
        _fill_uniform(out, self.std(param), rng)


@register("he_normal")
@dataclass(frozen=True)
class HeNormal(He):
    """Normal of He's variance. PyTorch's kaiming_normal_."""

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Draw out ~ N(0, std^2)."""
        out[...] = rng.normal(0, self.std(param), param.shape)


@dataclass(frozen=True)
class Lecun(FanScaled):
    """LeCun et al. (1998, Efficient BackProp): variance 1 / fan_in. What selu needs."""

    def std(self, param: Param) -> float:
        """The standard deviation of the values."""
        return math.sqrt(1 / _counted(self, param.fan_in))


@register("lecun_uniform")
@dataclass(frozen=True)
class LecunUniform(Lecun):
    """Uniform of LeCun's variance 1 / fan_in. Keras's LecunUniform."""

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Draw out ~ U[-a, a) with a = sqrt(3) * std."""
        _fill_uniform(out, self.std(param), rng)


@register("lecun_normal")
@dataclass(frozen=True)
class LecunNormal(Lecun):
    """Normal of LeCun's variance 1 / fan_in, not truncated (Keras truncates its LecunNormal)."""

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Draw out ~ N(0, std^2)."""
        out[...] = rng.normal(0, self.std(param), param.shape)


@register("variance_scaling")
@dataclass(frozen=True)
class VarianceScaling(FanScaled):
    """Variance scale / fan, of which the others here are special cases; Keras's VarianceScaling.

    mode fan_in, fan_out or fan_avg, their mean. distribution truncated_normal is cut at two deviations and rescaled to
    keep the variance; normal is not cut.
    """

    scale: Positive = 1.0  # the variance is this over the fan
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"  # which fan: inputs, outputs, or their mean
    distribution: Literal["truncated_normal", "normal", "uniform"] = "truncated_normal"  # shape of the distribution

    def std(self, param: Param) -> float:
        """The standard deviation of the values."""
        fans = {"fan_in": param.fan_in, "fan_out": param.fan_out, "fan_avg": (param.fan_in + param.fan_out) / 2}
        return math.sqrt(self.scale / _counted(self, fans[self.mode]))

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Draw from the distribution, with std = sqrt(scale / fan)."""
        std = self.std(param)
        if self.distribution == "uniform":
            _fill_uniform(out, std, rng)
        elif self.distribution == "normal":
            out[...] = rng.normal(0, std, param.shape)
        else:
            out[...] = std / TRUNCATED * truncated(param.shape, rng)


def _fill_uniform(out: Array, std: float, rng: np.random.Generator) -> None:
    bound = math.sqrt(3) * std
    out[...] = rng.uniform(-bound, bound, out.shape)


def _counted(initializer: Initializer, fan: float) -> float:
    """The fan, which a parameter that sums nothing (a scale, a shift) does not have."""
    if fan < 1:
        raise ValueError(f"{initializer.name_in_config} needs a parameter with inputs to count: use constant or normal")
    return fan

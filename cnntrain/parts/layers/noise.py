"""Noise layers disturb what passes in training and leave it alone in evaluation.

The draws of a shard come from its own generator, in float32, so that they are the same for every float type.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative, Rate
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.blocks import blocks, longest_block
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example, pixels

_SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717  # selu's limit at -infinity


@dataclass(frozen=True)
class Drop(Layer):
    """What the dropping layers share: y = x * survived / (1 - rate), so dx = dy * survived / (1 - rate).

    What is dropped together shares one draw; the mean is preserved, and evaluation is the identity.
    """

    rowwise: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ()
    inplace: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True

    rate: Rate = 0.5  # probability that a value, or whatever is dropped as one, is dropped

    @property
    def random(self) -> bool:
        """Where anything is dropped."""
        return self.rate > 0

    def draws(self, shape: Shape) -> Shape:
        """The shape of one sample's draws, which broadcasts to the sample's."""
        raise NotImplementedError

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """kept: the factor of each draw, 0 or 1 / (1 - rate); scratch: the draws."""
        shape = (n, *self.draws(inputs[0]))
        return Workspace(kept={"factor": (shape, dtype)}, scratch={"draws": (shape, np.float32)})

    def forward(self, f: Frame) -> None:
        """Write y = x * factor in training, y = x in evaluation."""
        if not f.training:
            np.copyto(f.y, f.x)
            return
        f.rng().random(out=f.scratch["draws"], dtype=np.float32)
        factor = f.kept["factor"]
        np.greater_equal(f.scratch["draws"], self.rate, out=factor)
        np.multiply(factor, 1 / (1 - self.rate), out=factor)
        np.multiply(f.x, factor, out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * factor."""
        if f.dx is not None:
            np.multiply(f.dy, f.kept["factor"], out=f.dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """x: nothing is drawn in evaluation."""
        return xs[0]


@register("spatial_dropout2d")
@dataclass(frozen=True)
class SpatialDropout2d(Drop):
    """Whole channels of an image are 0 with probability `rate`, else divided by 1 - rate (Tompson et al. 2015).

    PyTorch's Dropout2d: neighbouring pixels say nearly the same, so dropping single ones hides little. In a clip, a
    channel is dropped at all moments (Dropout3d).
    """

    examples: ClassVar[tuple[Example, ...]] = (example((3, 2, 9)), example((2, 2, 4), rate=0.0), example((2, 3, 1, 4)))
    whole_clips: ClassVar[bool] = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """Unchanged; an image or a clip."""
        pixels(inputs[0], "spatial_dropout2d")
        return inputs[0]

    def draws(self, shape: Shape) -> Shape:
        """One for each channel."""
        return (*(1 for _ in shape[:-1]), shape[-1])


@register("drop_path")
@dataclass(frozen=True)
class DropPath(Drop):
    """The whole sample is 0 with probability `rate`, else divided by 1 - rate (Huang et al. 2016, stochastic depth).

    It belongs at the end of a residual body, which then is skipped. With `linear`, `rate` is that of the last such
    layer of the network, and those before have less: rate i / (n - 1) for number i of n, from 0, as timm and
    torchvision's ConvNeXt have it. Without, every layer has its own: torchvision's StochasticDepth in mode "row".
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 5, 2), rate=0.5),
        example((7,), rate=0.2, linear=False),
        example((4,), rate=0.0),
        example((2, 3, 1, 2), rate=0.5),
    )
    whole_clips: ClassVar[bool] = True

    rate: Rate = 0.1  # probability that a sample's whole branch is dropped
    linear: bool = True  # let the rate grow with depth, from 0 at the first such layer to `rate` at the last

    def at_depth(self, depth: float) -> DropPath:
        """The layer with the rate of this depth."""
        return dataclasses.replace(self, rate=self.rate * depth, linear=False) if self.linear else self

    def draws(self, shape: Shape) -> Shape:
        """One."""
        return (1,) * len(shape)


@register("alpha_dropout")
@dataclass(frozen=True)
class AlphaDropout(Layer):
    """Dropout that keeps mean 0 and variance 1, for networks of selu (Klambauer et al. 2017).

    A value becomes v = -1.7581, selu's limit, with probability `rate`, and all are then moved by an affine map:
    y = a * (x or v) + b. For inputs of mean 0 and variance 1, the mixture with q = 1 - rate has mean rate * v and
    variance q * (1 + rate * v * v), so a = 1 / sqrt(that), b = -a * rate * v. Hence dx = a * dy where x survived.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 5, 2)),
        example((40,), rate=0.2),
        example((7,), rate=0.0),
    )
    rowwise: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ()
    inplace: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True

    rate: Rate = 0.5  # probability that a value is dropped

    @property
    def random(self) -> bool:
        """Where anything is dropped."""
        return self.rate > 0

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """kept: which values survived; scratch: the draws; of a block which did not, and what they become."""
        shape, room = (n, *inputs[0]), (longest_block(n, inputs[0]),)
        return Workspace(
            kept={"survived": (shape, np.bool_)},
            scratch={"draws": (shape, np.float32), "dropped": (room, np.bool_), "others": (room, dtype)},
        )

    def _affine(self) -> tuple[float, float]:
        """A and b."""
        q = 1 - self.rate
        a = 1 / math.sqrt(q * (1 + self.rate * _SELU_FLOOR**2))
        return a, -a * self.rate * _SELU_FLOOR

    def forward(self, f: Frame) -> None:
        """Write y = a * (x or v) + b in training, y = x in evaluation."""
        if not f.training:
            np.copyto(f.y, f.x)
            return
        a, b = self._affine()
        f.rng().random(out=f.scratch["draws"], dtype=np.float32)
        survived = np.greater_equal(f.scratch["draws"], self.rate, out=f.kept["survived"])
        for x, y, stays in blocks(f.x, f.y, survived):
            dropped, others = (f.scratch[name][: x.size] for name in ("dropped", "others"))
            np.copyto(others, np.logical_not(stays, out=dropped))
            np.multiply(others, a * _SELU_FLOOR, out=others)
            np.multiply(x, a, out=y)
            np.multiply(y, stays, out=y)
            np.add(y, others, out=y)  # one of the two is 0, if x is finite
            np.add(y, b, out=y)

    def backward(self, f: Frame) -> None:
        """Write dx = a * dy * survived."""
        if f.dx is not None:
            np.multiply(f.dy, f.kept["survived"], out=f.dx)
            np.multiply(f.dx, self._affine()[0], out=f.dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """x: nothing is drawn in evaluation."""
        return xs[0]


@register("gaussian_noise")
@dataclass(frozen=True)
class GaussianNoise(Layer):
    """y = x + std * noise in training, noise standard normal for each value (Sietsma and Dow 1991); so dx = dy."""

    examples: ClassVar[tuple[Example, ...]] = (example((3, 5, 2), std=0.3), example((7,), std=0.0))
    rowwise: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ()
    inplace: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True

    std: NonNegative  # standard deviation of the noise

    @property
    def random(self) -> bool:
        """Where there is noise."""
        return self.std > 0

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:  # noqa: ARG002
        """The draws."""
        return Workspace(scratch={"draws": ((n, *inputs[0]), np.float32)})

    def forward(self, f: Frame) -> None:
        """Write y = x + std * noise in training, y = x in evaluation."""
        if not f.training:
            np.copyto(f.y, f.x)
            return
        noise = f.scratch["draws"]
        f.rng().standard_normal(out=noise, dtype=np.float32)
        np.multiply(noise, self.std, out=noise)
        np.add(f.x, noise, out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy."""
        if f.dx is not None:
            np.copyto(f.dx, f.dy)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """x: nothing is drawn in evaluation."""
        return xs[0]

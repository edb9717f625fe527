"""Rearranging layers give the same values another shape: pixel_shuffle makes pixels of channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.config.fields import PositiveInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, example, image


@register("pixel_shuffle")
@dataclass(frozen=True)
class PixelShuffle(Layer):
    """y[h * r + i, w * r + j, c] = x[h, w, c * r * r + i * r + j] with r = factor (Shi et al. 2016).

    The order of channels is PyTorch's (TensorFlow's depth_to_space has c last). It moves values about, so dx is dy
    moved back.
    """

    examples: ClassVar[tuple[Example, ...]] = (example((3, 2, 8), factor=2), example((2, 1, 9), factor=3))
    keeps: ClassVar[tuple[str, ...]] = ()
    affine_map: ClassVar[bool] = True

    factor: PositiveInt  # factor by which height and width grow

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, channels) -> (height * r, width * r, channels / r^2)."""
        height, width, channels = image(inputs[0], "pixel_shuffle")
        if channels % self.factor**2:
            raise ValueError(
                f"pixel_shuffle by {self.factor} needs a multiple of {self.factor**2} channels, got {channels}"
            )
        return height * self.factor, width * self.factor, channels // self.factor**2

    def flops(self, *inputs: Shape) -> int:  # noqa: ARG002
        """None: it only moves."""
        return 0

    def forward(self, f: Frame) -> None:
        """Write y, the channels spread out."""
        np.copyto(self._spread(f.y), self._packed(f.x))

    def backward(self, f: Frame) -> None:
        """Write dx, the pixels packed together."""
        if f.dx is not None:
            np.copyto(self._packed(f.dx), self._spread(f.dy))

    def _packed(self, x: Array) -> Array:
        """A view of x as (n, h, w, i, j, c)."""
        n, height, width, _ = x.shape
        return x.reshape(n, height, width, -1, self.factor, self.factor).transpose(0, 1, 2, 4, 5, 3)

    def _spread(self, y: Array) -> Array:
        """A view of y as (n, h, w, i, j, c)."""
        n, height, width, channels = y.shape
        r = self.factor
        return y.reshape(n, height // r, r, width // r, r, channels).transpose(0, 1, 3, 2, 4, 5)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """The channels spread out over pixels."""
        (height, across, channels), r = xs[0].shape, self.factor
        split = t.reshape(xs[0], (height, across, channels // r**2, r, r))
        order = (0, 3, 1, 4, 2)
        spread = t.op("transpose", split, shape=tuple(split.shape[axis] for axis in order), order=order)
        return t.reshape(spread, self.output_shape(xs[0].shape))


@register("reshape")
@dataclass(frozen=True)
class Reshape(Layer):
    """The same values in memory order (rows, columns, channels) under another shape; so dx is dy under x's.

    The shape of one sample is (features,), (height, width, channels) or, of a clip, (moments, height, width, channels),
    as in Keras's Reshape; PyTorch's memory order differs. In place, nothing is copied.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((12,), shape=(2, 3, 2)),
        example((2, 3, 4), shape=(4, 6, 1)),
        example((2, 3, 1, 4), shape=(3, 4, 2)),
        example((2, 3, 4), shape=(3, 2, 2, 2)),
    )
    whole_clips: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ()
    inplace: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True

    shape: tuple[PositiveInt, ...]  # shape of the output for one sample

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) not in (1, 3, 4):
            raise ValueError(
                "shape must be [features], [height, width, channels] or [moments, height, width, channels], got "
                f"{list(self.shape)}"
            )

    def output_shape(self, *inputs: Shape) -> Shape:
        """The shape given. Raises ValueError where it does not hold as many values."""
        have, want = math.prod(inputs[0]), math.prod(self.shape)
        if have != want:
            raise ValueError(f"reshape cannot make {self.shape} of {inputs[0]}: {have} values, not {want}")
        return self.shape

    def flops(self, *inputs: Shape) -> int:  # noqa: ARG002
        """None: it only moves."""
        return 0

    def forward(self, f: Frame) -> None:
        """Write y = x, in another shape."""
        np.copyto(f.y, f.x.reshape(f.y.shape))

    def backward(self, f: Frame) -> None:
        """Write dx = dy, in x's shape."""
        if f.dx is not None:
            np.copyto(f.dx, f.dy.reshape(f.dx.shape))

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """The same values."""
        return t.reshape(xs[0], self.shape)

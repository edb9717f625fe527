"""Border layers add a frame of zeros to an image, or cut one off; each is the other's adjoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.config.fields import NonNegativeInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, example, image

Sides = NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt]


def _sides(sides: int | tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """One number for all, or [top, bottom, left, right]."""
    return (sides,) * 4 if isinstance(sides, int) else sides


def _inside(framed: Array, sides: int | tuple[int, int, int, int]) -> Array:
    """The part of images (n, h, w, c) within the frame."""
    top, bottom, left, right = _sides(sides)
    return framed[:, top : framed.shape[1] - bottom, left : framed.shape[2] - right]


@dataclass(frozen=True)
class Border(Layer):
    """What both share: images, nothing kept, nothing computed."""

    keeps: ClassVar[tuple[str, ...]] = ()
    affine_map: ClassVar[bool] = True

    def flops(self, *inputs: Shape) -> int:  # noqa: ARG002
        """None: it only moves."""
        return 0


@register("zero_pad2d")
@dataclass(frozen=True)
class ZeroPad2d(Border):
    """x within a frame of zeros (PyTorch's ZeroPad2d), so dx is dy within it.

    padding is a number or [top, bottom, left, right].
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 2, 2), padding=1),
        example((2, 3, 1), padding=(0, 1, 2, 3)),
    )

    padding: Sides  # zeros to add: one number, or [top, bottom, left, right]

    def output_shape(self, *inputs: Shape) -> Shape:
        """The height and width grow by what is added."""
        height, width, channels = image(inputs[0], "zero_pad2d")
        top, bottom, left, right = _sides(self.padding)
        return height + top + bottom, width + left + right, channels

    def forward(self, f: Frame) -> None:
        """Write zeros, and x within."""
        f.y.fill(0)
        np.copyto(_inside(f.y, self.padding), f.x)

    def backward(self, f: Frame) -> None:
        """Write dx = dy within."""
        if f.dx is not None:
            np.copyto(f.dx, _inside(f.dy, self.padding))

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """X within zeros."""
        top, bottom, left, right = _sides(self.padding)
        shape = self.output_shape(xs[0].shape)
        return t.op("pad", xs[0], shape=shape, sides=((top, bottom), (left, right), (0, 0)))


@register("crop2d")
@dataclass(frozen=True)
class Crop2d(Border):
    """x without a frame (Keras's Cropping2D), so dx is dy within a frame of zeros.

    cropping is a number or [top, bottom, left, right].
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 4, 2), cropping=1),
        example((4, 5, 1), cropping=(0, 1, 2, 1)),
    )

    cropping: Sides  # pixels to cut off: one number, or [top, bottom, left, right]

    def output_shape(self, *inputs: Shape) -> Shape:
        """The height and width shrink by what is cut off. Raises ValueError where nothing would be left."""
        height, width, channels = image(inputs[0], "crop2d")
        top, bottom, left, right = _sides(self.cropping)
        if height <= top + bottom or width <= left + right:
            raise ValueError(f"crop2d would leave nothing of an image {inputs[0]}: cropping is {self.cropping}")
        return height - top - bottom, width - left - right, channels

    def forward(self, f: Frame) -> None:
        """Write y = x within the frame."""
        np.copyto(f.y, _inside(f.x, self.cropping))

    def backward(self, f: Frame) -> None:
        """Write zeros, and dy within."""
        if f.dx is not None:
            f.dx.fill(0)
            np.copyto(_inside(f.dx, self.cropping), f.dy)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """X without its frame."""
        top, bottom, left, right = _sides(self.cropping)
        height, across, channels = xs[0].shape
        parts = ((top, height - bottom, 1), (left, across - right, 1), (0, channels, 1))
        return t.op("slice", xs[0], shape=self.output_shape(xs[0].shape), parts=parts)

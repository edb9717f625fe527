"""Border layers add a frame to an image, of zeros or of what the image shows, or cut one off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegativeInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example, image

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
    """What all share: images, nothing kept, nothing computed."""

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
        """Record x within zeros."""
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
        """Record x without its frame."""
        top, bottom, left, right = _sides(self.cropping)
        height, across, channels = xs[0].shape
        parts = ((top, height - bottom, 1), (left, across - right, 1), (0, channels, 1))
        return t.op("slice", xs[0], shape=self.output_shape(xs[0].shape), parts=parts)


@register("mirror_pad2d")
@dataclass(frozen=True)
class MirrorPad2d(Border):
    """x within a frame of its own pixels, mirrored at those of the border, which are not repeated (PyTorch's
    ReflectionPad2d; the overlap-tile strategy of Ronneberger et al. 2015).

    So y = A x B^T with a matrix of ones and zeros for rows and one for columns, and dx = A^T dy B: a pixel gets the
    gradients of all its images. padding is a number or [top, bottom, left, right], less than the side it continues.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 4, 2), padding=1),
        example((3, 3, 1), padding=2),
        example((2, 4, 1), padding=(0, 1, 3, 2)),
    )

    padding: Sides  # pixels to add: one number, or [top, bottom, left, right]

    def output_shape(self, *inputs: Shape) -> Shape:
        """The height and width grow by what is added. Raises ValueError where an image is too small to be mirrored."""
        height, width, channels = image(inputs[0], "mirror_pad2d")
        top, bottom, left, right = _sides(self.padding)
        if max(top, bottom) >= height or max(left, right) >= width:
            raise ValueError(f"mirror_pad2d needs an image larger than its padding of {self.padding}, got {inputs[0]}")
        return height + top + bottom, width + left + right, channels

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """The gradient with its rows folded back."""
        height, width, channels = inputs[0]
        _, _, left, right = _sides(self.padding)
        return Workspace(scratch={"folded": ((n, height, left + width + right, channels), dtype)})

    def forward(self, f: Frame) -> None:
        """Write x in the middle, and around it its rows and columns in the mirror."""
        top, bottom, left, right = _sides(self.padding)
        for into, rows in _mirrored(f.x.shape[1], top, bottom):
            for beside, columns in _mirrored(f.x.shape[2], left, right):
                np.copyto(f.y[:, into, beside], f.x[:, rows, columns])

    def backward(self, f: Frame) -> None:
        """Write dx: dy, and what comes back from the rows and then from the columns."""
        if f.dx is None:
            return
        top, bottom, left, right = _sides(self.padding)
        height, width = f.x.shape[1:3]
        rows = f.scratch["folded"]
        np.copyto(rows, f.dy[:, top : top + height])
        rows[:, 1 : top + 1] += f.dy[:, :top][:, ::-1]
        rows[:, height - 1 - bottom : height - 1] += f.dy[:, top + height :][:, ::-1]
        np.copyto(f.dx, rows[:, :, left : left + width])
        f.dx[:, :, 1 : left + 1] += rows[:, :, :left][:, :, ::-1]
        f.dx[:, :, width - 1 - right : width - 1] += rows[:, :, left + width :][:, :, ::-1]

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """A x B^T."""
        y = xs[0]
        sides = _sides(self.padding)
        for axis in range(2):
            size, before, after = xs[0].shape[axis], sides[2 * axis], sides[2 * axis + 1]
            chosen = np.pad(np.arange(size), (before, after), mode="reflect")
            y = t.along(y, t.constant(f"axis{axis}", np.eye(size, dtype=np.float32)[chosen]), axis)
        return y


def _mirrored(size: int, before: int, after: int) -> list[tuple[slice, slice]]:
    """Along one axis: what is written, and of what: the frame's two parts and what is between them."""
    end = before + size
    last = size - 2 - after if after < size - 1 else None  # a slice to -1 would end before the last
    return [
        (slice(before, end), slice(None)),
        (slice(0, before), slice(before, 0, -1)),
        (slice(end, end + after), slice(size - 2, last, -1) if after else slice(0, 0)),
    ]

"""Mirror padding continues an image beyond its border by what lies within it, in the mirror."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Workspace, example, image
from cnntrain.parts.layers.borders import Border, Sides, sides_of


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
        top, bottom, left, right = sides_of(self.padding)
        if max(top, bottom) >= height or max(left, right) >= width:
            raise ValueError(f"mirror_pad2d needs an image larger than its padding of {self.padding}, got {inputs[0]}")
        return height + top + bottom, width + left + right, channels

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """The gradient with its rows folded back."""
        height, width, channels = inputs[0]
        _, _, left, right = sides_of(self.padding)
        return Workspace(scratch={"folded": ((n, height, left + width + right, channels), dtype)})

    def forward(self, f: Frame) -> None:
        """Write x, the columns beside it, and the rows above and below."""
        top, bottom, left, right = sides_of(self.padding)
        height, width = f.x.shape[1:3]
        rows = f.y[:, top : top + height]
        np.copyto(rows[:, :, left : left + width], f.x)
        np.copyto(rows[:, :, :left], f.x[:, :, 1 : left + 1][:, :, ::-1])
        np.copyto(rows[:, :, left + width :], f.x[:, :, width - 1 - right : width - 1][:, :, ::-1])
        np.copyto(f.y[:, :top], rows[:, 1 : top + 1][:, ::-1])
        np.copyto(f.y[:, top + height :], rows[:, height - 1 - bottom : height - 1][:, ::-1])

    def backward(self, f: Frame) -> None:
        """Write dx: dy, and what comes back from the rows and then from the columns."""
        if f.dx is None:
            return
        top, bottom, left, right = sides_of(self.padding)
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
        sides = sides_of(self.padding)
        for axis in range(2):
            size, before, after = xs[0].shape[axis], sides[2 * axis], sides[2 * axis + 1]
            chosen = np.pad(np.arange(size), (before, after), mode="reflect")
            y = t.along(y, t.constant(f"axis{axis}", np.eye(size, dtype=np.float32)[chosen]), axis)
        return y

"""Padding: a frame around every image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import NonNegativeInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.transforms.base import Transform


@register("pad")
@dataclass(frozen=True)
class Pad(Transform):
    """Add a frame of one width, or of [top, bottom, left, right] (torchvision's Pad, whose order differs).

    The frame is zero, or repeats the outermost pixels (`edge`), or mirrors the image with (`symmetric`) or without
    (`reflect`) them.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"padding": 2},
        {"padding": (0, 1, 2, 3), "mode": "edge"},
        {"padding": 3, "mode": "reflect"},
        {"padding": 3, "mode": "symmetric"},
    )
    moves_pixels_only: ClassVar[bool] = True

    # pixels to add: one number, or [top, bottom, left, right]
    padding: NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt]
    # what the border holds: zeros, the edge's pixels, or the image mirrored without or with its edge
    mode: Literal["constant", "edge", "reflect", "symmetric"] = "constant"

    def output_shape(self, shape: Shape) -> Shape:
        """Larger by the frame. Raises ValueError where a mirrored frame is wider than the image."""
        height, width, channels = shape
        top, bottom, left, right = self._sides()
        for size, widest in ((height, max(top, bottom)), (width, max(left, right))):
            most = {"reflect": size - 1, "symmetric": size}.get(self.mode, widest)
            if widest > most:
                raise ValueError(
                    f"{self.mode} can pad a {height}x{width} image by at most {most} there, got {widest}: "
                    "make padding smaller or mode edge"
                )
        return (height + top + bottom, width + left + right, channels)

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """The padded images, a new array of the dtype given."""
        top, bottom, left, right = self._sides()
        return np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)), self.mode)

    def points(self, xy: Array, shape: Shape, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """Moved by the frame above and on the left."""
        top, _, left, _ = self._sides()
        moved: Array = xy + np.array([left, top])
        return moved

    def _sides(self) -> tuple[int, int, int, int]:
        return (self.padding,) * 4 if isinstance(self.padding, int) else self.padding

    def trace(self, t: Trace, x: Value) -> Value:
        """Zeros around it; else along each axis a matrix that says which pixel is copied where."""
        top, bottom, left, right = self._sides()
        if self.mode == "constant":
            return t.op("pad", x, shape=self.output_shape(x.shape), sides=((top, bottom), (left, right), (0, 0)))
        for axis, sides in enumerate(((top, bottom), (left, right))):
            copied = np.pad(np.eye(x.shape[axis]), (sides, (0, 0)), self.mode)
            x = t.along(x, t.constant(("down", "across")[axis], copied), axis)
        return x

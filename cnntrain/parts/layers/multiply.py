"""Multiply takes the product of several inputs: the junction of a gate and what it gates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.sums import over_pixels
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, RowBand, Workspace, example


@register("multiply")
@dataclass(frozen=True)
class Multiply(Layer):
    """y = xs[0] * xs[1] * ..., in this order (Keras's Multiply), so the gradient of each is dy times all the others.

    An input of features may stand beside an image or a clip: one factor for each channel, the same for every pixel (Hu
    et al. 2018), whose gradient is then also summed over pixels.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 4, 2), (3, 4, 2)),
        example((3, 4, 2), (2,)),
        example((3,), (2, 2, 3), (3,)),
        example((5,), (5,), (5,)),
        example((2, 3, 1, 2), (2,)),
    )
    whole_clips: ClassVar[bool] = True
    inputs: ClassVar[tuple[int, int | None]] = (2, None)

    def output_shape(self, *inputs: Shape) -> Shape:
        """The largest shape. Raises ValueError where another is neither that nor its channels."""
        whole = max(inputs, key=len)
        if any(shape not in (whole, whole[-1:]) for shape in inputs):
            raise ValueError(
                "multiply needs inputs of one shape, or features with as many values as the image has channels, got "
                + " and ".join(map(str, inputs))
            )
        return whole

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """The product of dy and the other inputs."""
        return Workspace(scratch={"product": ((n, *self.output_shape(*inputs)), dtype)})

    def flops(self, *inputs: Shape) -> int:
        """One for each value and input after the first."""
        return math.prod(self.output_shape(*inputs)) * (len(inputs) - 1)

    def band(self, rows: slice, *inputs: Shape) -> RowBand | None:
        """The same rows of every image, beside all features."""
        reads = tuple(rows if len(shape) == 3 else slice(0, shape[0]) for shape in inputs)
        return RowBand(self, reads) if len(self.output_shape(*inputs)) == 3 else None

    def forward(self, f: Frame) -> None:
        """Write y = product of xs, from left to right."""
        first, second, *rest = (self._fitted(f, i) for i in range(len(f.xs)))
        np.multiply(first, second, out=f.y)
        for x in rest:
            np.multiply(f.y, x, out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * the others, summed over pixels for features beside an image."""
        for i, dx in enumerate(f.dxs):
            if dx is None:
                continue
            out = dx if dx.shape == f.dy.shape else f.scratch["product"]
            first, *rest = (self._fitted(f, k) for k in range(len(f.xs)) if k != i)
            np.multiply(f.dy, first, out=out)
            for x in rest:
                np.multiply(out, x, out=out)
            if out is not dx:
                over_pixels(out.reshape(len(out), -1, out.shape[-1]), dx)

    def _fitted(self, f: Frame, i: int) -> Any:
        """An input that broadcasts to y."""
        x = f.xs[i]
        return x if x.ndim == f.y.ndim else x.reshape(len(x), *(1 for _ in f.y.shape[2:]), -1)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """The product, from left to right."""
        whole = max((x.shape for x in xs), key=len)
        fitted = [t.beside(x, whole) for x in xs]
        y = fitted[0]
        for x in fitted[1:]:
            y = t.op("mul", y, x)
        return y

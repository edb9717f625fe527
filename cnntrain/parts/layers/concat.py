"""Concat puts several inputs beside each other along their channels, or features after features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, example


@register("concat")
@dataclass(frozen=True)
class Concat(Layer):
    """y[..., c] runs through the channels of the first input, then of the second, and so on.

    So the gradient of each input is its stretch of dy's channels.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 4, 2), (3, 4, 1)),
        example((2, 2, 1), (2, 2, 3), (2, 2, 2)),
        example((3,), (2,)),
    )
    rowwise: ClassVar[bool] = True
    inputs: ClassVar[tuple[int, int | None]] = (2, None)
    keeps: ClassVar[tuple[str, ...]] = ()
    affine_map: ClassVar[bool] = True

    def output_shape(self, *inputs: Shape) -> Shape:
        """(height, width, sum of channels), or (sum of features,)."""
        if any(shape[:-1] != inputs[0][:-1] for shape in inputs):
            raise ValueError(
                f"concat needs inputs that agree in all but channels, got {' and '.join(map(str, inputs))}"
            )
        return (*inputs[0][:-1], sum(shape[-1] for shape in inputs))

    def flops(self, *inputs: Shape) -> int:  # noqa: ARG002
        """None: it only moves."""
        return 0

    def forward(self, f: Frame) -> None:
        """Copy each input to its channels."""
        for x, part in zip(f.xs, _parts(f.xs, f.y), strict=True):
            np.copyto(part, x)

    def backward(self, f: Frame) -> None:
        """Copy each input's channels back."""
        for dx, part in zip(f.dxs, _parts(f.xs, f.dy), strict=True):
            if dx is not None:
                np.copyto(dx, part)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """One input behind the other along the channels."""
        shape = self.output_shape(*(x.shape for x in xs))
        return t.op("concat", *xs, shape=shape, axis=len(shape) - 1)


def _parts(xs: tuple[Array, ...], whole: Array) -> Iterator[Array]:
    """The stretch of `whole`'s channels that belongs to each input."""
    start = 0
    for x in xs:
        stop = start + x.shape[-1]
        yield whole[..., start:stop]
        start = stop

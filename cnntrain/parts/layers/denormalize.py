"""Denormalizing brings outputs near 0 back to the units of values such as prices or years: the end of a regression."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.config.fields import Finite, Positive
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.counts import counted
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, example

_LEAST, _LARGEST = (float(bound) for bound in (np.finfo(np.float32).tiny, np.finfo(np.float32).max))


@register("denormalize")
@dataclass(frozen=True)
class Denormalize(Layer):
    """y[..., c] = mean[c] + x[..., c] * std[c], Keras's Normalization with `invert`, so dx = dy * std.

    Nothing is trained. Behind the last dense layer of a regression it lets the network learn numbers near 0 while
    outputs, losses and metrics keep the units of the data: a weight that moves by the learning rate would take ages to
    reach 300,000.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3,), mean=(0.5, -1.0, 0.25), std=(2.0, 0.5, 1.5)),
        example((3, 2, 2), mean=(0.5, 0.0), std=(2.0, 0.25)),
    )
    keeps: ClassVar[tuple[str, ...]] = ()
    inplace: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True

    mean: tuple[Finite, ...]  # of each value, or channel: what an output of 0 stands for
    std: tuple[Positive, ...]  # of each: what an output of 1 is above that

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            for number in numbers:
                if abs(number) > _LARGEST or (name == "std" and number < _LEAST):
                    raise ValueError(
                        f"{name} has {number:g}, which float32 does not hold: bring the data to other units"
                    )

    def output_shape(self, *inputs: Shape) -> Shape:
        """The same. Raises ValueError where there are not as many numbers as values or channels."""
        (shape,) = inputs
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) != shape[-1]:
                raise ValueError(
                    f"{name} has {counted(len(numbers), 'entry')}, the input {counted(shape[-1], 'value')}: give one "
                    "for each"
                )
        return shape

    def flops(self, *inputs: Shape) -> int:
        """One multiplication and one addition for each value."""
        return 2 * math.prod(inputs[0])

    def forward(self, f: Frame) -> None:
        """Write y = mean + x * std."""
        np.multiply(f.x, np.asarray(self.std, f.x.dtype), out=f.y)
        np.add(f.y, np.asarray(self.mean, f.y.dtype), out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * std."""
        if f.dx is not None:
            np.multiply(f.dy, np.asarray(self.std, f.dy.dtype), out=f.dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Record mean + x * std."""
        y = t.op("mul", xs[0], t.constant("std", np.array(self.std)))
        return t.op("add", y, t.constant("mean", np.array(self.mean)))

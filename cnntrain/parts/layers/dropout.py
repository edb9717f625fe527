"""Dropout silences random values in training, so that no unit can rely on a single other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Rate
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example


@register("dropout")
@dataclass(frozen=True)
class Dropout(Layer):
    """Inverted dropout (Srivastava et al. 2014): each value is 0 with probability `rate`, else divided by 1 - rate.

    So the mean is preserved, evaluation is the identity, and dx = dy * kept / (1 - rate). The draws are the same for
    every float type.
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

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:  # noqa: ARG002
        """kept: which values survived; scratch: the draws."""
        shape = (n, *inputs[0])
        return Workspace(kept={"survived": (shape, np.bool_)}, scratch={"draws": (shape, np.float32)})

    def forward(self, f: Frame) -> None:
        """Write y = x * survived / (1 - rate) in training, y = x in evaluation."""
        if not f.training:
            np.copyto(f.y, f.x)
            return
        f.rng().random(out=f.scratch["draws"], dtype=np.float32)
        survived = np.greater_equal(f.scratch["draws"], self.rate, out=f.kept["survived"])
        np.multiply(f.x, survived, out=f.y)
        np.multiply(f.y, 1 / (1 - self.rate), out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dx = dy * survived / (1 - rate)."""
        if f.dx is not None:
            np.multiply(f.dy, f.kept["survived"], out=f.dx)
            np.multiply(f.dx, 1 / (1 - self.rate), out=f.dx)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """x: nothing is left out in evaluation."""
        return xs[0]

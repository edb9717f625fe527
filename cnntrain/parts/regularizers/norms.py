"""Penalties on the size of parameters, and a limit on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative, Positive
from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.ops.signs import signs
from cnntrain.parts.regularizers.base import Regularizer


@register("l2")
@dataclass(frozen=True)
class L2(Regularizer):
    """rate * sum(p^2), gradient 2 rate p (Hoerl and Kennard 1970; Keras's L2).

    Under plain descent `rate` does what a coupled weight_decay of twice as much does.
    """

    rate: NonNegative = 0.01  # factor on the sum of squares

    def value(self, p: Array) -> float:
        """The penalty of one tensor."""
        return self.rate * _sum_of_squares(p)

    def add_gradient(self, p: Array, g: Array, scratch: Array) -> None:
        """Add 2 rate p."""
        g += np.multiply(p, 2 * self.rate, out=scratch)


@register("l1")
@dataclass(frozen=True)
class L1(Regularizer):
    """rate * sum(|p|), gradient rate sign(p), 0 at 0 (Tibshirani 1996; Keras's L1)."""

    rate: NonNegative = 0.01  # factor on the sum of absolute values

    def value(self, p: Array) -> float:
        """The penalty of one tensor."""
        return self.rate * float(np.abs(p).sum(dtype=np.float64))

    def add_gradient(self, p: Array, g: Array, scratch: Array) -> None:
        """Add rate sign(p)."""
        signs(p, out=scratch)
        scratch *= self.rate
        g += scratch


@register("l1_l2")
@dataclass(frozen=True)
class L1L2(Regularizer):
    """l1 * sum(|p|) + l2 * sum(p^2): the elastic net (Zou and Hastie 2005; Keras's L1L2)."""

    l1: NonNegative = 0.01  # factor on the sum of absolute values
    l2: NonNegative = 0.01  # factor on the sum of squares

    def value(self, p: Array) -> float:
        """The penalty of one tensor."""
        return L1(self.l1).value(p) + L2(self.l2).value(p)

    def add_gradient(self, p: Array, g: Array, scratch: Array) -> None:
        """Add l1 sign(p) + 2 l2 p."""
        L1(self.l1).add_gradient(p, g, scratch)
        L2(self.l2).add_gradient(p, g, scratch)


@register("max_norm")
@dataclass(frozen=True)
class MaxNorm(Regularizer):
    """After every step, the weights into each filter or unit are scaled down to a norm of `most` (Srivastava 2014).

    The norm is over all axes but the last, which counts filters or units; of a vector, over each value by itself.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"most": 0.5})

    most: Positive = 3.0  # largest norm of the weights into a filter or unit

    def limit(self, p: Array, scratch: Array) -> None:
        """Scale down what is too long."""
        np.multiply(p, p, out=scratch)
        norms = np.sqrt(scratch.reshape(-1, p.shape[-1]).sum(axis=0) if p.ndim > 1 else scratch)
        p *= np.minimum(1, self.most / np.maximum(norms, np.finfo(p.dtype).tiny))


def _sum_of_squares(p: Array) -> float:
    wide = p.astype(np.float64).reshape(-1)
    return float(np.dot(wide, wide))

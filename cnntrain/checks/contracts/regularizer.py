"""The contract of regularizers: a penalty's gradient is its derivative, a limit holds once it was enforced."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntrain.checks.contracts.base import close, equal, hold
from cnntrain.core.arrays import Array
from cnntrain.parts.regularizers.base import Regularizer

SHAPES = ((3, 3, 2, 4), (5, 3), (6,))


def tensors(size: float = 1.0, dtype: Any = np.float64) -> list[Array]:
    """A kernel, a matrix and a vector of normal values of that size, away from 0."""
    rng = np.random.default_rng(4)
    values = [rng.standard_normal(shape) for shape in SHAPES]
    return [(size * (value + np.copysign(0.1, value))).astype(dtype) for value in values]


def gradient(regularizer: Regularizer, p: Array, g: Array) -> Array:
    """The gradient g of a tensor with the penalty's added; the scratch array begins as NaN."""
    g = g.copy()
    regularizer.add_gradient(p, g, np.full_like(p, np.nan))
    return g


def limited(regularizer: Regularizer, p: Array) -> Array:
    """A copy of a tensor, brought back within bounds; the scratch array begins as NaN."""
    p = p.copy()
    regularizer.limit(p, np.full_like(p, np.nan))
    return p


def has_a_gradient_that_is_the_central_difference(regularizer: Regularizer) -> None:
    """In float64, added to the gradient that is there."""
    step = 1e-6
    for p in tensors():
        g = np.cos(np.arange(p.size, dtype=np.float64)).reshape(p.shape)
        numeric = np.empty(p.size)
        for i in range(p.size):
            ends = []
            for sign in (1, -1):
                moved = p.copy()
                moved.reshape(-1)[i] += sign * step
                ends.append(regularizer.value(moved))
            numeric[i] = (ends[0] - ends[1]) / (2 * step)
        what = f"of a tensor {p.shape}, what is added to the gradient is not the central difference of `value`"
        close(gradient(regularizer, p, g) - g, numeric.reshape(p.shape), what, rtol=1e-5, atol=1e-7)


def leaves_the_parameters_to_the_optimizer(regularizer: Regularizer) -> None:
    """A penalty reads them; its value is a float."""
    for p in tensors(dtype=np.float32):
        p.flags.writeable = False
        value = regularizer.value(p)
        hold(type(value) is float, f"its value is {type(value).__name__}, expected float")
        first = gradient(regularizer, p, np.ones_like(p))
        equal(gradient(regularizer, p, np.ones_like(p)), first, "asked again, it adds another gradient")


def limits_what_is_not_within_bounds_yet(regularizer: Regularizer) -> None:
    """Enforced again, a limit changes nothing but the rounding."""
    for size in (0.01, 1.0, 100.0):
        for p in tensors(size):
            once = limited(regularizer, p)
            hold(np.isfinite(once).all(), f"it limits a tensor {p.shape} to what is not finite")
            close(limited(regularizer, once), once, "limited again, a tensor changes", rtol=1e-12, atol=1e-15)


def limits_a_view_in_place(regularizer: Regularizer) -> None:
    """As the weights of a transposed convolution are given, whose units are not the last axis in memory."""
    for p in tensors(100.0):
        turned = p.swapaxes(0, -1).copy().swapaxes(0, -1)
        regularizer.limit(turned, np.full(p.shape, np.nan))
        equal(turned, limited(regularizer, p), f"it limits a view of shape {p.shape} otherwise than an array")


def does_something(regularizer: Regularizer) -> None:
    """A penalty for large tensors, or a limit to them."""
    large = tensors(100.0)
    acts = any(regularizer.value(p) != 0 or not np.array_equal(limited(regularizer, p), p) for p in large)
    hold(acts, "it neither has a value nor limits anything, even for values around 100: has an example a rate of 0?")


CHECKS = (
    has_a_gradient_that_is_the_central_difference,
    leaves_the_parameters_to_the_optimizer,
    limits_what_is_not_within_bounds_yet,
    limits_a_view_in_place,
    does_something,
)

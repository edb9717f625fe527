"""Absolute and robust errors: losses that grow linearly with a large difference, so that outliers pull less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive
from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.losses.base import Elementwise


@register("mae")
@dataclass(frozen=True)
class MAE(Elementwise):
    """Absolute error |y - t|, averaged over a sample's outputs (Laplace 1774; PyTorch's L1Loss).

    Its derivative is the sign of y - t, 0 where they are equal.
    """

    def values_and_slopes(self, y: Array, t: Array) -> tuple[Array, Array]:
        """One output's loss and derivative."""
        difference = y - t
        return np.abs(difference), np.sign(difference)


@register("huber")
@dataclass(frozen=True)
class Huber(Elementwise):
    """Squared error near the target, absolute error away from it (Huber 1964; PyTorch's HuberLoss).

    With d = y - t: d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); the derivative is d kept within
    -delta and delta.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"delta": 0.5, "weight": 2.0})

    delta: Positive = 1.0  # error up to which the loss is quadratic

    def values_and_slopes(self, y: Array, t: Array) -> tuple[Array, Array]:
        """One output's loss and derivative."""
        difference = y - t
        slopes = np.clip(difference, -self.delta, self.delta)
        return slopes * (difference - slopes / 2), slopes


@register("smooth_l1")
@dataclass(frozen=True)
class SmoothL1(Elementwise):
    """Huber's loss divided by its delta, here `beta` (Girshick 2015, "Fast R-CNN"; PyTorch's SmoothL1Loss).

    With d = y - t: d^2 / (2 beta) where |d| <= beta, else |d| - beta / 2; the derivative is d / beta kept within -1
    and 1.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"beta": 0.3})

    beta: Positive = 1.0  # error up to which the loss is quadratic

    def values_and_slopes(self, y: Array, t: Array) -> tuple[Array, Array]:
        """One output's loss and derivative."""
        difference = y - t
        slopes = np.clip(difference / self.beta, -1, 1)
        return slopes * (difference - self.beta / 2 * slopes), slopes

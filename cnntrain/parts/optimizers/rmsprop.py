"""RMSprop: each parameter's gradient divided by the root of its recent mean square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive, Rate
from cnntrain.core.registry import register
from cnntrain.parts.optimizers.base import Block, Optimizer


@register("rmsprop")
@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012, lecture 6.5), and with `centered` the variance of Graves 2013.

        s = alpha s + (1 - alpha) g^2,    p -= lr g / (sqrt(s) + eps)

    `centered` keeps the mean a = alpha a + (1 - alpha) g too, and divides by sqrt(s - a^2) + eps; where rounding
    makes that difference negative it counts as zero (PyTorch: NaN). Momentum u adds up the divided gradients:
    b = u b + g / (...), p -= lr b.
    """

    slots: ClassVar[tuple[str, ...]] = ("square", "mean", "velocity")
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"centered": True, "weight_decay": 1e-2},
        {"momentum": 0.9, "alpha": 0.9},
        {"momentum": 0.5, "centered": True},
    )

    alpha: Rate = 0.99  # decay of the running average of squares
    eps: Positive = 1e-8  # added to the root, against division by zero
    centered: bool = False  # divide by the standard deviation instead (Graves 2013)
    momentum: Rate = 0.0  # share of the last step's velocity that is kept

    def slot_names(self) -> tuple[str, ...]:
        """The mean only if centered, the velocity only with momentum."""
        wanted = {"square": True, "mean": self.centered, "velocity": self.momentum > 0}
        return tuple(name for name in self.slots if wanted[name])

    def update(self, block: Block) -> None:
        """Take the step."""
        square, (root, change) = block.slots["square"], block.scratch
        np.multiply(block.g, block.g, out=change)
        change *= 1 - self.alpha
        square *= self.alpha
        square += change
        if self.centered:
            mean = block.slots["mean"]
            np.subtract(block.g, mean, out=change)
            change *= 1 - self.alpha
            mean += change
            np.multiply(mean, mean, out=change)
            np.subtract(square, change, out=root)
            np.clip(root, 0, np.inf, out=root)
            np.sqrt(root, out=root)
        else:
            np.sqrt(square, out=root)
        root += self.eps
        np.divide(block.g, root, out=change)
        if self.momentum:
            velocity = block.slots["velocity"]
            velocity *= self.momentum
            velocity += change
            change = velocity
        block.p -= np.multiply(change, block.lr, out=root)

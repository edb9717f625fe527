"""Adam's relatives: the same two averages, divided, corrected or looked ahead in another way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative, Positive, Rate
from cnntrain.core.registry import register
from cnntrain.parts.optimizers.base import Block, Optimizer

_NOTHING = 1e-20  # so small that 1 - x is 1


@dataclass(frozen=True)
class Averaging(Optimizer):
    """Base of the relatives: m = b1 m + (1 - b1) g and v = b2 v + (1 - b2) g^2 with betas (b1, b2)."""

    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    lr: NonNegative = 2e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)  # decays of the running averages of the gradient and of its square
    eps: Positive = 1e-8  # against division by zero

    def follow_mean(self, block: Block) -> None:
        """Update m."""
        m, change = block.slots["m"], block.scratch[0]
        np.subtract(block.g, m, out=change)
        change *= 1 - self.betas[0]
        m += change

    def follow_square(self, block: Block) -> None:
        """Update v."""
        v, change = block.slots["v"], block.scratch[0]
        np.multiply(block.g, block.g, out=change)
        change *= 1 - self.betas[1]
        v *= self.betas[1]
        v += change


@register("adamax")
@dataclass(frozen=True)
class AdaMax(Averaging):
    """AdaMax (Kingma and Ba 2015, section 7.1): Adam with the largest recent gradient in place of the root.

    v = max(b2 v, |g| + eps),    p -= lr / (1 - b1^t) m / v
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"betas": (0.8, 0.9), "weight_decay": 1e-2})
    divides_decay: ClassVar[bool] = True

    def update(self, block: Block) -> None:
        """Take the step."""
        largest, change = block.slots["v"], block.scratch[0]
        self.follow_mean(block)
        np.abs(block.g, out=change)
        change += self.eps
        largest *= self.betas[1]
        np.maximum(largest, change, out=largest)
        np.divide(block.slots["m"], largest, out=change)
        change *= block.lr / (1 - self.betas[0] ** block.step)
        block.p -= change


@register("nadam")
@dataclass(frozen=True)
class NAdam(Averaging):
    """Adam with Nesterov's momentum (Dozat 2016).

    The momentum of step t is u_t = b1 (1 - 0.96^(t momentum_decay) / 2) with the b1 of that step, and

        p -= lr ((1 - u_t) g / (1 - u_1...u_t) + u_{t+1} m / (1 - u_1...u_{t+1})) / (sqrt(v / (1 - b2^t)) + eps)
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"betas": (0.8, 0.95), "momentum_decay": 0.02, "weight_decay": 1e-2},
    )
    divides_decay: ClassVar[bool] = True

    momentum_decay: NonNegative = 4e-3  # how fast the momentum grows to the first beta

    def carry(self, carried: float, step: int) -> float:
        """u_1...u_t, the product of the momenta so far, which a schedule may have changed; soon too small to matter."""
        product = carried * _nesterov(self.betas[0], self.momentum_decay, step)
        return product if product >= _NOTHING else 0.0

    def update(self, block: Block) -> None:
        """Take the step."""
        (change, root), t = block.scratch, block.step
        self.follow_mean(block)
        self.follow_square(block)
        np.sqrt(block.slots["v"], out=root)
        root /= math.sqrt(1 - self.betas[1] ** t)
        root += self.eps
        now, after = (_nesterov(self.betas[0], self.momentum_decay, i) for i in (t, t + 1))
        product = block.carried
        np.multiply(block.slots["m"], after / (1 - product * after), out=change)
        block.g *= (1 - now) / (1 - product)
        change += block.g
        change /= root
        change *= block.lr
        block.p -= change


@register("radam")
@dataclass(frozen=True)
class RAdam(Averaging):
    """Rectified Adam (Liu et al. 2020, "On the Variance of the Adaptive Learning Rate and Beyond").

    With r_inf = 2 / (1 - b2) - 1 and r = r_inf - 2 t b2^t / (1 - b2^t), the first steps, r <= 5, are p -= lr m'
    with m' = m / (1 - b1^t); then

        p -= lr m' sqrt(1 - b2^t) / (sqrt(v) + eps) sqrt((r - 4)(r - 2) r_inf / ((r_inf - 4)(r_inf - 2) r))
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"betas": (0.8, 0.95), "weight_decay": 1e-2})
    divides_decay: ClassVar[bool] = True

    lr: NonNegative = 1e-3

    def update(self, block: Block) -> None:
        """Take the step."""
        change, t, beta2 = block.scratch[0], block.step, self.betas[1]
        self.follow_mean(block)
        self.follow_square(block)
        rate = block.lr / (1 - self.betas[0] ** t)
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * t * beta2**t / (1 - beta2**t)
        if length > 5:
            rectified = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
            rate *= math.sqrt(rectified * (1 - beta2**t))
            np.sqrt(block.slots["v"], out=change)
            change += self.eps
            np.divide(block.slots["m"], change, out=change)
            change *= rate
        else:
            np.multiply(block.slots["m"], rate, out=change)
        block.p -= change


def _nesterov(beta: float, decay: float, t: int) -> float:
    """The momentum of NAdam's step t."""
    return beta * (1 - 0.5 * math.pow(0.96, t * decay))

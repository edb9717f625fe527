"""Adam: momentum divided by the size gradients usually have. AdamW is Adam with its decay applied beside the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative, Positive, Rate
from cnntrain.core.registry import register
from cnntrain.parts.optimizers.base import Block, Optimizer


@register("adam")
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), and with `amsgrad` the variant of Reddi, Kale and Kumar 2018.

    In step t, with betas (b1, b2):

        m = b1 m + (1 - b1) g,    v = b2 v + (1 - b2) g^2,
        p -= lr m' / (sqrt(v') + eps),    m' = m / (1 - b1^t),    v' = v / (1 - b2^t);

    amsgrad puts the largest v so far in place of v. Multiplying through by c = sqrt(1 - b2^t) saves a pass over the
    vector: p -= (lr c / (1 - b1^t)) m / (sqrt(v) + eps c).
    """

    slots: ClassVar[tuple[str, ...]] = ("m", "v", "largest")
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"betas": (0.8, 0.95), "weight_decay": 1e-2},
        {"amsgrad": True},
    )
    divides_decay: ClassVar[bool] = True

    lr: NonNegative = 1e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)  # decays of the running averages of the gradient and of its square
    eps: Positive = 1e-8  # added to the root, against division by zero
    amsgrad: bool = False  # divide by the largest average of squares so far (Reddi, Kale and Kumar 2018)

    def slot_names(self) -> tuple[str, ...]:
        """The largest v only for amsgrad."""
        return self.slots if self.amsgrad else self.slots[:2]

    def update(self, block: Block) -> None:
        """Take the step."""
        m, v, change = block.slots["m"], block.slots["v"], block.scratch[0]
        beta1, beta2 = self.betas
        np.subtract(block.g, m, out=change)
        change *= 1 - beta1
        m += change
        np.multiply(block.g, block.g, out=change)
        change *= 1 - beta2
        v *= beta2
        v += change
        if self.amsgrad:
            largest = block.slots["largest"]
            v = np.maximum(largest, v, out=largest)
        correction = math.sqrt(1 - beta2**block.step)
        np.sqrt(v, out=change)
        change += self.eps * correction
        np.divide(m, change, out=change)
        change *= block.lr * correction / (1 - beta1**block.step)
        block.p -= change


@register("adamw")
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay, 0.01 by default (Loshchilov and Hutter 2019)."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"weight_decay": 0.1, "amsgrad": True})

    weight_decay: NonNegative = 1e-2
    decoupled: bool = True

"""AdaDelta: steps in units of the steps before, so that no learning rate has to be found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative, Positive, Rate
from cnntrain.core.registry import register
from cnntrain.parts.optimizers.base import Block, Optimizer


@register("adadelta")
@dataclass(frozen=True)
class AdaDelta(Optimizer):
    """AdaDelta (Zeiler 2012).

        s = rho s + (1 - rho) g^2,    d = sqrt(a + eps) / sqrt(s + eps) g,    a = rho a + (1 - rho) d^2,    p -= lr d

    The paper has lr = 1. `eps` is under both roots and sets the size of the first steps: about sqrt(eps).
    """

    slots: ClassVar[tuple[str, ...]] = ("square", "steps")
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"rho": 0.8, "eps": 1e-4, "weight_decay": 1e-2})

    lr: NonNegative = 1.0
    rho: Rate = 0.9  # decay of the two running averages
    eps: Positive = 1e-6  # added under both roots; it sets the size of the first steps

    def update(self, block: Block) -> None:
        """Take the step."""
        square, steps, (change, root) = block.slots["square"], block.slots["steps"], block.scratch
        np.multiply(block.g, block.g, out=change)
        change *= 1 - self.rho
        square *= self.rho
        square += change
        np.add(square, self.eps, out=root)
        np.sqrt(root, out=root)
        np.add(steps, self.eps, out=change)
        np.sqrt(change, out=change)
        change /= root
        change *= block.g
        np.multiply(change, change, out=root)
        root *= 1 - self.rho
        steps *= self.rho
        steps += root
        change *= block.lr
        block.p -= change

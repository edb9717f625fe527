"""Lion: the sign of the momentum, so that every parameter moves by the same amount."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative, Rate
from cnntrain.core.registry import register
from cnntrain.ops.signs import signs
from cnntrain.parts.optimizers.base import Block, Optimizer


@register("lion")
@dataclass(frozen=True)
class Lion(Optimizer):
    """Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms"), its decay decoupled.

        p -= lr sign(b1 m + (1 - b1) g),    then    m = b2 m + (1 - b2) g

    Needs a learning rate 3 to 10 times smaller than Adam's, and as many times more decay.
    """

    slots: ClassVar[tuple[str, ...]] = ("m",)
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"lr": 1e-3, "betas": (0.95, 0.98), "weight_decay": 0.1})

    lr: NonNegative = 1e-4
    decoupled: bool = True
    betas: tuple[Rate, Rate] = (0.9, 0.99)  # share of the momentum in the direction of a step, and its decay

    def update(self, block: Block) -> None:
        """Take the step."""
        m, (change, part) = block.slots["m"], block.scratch
        beta1, beta2 = self.betas
        np.multiply(m, beta1, out=change)
        change += np.multiply(block.g, 1 - beta1, out=part)
        signs(change, out=change)
        change *= block.lr
        block.p -= change
        m *= beta2
        m += np.multiply(block.g, 1 - beta2, out=part)

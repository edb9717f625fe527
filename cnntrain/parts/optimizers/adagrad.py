"""AdaGrad: each parameter's step shrinks with the gradients it has already seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative, Positive
from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.optimizers.base import Block, Optimizer


@register("adagrad")
@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """AdaGrad (Duchi, Hazan and Singer 2011).

    In step t: s += g^2, then p -= lr / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps); s begins at
    `initial_accumulator`.
    """

    slots: ClassVar[tuple[str, ...]] = ("sum",)
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"lr_decay": 0.01, "initial_accumulator": 0.1, "weight_decay": 1e-2},
    )

    lr_decay: NonNegative = 0.0  # the rate is divided by 1 + lr_decay (step - 1)
    initial_accumulator: NonNegative = 0.0  # what the sum of squares starts with
    eps: Positive = 1e-10  # added to the root, against division by zero

    def start(self, slots: Mapping[str, Array]) -> None:
        """Fill the sum of squares with its first value."""
        slots["sum"][...] = self.initial_accumulator

    def update(self, block: Block) -> None:
        """Take the step."""
        change, total = block.scratch[0], block.slots["sum"]
        total += np.multiply(block.g, block.g, out=change)
        np.sqrt(total, out=change)
        change += self.eps
        np.divide(block.g, change, out=change)
        change *= block.lr / (1 + (block.step - 1) * self.lr_decay)
        block.p -= change

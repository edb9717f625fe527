"""SignSGD: every parameter moves by the learning rate, whatever the size of its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative
from cnntrain.core.registry import register
from cnntrain.parts.optimizers.base import Block, Optimizer


@register("waves_signsgd")
@dataclass(frozen=True)
class SignSGD(Optimizer):
    """p -= lr sign(g) (Bernstein et al. 2018, "signSGD: compressed optimisation for non-convex problems")."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"lr": 1e-2, "weight_decay": 0.1})

    lr: NonNegative = 1e-3

    def update(self, block: Block) -> None:
        """Take the step."""
        change = np.sign(block.g, out=block.scratch[0])
        change *= block.lr
        block.p -= change

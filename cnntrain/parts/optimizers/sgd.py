"""Stochastic gradient descent: a step downhill, with or without the momentum of the steps before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Probability, Rate
from cnntrain.core.registry import register
from cnntrain.parts.optimizers.base import Block, Optimizer


@register("sgd")
@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent (Robbins and Monro 1951) with heavy-ball (Polyak 1964) or Nesterov momentum (Sutskever 2013).

    Plain: p -= lr g. With momentum u and dampening d the velocity is v = g in the first step, v = u v + (1 - d) g
    after it, and p -= lr v; with `nesterov`, p -= lr (g + u v). The learning rate is applied after the momentum, as
    in PyTorch, so a falling rate slows the velocity of earlier steps too.
    """

    slots: ClassVar[tuple[str, ...]] = ("velocity",)
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-2},
        {"momentum": 0.9, "dampening": 0.5, "weight_decay": 1e-2, "decoupled": True},
    )

    momentum: Rate = 0.0  # share of the last step's velocity that is kept
    dampening: Probability = 0.0  # share of the gradient that does not enter the velocity
    nesterov: bool = False  # look one step ahead with the momentum (Sutskever 2013)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not (self.momentum > 0 and self.dampening == 0):
            raise ValueError(
                "nesterov needs a momentum above 0 and no dampening, "
                f"got momentum {self.momentum:g} and dampening {self.dampening:g}"
            )
        if self.dampening and not self.momentum:
            raise ValueError(f"dampening {self.dampening:g} does nothing without momentum: set momentum")

    def slot_names(self) -> tuple[str, ...]:
        """No velocity without momentum."""
        return self.slots if self.momentum else ()

    def update(self, block: Block) -> None:
        """Take the step."""
        change = block.scratch[0]
        direction = block.g
        if self.momentum:
            velocity = block.slots["velocity"]
            if block.step == 1:
                np.copyto(velocity, block.g)
            else:
                velocity *= self.momentum
                velocity += np.multiply(block.g, 1 - self.dampening, out=change) if self.dampening else block.g
            if self.nesterov:
                direction += np.multiply(velocity, self.momentum, out=change)
            else:
                direction = velocity
        block.p -= np.multiply(direction, block.lr, out=change)

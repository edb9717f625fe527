"""Layer-wise optimizers scale each tensor's step to the tensor's own size, which lets very large batches train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import NonNegative, Positive, Rate
from cnntrain.core.registry import register
from cnntrain.parts.optimizers.base import Block, Optimizer, adam_direction, norm


@register("lars")
@dataclass(frozen=True)
class LARS(Optimizer):
    """LARS (You, Gitman and Ginsburg 2017): momentum over gradients scaled to their tensor.

        g = ratio (g + d p),    ratio = trust |p| / (|g| + d |p|),    v = u v + g,    p -= lr v

    with the weight decay d and momentum u. Biases and normalization have ratio 1 and no decay; a tensor has ratio 1
    while |p| or |g| is 0. The learning rate is applied after the momentum, as in our sgd (the paper: before).
    """

    slots: ClassVar[tuple[str, ...]] = ("velocity",)
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"trust": 0.1}, {"trust": 0.2, "weight_decay": 1e-2, "lr": 0.1})
    unit: ClassVar[Literal["element", "tensor"]] = "tensor"

    momentum: Rate = 0.9  # share of the last step's velocity that is kept
    trust: Positive = 1e-3  # size of a step relative to the norm of the tensor

    def couple(self, block: Block, decay: float) -> None:
        """Left to `update`, which needs the gradient's norm first."""

    def update(self, block: Block) -> None:
        """Take the step."""
        velocity, change = block.slots["velocity"], block.scratch[0]
        if block.role == "weight":
            decay = 0.0 if self.decoupled else self.decay_of(block)
            size, slope = norm(block.p), norm(block.g)
            block.g += np.multiply(block.p, decay, out=change)
            if size and slope:
                block.g *= self.trust * size / (slope + decay * size)
        velocity *= self.momentum
        velocity += block.g
        block.p -= np.multiply(velocity, block.lr, out=change)


@register("lamb")
@dataclass(frozen=True)
class LAMB(Optimizer):
    """LAMB (You et al. 2020, "Large Batch Optimization for Deep Learning"): Adam's direction scaled to its tensor.

        r = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + d p,    p -= lr |p| / |r| r

    with Adam's averages m and v and the weight decay d. Biases and normalization have ratio 1 and no decay, and so
    has a tensor while |p| or |r| is 0.
    """

    slots: ClassVar[tuple[str, ...]] = ("m", "v")
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"betas": (0.8, 0.95), "weight_decay": 1e-2})
    unit: ClassVar[Literal["element", "tensor"]] = "tensor"

    lr: NonNegative = 1e-3
    betas: tuple[Rate, Rate] = (0.9, 0.999)  # decays of the running averages of the gradient and of its square
    eps: Positive = 1e-6  # added to the root, against division by zero

    def couple(self, block: Block, decay: float) -> None:
        """Left to `update`: the decay is part of the direction that is scaled."""

    def update(self, block: Block) -> None:
        """Take the step."""
        direction, other = block.scratch
        adam_direction(block, self.betas, self.eps)
        rate = block.lr
        if block.role == "weight":
            if not self.decoupled:
                direction += np.multiply(block.p, self.decay_of(block), out=other)
            size, length = norm(block.p), norm(direction)
            rate *= size / length if size and length else 1
        direction *= rate
        block.p -= direction

"""An optimizer turns gradients into steps: it updates parameters and its own slots in place.

Parameters, gradients and slots are flat vectors of one layout. The engine walks them in cache-sized blocks, on
every worker, so an update is a handful of elementwise operations on whatever `Block` it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.arrays import Array, Role
from cnntrain.config.fields import NonNegative, check_fields
from cnntrain.registry import Part

# isort: split
import numpy as np


class Block:
    """A stretch of the flat vectors that shares role and learning rate: all that an update sees.

    p, g       parameters (updated in place) and gradients (may be overwritten), 1-D
    slots      the optimizer's own vectors by name, in place; zero before the first step
    lr         the learning rate of this step, the schedule and lr_mult applied
    step       the number of this step, from 1
    scratch    two more vectors of the same length, free to use
    """

    __slots__ = ("g", "lr", "p", "scratch", "slots", "step")

    def __init__(
        self, p: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: tuple[Array, Array]
    ) -> None:
        self.p, self.g, self.slots, self.lr, self.step, self.scratch = p, g, slots, lr, step, scratch


@dataclass(frozen=True)
class Optimizer(Part):
    """Base of every optimizer.

    `weight_decay` acts on parameters of role "weight" alone, so biases and batch-norm scales are not decayed.
    Coupled, it is added to the gradient (g += weight_decay * p, the L2 penalty); with `decoupled` it shrinks the
    parameter beside the step (p -= lr * weight_decay * p; Loshchilov and Hutter 2019).
    """

    kind: ClassVar[str] = "optimizers"
    slots: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)

    lr: NonNegative = 0.01
    weight_decay: NonNegative = 0.0
    decoupled: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    def slot_names(self) -> tuple[str, ...]:
        """The slots these settings need; by default all that the class names."""
        return self.slots

    def start(self, slots: Mapping[str, Array]) -> None:
        """Set slots that do not begin at zero."""

    def step(self, block: Block, role: Role) -> None:
        """Decay and update one block."""
        if self.weight_decay and role == "weight":
            temporary = block.scratch[0]
            if self.decoupled:
                block.p *= 1 - block.lr * self.weight_decay
            else:
                np.multiply(block.p, self.weight_decay, out=temporary)
                block.g += temporary
        self.update(block)

    def update(self, block: Block) -> None:
        """Take the step: change block.p and the slots in place."""
        raise NotImplementedError

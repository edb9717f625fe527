"""An optimizer turns gradients into steps: it updates parameters and its own slots in place.

Parameters, gradients and slots are flat vectors of one layout. The engine walks them in cache-sized blocks, on
every worker, so an update is a handful of elementwise operations on whatever `Block` it is given. An optimizer
whose step depends on a whole tensor says `unit = "tensor"` and is given tensors in their shapes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np

from cnntrain.config.fields import NonNegative, Positive, PositiveInt, Probability, check_fields
from cnntrain.core.arrays import Array, Role
from cnntrain.core.registry import Part

SLOW = "slow"  # the slot of lookahead


class Block:
    """A stretch of the flat vectors that shares role, learning rate and decay: all that an update sees.

    p, g       parameters (updated in place) and gradients (may be overwritten): 1-D, or one tensor in its shape
    slots      the optimizer's own arrays by name, of p's shape, in place; zero before the first step
    lr         the learning rate of this step, with the schedule and every lr_mult applied
    step       the number of this step, from 1
    scratch    two more arrays of p's shape, free to use
    role       what the parameters are for
    decay      the weight decay of their group, None where that is the optimizer's
    carried    what the optimizer carries from step to step, this one included
    """

    __slots__ = ("carried", "decay", "g", "lr", "p", "role", "scratch", "slots", "step")

    def __init__(
        self,
        p: Array,
        g: Array,
        slots: Mapping[str, Array],
        lr: float,
        step: int,
        scratch: tuple[Array, Array],
        role: Role = "weight",
        decay: float | None = None,
        carried: float = 1.0,
    ) -> None:
        self.p, self.g, self.slots, self.lr, self.step, self.scratch = p, g, slots, lr, step, scratch
        self.role, self.decay, self.carried = role, decay, carried


@dataclass(frozen=True)
class Group:
    """The parameters of the layers that `match` names; a later group wins, by an `lr_mult` of 1 where it gives none."""

    match: str  # the layers it applies to: a name or a shell pattern; a structure's name in full means all its layers
    lr_mult: NonNegative = 1.0  # learning rate, as a multiple of the optimizer's, on top of the layer's own `lr_mult`
    weight_decay: NonNegative | None = None  # weight decay in place of the optimizer's

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Lookahead:
    """Slow weights that follow the fast ones (Zhang et al. 2019, "Lookahead Optimizer: k steps forward, 1 step back").

    After every `every` steps: slow += alpha (p - slow), and p begins anew from there.
    """

    every: PositiveInt = 5  # steps between two moves of the slow weights
    alpha: Probability = 0.5  # how far the slow weights move towards the fast ones

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Sam:
    """Sharpness-aware minimization (Foret et al. 2021): the gradient is taken where the loss is worst nearby.

    With the batch's gradient g, the step uses the gradient at p + rho g / |g|, |g| over all parameters, on the same
    batch with the same random draws; each step costs two. Loss and running statistics are those at p.
    """

    rho: Positive = 0.05  # distance at which the gradient is taken

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Optimizer(Part):
    """Base of every optimizer.

    `weight_decay` acts on parameters of role "weight" alone, so biases and batch-norm scales are not decayed.
    Coupled, it is added to the gradient (g += weight_decay * p, the L2 penalty); with `decoupled` it shrinks the
    parameter beside the step (p -= lr * weight_decay * p; Loshchilov and Hutter 2019). `groups` set learning rate
    and decay by the names of nodes; `lookahead` and `sam` wrap any optimizer.
    """

    kind: ClassVar[str] = "optimizers"
    slots: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    unit: ClassVar[Literal["element", "tensor"]] = "element"
    temporaries: ClassVar[float] = 0.25  # memory a step may take beside its scratch, as a multiple of the parameters'
    # whether a decay in the gradient is divided by the gradient's size, so that `decoupled` is what is usually meant
    divides_decay: ClassVar[bool] = False

    lr: NonNegative = 0.01  # learning rate, before the schedule and every multiplier
    weight_decay: NonNegative = 0.0  # decay of the parameters of role "weight"; biases and normalization have none
    # shrink the parameter beside the step (Loshchilov and Hutter 2019) instead of adding to the gradient
    decoupled: bool = False
    # other learning rates and decays for some layers, by name; a later group wins over an earlier one
    groups: tuple[Group, ...] = field(default=(), kw_only=True)
    # let slow weights follow the fast ones; `{}` takes the defaults
    lookahead: Lookahead | None = field(default=None, kw_only=True)
    # sharpness-aware minimization around this optimizer; `{}` takes the defaults
    sam: Sam | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_fields(self)

    def slot_names(self) -> tuple[str, ...]:
        """The slots the update needs with these settings; by default all that the class names."""
        return self.slots

    def state_names(self) -> tuple[str, ...]:
        """The slots that are kept: those of the update, and what lookahead needs."""
        return (*self.slot_names(), SLOW) if self.lookahead else self.slot_names()

    def start(self, slots: Mapping[str, Array]) -> None:
        """Set slots that do not begin at zero."""

    def with_momentum(self, momentum: float) -> Self:
        """The optimizer with another momentum, or first beta, as a schedule wants it.

        Raises ValueError where it has neither.
        """
        names = {field.name for field in dataclasses.fields(self)}
        changed: dict[str, Any] = {}
        if "momentum" in names:
            changed["momentum"] = momentum
        elif "betas" in names:
            changed["betas"] = (momentum, *getattr(self, "betas")[1:])  # noqa: B009  (only some have it)
        else:
            raise ValueError(f"{self.name_in_config} has no momentum that a schedule could set")
        return dataclasses.replace(self, **changed)

    def carry(self, carried: float, step: int) -> float:
        """The number that is carried from step to step, 1 before the first, taken on to step `step` (from 1)."""
        return carried

    @property
    def base_momentum(self) -> float:
        """The momentum, or first beta, that the config gives; 0 without one."""
        return float(getattr(self, "momentum", getattr(self, "betas", (0.0,))[0]))

    def step(self, block: Block) -> None:
        """Decay and update one block, and look ahead."""
        if self.lookahead and block.step == 1:
            np.copyto(block.slots[SLOW], block.p)
        decay = self.decay_of(block)
        if decay and self.decoupled:
            block.p *= 1 - block.lr * decay
        elif decay:
            self.couple(block, decay)
        self.update(block)
        if self.lookahead and block.step % self.lookahead.every == 0:
            slow = block.slots[SLOW]
            block.p -= slow
            block.p *= self.lookahead.alpha
            block.p += slow
            np.copyto(slow, block.p)

    def decay_of(self, block: Block) -> float:
        """The weight decay of a block."""
        if block.role != "weight":
            return 0.0
        return self.weight_decay if block.decay is None else block.decay

    def couple(self, block: Block, decay: float) -> None:
        """Add coupled decay to the gradient."""
        block.g += np.multiply(block.p, decay, out=block.scratch[0])

    def update(self, block: Block) -> None:
        """Take the step: change block.p and the slots in place."""
        raise NotImplementedError


def norm(array: Array) -> float:
    """The Euclidean norm of an array."""
    flat = array.reshape(-1)
    return float(np.sqrt(np.dot(flat, flat)))


def adam_direction(block: Block, betas: tuple[float, float], eps: float) -> None:
    """Update Adam's averages, the slots m and v, and write its direction into the first scratch array."""
    m, v, (direction, root) = block.slots["m"], block.slots["v"], block.scratch
    np.subtract(block.g, m, out=root)
    m += np.multiply(root, 1 - betas[0], out=root)
    np.multiply(block.g, block.g, out=root)
    v *= betas[1]
    v += np.multiply(root, 1 - betas[1], out=root)
    np.sqrt(v, out=root)
    root /= math.sqrt(1 - betas[1] ** block.step)
    root += eps
    np.divide(m, root, out=direction)
    direction /= 1 - betas[0] ** block.step

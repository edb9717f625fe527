"""A driver for one optimizer: a flat vector, a fixed sequence of gradients, and the engine's way of calling it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array, Role
from cnntrain.parts.optimizers.base import Block, Optimizer

SIZE = 24
STEPS = 100
SHOWN = (1, 2, 3, 10, 50, 100)  # the steps after which golden files keep the parameters


def start(dtype: Any = np.float64, size: int = SIZE) -> Array:
    """First parameters, of both signs and several magnitudes."""
    return np.asarray(np.cos(1 + 0.7 * np.arange(size)) * 1.5 ** (np.arange(size) % 5), dtype)


def gradient(step: int, dtype: Any = np.float64, size: int = SIZE) -> Array:
    """The gradient of a step from 1 on: waves, now and then exactly zero."""
    index = np.arange(size)
    wave = np.sin(1.3 * step + 0.9 * index) + 0.3 * np.cos(0.11 * step * (1 + index % 7))
    return np.asarray(np.where((index + step) % 11 == 0, 0, wave), dtype)


def rate(lr: float, step: int) -> float:
    """A learning rate that falls a little with every step from 1 on."""
    return lr * 0.99 ** (step - 1)


def momentum(base: float, step: int) -> float:
    """A momentum, or first beta, that rises and falls below `base` with every step from 1 on."""
    return base * (0.75 + 0.25 * math.cos(0.17 * step))


def tensors(optimizer: Optimizer, size: int, cuts: tuple[int, ...] = ()) -> list[tuple[slice, tuple[int, ...]]]:
    """The pieces of a vector that an optimizer is given in turn: those between the cuts, or a matrix and a vector."""
    if optimizer.unit == "tensor":
        columns = size // 4
        return [(slice(0, 2 * columns), (2, columns)), (slice(2 * columns, size), (size - 2 * columns,))]
    bounds = (0, *cuts, size)
    return [(slice(a, b), (b - a,)) for a, b in itertools.pairwise(bounds)]


class Descent:
    """An optimizer at work on one vector, walked in blocks as the engine walks it."""

    def __init__(self, optimizer: Optimizer, p: Array, cuts: tuple[int, ...] = (), role: Role = "weight") -> None:
        self.optimizer, self.p, self.role, self.done = optimizer, p.copy(), role, 0
        self.slots = {name: np.zeros_like(p) for name in optimizer.state_names()}
        self.pieces = tensors(optimizer, len(p), cuts)
        self.carried = 1.0
        optimizer.start(self.slots)

    def step(self, g: Array, lr: float, momentum: float | None = None) -> None:
        """One step; the gradient is left alone, the scratch vectors begin as NaN."""
        self.done += 1
        optimizer = self.optimizer if momentum is None else self.optimizer.with_momentum(momentum)
        self.carried = optimizer.carry(self.carried, self.done)
        for where, shape in self.pieces:
            slots = {name: slot[where].reshape(shape) for name, slot in self.slots.items()}
            scratch = np.full((2, *shape), np.nan, self.p.dtype)
            p, gradients = self.p[where].reshape(shape), g[where].copy().reshape(shape)
            block = Block(p, gradients, slots, lr, self.done, (scratch[0], scratch[1]), self.role, carried=self.carried)
            optimizer.step(block)

    def follow(self, stop: int, watch: Callable[[int, Array], None] | None = None, scheduled: bool = False) -> Array:
        """Steps of the fixed sequence up to `stop`, each with its own momentum if scheduled; returns the parameters."""
        for step in range(self.done + 1, stop + 1):
            own = momentum(self.optimizer.base_momentum, step) if scheduled else None
            self.step(gradient(step, self.p.dtype, len(self.p)), rate(self.optimizer.lr, step), own)
            if watch:
                watch(step, self.p)
        return self.p

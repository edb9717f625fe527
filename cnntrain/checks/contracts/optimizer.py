"""The contract of optimizers: they resume to the bit, do not see how their vector is cut, and reach the minimum."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cnntrain.checks.contracts.base import equal, hold
from cnntrain.checks.contracts.steps import Descent, gradient, start
from cnntrain.core.arrays import Array
from cnntrain.parts.optimizers.base import Block, Lookahead, Optimizer

# Learning rates, one of which leads to the bottom: steps of AdaDelta and of layer-wise optimizers have other sizes.
LADDER = (0.1, 0.05, 0.02, 5e-3, 2e-3, 1e-3, 0.5, 1.0, 20.0)


def resumes_to_the_bit(optimizer: Optimizer, dtype: Any = np.float32) -> None:
    """Parameters, slots and the number it carries are all its state."""
    straight = Descent(optimizer, start(dtype)).follow(30)
    for stop in (1, 13):
        first = Descent(optimizer, start(dtype))
        first.follow(stop)
        second = Descent(optimizer, first.p)
        for name, slot in second.slots.items():
            slot[...] = first.slots[name]
        second.done, second.carried = stop, first.carried
        hold(second.follow(30).tobytes() == straight.tobytes(), f"resumed after {stop} steps it goes another way")


def does_not_see_where_the_vector_is_cut(optimizer: Optimizer, dtype: Any = np.float32) -> None:
    """Unless it asks for whole tensors."""
    if optimizer.unit == "element":
        size = 131
        whole = Descent(optimizer, start(dtype, size)).follow(12).tobytes()
        for cuts in [(1,), (16, 32, 64), (3, 50, 51, 130)]:
            same = Descent(optimizer, start(dtype, size), cuts).follow(12).tobytes() == whole
            hold(same, "cut into blocks it goes another way: is its unit the tensor?")


def has_the_slots_that_it_needs(optimizer: Optimizer) -> None:
    """It uses every slot that it names and no other, and parameters keep their type."""
    strange = set(optimizer.slot_names()) - set(optimizer.slots)
    hold(not strange, f"its slots {sorted(strange)} are not among those of the class")
    run = Descent(optimizer, start(np.float32))
    before = {name: slot.copy() for name, slot in run.slots.items()}
    run.follow(4)
    hold(run.p.dtype == np.float32, f"parameters become {run.p.dtype}")
    for name, slot in run.slots.items():
        hold(not np.array_equal(slot, before[name]), f"its slot {name} is never used")


def leaves_zero_where_all_is_zero(optimizer: Optimizer) -> None:
    """Between tensors there are gaps, in which nothing may grow."""
    run = Descent(optimizer, np.zeros(5))
    for _ in range(4):
        run.step(np.zeros(5), optimizer.lr)
    hold(not run.p.any(), "zero parameters with zero gradients move")


def finds_the_bottom_of_a_parabola(optimizer: Optimizer) -> None:
    """From 0 to within 0.01, in 600 steps with a learning rate of the ladder that falls to 0."""
    steepness, bottom = np.array([0.5, 1, 2, 4]), np.array([0.3, -0.2, 0.1, 0.5])

    def away(lr: float) -> float:
        run = descended(optimizer, lr, np.zeros(4), lambda p: steepness * (p - bottom))
        return float(np.abs(run - bottom).max())

    near = any(away(lr) < 0.01 for lr in LADDER)
    hold(near, "after 600 steps it is not near the bottom of a parabola, whatever the learning rate")


def descends_the_valley_of_rosenbrock(optimizer: Optimizer) -> None:
    """From the classical start, f = 24.2, below 4.2: into the bent valley and on along it (Rosenbrock 1960)."""

    def slope(p: Array) -> Array:
        x, y = p[:2]
        return np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x), 0.0, 0.0])

    def value(lr: float) -> float:
        x, y = descended(optimizer, lr, np.array([-1.2, 1.0, 1.0, 1.0]), slope)[:2]
        return float((1 - x) ** 2 + 100 * (y - x * x) ** 2)

    hold(any(value(lr) < 4.2 for lr in LADDER), "it does not descend Rosenbrock's valley, whatever the learning rate")


def descended(optimizer: Optimizer, lr: float, at: Array, slope: Callable[[Array], Array]) -> Array:
    """Where 600 steps lead, with a learning rate that falls to 0 and no decay; what overflows is not finite."""
    run = Descent(dataclasses.replace(optimizer, lr=lr, weight_decay=0.0), at)
    with np.errstate(all="ignore"):
        for step in range(600):
            run.step(slope(run.p), lr * (1 - step / 600))
    return run.p


def decays_nothing_but_weights(optimizer: Optimizer) -> None:
    """Biases, and scales of norms, are spared."""
    decayed = dataclasses.replace(optimizer, weight_decay=0.1)
    plain = dataclasses.replace(optimizer, weight_decay=0.0)
    roles: tuple[Any, ...] = ("bias", "norm")
    for role in roles:
        ways = (Descent(one, start(), role=role).follow(3).tobytes() for one in (decayed, plain))
        hold(len(set(ways)) == 1, f"it decays parameters of the role {role}")
    moved = np.abs(Descent(decayed, start()).follow(3) - Descent(plain, start()).follow(3)).max()
    hold(moved > 0, "weight_decay does nothing")


def decays_decoupled_before_the_same_step(optimizer: Optimizer) -> None:
    """With `decoupled`, p shrinks by lr * weight_decay * p and then takes the step that it would have taken."""
    run = Descent(dataclasses.replace(optimizer, weight_decay=0.1, decoupled=True, lr=0.5), start())
    plain = Descent(dataclasses.replace(optimizer, weight_decay=0.0, lr=0.5), start() * (1 - 0.5 * 0.1))
    for one in (run, plain):
        one.step(gradient(1), 0.5)
    equal(run.p, plain.p, "decoupled decay changes the step, too")


def takes_a_learning_rate_of_zero(optimizer: Optimizer) -> None:
    """As schedules give it, at the start of a warm-up or at the end."""
    try:
        still = dataclasses.replace(optimizer, lr=0.0)
    except ValueError as error:
        raise AssertionError(f"schedules give a learning rate of 0, and {error}: declare it NonNegative") from error
    hold(np.isfinite(Descent(still, start()).follow(3)).all(), "with a learning rate of 0, parameters are not finite")


def allocates_no_array(optimizer: Optimizer) -> None:
    """In a step: it has two scratch vectors."""
    size = 50_000
    shape = (size // 50, 50) if optimizer.unit == "tensor" else (size,)
    slots = {name: np.zeros(shape) for name in optimizer.state_names()}
    p, g, one, two = np.ones((4, *shape))
    block = Block(p, g, slots, 0.1, 2, (one, two), carried=0.5)
    tracemalloc.start()
    try:
        optimizer.step(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    hold(peak < p.nbytes * optimizer.temporaries, f"a step allocates {peak} bytes: use block.scratch")


CHECKS = (
    resumes_to_the_bit,
    does_not_see_where_the_vector_is_cut,
    has_the_slots_that_it_needs,
    leaves_zero_where_all_is_zero,
    finds_the_bottom_of_a_parabola,
    descends_the_valley_of_rosenbrock,
    decays_nothing_but_weights,
    decays_decoupled_before_the_same_step,
    takes_a_learning_rate_of_zero,
    allocates_no_array,
)


def subjects(cls: type[Optimizer]) -> Iterator[tuple[Optimizer]]:
    """What an optimizer's checks are given: each example's optimizer, and the first one's with lookahead."""
    for fields in (*cls.examples, {**cls.examples[0], "lookahead": Lookahead(3, 0.6)}):
        yield (cls(**fields),)

"""What every optimizer must keep: it resumes to the bit, does not see how its vector is cut, and gets to the bottom."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnntrain.checks.contracts.base import equal, hold
from cnntrain.checks.contracts.steps import Run, gradient, start
from cnntrain.parts.optimizers.base import Block, Lookahead, Optimizer

# What it takes to reach the bottom: steps of AdaDelta and of layer-wise optimizers have sizes of their own.
RATES = {"adadelta": 20.0, "lars": 1.0}


def resumes_to_the_bit(optimizer: Optimizer, dtype: Any = np.float32) -> None:
    """Parameters and slots are all its state."""
    straight = Run(optimizer, start(dtype)).follow(30)
    for stop in (1, 13):
        first = Run(optimizer, start(dtype))
        first.follow(stop)
        second = Run(optimizer, first.p)
        for name, slot in second.slots.items():
            slot[...] = first.slots[name]
        second.done = stop
        hold(second.follow(30).tobytes() == straight.tobytes(), f"resumed after {stop} steps it goes another way")


def does_not_see_where_the_vector_is_cut(optimizer: Optimizer, dtype: Any = np.float32) -> None:
    """Unless it asks for whole tensors."""
    if optimizer.unit == "element":
        size = 131
        whole = Run(optimizer, start(dtype, size)).follow(12).tobytes()
        for cuts in [(1,), (16, 32, 64), (3, 50, 51, 130)]:
            same = Run(optimizer, start(dtype, size), cuts).follow(12).tobytes() == whole
            hold(same, "cut into blocks it goes another way: is its unit the tensor?")


def has_the_slots_that_it_needs(optimizer: Optimizer) -> None:
    """All that it names, no other, and parameters keep their type."""
    strange = set(optimizer.slot_names()) - set(optimizer.slots)
    hold(not strange, f"its slots {sorted(strange)} are not among those of the class")
    run = Run(optimizer, start(np.float32))
    before = {name: slot.copy() for name, slot in run.slots.items()}
    run.follow(4)
    hold(run.p.dtype == np.float32, f"parameters become {run.p.dtype}")
    for name, slot in run.slots.items():
        hold(not np.array_equal(slot, before[name]), f"its slot {name} is never used")


def leaves_zero_where_all_is_zero(optimizer: Optimizer) -> None:
    """Between tensors there are gaps, in which nothing may grow."""
    run = Run(optimizer, np.zeros(5))
    for _ in range(4):
        run.step(np.zeros(5), optimizer.lr)
    hold(not run.p.any(), "zero parameters with zero gradients move")


def finds_the_bottom_of_a_parabola(optimizer: Optimizer) -> None:
    """From 0 to within 0.01, in 600 steps with a learning rate that falls from 0.1 to 0."""
    steepness, bottom = np.array([0.5, 1, 2, 4]), np.array([0.3, -0.2, 0.1, 0.5])
    optimizer = dataclasses.replace(optimizer, lr=RATES.get(optimizer.name_in_config, 0.1), weight_decay=0.0)
    run = Run(optimizer, np.zeros(4))
    for step in range(600):
        run.step(steepness * (run.p - bottom), optimizer.lr * (1 - step / 600))
    away = np.abs(run.p - bottom).max()
    hold(away < 0.01, f"after 600 steps it is {away:.2g} from the bottom of a parabola")


def decays_nothing_but_weights(optimizer: Optimizer) -> None:
    """Biases, and scales of norms, are spared."""
    decayed = dataclasses.replace(optimizer, weight_decay=0.1)
    plain = dataclasses.replace(optimizer, weight_decay=0.0)
    roles: tuple[Any, ...] = ("bias", "norm")
    for role in roles:
        ways = (Run(one, start(), role=role).follow(3).tobytes() for one in (decayed, plain))
        hold(len(set(ways)) == 1, f"it decays parameters of the role {role}")
    moved = np.abs(Run(decayed, start()).follow(3) - Run(plain, start()).follow(3)).max()
    hold(moved > 0, "weight_decay does nothing")


def decays_decoupled_before_the_same_step(optimizer: Optimizer) -> None:
    """With `decoupled`, p shrinks by lr * weight_decay * p and then takes the step that it would have taken."""
    run = Run(dataclasses.replace(optimizer, weight_decay=0.1, decoupled=True, lr=0.5), start())
    plain = Run(dataclasses.replace(optimizer, weight_decay=0.0, lr=0.5), start() * (1 - 0.5 * 0.1))
    for one in (run, plain):
        one.step(gradient(1), 0.5)
    equal(run.p, plain.p, "decoupled decay is not that of the parameter beside the step")


def allocates_no_array(optimizer: Optimizer) -> None:
    """In a step: it has two scratch vectors."""
    size = 50_000
    shape = (size // 50, 50) if optimizer.unit == "tensor" else (size,)
    slots = {name: np.zeros(shape) for name in optimizer.state_names()}
    p, g, one, two = np.ones((4, *shape))
    block = Block(p, g, slots, 0.1, 2, (one, two))
    tracemalloc.start()
    try:
        optimizer.step(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    most = p.nbytes * (5 if optimizer.name_in_config == "muon" else 0.25)
    hold(peak < most, f"a step allocates {peak} bytes: use block.scratch")


CHECKS = (
    resumes_to_the_bit,
    does_not_see_where_the_vector_is_cut,
    has_the_slots_that_it_needs,
    leaves_zero_where_all_is_zero,
    finds_the_bottom_of_a_parabola,
    decays_nothing_but_weights,
    decays_decoupled_before_the_same_step,
    allocates_no_array,
)


def subjects(cls: type[Optimizer]) -> Iterator[tuple[Optimizer]]:
    """What an optimizer's checks are given: each example's optimizer, and the first one's with lookahead."""
    for fields in (*cls.examples, {**cls.examples[0], "lookahead": Lookahead(3, 0.6)}):
        yield (cls(**fields),)

"""The contract of initializers: every value is written, from the generator that is given and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntrain.checks.contracts.base import equal, hold
from cnntrain.core.arrays import Array, Param
from cnntrain.parts.initializers.base import Initializer

PARAMS = (
    Param((3, 3, 4, 6), "weight", fan_in=36, fan_out=54),
    Param((12, 5), "weight", fan_in=12, fan_out=5),
    Param((7,), "bias", fan_in=12, fan_out=7),
)


def filled(initializer: Initializer, param: Param, rng: np.random.Generator, dtype: Any = np.float64) -> Array:
    """What it writes into a buffer that began as NaN."""
    out = np.full(param.shape, np.nan, dtype)
    initializer.fill(out, param, rng)
    return out


def taken(initializer: Initializer) -> list[Param]:
    """The parameters among PARAMS that it can fill. Raises AssertionError where there are none."""
    found = [param for param in PARAMS if _takes(initializer, param)]
    shapes = ", ".join(str(param.shape) for param in PARAMS)
    hold(found, f"its `check` refuses a kernel, a matrix and a vector: {shapes}")
    return found


def _takes(initializer: Initializer, param: Param) -> bool:
    try:
        initializer.check(param)
    except ValueError:
        return False
    return True


def writes_every_value(initializer: Initializer) -> None:
    """A number each, in either float type."""
    for param in taken(initializer):
        for dtype in (np.float32, np.float64):
            values = filled(initializer, param, np.random.default_rng(1), dtype)
            hold(np.isfinite(values).all(), f"of a parameter {param.shape} it leaves values unwritten, or not finite")


def draws_the_same_numbers_in_every_type(initializer: Initializer) -> None:
    """In float64, so that float32 and float64 networks start from the same numbers."""
    for param in taken(initializer):
        wide, narrow = (
            filled(initializer, param, np.random.default_rng(1), dtype) for dtype in (np.float64, np.float32)
        )
        equal(narrow, wide.astype(np.float32), f"float32 starts from other numbers than float64 for {param.shape}")


def draws_from_the_generator_it_is_given(initializer: Initializer) -> None:
    """And from no other: the same seed gives the same bits, another seed others, where it is `random`."""
    for param in taken(initializer):
        rng = np.random.default_rng(1)
        before = repr(rng.bit_generator.state)
        first = filled(initializer, param, rng)
        drawn = repr(rng.bit_generator.state) != before
        equal(filled(initializer, param, np.random.default_rng(1)), first, "one seed gives two starts")
        other = not np.array_equal(filled(initializer, param, np.random.default_rng(2)), first)
        hold(
            drawn == other == initializer.random,
            f"of a parameter {param.shape} it {'draws' if drawn else 'does not draw'} from rng, another seed gives "
            f"{'another' if other else 'the same'} start, and `random` is {initializer.random}",
        )


CHECKS = (
    writes_every_value,
    draws_the_same_numbers_in_every_type,
    draws_from_the_generator_it_is_given,
)

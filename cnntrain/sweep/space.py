"""A space holds the values that the keys of a sweep may take: lists, and numbers between two others."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from cnntrain.config.fields import Duration, Finite, Pattern, PositiveInt, Seed, check_fields
from cnntrain.config.tree import Map, Node, Scalar


@dataclass(frozen=True)
class Spread:
    """Numbers between two others: evenly spread, or evenly in their logarithms with `log`; whole with `integer`."""

    low: Finite
    high: Finite
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.high <= self.low:
            raise ValueError(f"high must be greater than low, {self.low:g}, got {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be greater than 0 for a logarithm, got {self.low:g}")
        if self.integer and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise ValueError("integer needs whole numbers as low and high")

    def at(self, share: float) -> str:
        """The number at a share in [0, 1) of the way, with six digits, or whole."""
        top = self.high + self.integer
        if self.log:
            value = math.exp(math.log(self.low) + share * (math.log(top) - math.log(self.low)))
        else:
            value = self.low + share * (top - self.low)
        return str(min(math.floor(value), round(self.high))) if self.integer else self.text(value)

    def text(self, value: float) -> str:
        """A number of it as it stands in a config."""
        return str(round(value)) if self.integer else f"{value:.6g}"


@dataclass(frozen=True)
class Random:
    """Draws: `count` times a value for every key, one of a list or a number of a Spread.

    A draw depends on `seed`, its number and its key alone, so more draws or another key leave the others as they were.
    """

    count: PositiveInt
    keys: Map
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Halving:
    """Successive halving (Li et al. 2018): all train until `first`, a share of them `keep`-times as long, and so on.

    With keep 1/3 and first 2ep, the rungs are after 2, 6, 18 ... epochs. Those that are not kept are paused there.
    """

    first: Duration
    keep: Annotated[str, Pattern(r"1/([2-9]|[1-9][0-9])", "a share such as 1/3")] = "1/3"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.first.unit != "ep" or not self.first.value.is_integer() or self.first.value < 1:
            raise ValueError(f"first must be whole epochs such as 2ep, got {self.first}")

    @property
    def factor(self) -> int:
        """How many times fewer cells there are on the next rung, and how many times longer they train."""
        return int(self.keep.removeprefix("1/"))

    def rungs(self, epochs: int) -> list[int]:
        """The epochs after which a training of so many is judged, its end left out."""
        found, rung = [], int(self.first.value)
        while rung < epochs:
            found.append(rung)
            rung *= self.factor
        return found


@dataclass(frozen=True)
class Search:
    """A search: up to `count` cells, each with values of `keys` that a sampler chooses after those it has seen."""

    count: PositiveInt
    keys: Map
    sampler: Literal["tpe", "gp", "random"] = "tpe"
    seed: Seed = 0
    monitor: str | None = None  # the metric to better; by default what `checkpoint.best` judges by
    prune: Halving | None = None

    def __post_init__(self) -> None:
        check_fields(self)


Choice = Sequence[Node] | Spread
Choices = Sequence[tuple[Scalar, Choice]]  # by key


def drawn(seed: int, number: int, key: Scalar, choice: Choice) -> Node:
    """A value at random, which depends on seed, number and key alone."""
    share = random.Random(f"{seed}/{number}/{key.text}").random()  # the same on every machine and Python 3
    if isinstance(choice, Spread):
        return Scalar(key.where, choice.at(share))
    return choice[int(share * len(choice))]

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
        """A number as a config writes it."""
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
class Pruning:
    """After how many epochs trials are judged, and by which rule some are paused there.

    `halving` is asynchronous successive halving (Li et al. 2018): all train until `first`, the best `keep` of them
    1/`keep` times as long, and so on. With keep 1/3 and first 2ep, the rungs are after 2, 6, 18 ... epochs. The others
    are Optuna's pruners. `hyperband` (Li et al. 2017) judges on the same rungs; some trials skip the lower ones. With
    `median` a trial goes on while its best so far is no worse than the median of finished trials after as many epochs,
    with `percentile` while it is among the best `keep`; both judge after `first` and each `every`, from the sixth
    finished trial on.
    """

    first: Duration
    keep: Annotated[str, Pattern(r"1/([2-9]|[1-9][0-9])", "a share such as 1/3")] | None = None
    pruner: Literal["halving", "hyperband", "median", "percentile"] = "halving"
    every: Duration | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        for name, length in (("first", self.first), ("every", self.every)):
            if length and (length.unit != "ep" or not length.value.is_integer() or length.value < 1):
                raise ValueError(f"{name} must be whole epochs such as 2ep, got {length}")
        if self.every and self.on_rungs:
            raise ValueError(f"every is for median and percentile: {self.pruner} judges on rungs, set by keep")
        if self.keep and self.pruner == "median":
            raise ValueError("keep is for the other pruners: median keeps 1/2. Use percentile for another share")

    @property
    def on_rungs(self) -> bool:
        """Whether each judgment comes `factor` times as late as the one before."""
        return self.pruner in ("halving", "hyperband")

    @property
    def factor(self) -> int:
        """One in this many is kept: of those on a rung, or of all at a time."""
        return 2 if self.pruner == "median" else int((self.keep or "1/3").removeprefix("1/"))

    def rungs(self, epochs: int) -> list[int]:
        """The epochs after which a training of `epochs` is judged, without its end."""
        found, rung = [], int(self.first.value)
        while rung < epochs:
            found.append(rung)
            rung = rung * self.factor if self.on_rungs else rung + int(self.every.value if self.every else 1)
        return found


@dataclass(frozen=True)
class Search:
    """A search: up to `count` cells, each with values of `keys` that a sampler chooses in view of earlier ones."""

    count: PositiveInt
    keys: Map
    sampler: Literal["tpe", "gp", "random"] = "tpe"
    seed: Seed = 0
    monitor: str | None = None  # the metric to improve; by default what `checkpoint.best` judges by
    prune: Pruning | None = None

    def __post_init__(self) -> None:
        check_fields(self)


Choice = Sequence[Node] | Spread
Choices = Sequence[tuple[Scalar, Choice]]  # by key


def drawn(seed: int, number: int, key: Scalar, choice: Choice) -> Node:
    """A random value, which depends on seed, number and key alone."""
    share = random.Random(f"{seed}/{number}/{key.text}").random()  # the same on every machine and Python 3
    if isinstance(choice, Spread):
        return Scalar(key.where, choice.at(share))
    return choice[int(share * len(choice))]

"""Bounds say which numbers an option of a command takes, and the argument of the same name in Python."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

from cnntrain.core.errors import UsageError


@dataclass(frozen=True)
class Bounds:
    """The finite numbers from `low` to `high`, both among them unless `low` is `open`; without `high`, all above."""

    low: float
    high: float | None = None
    open: bool = False
    whole: bool = False

    def __contains__(self, number: float) -> bool:
        above = number > self.low if self.open else number >= self.low
        finite = number == number and abs(number) != math.inf  # math.isfinite knows no integers of 400 digits
        return finite and above and (self.high is None or number <= self.high)

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if self.high is not None:
            return f"{kind} from {self.low} to {self.high}"
        return f"{kind} greater than {self.low}" if self.open else f"{kind} of at least {self.low}"

    def number(self, name: str, value: Any) -> Any:
        """The value of an argument as Python's int or float, NumPy's included. Raises UsageError for what is none."""
        try:
            if isinstance(value, bool | str | bytes):
                raise TypeError
            number = operator.index(value) if self.whole else float(value)
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or number not in self:
            raise UsageError(f"{name}: expected {self}, got {value!r}")
        return number

    def optional(self, name: str, value: Any) -> Any:
        """The same, or None where that is the value."""
        return None if value is None else self.number(name, value)


THREADS = Bounds(1, 256, whole=True)
JOBS = Bounds(1, 256, whole=True)  # of a sweep, at a time
PORT = Bounds(1, 65535, whole=True)
SOME = Bounds(1, whole=True)  # steps, samples or classes
RANGE_TEST = Bounds(10, whole=True)  # steps
RATE = Bounds(0, open=True)
SIZE = Bounds(8, 1024, whole=True)  # the shorter side of pictures
MINUTES = Bounds(0, open=True)
SECONDS = Bounds(0)
APART = Bounds(0.001, 86_400)  # seconds between two answers along a recording
SCORE = Bounds(0, 1)

"""Ticks are the round numbers that stand along an axis, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Sequence

_TICKS = 5  # about so many
_FEWEST = 3  # that tell how an axis runs

Tick = tuple[float, str]  # its place, and what is written there


def linear(low: float, high: float) -> list[Tick]:
    """About five multiples of 1, 2 or 5 times a power of ten, three at least."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    steps = [multiple * power for multiple in (0.5, 1.0, 2.0, 5.0, 10.0)]
    place = next(place for place, step in enumerate(steps) if step >= rough * 0.999)
    found = _multiples(steps[place], low, high)
    found = found if len(found) >= _FEWEST else _multiples(steps[place - 1], low, high)
    return [*zip(found, _texts(found), strict=True)]


def whole(low: float, high: float) -> list[Tick]:
    """The same at whole numbers alone, as of epochs; as on any axis where there are fewer than two."""
    found = [(value, f"{value:g}") for value, _ in linear(low, high) if value == round(value)]
    return found if len(found) > 1 else linear(low, high)


def _multiples(step: float, low: float, high: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def logarithmic(low: float, high: float) -> list[Tick]:
    """Powers of ten; where these are few their multiples by 2 and 5, too; and where these are few as on any axis."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = -(-(last - first) // (2 * _TICKS))
    for multiples in ((1.0,), (1.0, 2.0, 5.0)):
        places = [multiple * 10.0**power for power in range(first, last + 1, every) for multiple in multiples]
        found = [(value, f"{value:g}") for value in places if low <= value <= high]
        if len(found) >= _FEWEST:
            return found
    return linear(low, high)


def _told_apart(values: Sequence[float]) -> list[str]:
    """Numbers with six significant digits, or as many more as tell them apart."""
    for digits in range(6, 17):
        texts = [f"{value:.{digits}g}" for value in values]
        if len({*texts}) == len(values):
            break
    return texts


def _texts(values: Sequence[float]) -> list[str]:
    """Numbers as the labels of ticks: all with as many decimals as one of them needs."""
    plain = _told_apart(values)
    if any("e" in text for text in plain):
        return plain
    decimals = max((len(text.partition(".")[2]) for text in plain), default=0)
    return [f"{value:.{decimals}f}" for value in values]

"""A scale is what stored pixels are numbers of: their type, and from where to where they go.

Bytes are divided by 255 before a network sees them, floats are used as they are. So bytes and floats in [0, 1] are the
same to a network, while floats in [0, 255] are another world.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array

_CHUNK = 1024
_ROUGHLY = 0.1  # how far a smooth resizing may overshoot
_UNIT_MARGIN = 0.5  # how far beyond [0, 1] floats may go and still be brightness
_WIDTHS = 4.0  # this many widths of training's range beyond it are another scale, not an outlier
_BRIGHT = 20.0  # a network trained on floats that reach this does not expect [0, 1]
_MANY = 16  # among this many samples, values below 0 are bound to occur if training had them


@dataclass(frozen=True)
class PixelScale:
    """`dtype` is "uint8" or "float32"; `low` and `high` are the extremes of floats, and 0 and 255 of bytes."""

    dtype: str
    low: float
    high: float

    @property
    def unit(self) -> bool:
        """Whether a network sees numbers in [0, 1]."""
        return self.dtype == "uint8" or (self.low >= -_ROUGHLY and self.high <= 1 + _ROUGHLY)

    def __str__(self) -> str:
        return "bytes, read as 0 to 1" if self.dtype == "uint8" else f"floats from {self.low:.4g} to {self.high:.4g}"

    def takes(self, other: PixelScale, samples: int) -> bool:
        """Whether this many samples of another scale can be meant for a network that was trained on this one.

        An outlier does not make another scale; being 255 times too large, too small, or not centred does.
        """
        if self.unit:
            return other.unit or (other.low >= -_UNIT_MARGIN and other.high <= 1 + _UNIT_MARGIN)
        if other.dtype == "uint8":
            return False
        reach = _WIDTHS * (self.high - self.low)
        within = self.low - reach <= other.low and other.high <= self.high + reach
        negative = other.low < 0 <= self.low
        dim = self.high >= _BRIGHT and (0 < other.high <= 1 or (negative and other.high < _BRIGHT / 4))
        shifted = self.low < 0 <= other.low and self.low < -self.high / 10 and samples >= _MANY
        return within and not dim and not shifted


def of(pixels: Any, indices: Array | None = None) -> PixelScale:
    """The scale of images (n, h, w, c), or of those at some indices; floats are read through once."""
    if pixels.dtype == np.uint8:
        return PixelScale("uint8", 0, 255)
    chosen = np.arange(len(pixels)) if indices is None else indices
    low, high = np.inf, -np.inf
    for start in range(0, len(chosen), _CHUNK):
        part = pixels[chosen[start : start + _CHUNK]]
        low, high = min(low, float(part.min())), max(high, float(part.max()))
    return PixelScale("float32", low, high)


def document(scale: PixelScale) -> dict[str, Any]:
    """As a checkpoint holds it."""
    return {"dtype": scale.dtype, "low": scale.low, "high": scale.high}


def read(document: Any) -> PixelScale | None:
    """The scale that a checkpoint holds; None where it holds none, as older ones do, or one that is not valid."""
    if not isinstance(document, dict) or document.get("dtype") not in ("uint8", "float32"):
        return None
    low, high = document.get("low"), document.get("high")
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    return PixelScale(document["dtype"], float(low), float(high)) if numbers and low <= high else None  # type: ignore[arg-type, operator]


def mismatch(what: str, found: PixelScale, whose: str, wanted: PixelScale) -> str:
    """The message for samples of another scale."""
    if found.dtype == "uint8":
        advice = "Save them as floats of that range in a .npz file"
    elif wanted.unit:
        advice = "Save them as bytes, or bring them to [0, 1]"
    else:
        advice = "Bring them to that range"
    return f"{what} holds {found}, but {whose} was trained on {wanted}: expected the same range of pixels. {advice}"


def fitting(scales: Iterable[PixelScale]) -> bool:
    """Whether samples of all these scales can be in one data set."""
    first, *others = scales
    return all(first.takes(other, 0) and other.takes(first, 0) for other in others)

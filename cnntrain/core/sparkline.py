"""A sparkline is a curve in one line of text: enough to see whether it is still falling."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int = 60) -> str:
    """One bar per value, from the smallest finite one to the largest; more than `width` are averaged in groups.

    A value that is not finite, or None, is a gap.
    """
    count = min(width, len(values))
    cuts = [round(i * len(values) / count) for i in range(count + 1)] if count else []
    means = [_mean(values[cuts[i] : cuts[i + 1]]) for i in range(count)]
    finite = [value for value in means if value is not None]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    step = (high - low) / (len(BARS) - 1)
    return "".join(" " if v is None else BARS[round((v - low) / step) if step else 0] for v in means)


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else None

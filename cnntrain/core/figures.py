"""Figures are measured numbers, such as losses and metrics, as people read them: no more digits than were measured."""

from __future__ import annotations

_LARGE = 1e5  # from here on, four decimals would be noise


def figure(value: float) -> str:
    """A number with four decimals, 0.9875, or if it is large with six significant digits, 5.34367e+11."""
    return f"{value:.4f}" if abs(value) < _LARGE else f"{value:.6g}"

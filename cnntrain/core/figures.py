"""Figures are measured numbers, such as losses and metrics, as people read them: no more digits than were measured."""

from __future__ import annotations

_LARGE = 1e5  # from here on, four decimals would be noise
_PLAIN, _ENDLESS = 1e4, 1e12  # between them, values are written as whole numbers


def figure(value: float) -> str:
    """A number with four decimals, 0.9875, or if it is large with six significant digits, 5.34367e+11."""
    return f"{value:.4f}" if abs(value) < _LARGE else f"{value:.6g}"


def measure(value: float) -> str:
    """A value of the data's own, such as a price: 0.125, 1.23e-05, 12.5, and 1,059,000 where it is large."""
    return f"{value:,.0f}" if _PLAIN <= abs(value) < _ENDLESS else f"{value:.4g}"

"""Figures are measured numbers as people read them: losses and metrics, and values of the data such as prices."""

from __future__ import annotations

_LARGE = 1e5  # from here on, four decimals would be noise
_SMALL = 1e-3  # below, they would hide what was measured
_GROUPED, _WHOLE, _ENDLESS = 1e4, 99_999.95, 1e12  # six digits reach the point at the second, and rarely the third


def figure(value: float) -> str:
    """A number with four decimals, 0.9875, if it is large with six significant digits, 5.34367e+11, if small three."""
    if 0 < abs(value) < _SMALL:
        return f"{value:.3g}"
    return f"{value:.4f}" if abs(value) < _LARGE else f"{value:.6g}"


def measure(value: float) -> str:
    """A value of the data's own with six significant digits and all before the point: 0.125, 1984.5, 12,500, 1,059,123.

    Years have no comma, and what is larger has one. The page of an export writes values alike.
    """
    if _WHOLE <= abs(value) < _ENDLESS:
        return f"{value:,.0f}"
    return f"{value:,.6g}" if _GROUPED <= abs(value) < _WHOLE else f"{value:.6g}"

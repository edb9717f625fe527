"""Figures: four decimals, and six significant digits where a number is large."""

from __future__ import annotations

import math

import pytest

from cnntrain.core.figures import figure


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98752, "0.9875"),
        (-2.0, "-2.0000"),
        (35130.6277, "35130.6277"),
        (99_999.5, "99999.5000"),
        (456_789.123, "456789"),
        (534367360341.3333, "5.34367e+11"),
        (-534367360341.3333, "-5.34367e+11"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_no_more_digits_than_were_measured(value, text):
    assert figure(value) == text

"""Figures: four decimals, six significant digits where a number is large, three where it is small; measures alike."""

from __future__ import annotations

import math

import pytest

from cnntrain.core.figures import figure, measure


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98752, "0.9875"),
        (0.0, "0.0000"),
        (0.001, "0.0010"),
        (0.0005, "0.0005"),
        (-0.0004567, "-0.000457"),
        (2.36e-14, "2.36e-14"),
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


def test_small_ones_are_no_wider_than_others():
    assert all(len(figure(1.2345 * 10**-power)) <= 8 for power in range(40))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.125, "0.125"),
        (1.23e-5, "1.23e-05"),
        (1984.0, "1984"),
        (9999.7, "9999.7"),
        (-9999.9, "-9999.9"),
        (12_500.0, "12,500"),
        (99_999.6, "99,999.6"),
        (99_999.96, "100,000"),
        (422_502.6, "422,503"),
        (-1_059_123.0, "-1,059,123"),
        (3e20, "3e+20"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_values_keep_six_digits_and_all_before_the_point(value, text):
    assert measure(value) == text

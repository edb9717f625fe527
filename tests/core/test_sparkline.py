"""A sparkline: its height, its gaps, its width."""

from __future__ import annotations

import math

from cnntrain.core.sparkline import BARS, sparkline


def test_bars_go_from_the_smallest_value_to_the_largest():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == BARS
    assert sparkline([7.0, 0.0, 3.4]) == "█▁▄"


def test_equal_values_lie_flat_and_none_make_nothing():
    assert sparkline([0.5, 0.5, 0.5]) == "▁▁▁"
    assert sparkline([]) == ""


def test_what_is_no_number_is_a_gap():
    assert sparkline([1.0, None, math.nan, math.inf, 0.0]) == "█   ▁"
    assert sparkline([None, None]) == "  "


def test_many_values_are_averaged_in_groups():
    assert sparkline([0, 2, 7, 9, 1, 1], width=3) == "▁█▁"
    assert len(sparkline([float(i) for i in range(1000)], width=60)) == 60
    assert sparkline([0.0, math.nan, 7.0, 7.0], width=2) == "▁█"

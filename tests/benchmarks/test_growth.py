"""Growth along an axis is told by what was measured, beside the operations of what was trained."""

from __future__ import annotations

import pytest

from tests.benchmarks import growth


def test_the_slope_of_the_operations_is_that_of_the_network() -> None:
    points = growth.of_steps("picture", [32, 64], 1)
    assert [point.number for point in points] == [32, 64]
    assert all(len(point.seconds) == 1 and point.median > 0 for point in points)
    assert points[1].flops / points[0].flops == pytest.approx(4, rel=0.01)


def test_slopes_are_worked_out_from_neighbours() -> None:
    points = [growth.Point(2, [3.0, 1.0, 2.0], 1.0), growth.Point(4, [8.0], 2.0)]
    *_, first, last = growth.lines("width", points)
    assert first == "| 2 | 2e+03 | 1e+03 to 3e+03 |  |  |"
    assert last == "| 4 | 8e+03 | 8e+03 to 8e+03 | 2.00 | 1.00 |"

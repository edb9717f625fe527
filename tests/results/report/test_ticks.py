"""Ticks: whatever an axis spans, there are a few, within it, in order, and each written differently."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.results.report import ticks


@pytest.mark.parametrize("low", [1e-13, 0.00101, 0.4, 1.01, 1.29, 2.01, 5.01, 9.9, 3e7])
@pytest.mark.parametrize("ratio", [1.1, 1.13, 1.9, 3, 4.9, 9.8, 30, 99, 101, 2e4, 1e9, 1e30])
@pytest.mark.parametrize("scale", [ticks.linear, ticks.logarithmic])
def test_every_axis_has_a_few(scale, low, ratio):
    found = scale(low, low * ratio)
    values, texts = [value for value, _ in found], [text for _, text in found]
    assert 3 <= len(found) <= 13
    assert (np.diff(values) > 0).all()
    slack = 1e-6 * (low * ratio - low)
    assert low - slack <= values[0] < values[-1] <= low * ratio + slack
    assert [float(text) for text in texts] == pytest.approx(values)
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("ends", "texts"),
    [
        ((1.29, 1.46), ["1.30", "1.35", "1.40", "1.45"]),
        ((0.3, 3), ["0.5", "1", "2"]),
        ((0.02, 30), ["0.1", "1", "10"]),
        ((0.02, 3), ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]),
    ],
)
def test_a_logarithmic_axis_has_the_roundest_numbers_that_are_enough(ends, texts):
    assert [text for _, text in ticks.logarithmic(*ends)] == texts


@pytest.mark.parametrize(
    ("end", "texts"),
    [(1, ["0", "1"]), (2, ["0", "1", "2"]), (12, ["0", "5", "10"]), (0.5, ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"])],
)
def test_epochs_are_whole(end, texts):
    assert [text for _, text in ticks.whole(0, end)] == texts


def test_large_numbers_that_are_near_each_other_are_told_apart():
    texts = [text for _, text in ticks.linear(1_029_500_001, 1_029_500_009)]
    assert len({*texts}) == len(texts) >= 3

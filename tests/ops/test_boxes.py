"""Boxes compared: torchvision's numbers, slow and obvious references, and boxes without an area."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.ops import boxes
from tests.support.golden import GOLDEN


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "detection" / "boxes.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("most", [0.3, 0.5, 0.6])
def test_suppression_equals_torchvision_ties_included(golden, most) -> None:
    given = golden["boxes"], golden["scores"]
    assert boxes.suppressed(*given, most).tolist() == golden[f"kept_{most}"].tolist()
    by_class = boxes.suppressed_by_class(*given, golden["labels"], most)
    assert sorted(by_class.tolist()) == sorted(golden[f"kept_by_class_{most}"].tolist())
    assert (np.diff(golden["scores"][by_class]) <= 0).all()


def test_overlaps_and_generalized_ones_equal_torchvision(golden) -> None:
    few = golden["boxes"][(golden["boxes"][:, 2:] > golden["boxes"][:, :2]).all(axis=1)].astype(np.float64)
    np.testing.assert_allclose(boxes.overlaps(few[:40], few[100:130]), golden["iou"], rtol=1e-14, atol=0)
    value, slopes = boxes.generalized(golden["a"], golden["b"], slopes=True)
    np.testing.assert_allclose(1 - value, golden["giou_loss"], rtol=1e-12)
    aligned = ((golden["a"] == golden["b"]) | (golden["a"] == golden["b"][:, [2, 3, 0, 1]])).any(axis=1)
    np.testing.assert_allclose(-slopes[~aligned], golden["d_a"][~aligned], rtol=1e-9, atol=1e-12)  # else a kink


def test_the_slopes_of_generalized_overlaps_are_central_differences() -> None:
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 9, (2, 60, 2))
    a, b = np.concatenate([start, start + rng.uniform(1, 9, (2, 60, 2))], axis=2)
    _, slopes = boxes.generalized(a, b, slopes=True)
    for side in range(4):
        ends = []
        for sign in (1, -1):
            moved = a.copy()
            moved[:, side] += sign * 1e-6
            ends.append(boxes.generalized(moved, b)[0])
        np.testing.assert_allclose(slopes[:, side], (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-8)


def test_overlaps_are_shares_of_grid_cells() -> None:
    rng = np.random.default_rng(0)
    start, size = rng.integers(0, 9, (2, 20, 2)), rng.integers(0, 7, (2, 20, 2))
    a, b = np.concatenate([start, start + size], axis=2).astype(np.float64)
    cells = np.zeros((2, 20, 16, 16), bool)
    for which, rows in enumerate((a, b)):
        for i, (x1, y1, x2, y2) in enumerate(rows.astype(int)):
            cells[which, i, y1:y2, x1:x2] = True
    for i in range(20):
        for j in range(20):
            both, either = (cells[0, i] & cells[1, j]).sum(), (cells[0, i] | cells[1, j]).sum()
            assert boxes.overlaps(a, b)[i, j] == pytest.approx(both / either if either else 0)
            own = cells[0, i].sum()
            assert boxes.shares(a, b)[i, j] == pytest.approx(both / own if own else 0)


def test_nothing_is_suppressed_of_nothing() -> None:
    none = np.zeros((0, 4))
    assert boxes.suppressed(none, np.zeros(0), 0.5).tolist() == []
    assert boxes.suppressed_by_class(none, np.zeros(0), np.zeros(0, int), 0.5).tolist() == []
    assert boxes.overlaps(none, np.zeros((3, 4))).shape == (0, 3)


def test_the_highest_are_above_the_least_and_ties_come_in_order() -> None:
    scores = np.array([0.2, np.nan, 0.9, 0.2, 0.5, 0.9, 0.1])
    assert boxes.highest(scores, 0.1, 10).tolist() == [2, 5, 4, 0, 3]
    assert boxes.highest(scores, 0.1, 2).tolist() == [2, 5]
    assert boxes.highest(scores, 0.95, 2).tolist() == []

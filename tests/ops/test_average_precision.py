"""Average precision equals pycocotools'; VOC's is what a plain transcription of its devkit gives."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnntrain.core.boxes import COUNTED, DIFFICULT
from cnntrain.ops.average_precision import Comparison, Found, Truth
from tests.support.counting import instructions
from tests.support.detections import SETS, digest, random_set
from tests.support.golden import GOLDEN


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "detection" / "average_precision.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("part", range(6))
def test_equals_pycocotools(golden, part) -> None:
    for seed in range(part * SETS // 6, (part + 1) * SETS // 6):
        one = random_set(seed)
        assert digest(one) == golden["digests"][seed], (
            "NumPy draws other numbers: python -m tests.golden.make_detection"
        )
        comparison = Comparison(one.found, one.truth, one.classes)
        expected = golden["stats"][seed]
        found = list(comparison.summary().values())
        np.testing.assert_allclose(np.nan_to_num(found, nan=-1), expected, rtol=0, atol=1e-9, err_msg=str(seed))
        each = [comparison.precisions(label)[0].mean() for label in range(one.classes)]
        np.testing.assert_allclose(np.nan_to_num(each, nan=-1), golden["averages"][seed][: one.classes], atol=1e-9)


@pytest.mark.parametrize(("many", "expected"), [(0, (1, 1, 1)), (1, (0.5, 0, 1)), (99, (0.01, 0, 1)), (100, (0, 0, 0))])
def test_boxes_without_area_are_wrong_and_take_places_among_the_100(many, expected) -> None:
    """As pycocotools 2.0.11 answers: it leaves none of them out, neither of the 100 of a picture nor of the curve."""
    corners = np.array([[0, 0, 0, 100]] * many + [[10, 10, 60, 60]], np.float64)
    found = Found(corners, np.array([0.9] * many + [0.8]), np.zeros(many + 1, np.int64))
    truth = Truth(corners[-1:], np.zeros(1, np.int64), np.array([COUNTED]), np.array([2500.0]))
    summary = Comparison([found], [truth], 1).summary()
    np.testing.assert_allclose([summary[key] for key in ("ap", "ar1", "ar100")], expected, atol=1e-9)


def voc_devkit(found: list[Found], truth: list[Truth], label: int, least: float = 0.5) -> float:
    """VOCevaldet.m, in plain loops."""
    wanted = sum(int(((t.labels == label) & (t.roles == COUNTED)).sum()) for t in truth)
    if not wanted:
        return math.nan
    rows = [(-f.scores[i], p, i) for p, f in enumerate(found) for i in range(len(f.scores)) if f.labels[i] == label]
    claimed: set[tuple[int, int]] = set()
    hits, misses = [], []
    for _, p, i in sorted(rows, key=lambda row: row[0]):
        best, where = -math.inf, -1
        for k in range(len(truth[p].labels)):
            if truth[p].labels[k] != label:
                continue
            a, b = found[p].boxes[i], truth[p].boxes[k]
            w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            common = max(w, 0) * max(h, 0)
            union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
            iou = common / union if union > 0 else 0.0
            if iou > best:
                best, where = iou, k
        if best > least and truth[p].roles[where] != COUNTED:
            continue
        right = best > least and (p, where) not in claimed
        claimed |= {(p, where)} if right else set()
        hits.append(right)
        misses.append(not right)
    above, below = np.cumsum(hits, dtype=float), np.cumsum(misses, dtype=float)
    recall, precision = np.r_[0, above / wanted, 1], np.r_[0, above / np.maximum(above + below, 1e-300), 0]
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    moves = np.flatnonzero(recall[1:] != recall[:-1])
    return float(((recall[moves + 1] - recall[moves]) * precision[moves + 1]).sum())


def test_voc_equals_its_devkit() -> None:
    for seed in range(0, SETS, 2):
        one = random_set(seed)
        comparison = Comparison(one.found, one.truth, one.classes)
        for label in range(one.classes):
            expected = voc_devkit(one.found, one.truth, label)
            assert comparison.voc(label) == pytest.approx(expected, abs=1e-12, nan_ok=True), (seed, label)


def test_a_difficult_box_is_neither_to_be_found_nor_a_false_alarm() -> None:
    truth = Truth(np.array([[0, 0, 10, 10], [20, 20, 30, 30.0]]), np.zeros(2, int),
                  np.array([COUNTED, DIFFICULT], np.uint8), np.full(2, 100.0))  # fmt: skip
    found = Found(truth.boxes, np.array([0.5, 0.9]), np.zeros(2, int))
    comparison = Comparison([found], [truth], 1)
    assert comparison.summary()["ap"] == pytest.approx(1)
    assert comparison.voc(0) == 1
    assert comparison.best_f1(0) == (0.5, 1.0)


def test_nothing_found_and_nothing_to_be_found() -> None:
    empty = Found(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    nothing = Truth(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0, np.uint8), np.zeros(0))
    one = Truth(np.array([[0, 0, 10, 10.0]]), np.zeros(1, int), np.zeros(1, np.uint8), np.full(1, 100.0))
    assert all(math.isnan(value) for value in Comparison([empty], [nothing], 2).summary().values())
    assert Comparison([empty], [one], 1).summary()["ap"] == 0
    assert Comparison([empty], [one], 1).voc(0) == 0
    assert math.isnan(Comparison([empty], [one], 1).best_f1(0)[0])
    assert math.isnan(Comparison([], [], 1).summary()["ap"])


def test_the_best_threshold_has_the_best_f1_and_does_not_part_equal_scores() -> None:
    for seed in range(60):
        one = random_set(seed)
        comparison = Comparison(one.found, one.truth, one.classes)
        for label in range(one.classes):
            score, f1 = comparison.best_f1(label)
            if not f1 > 0:
                continue
            matches = comparison.matches(label, least=np.array([0.5]))
            tried = []
            for least in np.unique(matches.scores):
                kept = (matches.scores >= least) & ~matches.ignored[0]
                right = (matches.hit[0] & kept).sum()
                tried.append((2 * right / (kept.sum() + matches.wanted), least))
            assert f1 == pytest.approx(max(tried)[0])
            kept = (matches.scores >= score) & ~matches.ignored[0]
            assert 2 * (matches.hit[0] & kept).sum() / (kept.sum() + matches.wanted) == pytest.approx(f1)


@pytest.mark.parametrize("measure", [Comparison.summary, Comparison.best_mean_f1, "voc"], ids=["coco", "f1", "voc"])
def test_a_class_costs_nothing_in_pictures_without_it(measure) -> None:
    """Twice the pictures of twice the classes take twice as long, not four times."""

    def work(n: int) -> int:
        box = np.array([[0.0, 0.0, 20.0, 20.0]])
        found = [Found(box, np.array([0.5]), np.array([label])) for label in range(n)]
        truth = [Truth(box, np.array([label]), np.array([COUNTED]), np.array([400.0])) for label in range(n)]

        def run() -> None:
            comparison = Comparison(found, truth, n)
            if measure == "voc":
                assert [comparison.voc(label) for label in range(n)] == [1.0] * n
            else:
                measure(comparison)

        return instructions(run, "Comparison.")

    assert work(20) < 2.3 * work(10)

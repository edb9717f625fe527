"""FCOS: torchvision's loss and gradients, an assignment in plain loops, and what a picture without boxes costs."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.boxes import COUNTED, CROWD, record
from cnntrain.core.description import Description
from cnntrain.ops.boxes import overlaps
from cnntrain.ops.locations import BOX, FIXED, PLACE, QUALITY, SCORES, STRIDE
from cnntrain.parts.losses.fcos import Fcos
from tests.support.golden import GOLDEN

SIGNS = np.array([-1, -1, 1, 1])


def given() -> tuple[dict[str, Array], Array, Array]:
    """torchvision's numbers, and the same outputs and targets in our form."""
    with np.load(GOLDEN / "detection" / "fcos.npz", allow_pickle=False) as file:
        golden = dict(file)
    n, locations, classes = golden["scores"].shape
    outputs = np.empty((n, locations, FIXED + classes))
    outputs[..., PLACE.start : STRIDE + 1] = golden["places"]
    reach = golden["sides"] * golden["places"][:, 2:] * SIGNS
    outputs[..., BOX] = golden["places"][:, [0, 1, 0, 1]] + reach
    outputs[..., QUALITY], outputs[..., SCORES] = golden["quality"][..., 0], golden["scores"]
    targets = np.zeros(n, record(golden["labels"].shape[1]))
    targets["corners"], targets["labels"] = golden["corners"], golden["labels"]
    return golden, outputs, targets


def test_loss_and_gradient_equal_torchvision() -> None:
    golden, outputs, targets = given()
    loss = Fcos()
    losses, gradient, weights = np.empty(len(outputs)), np.empty_like(outputs), np.ones(len(outputs))
    loss(outputs, targets, weights, losses, gradient)
    n = loss.divisor(outputs, targets, weights)
    assert n > 20
    expected = golden["classification"] + golden["bbox_regression"] + golden["bbox_ctrness"]
    assert losses.sum() / n == pytest.approx(float(expected), rel=1e-6)  # our corners are float32
    np.testing.assert_allclose(gradient[..., SCORES] / n, golden["d_scores"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient[..., QUALITY] / n, golden["d_quality"][..., 0], rtol=1e-5, atol=1e-8)
    sides = gradient[..., BOX] * SIGNS * golden["places"][:, 2:] / n
    np.testing.assert_allclose(sides, golden["d_sides"], rtol=1e-4, atol=1e-7)


def plain(outputs: Array, target: Array, radius: float) -> list[int]:
    """The assignment of the paper, location by location and box by box."""
    found = []
    levels = outputs[:, STRIDE]
    for row in outputs:
        (x, y), s, best, smallest = row[PLACE], row[STRIDE], -1, np.inf
        for k, (x1, y1, x2, y2) in enumerate(target["corners"].astype(np.float64)):
            sides = [x - x1, y - y1, x2 - x, y2 - y]
            if target["labels"][k] < 0 or target["roles"][k] != COUNTED or min(sides) <= 0:
                continue
            if radius and max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) >= radius * s:
                continue
            if (s > levels.min() and max(sides) <= 4 * s) or (s < levels.max() and max(sides) >= 8 * s):
                continue
            if (x2 - x1) * (y2 - y1) < smallest:
                best, smallest = k, (x2 - x1) * (y2 - y1)
        found.append(best)
    return found


@pytest.mark.parametrize("radius", [0.0, 1.5, 0.6])
def test_every_location_gets_the_smallest_box_that_suits_it(radius) -> None:
    rng = np.random.default_rng(0)
    _, outputs, targets = given()
    for _ in range(20):
        start = rng.uniform(0, 70, (len(targets), targets["labels"].shape[1], 2))
        targets["corners"] = np.concatenate([start, start + rng.uniform(1, 80, start.shape)], axis=2)
        targets["labels"] = rng.integers(-1, 3, targets["labels"].shape)
        targets["roles"] = rng.random(targets["labels"].shape) < 0.2
        for o, target in zip(outputs, targets, strict=True):
            assert Fcos(radius=radius).assigned(o, target)[0].tolist() == plain(o, target, radius)


def test_a_crowd_is_no_background() -> None:
    _, outputs, targets = given()
    outputs, targets = outputs[:1].copy(), targets[:1].copy()
    targets["corners"][0, 0], targets["labels"][0, 0], targets["roles"][0, 0] = (0, 0, 80, 64), 1, CROWD
    losses, gradient = np.empty(1), np.empty_like(outputs)
    Fcos()(outputs, targets, np.ones(1), losses, gradient)
    assert losses[0] == 0
    assert not gradient.any()
    assert Fcos().divisor(outputs, targets, np.ones(1)) == 0


def test_a_network_that_does_not_end_with_boxes_is_refused() -> None:
    data = Description((32, 32, 3), ("a", "b"), target="boxes")
    Fcos().check((20, FIXED + 2), 2, data)
    for wrong in ((2,), (20, FIXED + 3), (4, 4, 10)):
        with pytest.raises(
            ValueError, match=r"^fcos needs what box_levels gives for 2 classes, .*: end it with box_le"
        ):
            Fcos().check(wrong, 2, data)
    with pytest.raises(ValueError, match="class_weight"):
        Fcos(class_weight=(1.0, 2.0)).check((20, FIXED + 2), 2, data)


def test_quality_learns_how_far_a_box_fits() -> None:
    """The gradient of its logit is sigmoid(z) - IoU where a location learns a box, and 0 elsewhere."""
    _, outputs, targets = given()
    gradient = np.empty_like(outputs)
    loss = Fcos(quality="iou")
    loss(outputs, targets, np.ones(len(outputs)), np.empty(len(outputs)), gradient)
    for o, target, d in zip(outputs, targets, gradient, strict=True):
        which = loss.assigned(o, target)[0]
        goal = overlaps(o[:, BOX], target["corners"].astype(float))[np.arange(len(o)), which]
        expected = np.where(which >= 0, 1 / (1 + np.exp(-o[:, QUALITY])) - goal, 0)
        np.testing.assert_allclose(d[:, QUALITY], expected, atol=1e-9)


def test_iou_loss_is_its_negative_logarithm() -> None:
    loss = registry.make("losses", "fcos", box="iou")
    value, _ = loss._fit(np.array([[0, 0, 2, 2.0]]), np.array([[1, 0, 3, 2.0]]), slopes=False)
    assert value.tolist() == pytest.approx([np.log(3)])


def test_it_is_no_term_of_a_sum() -> None:
    total = registry.make("losses", "sum", terms=(Fcos(),))
    with pytest.raises(ValueError, match=r"fcos is a mean over places that it finds itself, .*: use it alone"):
        total.check((5, FIXED + 3), 3, Description((32, 32, 3), ("a", "b", "c"), target="boxes"))

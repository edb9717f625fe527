"""The tally: sums that merge, so that loss and metrics are the same however the samples were cut."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntrain.core.arrays import Array, TreeSum
from cnntrain.core.masks import IGNORED
from cnntrain.core.registry import make, parts
from cnntrain.network.tally import Tally

CLASSES = 4
ALL = [  # but the loss, which the tally itself measures
    make("metrics", name, **({"k": 2} if name == "top_k" else {})) for name in parts("metrics") if name != "loss"
]


def tally(*metrics: str) -> Tally:
    return Tally(make("losses", "cross_entropy"), [make("metrics", name) for name in metrics], CLASSES)


def samples(count: int, seed: int) -> tuple[Array, Array, Array, Array]:
    """Outputs, labels, weights and losses whose own sums are exact in any order."""
    rng = np.random.default_rng(seed)
    outputs = rng.integers(-8, 8, (count, CLASSES)).astype(np.float32)  # with ties
    weights, losses = rng.integers(0, 4, count), rng.integers(0, 64, count) / 8
    return outputs, rng.integers(0, CLASSES, count), weights.astype(np.float32), losses.astype(np.float32)


@given(
    seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 40), max_size=8), order=st.randoms(use_true_random=False)
)
def test_cutting_the_samples_anywhere_gives_the_same_values(seed, cuts, order):
    of = Tally(make("losses", "cross_entropy"), ALL, CLASSES)
    everything = samples(40, seed)
    whole = of.of(*everything)
    stops = sorted({0, *cuts, 40})
    pieces = [of.of(*(array[a:b] for array in everything)) for a, b in itertools.pairwise(stops)]
    order.shuffle(pieces)
    tree = TreeSum()
    for index, piece in enumerate(pieces):
        tree.add(index, piece)
    total = tree.total()
    np.testing.assert_allclose(total, whole, rtol=1e-12)
    counts = whole * 8 % 1 == 0  # what was counted is exact; sums of logarithms and probabilities round
    assert np.array_equal(total[counts], whole[counts])
    assert np.array_equal(whole + of.zeros(), whole)


def test_the_loss_is_the_mean_by_weight():
    of = tally()
    vector = of.of(np.zeros((3, CLASSES)), np.array([0, 1, 2]), np.array([1.0, 3.0, 0.0]), np.array([2.0, 4.0, 100.0]))
    assert of.mean_loss(vector) == (2 + 12) / 4
    assert of.normalizer(vector) == 4
    assert of.samples(vector) == 3


def test_sums_are_taken_in_float64():
    of = tally()
    losses = np.array([2**24, 1, 1, 1], np.float32)  # in float32 the ones would be lost
    vector = of.of(np.zeros((4, CLASSES), np.float32), np.zeros(4, np.int64), np.ones(4, np.float32), losses)
    assert of.mean_loss(vector) * 4 == 2**24 + 3
    assert vector.dtype == np.float64


def test_values_come_by_label_with_the_loss_first():
    of = Tally(make("losses", "mse"), [make("metrics", "top_k", k=2), make("metrics", "accuracy")], CLASSES)
    outputs = np.array([[3, 2, 1, 0], [3, 2, 1, 0], [3, 2, 1, 0], [3, 2, 1, 0]], np.float32)
    vector = of.of(outputs, np.array([0, 1, 2, 1]), np.ones(4), np.array([1.0, 2.0, 3.0, 4.0]))
    assert of.values(vector) == {"loss": 2.5, "top2": 0.75, "accuracy": 0.25}
    assert list(of.values(vector)) == ["loss", "top2", "accuracy"]


def test_metrics_do_not_touch_each_others_states():
    one_by_one = {}
    everything = samples(30, 7)
    for metric in ALL:
        alone = Tally(make("losses", "mse"), [metric], CLASSES)
        one_by_one |= alone.values(alone.of(*everything))
    together = Tally(make("losses", "mse"), ALL, CLASSES)
    found = together.values(together.of(*everything))
    assert found == one_by_one
    assert together.size == len(together.zeros()) == 3 + sum(len(metric.zeros(CLASSES)) for metric in ALL)


def test_nothing_seen_is_no_number():
    of = tally("accuracy", "error", "confusion")
    values = of.values(of.zeros())
    assert math.isnan(values["loss"])
    assert math.isnan(values["accuracy"])
    assert values["confusion"] == [[0.0] * CLASSES] * CLASSES
    assert of.samples(of.zeros()) == 0


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_shows_in_the_mean(poison):
    of = tally("accuracy")
    vector = of.of(np.eye(CLASSES), np.arange(CLASSES), np.ones(CLASSES), np.array([1.0, poison, 1.0, 1.0]))
    assert not math.isfinite(of.mean_loss(vector + of.of(*samples(8, 0))))


def test_a_tally_of_before_is_laid_out_anew():
    """Checkpoints had the whole confusion matrix of every metric that needs its sums alone."""
    of = tally("accuracy", "f1", "confusion", "mcc")
    outputs, targets, weights, losses = samples(40, 3)
    vector = of.of(outputs, targets, weights, losses)
    matrix = np.zeros((CLASSES, CLASSES))
    np.add.at(matrix, (targets, outputs.argmax(axis=1)), weights)
    before = np.concatenate([vector[:5], matrix.ravel(), matrix.ravel(), matrix.ravel()])
    assert np.array_equal(of.renewed(before), vector)
    assert np.array_equal(tally().renewed(vector[:3]), vector[:3])  # without any metric
    for other in (vector, before[:-1], before.reshape(1, -1), np.array(1.0)):  # whoever reads it says so
        assert of.renewed(other) is other


def test_no_metric_but_the_matrix_itself_grows_with_the_square_of_the_classes():
    for metric in ALL:
        few, many = len(metric.zeros(100)), len(metric.zeros(1000))
        assert many <= 10 * few or metric.name_in_config == "confusion", metric


def test_a_step_of_which_nothing_counts_costs_nothing_and_learns_nothing() -> None:
    """Every pixel is ignored."""
    masks = np.full((2, 3, 2), IGNORED, np.uint8)
    outputs = np.random.default_rng(0).standard_normal((2, 3, 2, 4))
    for name in ("cross_entropy", "soft_dice"):
        loss = make("losses", name)
        losses, gradient, weights = np.full(2, np.nan), np.full_like(outputs, np.nan), np.ones(2)
        loss(outputs, masks, weights, losses, gradient)
        tally = Tally(loss, [], 4)
        vector = tally.of(outputs, masks, weights, losses)
        assert tally.mean_loss(vector) == 0
        assert not (gradient / tally.normalizer(vector)).any()
    assert np.isnan(tally.mean_loss(tally.zeros()))

"""Class weights, the weight of a loss, and the sum of several."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.checks.contracts.loss import batch, run
from cnntrain.core import registry
from cnntrain.core.description import Description
from cnntrain.parts.losses.base import beside


def test_balanced_weights_are_those_of_scikit_learn():
    loss = registry.make("losses", "mse", class_weight="balanced").fit([10, 30, 60])
    assert loss.class_weight == pytest.approx((100 / 30, 100 / 90, 100 / 180))
    sample_weights = np.array(loss.class_weight)[np.repeat([0, 1, 2], [10, 30, 60])]
    assert sample_weights.sum() == pytest.approx(100)


def test_a_class_without_samples_cannot_be_balanced():
    with pytest.raises(ValueError, match=r"class 1 has no training sample.*Give a list"):
        registry.make("losses", "cross_entropy", class_weight="balanced").fit([3, 0, 2])


@pytest.mark.parametrize("name", ["cross_entropy", "mae", "hinge", "binary_cross_entropy"])
@pytest.mark.parametrize("targets", ["labels", "rows"])
def test_a_class_that_counts_twice_is_as_if_its_samples_came_twice(name, targets):
    outputs, wanted, weights = batch(registry.make("losses", "cross_entropy"), "labels")
    rows = np.eye(4)[wanted]
    given = wanted if targets == "labels" else rows
    loss = registry.make("losses", name, class_weight=(1.0, 2.0, 1.0, 1.0))
    losses, _ = run(loss, outputs, given, weights)
    mean = (weights * losses).sum() / loss.normalizer(given, weights)
    plain, _ = run(registry.make("losses", name), outputs, given, weights)
    twice = weights * np.where(wanted == 1, 2, 1)
    assert mean == pytest.approx((twice * plain).sum() / twice.sum(), rel=1e-12)


def test_a_sum_is_the_weighted_sum_of_its_terms():
    outputs, wanted, weights = batch(registry.make("losses", "cross_entropy"), "rows")
    terms = (registry.make("losses", "huber", weight=3.0), registry.make("losses", "kl_div"))
    losses, gradient = run(registry.make("losses", "sum", terms=terms, weight=0.5), outputs, wanted, weights)
    parts = [run(term, outputs, wanted, weights) for term in terms]
    np.testing.assert_allclose(losses, 0.5 * (parts[0][0] + parts[1][0]), rtol=1e-13)
    np.testing.assert_allclose(gradient, 0.5 * (parts[0][1] + parts[1][1]), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"class_weight": (0.0, 0.0)}, "class_weight needs a factor above 0"),
        ({"class_weight": (1.0, -1.0)}, "class_weight must be at least 0"),
        ({"weight": 0.0}, "weight must be greater than 0"),
    ],
)
def test_weights_out_of_range(fields, message):
    with pytest.raises(ValueError, match=message):
        registry.make("losses", "mae", **fields)


def test_a_sum_refuses_class_weights_of_its_terms_and_no_terms():
    with pytest.raises(ValueError, match="give class_weight to the sum"):
        registry.make("losses", "sum", terms=(registry.make("losses", "mae", class_weight=(1.0,)),))
    with pytest.raises(ValueError, match="name at least one loss"):
        registry.make("losses", "sum", terms=())


@pytest.mark.parametrize(
    ("classes", "message"),
    [(("a", "b", "c"), "has 2 factors, the data has 3 classes"), ((), "class_weight needs classes")],
)
def test_class_weights_have_to_fit_the_data(classes, message):
    with pytest.raises(ValueError, match=message):
        registry.make("losses", "mse", class_weight=(1.0, 2.0)).check((3,), 3, Description((1, 1, 1), classes, 3))


def test_labels_are_told_from_a_teachers_logits():
    outputs, labels, weights = batch(registry.make("losses", "cross_entropy"), "labels")
    loss = registry.make("losses", "distillation", teacher="t.npz", class_weight=(1.0, 2.0, 3.0, 4.0))
    packed = beside(labels, outputs * 2)
    np.testing.assert_array_equal(loss.own_targets(packed), labels)
    np.testing.assert_array_equal(loss.own_targets(np.eye(4)[labels]), np.eye(4)[labels])
    assert loss.normalizer(packed, weights) == loss.normalizer(labels, weights)


def test_a_teacher_that_agrees_leaves_the_labels_alone():
    outputs, labels, weights = batch(registry.make("losses", "cross_entropy"), "labels")
    loss = registry.make("losses", "distillation", teacher="t.npz", alpha=1.0, temperature=3.0)
    losses, gradient = run(loss, outputs, beside(labels, outputs), weights)
    np.testing.assert_allclose(losses, 0, atol=1e-5)
    np.testing.assert_allclose(gradient, 0, atol=1e-5)


def test_a_sum_with_a_teacher_shows_the_others_the_labels():
    outputs, labels, weights = batch(registry.make("losses", "cross_entropy"), "labels")
    taught = beside(labels, np.random.default_rng(4).standard_normal(outputs.shape))
    teacher = registry.make("losses", "distillation", teacher="t.npz", alpha=1.0, weight=2.0)
    inner = registry.make("losses", "sum", terms=(registry.make("losses", "hinge"),))
    both = registry.make("losses", "sum", terms=(inner, teacher), class_weight=(1.0, 2.0, 3.0, 4.0))
    assert both.teacher == "t.npz"
    assert inner.teacher is None
    np.testing.assert_array_equal(both.own_targets(taught), labels)
    np.testing.assert_array_equal(both.class_factors(taught), 1.0 + labels)
    losses, gradient = run(both, outputs, taught, weights)
    parts = [run(inner, outputs, labels, weights), run(teacher, outputs, taught, weights)]
    np.testing.assert_allclose(losses, (1 + labels) * (parts[0][0] + parts[1][0]), rtol=1e-13)
    np.testing.assert_allclose(gradient, (1 + labels)[:, None] * (parts[0][1] + parts[1][1]), rtol=1e-12, atol=1e-16)


def test_a_sum_takes_one_teacher():
    teacher = registry.make("losses", "distillation", teacher="t.npz")
    with pytest.raises(ValueError, match="from one teacher, not from several"):
        registry.make("losses", "sum", terms=(teacher, registry.make("losses", "sum", terms=(teacher,))))

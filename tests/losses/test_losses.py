"""Every loss: its derivative, PyTorch's numbers, and what it does with numbers that are none."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain import registry
from cnntrain.arrays import Array
from cnntrain.losses.base import Loss, one_hot
from tests.support import golden

SETTINGS = [
    pytest.param(registry.make("losses", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("losses").items()
    for index, fields in enumerate(cls.examples)
]
TARGETS = ("labels", "rows")


def run(loss: Loss, outputs: Array, targets: Array, weights: Array, gradient: bool = True) -> tuple[Array, Any]:
    losses = np.full(len(outputs), np.nan, outputs.dtype)
    d_outputs = np.full_like(outputs, np.nan) if gradient else None
    loss(outputs, targets, weights, losses, d_outputs)
    return losses, d_outputs


def batch(targets: str, dtype: Any = np.float64) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(3)
    outputs = rng.standard_normal((7, 4)).astype(dtype)
    labels, rows = rng.integers(0, 4, 7), rng.dirichlet(np.ones(4), 7).astype(np.float32)
    return outputs, labels if targets == "labels" else rows, rng.uniform(0, 2, 7).astype(dtype)


def test_every_loss_has_examples_and_names_its_source() -> None:
    for name, cls in registry.parts("losses").items():
        assert cls.examples, name
        assert re.search(r"\b(18|19|20)\d\d\b", cls.__doc__ or ""), f"{name} names no source"


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("loss", SETTINGS)
def test_gradient_is_the_central_difference(loss: Loss, targets: str) -> None:
    outputs, wanted, weights = batch(targets)
    _, gradient = run(loss, outputs, wanted, weights)
    step = 1e-6
    for place in np.ndindex(outputs.shape):
        ends = []
        for sign in (1, -1):
            moved = outputs.copy()
            moved[place] += sign * step
            ends.append((weights * run(loss, moved, wanted, weights, gradient=False)[0]).sum())
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("loss", SETTINGS)
def test_samples_do_not_see_each_other(loss: Loss, targets: str) -> None:
    outputs, wanted, weights = batch(targets, np.float32)
    losses, gradient = run(loss, outputs, wanted, weights)
    for i in range(len(outputs)):
        alone = run(loss, outputs[i : i + 1], wanted[i : i + 1], weights[i : i + 1])
        assert alone[0].tobytes() == losses[i : i + 1].tobytes()
        assert alone[1].tobytes() == gradient[i : i + 1].tobytes()


@pytest.mark.parametrize("loss", SETTINGS)
def test_labels_are_one_hot_rows(loss: Loss) -> None:
    outputs, labels, weights = batch("labels")
    direct = run(loss, outputs, labels, weights)
    rows = run(loss, outputs, one_hot(labels, outputs), weights)
    np.testing.assert_allclose(direct[0], rows[0], rtol=1e-13)
    np.testing.assert_allclose(direct[1], rows[1], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("loss", SETTINGS)
def test_inputs_are_left_alone_and_losses_are_the_same_without_a_gradient(loss: Loss, targets: str) -> None:
    outputs, wanted, weights = batch(targets, np.float32)
    for array in (outputs, wanted, weights):
        array.flags.writeable = False
    losses, _ = run(loss, outputs, wanted, weights)
    assert run(loss, outputs, wanted, weights, gradient=False)[0].tobytes() == losses.tobytes()


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("loss", SETTINGS)
def test_what_is_not_finite_stays_so_in_its_own_sample(loss: Loss, targets: str, bad: float) -> None:
    outputs, wanted, weights = batch(targets, np.float32)
    outputs[2, 1] = bad
    losses, gradient = run(loss, outputs, wanted, weights)
    assert not np.isfinite(losses[2])
    assert np.isfinite(np.delete(losses, 2)).all()
    assert not np.isfinite(gradient[2]).all()
    assert np.isfinite(np.delete(gradient, 2, axis=0)).all()


@pytest.mark.parametrize("path", golden.cases("losses"))
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-6)])
def test_equals_pytorch(path: Path, dtype: Any, tolerance: float) -> None:
    loss, case = golden.load(path)
    weights = case["weights"].astype(dtype)
    losses, gradient = run(loss, case["outputs"].astype(dtype), case["targets"], weights)
    scale = np.abs(case["losses"]).max()
    np.testing.assert_allclose(losses, case["losses"], rtol=tolerance, atol=tolerance * scale)
    np.testing.assert_allclose(gradient, case["d_outputs"], rtol=tolerance, atol=tolerance)
    mean = (weights * losses).sum() / loss.normalizer(case["targets"], weights)
    assert mean == pytest.approx(float(case["mean"]), rel=10 * tolerance)


def test_cross_entropy_of_a_hopeless_prediction_is_large_but_finite() -> None:
    outputs = np.array([[1e4, -1e4]], np.float32)
    losses, gradient = run(registry.make("losses", "cross_entropy"), outputs, np.array([1]), np.ones(1, np.float32))
    assert losses.tolist() == [2e4]
    assert gradient.tolist() == [[1, -1]]


def test_cross_entropy_of_an_impossible_class_is_infinite() -> None:
    outputs = np.array([[0, -np.inf], [0, -np.inf]], np.float32)
    losses, _ = run(registry.make("losses", "cross_entropy"), outputs, np.array([0, 1]), np.ones(2, np.float32))
    assert losses.tolist() == [0, np.inf]


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, np.nan])
def test_smoothing_out_of_range(smoothing: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        registry.make("losses", "cross_entropy", label_smoothing=smoothing)


# targets on which a loss is not defined


OF_VALUES = [n for n, cls in registry.parts("losses").items() if cls.task == "any" and n != "sum"]


@pytest.mark.parametrize("name", OF_VALUES)
def test_beyond_its_range_of_targets_a_loss_has_no_least_value_and_within_it_has(name: str) -> None:
    """By outputs near and far: a target in range cannot be rewarded without end, one out of it can."""
    loss: Any = registry.make("losses", name)
    outputs = np.array([1e4, -1e4, *np.linspace(-5, 5, 101)])[:, None]
    low, high = (max(min(bound, 3.0), -3.0) for bound in loss.target_range)
    for targets in (np.full((103, 1), value) for value in (low, high, (low + high) / 2)):
        losses = np.empty(103)
        loss(outputs, targets, np.ones(103), losses, None)
        assert (losses >= 0).all()
        assert not loss.wrong_targets(targets).any()
    for bound, step in zip(loss.target_range, (-1, 1), strict=True):
        if math.isfinite(bound):
            losses = np.empty(103)
            loss(outputs, np.full((103, 1), bound + step), np.ones(103), losses, None)
            assert (losses < 0).any(), "the range is too narrow"
            assert loss.wrong_targets(np.array([[bound, bound + step * 1e-3]])).tolist() == [[False, True]]
    assert loss.wrong_targets(np.array([[np.nan, np.inf, 0.5]])).tolist() == [[True, True, False]]


def test_a_sum_takes_what_all_of_its_terms_take() -> None:
    terms = tuple(registry.make("losses", name) for name in ("mse", "focal"))
    loss: Any = registry.make("losses", "sum", terms=terms)
    assert loss.target_range == (0.0, 1.0)
    assert loss.wrong_targets(np.array([[-1.0, 0.0, 255.0]])).tolist() == [[True, False, True]]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_cross_entropy_of_a_logit_that_is_not_finite(bad: float, label: int, smoothing: float) -> None:
    """PyTorch's values: minus infinity leaves a class out of the sum, and costs infinitely much at the label."""
    outputs, losses = np.array([[0.5, bad, 1.0]], np.float32), np.empty(1, np.float32)
    registry.make("losses", "cross_entropy", label_smoothing=smoothing)(
        outputs, np.array([label]), np.ones(1, np.float32), losses, np.empty_like(outputs)
    )
    if bad != -np.inf:
        assert np.isnan(losses[0])
    elif label == 1 or smoothing:
        assert losses[0] == np.inf
    else:
        assert losses[0] == pytest.approx(np.log(np.exp(0.5) + np.exp(1.0)) - outputs[0, label], rel=1e-6)

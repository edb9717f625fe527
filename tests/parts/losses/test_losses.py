"""Every loss: its derivative, PyTorch's numbers, and what it does with numbers that are none."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.checks.contracts import loss as contract
from cnntrain.checks.contracts.loss import run
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.description import VALUES
from cnntrain.parts.losses.base import Loss
from tests.parts.test_catalogue import CATALOGUE
from tests.support import golden

SETTINGS = [
    pytest.param(registry.make("losses", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("losses").items()
    for index, fields in enumerate(cls.examples)
]


FORMS = [
    pytest.param(param.values[0], targets, id=f"{param.id}-{targets}")
    for param in SETTINGS
    for targets in param.values[0].forms()
]


def test_every_loss_has_examples_and_names_its_source() -> None:
    for name, cls in registry.parts("losses").items():
        assert cls.examples, name
        assert re.search(r"\b(17|18|19|20)\d\d\b", cls.__doc__ or ""), f"{name} names no source"


@pytest.mark.parametrize(("loss", "targets"), FORMS)
def test_gradient_is_the_central_difference(loss: Loss, targets: str) -> None:
    contract.has_a_gradient_that_is_the_central_difference(loss, targets)


@pytest.mark.parametrize(("loss", "targets"), FORMS)
def test_samples_do_not_see_each_other(loss: Loss, targets: str) -> None:
    contract.sees_each_sample_alone(loss, targets)


@pytest.mark.parametrize(("loss", "targets"), FORMS)
def test_labels_are_one_hot_rows(loss: Loss, targets: str) -> None:
    contract.takes_labels_as_one_hot_rows(loss, targets)


@pytest.mark.parametrize(("loss", "targets"), FORMS)
def test_inputs_are_left_alone_and_losses_are_the_same_without_a_gradient(loss: Loss, targets: str) -> None:
    contract.leaves_its_inputs_alone(loss, targets)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("loss", "targets"), FORMS)
def test_what_is_not_finite_stays_so_in_its_own_sample(loss: Loss, targets: str, bad: float) -> None:
    contract.keeps_what_is_not_finite_in_its_own_sample(loss, targets, bad)


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


OF_VALUES = [n for n, cls in registry.parts("losses").items() if VALUES in cls.scores and n != "sum"]


@pytest.mark.parametrize("name", OF_VALUES)
def test_beyond_its_range_of_targets_a_loss_has_no_least_value_and_within_it_has(name: str) -> None:
    """By outputs near and far: a target in range cannot be rewarded without end, one out of it can."""
    loss: Any = registry.make("losses", name)

    def rewarded(losses: Array) -> bool:
        """Whether the two outputs that are far away have losses far below all others."""
        return bool((losses[:2] < losses[2:].min() - 10).any())

    outputs = np.array([1e4, -1e4, *np.linspace(-5, 5, 101)])[:, None]
    low, high = (max(min(bound, 3.0), -3.0) for bound in loss.target_range)
    for targets in (np.full((103, 1), value) for value in (low, high, (low + high) / 2)):
        losses = np.empty(103)
        loss(outputs, targets, np.ones(103), losses, None)
        assert not np.isnan(losses).any()
        assert (losses >= 0).all() or name not in CATALOGUE["losses"].split()  # one beyond it may be below 0
        assert not rewarded(losses), f"outputs far away are rewarded for a target of {targets[0, 0]}: see target_range"
        assert not loss.wrong_targets(targets).any()
    for bound, step in zip(loss.target_range, (-1, 1), strict=True):
        if math.isfinite(bound):
            losses = np.empty(103)
            loss(outputs, np.full((103, 1), bound + step), np.ones(103), losses, None)
            assert (losses < 0).any(), "target_range is too narrow"
            assert loss.wrong_targets(np.array([[bound, bound + step * 1e-3]])).tolist() == [[False, True]]
    assert loss.wrong_targets(np.array([[np.nan, np.inf, 0.5]])).tolist() == [[True, True, False]]


def test_a_sum_takes_what_all_of_its_terms_take() -> None:
    terms = tuple(registry.make("losses", name) for name in ("mse", "focal"))
    loss: Any = registry.make("losses", "sum", terms=terms)
    assert loss.target_range == (0.0, 1.0)
    assert loss.wrong_targets(np.array([[-1.0, 0.0, 255.0]])).tolist() == [[True, False, True]]


@pytest.mark.parametrize("class_weight", [None, (2.0, 3.0, 0.5)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_cross_entropy_of_a_logit_that_is_not_finite(
    bad: float, label: int, smoothing: float, class_weight: tuple[float, ...] | None
) -> None:
    """PyTorch's values: minus infinity leaves a class out of the sum, and costs infinitely much at the label."""
    outputs, losses = np.array([[0.5, bad, 1.0]], np.float32), np.empty(1, np.float32)
    registry.make("losses", "cross_entropy", label_smoothing=smoothing, class_weight=class_weight)(
        outputs, np.array([label]), np.ones(1, np.float32), losses, np.empty_like(outputs)
    )
    if bad != -np.inf:
        assert np.isnan(losses[0])
    elif label == 1 or smoothing:
        assert losses[0] == np.inf
    else:
        factor = class_weight[label] if class_weight else 1
        assert losses[0] == pytest.approx(factor * (np.log(np.exp(0.5) + np.exp(1.0)) - outputs[0, label]), rel=1e-6)

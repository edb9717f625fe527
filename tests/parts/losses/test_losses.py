"""Every loss: its derivative, PyTorch's numbers, and what it does with numbers that are none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.checks.contracts import loss as contract
from cnntrain.checks.contracts.loss import TARGETS, run
from cnntrain.core import registry
from cnntrain.parts.losses.base import Loss
from tests.support import golden

SETTINGS = [
    pytest.param(registry.make("losses", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("losses").items()
    for index, fields in enumerate(cls.examples)
]


def test_every_loss_has_examples_and_names_its_source() -> None:
    for name, cls in registry.parts("losses").items():
        assert cls.examples, name
        assert re.search(r"\b(18|19|20)\d\d\b", cls.__doc__ or ""), f"{name} names no source"


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("loss", SETTINGS)
def test_gradient_is_the_central_difference(loss: Loss, targets: str) -> None:
    contract.has_a_gradient_that_is_the_central_difference(loss, targets)


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("loss", SETTINGS)
def test_samples_do_not_see_each_other(loss: Loss, targets: str) -> None:
    contract.sees_each_sample_alone(loss, targets)


@pytest.mark.parametrize("loss", SETTINGS)
def test_labels_are_one_hot_rows(loss: Loss) -> None:
    contract.takes_labels_as_one_hot_rows(loss, "labels")


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("loss", SETTINGS)
def test_inputs_are_left_alone_and_losses_are_the_same_without_a_gradient(loss: Loss, targets: str) -> None:
    contract.leaves_its_inputs_alone(loss, targets)


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("loss", SETTINGS)
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

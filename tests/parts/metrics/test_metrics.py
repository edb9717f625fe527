"""Every metric: scikit-learn's numbers, states that add, and what ties, NaN and nothing mean."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.checks.contracts import metric as contract
from cnntrain.checks.contracts.metric import UNITS as CLASSES
from cnntrain.checks.contracts.metric import state_of
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.parts.losses.base import one_hot
from cnntrain.parts.metrics.auc import log_odds
from cnntrain.parts.metrics.base import Metric, larger_is_better, log_probabilities
from tests.support import golden

SETTINGS = [
    pytest.param(metric, form, id=f"{name}-{index}-{form}")
    for name, cls in registry.parts("metrics").items()
    if name != "loss"  # which the tally keeps
    for index, fields in enumerate(cls.examples)
    for metric in [registry.make("metrics", name, **fields)]
    for form in metric.forms()
]


@pytest.mark.parametrize("path", golden.cases("metrics"))
def test_equals_scikit_learn_and_torchmetrics(path: Path) -> None:
    metric, case = golden.load(path)
    state = state_of(metric, case["outputs"], case["targets"], case["weights"])
    rtol = 1e-12 if case["targets"].ndim < 3 else 2e-7  # torchmetrics divides in float32
    np.testing.assert_allclose(metric.value(state), case["value"], rtol=rtol)


@pytest.mark.parametrize(("metric", "form"), SETTINGS)
def test_states_add(metric: Metric, form: str) -> None:
    contract.has_states_that_add(metric, form)


@pytest.mark.parametrize(("metric", "form"), SETTINGS)
def test_a_weight_of_two_is_the_sample_twice(metric: Metric, form: str) -> None:
    contract.counts_a_weight_of_two_as_the_sample_twice(metric, form)


@pytest.mark.parametrize(("metric", "form"), SETTINGS)
def test_labels_count_as_one_hot_rows(metric: Metric, form: str) -> None:
    contract.takes_labels_as_one_hot_rows(metric, form)


@pytest.mark.parametrize(("metric", "form"), SETTINGS)
def test_inputs_are_left_alone(metric: Metric, form: str) -> None:
    contract.leaves_its_inputs_alone(metric, form)


@pytest.mark.parametrize(("metric", "form"), SETTINGS)
def test_the_state_is_left_alone(metric: Metric, form: str) -> None:
    contract.leaves_its_state_alone(metric, form)


def test_labels_are_unique_among_settings() -> None:
    metrics = {(type(metric), metric) for metric, _ in (param.values for param in SETTINGS)}
    assert len({(cls, metric.label()) for cls, metric in metrics}) == len(metrics)
    assert registry.make("metrics", "top_k").label() == "top5"


@pytest.mark.parametrize(("metric", "form"), SETTINGS)
def test_of_nothing_is_nan_and_of_something_a_number(metric: Metric, form: str) -> None:
    contract.is_nan_of_nothing_and_a_number_of_something(metric, form)


@pytest.mark.parametrize(("metric", "form"), SETTINGS)
def test_outputs_that_are_not_finite_are_counted_without_a_word(metric: Metric, form: str) -> None:
    contract.takes_outputs_that_are_not_finite(metric, form)


@pytest.mark.parametrize(("metric", "form"), SETTINGS)
def test_the_perfect_network_is_better(metric: Metric, form: str) -> None:
    contract.says_that_the_perfect_network_is_better(metric, form)


@pytest.mark.parametrize(("metric", "form"), SETTINGS)
def test_values_lie_within_the_bounds(metric: Metric, form: str) -> None:
    contract.has_values_within_its_bounds(metric, form)


@pytest.mark.parametrize(("metric", "form"), SETTINGS)
def test_the_label_says_which_way_is_better(metric: Metric, form: str) -> None:
    contract.is_known_by_its_label(metric, form)
    assert larger_is_better(f"val/{metric.label()}") == metric.larger_is_better


def value(name: str, outputs: Any, targets: Any, **fields: Any) -> Any:
    metric = registry.make("metrics", name, **fields)
    outputs = np.array(outputs, np.float32)
    return metric.value(state_of(metric, outputs, np.array(targets), np.ones(len(outputs), np.float32)))


def samples() -> tuple[Array, Array, Array]:
    return contract.samples(registry.make("metrics", "accuracy"), "labels")


def test_error_is_what_accuracy_misses() -> None:
    outputs, targets, _ = samples()
    assert value("error", outputs, targets) == pytest.approx(1 - value("accuracy", outputs, targets), abs=1e-15)
    assert not registry.lookup("metrics", "error").larger_is_better
    assert registry.lookup("metrics", "accuracy").larger_is_better


def test_of_equal_outputs_the_first_class_wins() -> None:
    outputs = [[1, 1, 1, 0]] * 4
    assert value("accuracy", outputs, [0, 1, 2, 3]) == 0.25
    assert value("top_k", outputs, [0, 1, 2, 3], k=1) == 0.25
    assert value("top_k", outputs, [0, 1, 2, 3], k=2) == 0.5
    assert value("top_k", outputs, [0, 1, 2, 3], k=4) == 1


def test_top_k_beyond_the_classes_is_always_right() -> None:
    outputs, targets, _ = samples()
    assert value("top_k", outputs, targets, k=CLASSES) == 1


def test_nan_is_never_right() -> None:
    outputs = np.full((4, 4), np.nan)
    assert value("accuracy", outputs, [0, 1, 2, 3]) == 0
    assert value("error", outputs, [0, 1, 2, 3]) == 1
    assert value("top_k", outputs, [0, 1, 2, 3], k=4) == 0
    outputs = np.zeros((4, 4))
    outputs[:, 0] = np.nan
    assert value("top_k", outputs, [1, 1, 1, 1], k=1) == 0


COUNTING = ["accuracy", "balanced_accuracy", "recall", "precision", "f1", "mcc", "cohen_kappa", "top_k", "auc"]


@pytest.mark.parametrize("share", [0.2, 1.0])
@pytest.mark.parametrize("nan", ["one", "its own", "another", "all"])
def test_nan_is_the_same_to_every_metric_that_counts(nan: str, share: float) -> None:
    """A sample with a NaN among its outputs counts as one that is wrong: what follows from counts says the same."""
    rng = np.random.default_rng(3)
    targets = rng.integers(0, CLASSES, 60)
    outputs = (one_hot(targets, np.zeros((60, CLASSES), np.float32)) * 3 + rng.normal(size=(60, CLASSES))).astype("f4")
    broken = rng.random(60) < share
    for i in np.flatnonzero(broken):
        k = {"one": rng.integers(CLASSES), "its own": targets[i], "another": (targets[i] + 1) % CLASSES}.get(nan)
        outputs[i, slice(None) if k is None else k] = np.nan
    right = (outputs.argmax(axis=1) == targets) & ~broken
    accuracy = right.mean()
    assert value("accuracy", outputs, targets) == pytest.approx(accuracy)
    assert value("error", outputs, targets) == pytest.approx(1 - accuracy)
    assert value("top_k", outputs, targets, k=1) == pytest.approx(accuracy)
    assert value("top_k", outputs, targets, k=CLASSES) == pytest.approx(1 - broken.mean())
    confusion = np.array(value("confusion", outputs, targets))
    assert confusion.sum() == 60
    assert confusion.sum(axis=1).tolist() == np.bincount(targets, minlength=CLASSES).tolist()
    assert confusion.trace() == right.sum()
    recalls = [right[targets == k].mean() for k in range(CLASSES)]
    assert value("recall", outputs, targets, average="per_class") == pytest.approx(recalls)
    assert value("balanced_accuracy", outputs, targets) == pytest.approx(np.mean(recalls))
    for name in ("recall", "precision", "f1"):
        assert value(name, outputs, targets, average="micro") == pytest.approx(accuracy)


@pytest.mark.parametrize("name", COUNTING)
def test_a_nan_is_worse_than_the_right_answer(name: str) -> None:
    rng = np.random.default_rng(4)
    targets = np.arange(40) % CLASSES
    outputs = one_hot(targets, np.zeros((40, CLASSES), np.float32)) * 3 + rng.normal(size=(40, CLASSES)) / 9
    whole = value(name, outputs, targets)
    outputs[5:9, 2] = np.nan
    assert value(name, outputs, targets) < whole == pytest.approx(1)


def test_nan_is_never_right_where_a_sample_has_several_labels() -> None:
    outputs, targets = [[np.nan, 2.0], [np.nan, -2.0]], [[1.0, 1.0], [0.0, 0.0]]
    assert value("binary_accuracy", outputs, targets) == 0.5
    assert value("binary_f1", outputs, targets) == pytest.approx(2 / (2 + 1 + 1))


@pytest.mark.parametrize("name", ["mae", "mse", "r2", "log_loss", "brier", "calibration_error"])
def test_a_mean_of_numbers_is_nan_with_a_nan(name: str) -> None:
    outputs, targets, _ = samples()
    outputs[3, 1] = np.nan
    assert math.isnan(value(name, outputs, targets))


@pytest.mark.parametrize(("mean", "deviation"), [(0, 1e-6), (1e6, 0.5), (1.7e9, 1000)])
def test_r2_of_targets_far_from_zero(mean: float, deviation: float) -> None:
    rng = np.random.default_rng(1)
    targets = mean + deviation * rng.standard_normal((1000, 2))
    outputs = targets + deviation * rng.standard_normal((1000, 2)) / 10
    errors, spread = ((a - b) ** 2 for a, b in ((targets, outputs), (targets, targets.mean(axis=0))))
    expected = (1 - errors.sum(axis=0) / spread.sum(axis=0)).mean()
    assert value("r2", outputs, targets) == pytest.approx(expected, abs=5e-3)  # rounding costs the third digit


@pytest.mark.parametrize("number", [1e-7, 0.1, 1.1, 1e6 / 3, -1.7e9])
def test_r2_of_equal_targets_is_one_where_they_are_met_and_else_zero(number: float) -> None:
    metric, targets = registry.make("metrics", "r2"), np.full((8, 1), number)
    for outputs, expected in ((targets, 1), (targets + 1, 0)):
        state = metric.zeros(1)
        for _ in range(2000):
            metric.add(state, outputs, targets, np.ones(8))
            assert metric.value(state) == expected


def test_confusion_has_true_classes_as_rows() -> None:
    outputs = [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert value("confusion", outputs, [2, 1, 0]) == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]


# auc


def exact_auc(scores: Array, own: Array) -> float:
    """The definition: over all pairs."""
    above = scores[own][:, None] - scores[~own]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


@pytest.mark.parametrize("bins", [64, 1024])
def test_auc_errs_by_a_small_part_of_the_pairs_that_share_a_bin(bins: int) -> None:
    rng = np.random.default_rng(3)
    targets = rng.integers(0, CLASSES, 2000)
    outputs = 2 * rng.standard_normal((2000, CLASSES))
    outputs[np.arange(2000), targets] += 3
    p = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    exact = [exact_auc(p[:, k], targets == k) for k in range(CLASSES)]
    metric = registry.make("metrics", "auc", average="per_class", bins=bins)
    measured = metric.value(state_of(metric, outputs, targets, np.ones(2000)))
    np.testing.assert_allclose(measured, exact, atol=0.6 / bins)


def test_auc_tells_apart_what_a_probability_in_float_cannot() -> None:
    outputs = np.array([[20, 0], [25, 0], [29, 0], [30, 0]], np.float32)  # p is 1 - 2e-9 and nearer to 1
    assert value("auc", outputs, [1, 1, 0, 0]) == 1
    assert value("auc", outputs, [0, 1, 1, 0]) == 0.5


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 300])
def test_log_odds_are_those_of_the_definition_to_the_last_bit(classes: int) -> None:
    outputs = 5 * np.random.default_rng(4).standard_normal((9, classes))
    outputs[:4, 0] = 0, 800, np.inf, np.nan
    outputs[4], outputs[5] = 0, -np.inf
    with np.errstate(all="ignore"):
        logs = log_probabilities(outputs)
        others = [np.exp(np.delete(logs, k, axis=1)).sum(axis=1) for k in range(classes)]
        wanted = logs - np.log(np.stack(others, axis=1))
        found = log_odds(outputs)
    np.testing.assert_array_equal(found, wanted, strict=True)


def test_auc_adds_what_a_shard_counts_in_each_bin_and_nothing_elsewhere() -> None:
    """Weights of one bin are summed before they join what was there, so that figures stay the same to the last bit."""
    rng = np.random.default_rng(5)
    metric = registry.make("metrics", "auc", bins=4)
    outputs, targets, weights = rng.standard_normal((50, 3)), rng.integers(0, 3, 50), rng.random(50)
    before = rng.random(3 * 2 * 4)
    place = np.clip(np.floor((log_odds(outputs) + 32) / 16), 0, 3).astype(int)
    cells = (np.arange(3) * 2 + (np.arange(3) == targets[:, None])) * 4 + place
    wanted = before + np.bincount(cells.ravel(), np.repeat(weights, 3), minlength=24)
    metric.add(before, outputs, targets, weights)
    np.testing.assert_array_equal(before, wanted)


def test_auc_leaves_out_classes_without_both_kinds() -> None:
    outputs = [[0, 1, 2], [2, 1, 0], [1, 0, 0]]
    each = value("auc", outputs, [0, 1, 1], average="per_class")
    assert math.isnan(each[2])
    assert value("auc", outputs, [0, 1, 1]) == np.mean(each[:2])
    assert math.isnan(value("auc", outputs, [1, 1, 1]))


# calibration_error


def test_calibration_error_of_a_network_too_sure_by_a_known_amount() -> None:
    logit = math.log(0.8 / 0.2)
    outputs = [[logit, 0]] * 10
    assert value("calibration_error", outputs, [0] * 6 + [1] * 4) == pytest.approx(0.2, abs=1e-7)
    assert value("calibration_error", outputs, [0] * 8 + [1] * 2) == pytest.approx(0, abs=1e-7)


# cohen_kappa, mcc


def test_one_class_everywhere_agrees_by_chance_alone() -> None:
    outputs, targets = [[1, 0]] * 4, [0, 0, 0, 0]
    assert math.isnan(value("cohen_kappa", outputs, targets))
    assert value("mcc", outputs, targets) == 0
    assert value("mcc", outputs, [0, 1, 0, 1]) == 0


# mse


def test_mse_of_single_targets() -> None:
    assert value("mse", [[1.0], [3.0]], [[2.0], [5.0]]) == 2.5
    assert value("mae", [[1.0], [3.0]], [[2.0], [5.0]]) == 1.5

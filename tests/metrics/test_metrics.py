"""Every metric: scikit-learn's numbers, states that add, and what ties, NaN and nothing mean."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from cnntrain import registry
from cnntrain.arrays import Array
from cnntrain.losses.base import one_hot
from cnntrain.metrics.base import Metric
from tests.support import golden

# isort: split
import numpy as np
import pytest

SETTINGS = [
    pytest.param(registry.make("metrics", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("metrics").items()
    for index, fields in enumerate(cls.examples)
]
CLASSES = 6


def samples(n: int = 40) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(5)
    weights = rng.integers(1, 4, n).astype(np.float32)  # whole, so that sums are exact in any order
    return rng.standard_normal((n, CLASSES)).astype(np.float32), rng.integers(0, CLASSES, n), weights


def state_of(metric: Metric, outputs: Array, targets: Array, weights: Array) -> Array:
    state = metric.zeros(outputs.shape[1])
    metric.add(state, outputs, targets, weights)
    return state


@pytest.mark.parametrize("path", golden.cases("metrics"))
def test_equals_scikit_learn(path: Path) -> None:
    metric, case = golden.load(path)
    state = state_of(metric, case["outputs"], case["targets"], case["weights"])
    np.testing.assert_allclose(metric.value(state), case["value"], rtol=1e-13)


@pytest.mark.parametrize("metric", SETTINGS)
def test_states_add(metric: Metric) -> None:
    outputs, targets, weights = samples()
    whole = state_of(metric, outputs, targets, weights)
    parts = [slice(0, 1), slice(1, 25), slice(25, 40)]
    merged = sum(state_of(metric, outputs[part], targets[part], weights[part]) for part in parts)
    assert whole.dtype == np.float64
    assert whole.ndim == 1
    np.testing.assert_array_equal(merged, whole)
    one_state = metric.zeros(CLASSES)
    for part in parts:
        metric.add(one_state, outputs[part], targets[part], weights[part])
    np.testing.assert_array_equal(one_state, whole)


@pytest.mark.parametrize("metric", SETTINGS)
def test_a_weight_of_two_is_the_sample_twice(metric: Metric) -> None:
    outputs, targets, _ = samples()
    weights = np.ones(len(outputs), np.float32)
    weights[::3] = 2
    weights[1] = 0
    repeated = np.repeat(np.arange(len(outputs)), weights.astype(int))
    twice = state_of(metric, outputs[repeated], targets[repeated], np.ones(len(repeated), np.float32))
    np.testing.assert_array_equal(state_of(metric, outputs, targets, weights), twice)


@pytest.mark.parametrize("metric", SETTINGS)
def test_rows_count_as_their_largest(metric: Metric) -> None:
    outputs, targets, weights = samples()
    rows = one_hot(targets, outputs)
    np.testing.assert_array_equal(state_of(metric, outputs, rows, weights), state_of(metric, outputs, targets, weights))


@pytest.mark.parametrize("metric", SETTINGS)
def test_inputs_are_left_alone(metric: Metric) -> None:
    arrays = samples()
    for array in arrays:
        array.flags.writeable = False
    state_of(metric, *arrays)


def test_labels_are_unique_among_settings() -> None:
    labels = {(type(param.values[0]), param.values[0].label()) for param in SETTINGS}
    assert len(labels) == len(SETTINGS)
    assert registry.make("metrics", "top_k").label() == "top5"


@pytest.mark.parametrize("name", ["accuracy", "error", "top_k"])
def test_of_nothing_is_nan(name: str) -> None:
    metric = registry.make("metrics", name)
    assert math.isnan(metric.value(metric.zeros(CLASSES)))


def value(name: str, outputs: Any, targets: Any, **fields: Any) -> Any:
    metric = registry.make("metrics", name, **fields)
    outputs = np.array(outputs, np.float32)
    return metric.value(state_of(metric, outputs, np.array(targets), np.ones(len(outputs), np.float32)))


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


def test_confusion_has_true_classes_as_rows() -> None:
    outputs = [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert value("confusion", outputs, [2, 1, 0]) == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]

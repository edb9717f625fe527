"""Figures of each output by itself, counted by hand, and the same however samples are cut into shards."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.description import Description
from cnntrain.core.registry import make
from cnntrain.trained.per_value import PerValue

TWO = Description((2, 2, 1), (), 2)


def figures(task: str, outputs, targets, data=TWO, cuts=()):
    metric = PerValue(make("tasks", task), data)
    outputs, targets = np.array(outputs, np.float32), np.array(targets, np.float32)
    state = metric.zeros(2)
    for part in np.split(np.arange(len(outputs)), cuts):
        metric.add(state, outputs[part], targets[part], np.ones(len(part), np.float32))
    return metric.value(state)


@pytest.mark.parametrize("cuts", [(), (1,), (0, 2, 3)])
def test_labels_by_hand(cuts):
    said, meant = [[1, -1], [2, -3], [-1, -1], [3, 0.5]], [[1, 0], [0, 0], [1, 0], [1, 0]]
    assert figures("tag", said, meant, TWO.named(("red", "round")), cuts) == [
        {"name": "red", "samples": 3, "recall": 2 / 3, "precision": 2 / 3, "f1": 2 / 3},
        {"name": "round", "samples": 0, "recall": None, "precision": 0, "f1": 0},
    ]


@pytest.mark.parametrize("cuts", [(), (1,), (0, 2, 3)])
def test_values_by_hand(cuts):
    said, meant = [[1, 10], [2, 10], [3, 10], [4, 10]], [[1, 13], [1, 7], [1, 13], [1, 7]]
    assert figures("regress", said, meant, cuts=cuts) == [
        {"name": "value_1", "mae": 1.5, "rmse": 3.5**0.5},
        {"name": "value_2", "mae": 3, "rmse": 3},
    ]


@pytest.mark.parametrize(("task", "keys"), [("tag", {"recall", "precision", "f1"}), ("regress", {"mae", "rmse"})])
def test_nothing_has_no_figures(task, keys):
    for row in figures(task, np.zeros((0, 2)), np.zeros((0, 2))):
        assert {key for key, value in row.items() if value is None} == keys


def test_outputs_for_classes_do_not_stand_alone():
    assert PerValue(make("tasks", "classify"), Description((2, 2, 1), ("a", "b"))).counts == 0

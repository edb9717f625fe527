"""What a sample is taken for: always a class that there is, and never the right one where an output is NaN."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.registry import make
from cnntrain.ops.argmax import correct, taken_for, undecided
from cnntrain.ops.confused import Confused, places_of

COUNTING = ("accuracy", "error", "confusion", "recall", "precision", "f1", "balanced_accuracy", "top_k")


@pytest.mark.parametrize("classes", [1, 2, 3, 7])
def test_it_is_a_class_and_a_nan_is_never_right(classes):
    rng = np.random.default_rng(classes)
    outputs = rng.normal(size=(40, classes)).astype(np.float32)
    outputs[::3, rng.integers(classes)] = np.nan
    labels = rng.integers(0, classes, 40)
    taken = taken_for(outputs, labels)
    assert ((taken >= 0) & (taken < classes)).all()
    nan = np.isnan(outputs).any(axis=1)
    assert (undecided(outputs) == nan).all()
    assert not correct(outputs, labels)[nan].any()
    assert (correct(outputs, labels)[~nan] == (outputs[~nan].argmax(axis=1) == labels[~nan])).all()
    if classes > 1:
        assert (correct(outputs, labels) == (taken == labels)).all()
    matrix = Confused(places_of(labels, taken, classes), classes).matrix()
    assert (matrix.sum(axis=1) == np.bincount(labels, minlength=classes)).all()


@pytest.mark.parametrize("name", COUNTING)
@pytest.mark.parametrize("classes", [1, 2, 3])
def test_no_metric_counts_outside_its_classes(name, classes):
    metric = make("metrics", name)
    outputs = np.full((4, classes), np.nan, np.float32)
    labels = np.arange(4) % classes
    tally = metric.zeros(classes)
    metric.add(tally, outputs, labels, np.ones(4))
    assert np.isfinite(tally).all()
    if name in ("accuracy", "error"):
        assert metric.value(tally) == (name == "error")

"""Which classes were taken for which: the same counts as the whole matrix, in memory that follows the samples."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from cnntrain.core.description import Description
from cnntrain.core.display import Matrix, Table
from cnntrain.core.registry import make
from cnntrain.ops.confused import Confused, places_of
from cnntrain.parts.tasks import classify
from cnntrain.parts.tasks.base import Evaluation


def names(classes: int) -> tuple[str, ...]:
    return tuple(f"class-{number}" for number in range(classes))


def drawn(classes: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and guesses, right about half the time; not every class occurs."""
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, max(classes - 1, 1), n)
    return labels, np.where(rng.random(n) < 0.5, labels, rng.integers(0, classes, n))


@pytest.mark.parametrize("classes", [1, 2, 7, 40])
@pytest.mark.parametrize("n", [0, 1, 300])
def test_counts_are_those_of_the_matrix(classes, n):
    labels, guesses = drawn(classes, n)
    dense = np.zeros((classes, classes), int)
    np.add.at(dense, (labels, guesses), 1)
    confused = Confused(places_of(labels, guesses, classes), classes)
    assert np.array_equal(confused.matrix(), dense)
    assert np.array_equal(confused.found, dense.diagonal())
    assert np.array_equal(confused.of_class, dense.sum(axis=1))
    assert np.array_equal(confused.taken_for, dense.sum(axis=0))
    off = dense - np.diag(dense.diagonal())
    order = np.argsort(-off, axis=None, kind="stable")[:9]
    expected = [(*divmod(int(place), classes), int(off.flat[place])) for place in order if off.flat[place]]
    assert confused.mistakes(9) == expected
    worst = confused.worst(5)
    assert len(worst) == min(5, classes)
    assert np.array_equal(confused.matrix(worst), dense[np.ix_(worst, worst)])
    mistaken = off.sum(axis=0) + off.sum(axis=1)
    assert sorted(mistaken[worst]) == sorted(mistaken)[-len(worst) :]


@pytest.mark.parametrize(("classes", "whole"), [(classify.LARGEST, True), (classify.LARGEST + 1, False)])
def test_an_evaluation_of_very_many_classes_has_the_most_frequent_mistakes(classes, whole):
    labels, guesses = drawn(classes, 5000)
    outputs = np.zeros((5000, classes), np.float32)
    outputs[np.arange(5000), guesses] = 1
    task, data = make("tasks", "classify"), Description((1, 1, 1), names(classes))
    found = task.breakdown(task.judged(outputs, labels), data)
    assert ("confusion" in found, "mistakes" in found) == (whole, not whole)
    assert sum(row["samples"] for row in found["per_class"]) == 5000
    if whole:
        assert np.array(found["confusion"]).sum() == 5000
    else:
        first = found["mistakes"][0]
        pair = data.classes.index(first["class"]), data.classes.index(first["taken_for"])
        assert first["samples"] == ((labels == pair[0]) & (guesses == pair[1])).sum()
        assert len(found["mistakes"]) == classify.MOST


def test_memory_does_not_follow_the_square_of_the_classes():
    classes, n = 10_000, 20_000  # a matrix would be 800 MB
    task, data = make("tasks", "classify"), Description((1, 1, 1), names(classes))
    judged = places_of(*drawn(classes, n), classes)
    tracemalloc.start()
    task.breakdown(judged, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


def test_a_report_shows_of_many_classes_those_that_matter():
    classes, n = 1200, 600
    rng = np.random.default_rng(1)
    labels = rng.integers(0, classes, n)
    outputs = rng.standard_normal((n, classes)).astype(np.float32)
    outputs[np.arange(n), labels] += 3
    outputs[labels < 8] = np.eye(classes, dtype=np.float32)[(labels[labels < 8] + 1) % 8] * 9  # all wrong
    task = make("tasks", "classify")
    evaluation = Evaluation(Description((1, 1, 1), names(classes)), "val", np.arange(n), labels, outputs)
    sections = {section.title: section for section in task.report(evaluation)}
    matrix = next(what for what in sections["Confusion"].content if isinstance(what, Matrix))
    assert matrix.counts.shape == (24, 24)
    assert "24 of 1,200 classes with the most mistakes" in sections["Confusion"].note
    (table,) = (what for what in sections["Classes"].content if isinstance(what, Table))
    assert len(table.rows) == 200
    assert "200 of 1,200 classes with the lowest F1" in sections["Classes"].note


def test_probabilities_are_taken_block_by_block(monkeypatch):
    rng = np.random.default_rng(2)
    labels, outputs = rng.integers(0, 6, 50), rng.standard_normal((50, 6)).astype(np.float32)
    evaluation = Evaluation(Description((1, 1, 1), names(6)), "val", np.arange(50), labels, outputs)
    whole = classify._Judged(evaluation).logs
    monkeypatch.setattr(classify, "BLOCK", 18)
    assert np.array_equal(classify._Judged(evaluation).logs, whole)
    shares = np.exp(outputs.astype(float)) / np.exp(outputs.astype(float)).sum(axis=1, keepdims=True)
    assert np.exp(whole[:, 1]) == pytest.approx(shares[np.arange(50), labels])
    assert np.exp(whole[:, 0]) == pytest.approx(shares.max(axis=1))

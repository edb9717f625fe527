"""A passage: its outputs are those of `predict`, its gradients those of the loss."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cnntrain.api.model import Model
from cnntrain.core.description import Description
from cnntrain.core.registry import make
from cnntrain.results.explain.passage import passage
from tests.support.experiments import run, write


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    run(write(folder), folder / "run")
    with Model(folder / "run", threads=1) as model:
        yield model


def test_outputs_are_those_of_prediction_and_gradients_those_of_the_loss(model):
    trained, rng = model.trained, np.random.default_rng(0)
    stored = rng.integers(0, 256, (1, 8, 8, 1), np.uint8)
    passed = passage(trained, stored)
    assert np.allclose(passed.outputs, trained.outputs(stored), atol=1e-5)
    guess = int(np.argmax(passed.outputs))
    expected = np.exp(passed.outputs[0] - passed.outputs.max())
    expected = expected / expected.sum() - np.eye(len(expected))[guess]
    assert np.allclose(passed.gradient(len(passed.nodes) - 1), expected, atol=1e-6)
    assert passed.of == "the loss cross_entropy"
    assert re.fullmatch(r"The truth is taken to be \W?\d\W?, the network's own answer\.", passed.truth)
    assert all(passed.gradient(number) is not None for number in range(len(passed.nodes)))


@pytest.mark.parametrize("task", ["detect", "segment", "regress"])
def test_no_true_class_can_be_named_where_a_sample_has_no_single_one(task):
    asked, data = make("tasks", task), Description((6, 6, 1), ("a", "bar"))
    with pytest.raises(ValueError, match=f"a sample of the task {task} has no single class, so that .*'bar'. Leave it"):
        asked.supposed(np.zeros((1, 2)), data, "bar")


def test_the_truth_that_is_named_decides_the_gradient(model):
    stored = np.zeros((1, 8, 8, 1), np.uint8)
    for number, name in enumerate(model.trained.description.classes):
        gradient = passage(model.trained, stored, name).gradient(len(model.trained.network.graph.nodes) - 1)
        assert np.argmin(gradient) == number
        assert gradient[number] < 0
        assert re.fullmatch(rf"The truth is \W?{name}\W?\.", passage(model.trained, stored, name).truth)


def test_gradients_in_the_middle_are_slopes(model):
    """A dense layer's gradient in its input is the slope of the loss there, by central differences."""
    passed = passage(model.trained, np.full((1, 8, 8, 1), 99, np.uint8), model.trained.description.classes[1])
    last = passed.frames[-1]
    x, weight, bias = (a.astype(np.float64) for a in (last.x[0], last.p["weight"], last.p["bias"]))

    def loss(x):
        z = x @ weight + bias
        return np.log(np.exp(z - z.max()).sum()) + z.max() - z[1]

    steps = 1e-5 * np.eye(len(x))
    slopes = [(loss(x + step) - loss(x - step)) / 2e-5 for step in steps]
    assert np.allclose(passed.gradient(len(passed.nodes) - 2), slopes, atol=1e-5)

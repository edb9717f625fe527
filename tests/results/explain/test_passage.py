"""A passage: its outputs are those of `predict`, its gradients those of the loss."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from cnntrain.api.model import Model
from cnntrain.results import explain as explanation
from cnntrain.results.explain.layers import _middle
from cnntrain.results.explain.passage import passage
from tests.support.experiments import CLIPS, run, write


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


@pytest.mark.parametrize("views", [1, 2])
def test_a_clip_is_shown_by_its_middle_moment(tmp_path, views):
    """Of layers that see several moments, and of those that take each as a sample."""
    source = "{type: motion, frames: 6, moving: 3, size: 8, samples: 48}"
    own = CLIPS.replace(source, f"{{type: frames_folder, root: '{tmp_path / 'clips'}', frames: 6}}")
    rng = np.random.default_rng(0)
    for number in range(16):
        moments = [Image.fromarray(moment) for moment in rng.integers(0, 256, (6, 8, 8), np.uint8)]
        (tmp_path / f"clips/{number % 2}").mkdir(parents=True, exist_ok=True)
        moments[0].save(tmp_path / f"clips/{number % 2}/{number}.gif", save_all=True, append_images=moments[1:])
    (tmp_path / "clips.yaml").write_text(own.replace("clips: 2}", f"clips: {views}}}"))
    run(tmp_path / "clips.yaml", tmp_path / "run", ("train.epochs=1",))
    clip = tmp_path / "clips/0/0.gif"
    with Model(tmp_path / "run", threads=1) as model:
        explanation.write(model.trained, clip, tmp_path / "page.html")
        stored = explanation._stored(model.trained, clip)
        passed = passage(model.trained, stored)
    text = (tmp_path / "page.html").read_text()
    assert "Of a clip, the moment in the middle is shown." in text
    assert "Grad-CAM in" in text
    assert ("It is seen as 2 views" in text) == (views == 2)
    for node, frame in zip(passed.nodes, passed.frames, strict=True):
        if len(node.shape) == 4:
            assert np.array_equal(_middle(frame.y), frame.y.reshape(node.shape)[node.shape[0] // 2])


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

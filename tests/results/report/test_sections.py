"""What the sections compute: the same numbers as `eval` and the metrics, and Grad-CAM by its closed form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cnntrain.config.load import load_text
from cnntrain.core import display
from cnntrain.core.display import Gallery, Matrix
from cnntrain.core.registry import make
from cnntrain.data import build_data
from cnntrain.engine.walk import Walk
from cnntrain.network import build
from cnntrain.parts.metrics.base import log_probabilities
from cnntrain.parts.tasks import calibration, classify
from cnntrain.results.report import filters, gallery, gradcam, matrix, pictures
from cnntrain.results.report.judged import judging
from cnntrain.results.report.page import page
from cnntrain.rundir.history import read
from tests.support.experiments import FULL, run, write


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    run(write(folder), folder / "run", ("train.epochs=2",))
    with judging(read(folder / "run"), "test", (), 1) as found:
        yield found


def test_confusion_and_metrics_are_those_of_eval(judged):
    document = judged.trained.evaluate("test")
    shown = [what for part in sections_of(judged) for what in part.content]
    assert next(what for what in shown if isinstance(what, Matrix)).counts.tolist() == document["confusion"]
    metrics = judged.measured
    assert metrics["accuracy"] == document["accuracy"]
    assert metrics["log_loss"] == pytest.approx(losses_of(judged).mean())


def sections_of(judged):
    return judged.trained.network.task.report(judged.evaluation)


def losses_of(judged):
    """-log p(true class) of each sample."""
    return -log_probabilities(judged.outputs)[np.arange(len(judged.indices)), judged.evaluation.targets]


def test_the_bins_give_the_calibration_error(judged):
    right = judged.outputs.argmax(axis=1) == judged.evaluation.targets
    counts, sure, hits = calibration.bins(np.exp(log_probabilities(judged.outputs)).max(axis=1), right)
    assert counts.sum() == len(judged.indices)
    error = (counts * np.abs(sure - hits)).sum() / counts.sum()
    assert error == pytest.approx(judged.measured["calibration_error"])
    assert make("metrics", "calibration_error").bins == calibration.BINS


def test_mistakes_are_wrong_and_the_worst_come_first(judged):
    chosen = judged.trained.network.task.mistakes(judged.evaluation)
    wrong = judged.outputs.argmax(axis=1) != judged.evaluation.targets
    assert sorted(chosen) == np.flatnonzero(wrong).tolist()
    assert (np.diff(losses_of(judged)[chosen]) <= 0).all()
    (shown,) = (what for part in sections_of(judged) for what in part.content if isinstance(what, Gallery))
    assert shown.positions.tolist() == chosen[: classify.SHOWN].tolist()
    assert all(lines[1].startswith("is ") for lines in shown.captions)


def test_thumbnails_are_large_enough_and_small_enough():
    assert gallery.thumbnail(np.zeros((28, 28, 1), np.uint8)).shape == (84, 84)
    assert gallery.thumbnail(np.zeros((200, 100, 3), np.uint8)).shape == (96, 48, 3)
    assert gallery.thumbnail(np.zeros((5, 5, 2), np.float32)).shape == (95, 95)


def test_bytes_of_images():
    stretched = display.to_bytes(np.array([[[-1.0], [1.0]]], np.float32))
    assert stretched.tolist() == [[0, 255]]
    assert display.to_bytes(np.array([[[0.0], [0.5]]], np.float32)).tolist() == [[0, 128]]
    assert display.to_bytes(np.full((2, 2, 3), 7, np.uint8)).shape == (2, 2, 3)


def test_a_sheet_lays_pictures_out_in_rows():
    sheet = pictures.sheet([np.full((2, 2), i, np.uint8) for i in range(3)], columns=2, scale=2, gap=1, background=9)
    assert sheet.shape == (9, 9)
    assert [sheet[0, 0], sheet[0, 8], sheet[8, 0], sheet[8, 8], sheet[4, 0]] == [0, 1, 2, 9, 9]


def test_zero_is_white_or_gray_and_signs_have_their_colours():
    gray = filters.picture(np.array([[[0.0], [1.0], [-1.0]]]))
    assert gray.tolist() == [[[255, 255, 255], [200, 30, 45], [30, 80, 200]]]
    colour = filters.picture(np.array([[[0.0, 1.0, -1.0]]]))
    assert colour.tolist() == [[[128, 255, 0]]]


LAYERS = {
    "conv": "[{type: conv2d, filters: 5, kernel_size: 3}, relu, flatten, {type: dense, units: auto}]",
    "dense": "[flatten, {type: dense, units: auto}]",
    "points": "[{type: conv2d, filters: 5, kernel_size: 1}, flatten, {type: dense, units: auto}]",
    "cam": "[{type: conv2d, filters: 5, kernel_size: 3}, relu, global_avg_pool, {type: dense, units: auto}]",
    "pooled": "[{type: conv2d, filters: 5, kernel_size: 3}, batch_norm, relu, {type: max_pool2d, kernel_size: 2}, "
    "flatten, {type: dense, units: auto}]",
}


def network(layers):
    start, stop = FULL.index("  layers:"), FULL.index("optimizer:")
    loaded = load_text(f"{FULL[:start]}  layers: {LAYERS[layers]}\n{FULL[stop:]}", "f.yaml")
    graph = build.network(loaded, build_data.describe(loaded)).graph
    params = np.zeros(graph.layout.size, np.float32)
    build.initialize(graph, loaded.experiment.init, 1, params)
    return graph, params, graph.layout.views(params)


@pytest.mark.parametrize(("layers", "name", "shape"), [
    ("conv", "conv2d_1", (3, 3, 1, 5)), ("dense", "dense_1", (8, 8, 1, 3)), ("points", None, None)])  # fmt: skip
def test_the_first_layer_is_what_weighs_pixels(layers, name, shape):
    graph, _, views = network(layers)
    found = filters.first(graph, views)
    assert (found[0], found[1].shape) == (name, shape) if name else found is None


@pytest.mark.parametrize(("layers", "name"), [("conv", "relu_1"), ("pooled", "relu_1"), ("dense", None)])
def test_grad_cam_looks_at_the_last_convolution_with_what_follows_at_its_size(layers, name):
    graph, _, _ = network(layers)
    at = gradcam.layer(graph)
    assert (None if at is None else graph.nodes[at].name) == name


def test_before_global_pooling_and_a_dense_layer_grad_cam_is_cam():
    graph, params, views = network("cam")
    x = np.random.default_rng(0).standard_normal((4, *graph.input_shape)).astype(np.float32)
    classes = np.array([0, 1, 2, 0])
    walk = Walk(graph, params)
    found = gradcam.heat(walk, gradcam.layer(graph), x, classes)
    activations = list(walk.forward([x]))[1][0].y
    cam = np.maximum(np.einsum("nhwc,nc->nhw", activations, views["dense_1.weight"].T[classes]), 0)
    cam /= np.where(cam.max(axis=(1, 2), keepdims=True) > 0, cam.max(axis=(1, 2), keepdims=True), 1)
    np.testing.assert_allclose(found, cam, atol=1e-5)
    assert found.max() == 1


def test_calibration_joins_bins_of_few_samples_and_shows_how_sure_it_is():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.2, 1, 90)
    found = calibration.bins(sure, rng.random(90) < sure)
    left, width, counts, means, shares = calibration.joined(found)
    assert counts.sum() == 90
    assert (counts[:-1] >= 20).all()
    assert counts @ means == pytest.approx(sure.sum())
    assert counts @ shares == pytest.approx(found[0] @ found[2])
    assert (left[1:] + width[1:] <= left[:-1] + 1e-9).all()
    few = calibration.joined(calibration.bins(sure[:3], sure[:3] > 0))
    assert few[2].tolist() == [3]
    low, high = calibration.interval(np.array([0.8, 1.0]), np.array([10.0, 10.0]))
    np.testing.assert_allclose([low, high], [[0.4902, 0.7225], [0.9433, 1.0]], atol=1e-4)


def test_mistakes_name_their_files_or_numbers(judged):
    (shown,) = (what for part in sections_of(judged) for what in part.content if isinstance(what, Gallery))
    assert judged.names(shown.positions[:1]) == [f"test {judged.indices[shown.positions[0]]}"]
    named = dataclasses.replace(judged, images=dataclasses.replace(judged.images, names=("a/停车.png",) * 90))
    assert '<small title="a/停车.png"><bdi>停车.png</bdi></small>' in gallery.markup(shown, named)


def test_names_beside_a_matrix_can_be_broken_and_numbers_cannot():
    """What leaves a phone room is in the style: names are boxes of their own, cells of numbers are not broken."""
    names = ("Tomato___healthy", "Tomato___virus")
    shown = str(matrix.markup(Matrix("a", "t", np.eye(2, dtype=int), names)))
    assert all(f"<th><span>{name}</span></th>" in shown for name in names)
    style = page("t", "", footer="")
    assert ".matrix tbody th span{display:inline-block;width:max-content;max-width:min(240px,34vw)" in style
    assert ".wide td:not(.n)>:is(span,b){white-space:normal" in style
    assert ".wide td>" not in style

"""Networks of clips: layers of images see the moments one by one, as so many images would be seen."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.errors import ConfigError
from cnntrain.engine.fixed import Fixed
from cnntrain.engine.pool import Pool
from cnntrain.engine.walk import Walk
from cnntrain.parts.layers import conv3d
from cnntrain.parts.layers.base import Layer
from tests.support.layers import run, start
from tests.support.networks import declared, engine_of, graph_of, random_batch

SHAPE, MOMENTS = (3, 6, 6, 2), 3
BY_MOMENT = [
    pytest.param(cls(**example.fields), example.inputs[0], id=f"{name}-{number}")
    for name, cls in registry.parts("layers").items()
    for number, example in enumerate(cls.examples)
    if not cls.whole_clips and len(example.inputs) == 1 and len(example.inputs[0]) == 3
    if not cls(**example.fields).random
]


def network():
    """Every way in which a layer may meet a clip, with barriers, junctions, draws and a shortcut over time."""
    d = declared
    body = (d("temporal_shift", parts=2), d("conv3d", filters=5, kernel_size=3, stride=2, padding=1), d("batch_norm"))
    gate = (d("conv2d", filters=2, kernel_size=1), d("sigmoid"))
    return [
        d("conv2d", filters=4, kernel_size=3, padding=1),
        d("batch_norm"),
        d("relu", name="a"),
        d("dropout", rate=0.3),
        d("parallel", branches=(gate, (d("max_pool3d", kernel_size=3, stride=1, padding=1),)), join="concat"),
        d("squeeze_excite", reduction=2),
        d("residual", body=body, activation=registry.make("layers", "relu")),
        d("conv2plus1d", filters=4, stride=(1, 2, 2)),
        d("global_avg_pool"),
        d("dense", units=3),
    ]


def digest(threads: int) -> str:
    sha = hashlib.sha256()
    with Pool(threads) as pool:
        engine = engine_of(network(), pool, shape=SHAPE, seed=3)
        for step in range(2):
            sha.update(engine.step([random_batch(11, SHAPE, seed=step), random_batch(9, SHAPE)], step).tobytes())
            engine.params -= 0.01 * engine.grads
        sha.update(engine.params.tobytes())
        sha.update(engine.outputs(random_batch(11, SHAPE)).tobytes())
    return sha.hexdigest()


def test_any_number_of_threads_gives_the_same_bits() -> None:
    assert digest(1) == digest(2) == digest(3)


@pytest.mark.parametrize(("layer", "shape"), BY_MOMENT)
def test_a_layer_of_images_sees_the_moments_of_clips(layer: Layer, shape: tuple[int, ...]) -> None:
    """In evaluation, and in the gradient: what images in one batch get."""
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((2, MOMENTS, *shape))
    entry = declared(
        layer.name_in_config, **{name: getattr(layer, name) for name in (f.name for f in dataclasses.fields(layer))}
    )
    graph = graph_of([entry], (MOMENTS, *shape))
    params = start(layer, shape)
    flat = np.zeros(graph.layout.size)
    for name, view in graph.layout.views(flat).items():
        view[...] = params[name.rpartition(".")[2]]
    expected = run(layer, [clips.reshape(-1, *shape)], params, training=False).y
    (node,) = graph.nodes
    assert node.shape == (MOMENTS, *expected.shape[1:])
    frames = list(Walk(graph, flat).forward([clips]))
    np.testing.assert_array_equal(frames[-1][0].y.reshape(expected.shape), expected)


def test_gradients_are_those_of_the_engine_in_float64() -> None:
    """Of the whole network, by differences of the loss along random directions."""
    layers = [entry for entry in network() if entry.part.name_in_config != "dropout"]
    with Pool(1) as pool:
        engine = engine_of(layers, pool, shape=SHAPE, dtype=np.float64, shard=4)
        given = random_batch(6, SHAPE)
        batch, trained = Fixed(given.x.astype(np.float64), given.targets), engine.graph.layout.trained
        engine.step([batch], 0)
        gradient, start_ = engine.grads[:trained].copy(), engine.params[:trained].copy()
        rng = np.random.default_rng(1)
        for _ in range(5):
            direction = rng.standard_normal(trained)
            losses = []
            for h in (1e-6, -1e-6):
                engine.params[:trained] = start_ + h * direction
                losses.append(engine.tally.mean_loss(engine.step([batch], 0)))
            slope = (losses[0] - losses[1]) / 2e-6
            assert slope == pytest.approx(float(gradient @ direction), rel=1e-5, abs=1e-7)


def test_clips_in_chunks_give_what_all_at_once_give(monkeypatch) -> None:
    shape, rng = (3, 4, 5, 4), np.random.default_rng(2)
    x = rng.standard_normal((6, *shape))
    layer = registry.make("layers", "conv3d", filters=4, kernel_size=3, padding=1, groups=2)
    params, dy = start(layer, shape), rng.standard_normal((6, 3, 4, 5, 4))
    whole = run(layer, [x], params, dy)
    monkeypatch.setattr(conv3d, "CHUNK_VALUES", 2 * 3 * 4 * 5 * 12)
    chunks = run(layer, [x], params, dy)
    np.testing.assert_allclose(chunks.y, whole.y, rtol=1e-12, atol=1e-12)
    for one, other in [(chunks.dxs[0], whole.dxs[0]), *((chunks.dp[k], whole.dp[k]) for k in whole.dp)]:
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([declared("dense", units=2)], "dense needs"),
        ([declared("conv3d", filters=2, kernel_size=(9, 1, 1))], "the input's time is 3"),
        ([declared("temporal_shift")], "parts 8 shifts nothing of 2 channels"),
        (
            [declared("max_pool3d", kernel_size=(3, 1, 1), name="a"), declared("add", from_=("a", "input"))],
            r"add needs clips of one length, got \(1, 6, 6, 2\) and \(3, 6, 6, 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_said(layers, message) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        graph_of(layers, SHAPE)
    assert "moments x height x width x channels" in str(error.value)

"""Small networks for the tests of graph, engine and trainer, made from plain descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cnntrain.config.fields import Declared
from cnntrain.config.schema import InitConfig, NodeOptions, TrainedOptions
from cnntrain.core import registry
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.errors import Mark
from cnntrain.engine.engine import Engine
from cnntrain.engine.fixed import Fixed as Fixed
from cnntrain.engine.pool import Pool
from cnntrain.network import build
from cnntrain.network.freezing import Stretch
from cnntrain.network.graph import Graph, weave
from cnntrain.network.tally import Tally
from cnntrain.ops.softmax import softmax
from cnntrain.trained.inference import Trained

OPTIONS = ("name", "from_", "init", "bias_init", "freeze", "lr_mult")


def declared(kind: str, **fields: Any) -> Declared:
    """An entry of a list of layers: `declared("conv2d", filters=3, kernel_size=3, name="stem")`."""
    folder = "layers" if kind in registry.parts("layers") else "structures"
    chosen = {name: fields.pop(name) for name in OPTIONS if name in fields}
    part = registry.make(folder, kind, **fields)
    options = TrainedOptions if part.options is TrainedOptions else NodeOptions
    return Declared(part, options(**chosen), Mark("test.yaml", 1, 1))


def everything(classes: int = 3) -> list[Declared]:
    """A network with a coupled node, dropout, residuals, branches, in-place chains and a node that feeds three."""
    d = declared
    conv = {"kernel_size": 3, "padding": "same"}
    left = (d("conv2d", filters=3, kernel_size=1), d("sigmoid"))
    right = (d("avg_pool2d", kernel_size=3, stride=1, padding=1),)
    return [
        d("conv2d", filters=4, name="stem", **conv),
        d("batch_norm"),
        d("relu", name="a"),
        d(
            "residual",
            body=(d("conv2d", filters=4, bias=False, **conv), d("batch_norm"), d("tanh"), d("dropout", rate=0.3)),
            activation=registry.make("layers", "relu"),
        ),
        d("max_pool2d", kernel_size=2),
        d("parallel", branches=(left, right), join="concat"),
        d("repeat", n=2, body=(d("conv2d", filters=5, **conv), d("batch_norm"), d("leaky_relu"))),
        d("flatten"),
        d("dropout", rate=0.2),
        d("dense", units=6),
        d("relu"),
        d("dense", units=classes),
    ]


def wide() -> list[Declared]:
    """Dense layers whose gradients are made by slices; the last slice of the second is shorter."""
    units = [declared("dense", units=units) for units in (515, 130, 3)]
    return [declared("flatten"), units[0], declared("relu"), units[1], declared("relu"), units[2]]


def plain(classes: int = 3) -> list[Declared]:
    """A network without coupled nodes: one segment."""
    d = declared
    return [
        d("conv2d", filters=4, kernel_size=3),
        d("relu"),
        d("max_pool2d", kernel_size=2),
        d("flatten"),
        d("dropout", rate=0.5),
        d("dense", units=classes),
    ]


def graph_of(layers: list[Declared], shape: Shape = (8, 8, 2), classes: int = 3) -> Graph:
    """The graph of a list of declared layers."""
    return weave(layers, shape, classes)


def engine_of(
    layers: list[Declared],
    pool: Pool,
    *,
    shape: Shape = (8, 8, 2),
    classes: int = 3,
    dtype: Any = np.float32,
    shard: int = 4,
    seed: int = 0,
    metrics: tuple[str, ...] = ("accuracy", "error"),
    trained: Mapping[str, Stretch] | None = None,
) -> Engine:
    """An engine with initialized parameters, cross-entropy and some metrics."""
    graph = graph_of(layers, shape, classes)
    tally = Tally(registry.make("losses", "cross_entropy"), [registry.make("metrics", m) for m in metrics], classes)
    engine = Engine(graph, tally, pool, seed=seed, dtype=dtype, shard=shard, trained=trained)
    init = InitConfig(
        weights=registry.make("initializers", "he_normal"), biases=registry.make("initializers", "normal")
    )
    build.initialize(graph, init, seed, engine.params)
    return engine


def random_batch(count: int, shape: Shape = (8, 8, 2), classes: int = 3, seed: int = 1) -> Fixed:
    """Normal pixels and random labels."""
    rng = np.random.default_rng(seed)
    return Fixed(rng.normal(size=(count, *shape)), rng.integers(0, classes, count))


def probabilities(trained: Trained, pixels: Array) -> Array:
    """What a trained classifier gives each class of images (n, h, w, c) as they are stored: (n, classes)."""
    return softmax(trained.outputs(pixels).astype(np.float64))[0]

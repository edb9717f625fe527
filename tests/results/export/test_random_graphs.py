"""Exports and warm starts of random graphs: each gives the outputs it gives here, or is refused by name.

Flattened images meet other features in every way the layers allow: side by side, added in any position, normalized by
groups, reshaped. PyTorch's part is played by a reference that walks the graph with the tensors of the file as they are,
images channels first, and knows nothing of how they were put in order.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.config.fields import Declared
from cnntrain.core import registry
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.errors import CheckpointError, UsageError
from cnntrain.engine.pool import Pool
from cnntrain.network import torch_layout
from cnntrain.network.graph import BATCH, Graph
from cnntrain.ops.trace import Trace, Value
from cnntrain.results.export.network import trace_graph, trace_transforms
from tests.results.export.test_formats import FORMATS, by_onnx, exported_of, in_order, onnx_or_skip
from tests.support.layers import run
from tests.support.networks import declared, engine_of, graph_of, random_batch

SEEDS = range(120)
SAMPLES = 4
ONE = ["relu", "tanh", "silu", "identity", "batch_norm", "layer_norm", "rms_norm", "scale", "softmax"]


class Maker:
    """A list of layers that grows by random ones."""

    def __init__(self, seed: int, names: Sequence[str] = ()) -> None:
        self.names = names or [f"n{number}" for number in range(99)]
        self.draws = random.Random(seed)
        self.layers: list[Declared] = []
        self.shapes: dict[str, Shape] = {}
        self.unread: list[str] = []
        shape = (self.draws.randint(1, 3), self.draws.randint(1, 3), self.draws.randint(1, 3))
        self.start = shape
        self.add("conv2d", filters=self.draws.choice((2, 4)), kernel_size=1)

    def add(self, kind: str, *inputs: str, **fields: Any) -> str:
        """Add a layer and return its name."""
        name = self.names[len(self.layers)]
        extra = {"from_": inputs if len(inputs) > 1 else inputs[0]} if inputs else {}
        shapes = [self.shapes[i] for i in inputs] or [self.start]
        self.shapes[name] = registry.make("layers", kind, **fields).output_shape(*shapes)
        self.layers.append(declared(kind, name=name, **extra, **fields))
        self.unread = [*(n for n in self.unread if n not in inputs), name]
        return name

    def grow(self) -> None:
        """Add one or two layers to a node."""
        node = self.draws.choice([*self.unread, *self.shapes])
        shape = self.shapes[node]
        size, draws = math.prod(shape), self.draws
        if len(shape) == 3:
            kind = draws.choice([*ONE, "conv2d", "global_avg_pool", *["flatten"] * 4, "reshape", "group_norm", "gate"])
        else:
            kind = draws.choice([*ONE, "dense", "group_norm", "prelu", *["add"] * 4, "multiply", "concat", "reshape"])
        if kind == "conv2d":
            self.add(kind, node, filters=draws.choice((2, 4)), kernel_size=1)
        elif kind == "dense":
            self.add(kind, node, units=draws.randint(1, 6), bias=draws.random() < 0.5)
        elif kind == "group_norm":
            channels = shape[-1]
            self.add(kind, node, groups=draws.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        elif kind == "prelu":
            self.add(kind, node, shared=draws.random() < 0.5)
        elif kind == "reshape":
            self.add(kind, node, shape=draws.choice([(size,), (1, 1, size), (size, 1, 1), self.start, shape[::-1]]))
        elif kind == "gate":
            self.add("multiply", *draws.sample([node, self.add("dense", self.features(node), units=shape[-1])], 2))
        elif kind in ("add", "multiply", "concat"):
            others = [
                n for n, s in self.shapes.items() if len(s) == 1 and n != node and (s == shape or kind == "concat")
            ]
            other = draws.choice([*others, ""]) or self.add("dense", node, units=size)
            self.add(kind, *draws.sample([node, other], 2))
        else:
            self.add(kind, node)

    def features(self, node: str) -> str:
        return node if len(self.shapes[node]) == 1 else self.add("flatten", node)

    def finish(self) -> list[Declared]:
        """Bring all that nothing reads together."""
        ends = [self.features(node) for node in list(self.unread)]
        end = ends[0] if len(ends) == 1 else self.add("concat", *ends)
        if self.draws.random() < 0.9:
            self.add("dense", end, units=3)
        return self.layers


def made(seed: int, names: Sequence[str] = ()) -> tuple[list[Declared], Shape]:
    maker = Maker(seed, names)
    for _ in range(maker.draws.randint(2, 9)):
        try:
            maker.grow()
        except ValueError:  # the layer does not take this shape
            continue
    return maker.finish(), maker.start


def network(seed: int, names: Sequence[str] = ()) -> tuple[Graph, list[dict[str, Array]], Array, Array]:
    """A graph with random parameters, images, and its outputs for them."""
    layers, shape = made(seed, names)
    with Pool(1) as pool:
        engine = engine_of(layers, pool, shape=shape, shard=SAMPLES, seed=seed)
        rng = np.random.default_rng(seed)
        for view in engine.graph.layout.views(engine.params).values():
            view[...] = rng.uniform(0.2, 1, view.shape) * (rng.choice((-1, 1), view.shape) if view.ndim > 1 else 1)
        batch = random_batch(SAMPLES, shape, 1, seed)
        x = np.empty((SAMPLES, *shape), np.float32)
        batch.fill(0, SAMPLES, x)
        params = [dict(engine.node_params(index)) for index in range(len(engine.graph.nodes))]
        return engine.graph, params, x, engine.outputs(batch)


def as_pytorch(graph: Graph, tensors: dict[str, Array], x: Array) -> Array:
    """What modules of the nodes' names compute with the tensors of a file, images (n, channels, height, width)."""
    values = {BATCH: x.transpose(0, 3, 1, 2).astype(np.float64)}
    for index, node in enumerate(graph.nodes):
        inputs, kind = [values[source] for source in node.inputs], node.layer.name_in_config
        if kind in ("flatten", "reshape"):
            shape = node.shape if len(node.shape) == 1 else (node.shape[2], *node.shape[:2])
            values[index] = inputs[0].reshape(len(x), *shape)
            continue
        params = {}
        for name in node.params:
            array = tensors[f"{node.name}.{torch_layout._CALLED.get(name, name)}"].astype(np.float64)
            params[name] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        ours = [np.ascontiguousarray(np.moveaxis(value, 1, -1)) for value in inputs]
        values[index] = np.moveaxis(run(node.layer, ours, params, training=False).y, -1, 1)
    found = values[len(graph.nodes) - 1]
    return np.moveaxis(found, 1, -1)


def close(found: Array, expected: Array, tolerance: float = 1e-4) -> bool:
    return bool(np.abs(found - expected).max() <= tolerance * max(float(np.abs(expected).max()), 1.0))


def proven(seed: int) -> bool:
    """Whether the file of a graph computes the same in PyTorch's order; False where it was refused by name."""
    import safetensors.numpy

    graph, params, x, expected = network(seed)
    named = {f"{node.name}.{n}": a for node, of in zip(graph.nodes, params, strict=True) for n, a in of.items()}
    try:
        data = torch_layout.write(graph, named, {})
    except UsageError as refused:
        error = str(refused)
    else:
        error = ""
    if error:
        assert any(error.startswith(f"{node.name} ({node.layer.name_in_config}, ") for node in graph.nodes)
        return False
    assert close(as_pytorch(graph, safetensors.numpy.load(data), x), expected), f"seed {seed}"
    back = torch_layout.parameters(Path("a.safetensors"), data, graph)
    assert back.keys() == named.keys()
    for name, array in named.items():
        np.testing.assert_array_equal(back[name], array)
    return True


def test_safetensors_of_random_graphs_compute_the_same_or_are_refused_by_name():
    pytest.importorskip("safetensors", reason="comes with the extra `safetensors`")
    found = [proven(seed) for seed in SEEDS]
    assert found.count(True) > len(found) / 2
    assert found.count(False) > len(found) / 20


@pytest.mark.parametrize(("computed", "_tolerance"), FORMATS)
def test_other_formats_of_random_graphs_compute_the_same(computed, _tolerance):
    if computed is by_onnx:
        onnx_or_skip()
    for seed in SEEDS:
        graph, params, x, expected = network(seed)
        for fold in (False, True):
            trace, images = Trace(), Value("images", graph.input_shape)
            output = trace_graph(trace, graph, params, images, fold)
            found = in_order(computed, computed(exported_of(trace, images, output), x))
            assert close(found, expected), f"seed {seed}"


TAKEN = [  # what formats call other things, or Python does
    *("images", "scale_1", "normalize_2", "transforms", "layers", "number", "number_1", "axes_1", "shape_1", "count_1"),
    *("first", "last", "plain", "mean", "1", "2", "weight", "bias", "np", "WEIGHTS", "forward", "windows", "class"),
    *("transforms_scale_1", "layers_images", "a-b", "a_b", "_1", "-", "output", "again"),
]


@pytest.mark.parametrize(("computed", "_tolerance"), FORMATS)
def test_a_layer_may_have_any_name(computed, _tolerance):
    """That of the input, of a transform, or of what a format needs besides."""
    if computed is by_onnx:
        onnx_or_skip()
    for seed in range(30):
        graph, params, x, expected = network(seed, random.Random(seed).sample(TAKEN, len(TAKEN)))
        mean, std = (0.5,) * graph.input_shape[2], (2.0,) * graph.input_shape[2]
        transforms = [
            registry.make("transforms", "scale", low=-1, high=1, data_range=(0, 1)),
            registry.make("transforms", "normalize", mean=mean, std=std),
        ]
        trace, images = Trace(), Value("images", graph.input_shape)
        output = trace_graph(trace, graph, params, trace_transforms(trace, images, transforms))
        pixels = ((x * 2 + 0.5) + 1) / 2  # which the transforms make x of
        found = in_order(computed, computed(exported_of(trace, images, output), pixels))
        assert close(found, expected), f"seed {seed}"


FLAT = [declared("conv2d", filters=4, kernel_size=1, name="a"), declared("flatten", name="f")]
CASES = {
    "concat of flattens": [
        *FLAT,
        declared("conv2d", filters=3, kernel_size=1, name="b", from_="a"),
        declared("flatten", name="g"),
        declared("concat", from_=("g", "f")),
    ],
    "flattened first": [*FLAT, declared("dense", units=24, name="d"), declared("add", from_=("f", "d"))],
    "flattened second": [*FLAT, declared("dense", units=24, name="d"), declared("add", from_=("d", "f"))],
    "both, through others": [
        *FLAT,
        declared("dense", units=24, name="d"),
        declared("batch_norm"),
        declared("relu", name="r"),
        declared("dense", units=24, name="e", from_="f"),
        declared("add", from_=("r", "e"), name="s"),
        declared("multiply", from_=("s", "f")),
    ],
    "norms": [*FLAT, declared("layer_norm"), declared("rms_norm"), declared("scale"), declared("prelu", shared=False)],
    "one group": [*FLAT, declared("group_norm", groups=1)],
    "reshaped back": [*FLAT, declared("reshape", shape=(3, 2, 4)), declared("flatten")],
}
REFUSED = {
    "group_norm": [*FLAT, declared("group_norm", groups=2, name="x")],
    "reshape": [*FLAT, declared("reshape", shape=(3, 1, 8), name="x"), declared("flatten")],
    "flattens of two shapes": [
        *FLAT,
        declared("conv2d", filters=8, kernel_size=(1, 2), from_="a"),
        declared("flatten", name="g"),
        declared("add", from_=("g", "f")),
    ],
    "gate": [
        *FLAT,
        declared("reshape", shape=(1, 1, 24)),
        declared("global_avg_pool", name="g"),
        declared("multiply", from_=("g", "f"), name="m"),
    ],
}
END = [declared("dense", units=3)]


@pytest.mark.parametrize("name", CASES)
def test_flattened_features_that_meet_others(name, monkeypatch):
    pytest.importorskip("safetensors", reason="comes with the extra `safetensors`")
    monkeypatch.setattr("tests.results.export.test_random_graphs.made", lambda *_: ([*CASES[name], *END], (3, 2, 2)))
    assert proven(0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_pytorchs_order_does_not_allow_is_refused(name, monkeypatch):
    pytest.importorskip("safetensors", reason="comes with the extra `safetensors`")
    monkeypatch.setattr("tests.results.export.test_random_graphs.made", lambda *_: ([*REFUSED[name], *END], (3, 2, 2)))
    assert not proven(0)


def test_outputs_that_would_be_in_another_order_are_refused(monkeypatch):
    pytest.importorskip("safetensors", reason="comes with the extra `safetensors`")
    monkeypatch.setattr("tests.results.export.test_random_graphs.made", lambda *_: (FLAT, (3, 2, 2)))
    assert not proven(0)


@pytest.mark.parametrize("name", REFUSED)
def test_a_warm_start_of_such_a_network_is_refused_too(name):
    library = pytest.importorskip("safetensors.numpy", reason="comes with the extra `safetensors`")
    graph = graph_of([*REFUSED[name], *END], (3, 2, 2))
    data = library.save({"a.weight": np.zeros((4, 2, 1, 1), np.float32)})
    with pytest.raises(
        CheckpointError, match=r"cannot be read into this network: \w+ \(\w+, test\.yaml:1:1\) cannot be"
    ):
        torch_layout.parameters(Path("a.safetensors"), data, graph)

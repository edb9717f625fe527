"""A batch norm in evaluation is taken over by the layer before it: where that is so, and that it gives the same."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.engine.passes import Passes
from cnntrain.engine.pool import Pool
from cnntrain.network.folding import absorbed, without
from tests.support.networks import declared as d
from tests.support.networks import engine_of, graph_of, random_batch

SAME = {"kernel_size": 3, "padding": "same"}


def _conv(name: str, **keys) -> object:
    return d("conv2d", filters=4, **SAME, name=name, **keys)


BRANCHES = [
    _conv("a", bias=False),
    d("batch_norm", name="taken"),
    d("relu"),
    _conv("b"),
    d("batch_norm", name="taken_too", affine=False),
    _conv("c"),
    d("relu", name="r"),
    d("batch_norm", name="behind_a_relu"),
    _conv("read_twice"),
    d("batch_norm", name="of_what_is_read_twice"),
    d("add", from_=("read_twice", "of_what_is_read_twice"), name="sum"),
    d("conv2d", filters=4, kernel_size=3, padding="same", groups=4, name="depthwise"),
    d("batch_norm", name="frozen", freeze=True),
    d("flatten"),
    d("dense", units=3, name="head"),
    d("batch_norm", name="last"),
]


def test_what_nobody_else_reads_and_what_absorbs_a_scale():
    graph = graph_of(BRANCHES)
    names = {graph.nodes[index].name: graph.nodes[source].name for index, source in absorbed(graph).items()}
    assert names == {"taken": "a", "taken_too": "b", "frozen": "depthwise", "last": "head"}
    left = without(graph)
    assert [node.name for node in left.nodes] == [node.name for node in graph.nodes if node.name not in names]
    assert left.shard == graph.shard
    assert left.nodes[0].params.keys() == {"weight", "bias"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_evaluation_is_what_the_layers_say_one_by_one(dtype):
    batch = random_batch(7)
    with Pool(2) as pool:
        engine = engine_of(BRANCHES, pool, dtype=dtype)
        rng = np.random.default_rng(0)
        for _ in range(2):  # parameters that change in between are seen
            for entry in engine.graph.layout.entries.values():
                view = engine.graph.layout.view(engine.params, entry)
                view[...] = rng.uniform(0.5, 2, view.shape)
            expected = _one_by_one(engine, batch.x.astype(dtype))
            tolerance = 2e-5 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(engine.outputs(batch), expected, rtol=tolerance)


def _one_by_one(engine, x):
    outputs = {-1: x}
    views = engine.graph.layout.views(engine.params)
    for index, node in enumerate(engine.graph.nodes):
        passes = Passes(node.layer, engine.graph.input_shapes(index), training=False, trained=False)
        params = {name: views[f"{node.name}.{name}"] for name in node.params}
        inputs = tuple(outputs[source] for source in node.inputs)
        (frame,) = passes.forward([inputs], params, lambda _shard: np.random.default_rng(0))
        outputs[index] = frame.y
    return outputs[len(engine.graph.nodes) - 1]

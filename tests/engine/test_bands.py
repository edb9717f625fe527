"""Workers that share a picture compute what one computes, in whatever order they come, or leave it to one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from cnntrain.config.fields import Declared
from cnntrain.config.schema import NodeOptions, TrainedOptions
from cnntrain.core import registry
from cnntrain.core.arrays import Param
from cnntrain.core.errors import Mark
from cnntrain.engine import bands as bands_module
from cnntrain.engine import few
from cnntrain.engine.bands import ALIGN, Banded, Bands
from cnntrain.engine.engine import Engine
from cnntrain.engine.pool import Pool
from cnntrain.engine.team import Together
from cnntrain.parts.layers.activations import Activation
from cnntrain.parts.layers.base import Layer, RowBand
from cnntrain.parts.layers.conv2d import Conv2d
from tests.support.networks import Fixed, declared, engine_of, everything, graph_of, random_batch

SHAPE = (29, 10, 2)


def photograph() -> list:
    """Strided and dilated kernels, pools, Winograd's tiles, joins of several sizes, and a head that takes the whole."""
    d = declared
    attention = (d("global_avg_pool"), d("dense", units=6), d("sigmoid"))
    return [
        d("conv2d", filters=4, kernel_size=7, stride=2, padding=3),
        d("max_pool2d", kernel_size=3, stride=2, padding=1),
        d("conv2d", filters=6, kernel_size=3, padding=1, algorithm="winograd", name="first"),
        d("residual", body=(d("conv2d", filters=6, kernel_size=3, padding="same"), d("prelu"), d("lrn"))),
        d("parallel", branches=((d("identity"),), attention), join="multiply"),
        d("upsample"),
        d("parallel", branches=((d("avg_pool2d", kernel_size=3, stride=1, padding=1),), (d("tanh"),)), join="concat"),
        d("depthwise_conv2d", kernel_size=3, padding=2, dilation=2),
        d("group_norm", groups=2),
        d("conv2d", filters=5, kernel_size=5, padding=2, algorithm="winograd"),
        d("max_pool2d", kernel_size=2, ceil_mode=True),
        d("flatten"),
        d("dense", units=3),
    ]


class Ordered(Together):
    """Workers that come one after the other, in an order of their own in each segment."""

    def __init__(self, threads: int, seed: int) -> None:
        self.threads, self._rng = threads, np.random.default_rng(seed)

    def each(self, task) -> None:
        for worker in self._rng.permutation(self.threads):
            task(int(worker))


def settled(pool: Pool, layers: list, shape=SHAPE, dtype=np.float32, shard: int = 1) -> Engine:
    engine = engine_of(layers, pool, shape=shape, dtype=dtype, shard=shard)
    engine.settle()
    return engine


def banded(engine: Engine, workers: int) -> Banded:
    graph = engine._folded.graph
    return Banded(Bands(graph, workers), engine.plans[False], engine._made_of_params, engine._folded.params)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("network", [photograph, everything])
@pytest.mark.parametrize("height", [29, 40, 61])
def test_every_row_of_every_layer_is_that_of_the_whole_picture(network, workers, height):
    shape = (height, *SHAPE[1:])
    with Pool(1) as pool:
        engine = settled(pool, network(), shape, np.float64)
        picture = random_batch(1, shape)
        expected: dict[int, np.ndarray] = {}
        engine.outputs(picture)  # makes what is made of the parameters
        few._watched(engine._evaluation, picture, pool, lambda i, y: expected.update({i: y[0].copy()}))
        shared = banded(engine, workers)
        assert len(shared.bands.segments) > 1 or workers == 1
        for seed in range(3):
            seen = {i: np.full_like(y, np.nan) for i, y in expected.items()}

            def look(node, rows, y, seen=seen):
                seen[node][rows] = y[0]

            outputs: list[np.ndarray] = []
            shared.run(picture, Ordered(workers, seed), lambda _at, y, _targets, to=outputs: to.append(y.copy()), look)
            for i, y in seen.items():
                np.testing.assert_allclose(y, expected[i], rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(outputs[0][0], expected[max(expected)], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_rows_of_all_workers_are_all_rows_and_begin_with_a_tile(workers):
    graph = graph_of(photograph(), (64, 64, 2))
    for node, shares in zip(graph.nodes, Bands(graph, workers).shares, strict=True):
        stops = [share.rows.stop for share in shares]
        assert [share.rows.start for share in shares] == [0, *stops[:-1]]
        assert stops[-1] == node.shape[0]
        assert all(stop % ALIGN == 0 for stop in stops[:-1])
    first = next(i for i, node in enumerate(graph.nodes) if node.name == "first")
    assert len(Bands(graph, workers).shares[first]) == min(workers, 4)


def test_nobody_reads_what_another_makes_in_the_same_segment():
    graph = graph_of(photograph(), (64, 64, 2))
    bands = Bands(graph, 3)
    for segment in bands.segments:
        made = {(share.node, worker): share.rows for worker, own in enumerate(segment) for share in own}
        for worker, share in ((worker, share) for worker, own in enumerate(segment) for share in own):
            for source, read in zip(graph.nodes[share.node].inputs, share.band.reads, strict=True):
                others = [rows for (node, who), rows in made.items() if node == source and who != worker]
                assert all(read.stop <= rows.start or rows.stop <= read.start for rows in others)


def asked(engine: Engine, times: int) -> list[np.ndarray]:
    picture = random_batch(1, SHAPE)
    return [engine.outputs(picture) for _ in range(times)]


@pytest.fixture
def shared(monkeypatch) -> list[bool]:
    """Each time that workers share a picture: whether they were watched, to compare bits."""
    seen: list[bool] = []
    run = Banded.run

    def noting(self, batch, team, collect, look=None):
        seen.append(look is not None)
        run(self, batch, team, collect, look)

    monkeypatch.setattr(Banded, "run", noting)
    monkeypatch.setattr(bands_module, "LEAST_WORK", 0)
    return seen


@pytest.mark.parametrize("shard", [1, 4])
def test_a_picture_is_shared_from_the_third_time_on_where_bits_are_those_of_one_worker(shard, shared):
    """Of one pixel's channels alone, whose bits depend on no number of rows."""
    layers = [declared("relu"), declared("max_pool2d", kernel_size=3, stride=1, padding=1), declared("global_avg_pool")]
    with Pool(2) as pool:
        found = asked(settled(pool, [*layers, declared("softmax")], shard=shard), 4)
    assert shared == [True, False, False]
    assert all(np.array_equal(found[0], outputs) for outputs in found)


def test_where_a_bit_of_any_row_differs_one_worker_goes_on(shared, monkeypatch):
    relu = type(registry.make("layers", "relu"))
    forward = relu.forward

    def by_height(self, f) -> None:
        forward(self, f)
        if f.y.shape[1] < SHAPE[0]:
            f.y[0, -1, -1, -1] += 1

    monkeypatch.setattr(relu, "forward", by_height)
    with Pool(2) as pool:
        found = asked(settled(pool, [declared("relu"), declared("global_avg_pool"), declared("dense", units=3)]), 4)
    assert shared == [True]
    assert all(np.array_equal(found[0], outputs) for outputs in found)


@pytest.mark.parametrize(
    ("threads", "settles", "work"), [(1, True, 0), (2, False, 0), (2, True, 1e12)], ids=["one", "unsettled", "little"]
)
def test_it_is_for_settled_networks_with_much_work_and_several_workers(threads, settles, work, shared, monkeypatch):
    monkeypatch.setattr(bands_module, "LEAST_WORK", work)
    with Pool(threads) as pool:
        engine = engine_of(photograph(), pool, shape=SHAPE)
        if settles:
            engine.settle()
        asked(engine, 3)
    assert not shared


@pytest.mark.parametrize("network", [photograph, everything])
def test_outputs_have_the_same_bits_however_often_they_are_asked_for(network, shared):
    batch = random_batch(9, SHAPE)
    with Pool(3) as pool:
        engine = settled(pool, network(), shard=4)
        whole = engine.outputs(batch)
        for count in itertools.chain.from_iterable([n] * 3 for n in (1, 2, 3, 5, 8, 1)):
            part = Fixed(batch.x[:count], batch.targets[:count])
            assert np.array_equal(engine.outputs(part), whole[:count])
    assert shared


class Twice(Layer):
    """The picture twice, one below the other, of which each worker wrongly says that it reads its own rows."""

    name_in_config = "twice"

    def output_shape(self, *inputs):
        return 2 * inputs[0][0], *inputs[0][1:]

    def band(self, rows, *inputs):
        return RowBand(self, (slice(0, inputs[0][0]),))

    def forward(self, f) -> None:
        np.copyto(f.y, np.concatenate([f.x, f.x], axis=1))


class Scaled(Activation):
    """Over the whole picture, though an activation has it that a row is made of the same row alone."""

    name_in_config = "scaled"

    def forward(self, f) -> None:
        np.divide(f.x, np.abs(f.x).max(), out=f.y)


class Masked(Activation):
    """With a parameter of the picture's shape, of which a worker would need its rows."""

    name_in_config = "masked"

    def params(self, *inputs):
        return {"mask": Param(inputs[0], "norm", start=2)}

    def forward(self, f) -> None:
        np.multiply(f.x, f.p["mask"], out=f.y)


class Bordered(Conv2d):
    """Which has a padding of its own, whatever it is told."""

    name_in_config = "bordered"

    def kernel(self, shape):
        return Conv2d(filters=2, kernel_size=3, padding=1).kernel(shape)

    def plan(self, shape):
        return Conv2d(filters=2, kernel_size=3, padding=1).plan(shape)


@dataclass(frozen=True)
class Counted(Conv2d):
    """With a field that nobody sets."""

    name_in_config = "counted"

    made: int = field(init=False, default=1)

    def band(self, rows, *inputs):
        replace(self, made=2)


@pytest.mark.parametrize(
    "layer", [Twice(), Scaled(), Masked(), Bordered(filters=2, kernel_size=3), Counted(filters=2, kernel_size=3)]
)
def test_layers_of_users_that_say_what_is_not_so_are_left_to_one(layer, shared):
    options = NodeOptions if isinstance(layer, Twice | Scaled) else TrainedOptions
    picture = random_batch(1, SHAPE)
    layers = [declared("relu"), Declared(layer, options(), Mark("test.yaml", 1, 1)), declared("global_avg_pool")]
    with Pool(2) as pool:
        engine = settled(pool, [*layers, declared("dense", units=3)])
        first = engine.outputs(picture)
        for _ in range(3):
            engine.outputs(Fixed(np.ones_like(picture.x), picture.targets))
            assert np.array_equal(engine.outputs(picture), first)


def test_clips_are_left_to_one(shared):
    clip = random_batch(1, (3, 16, 16, 2))
    layers = [declared("conv2d", filters=3, kernel_size=3), declared("flatten"), declared("dense", units=3)]
    with Pool(2) as pool:
        engine = settled(pool, layers, (3, 16, 16, 2))
        assert all(np.array_equal(engine.outputs(clip), engine.outputs(clip)) for _ in range(3))
    assert not shared

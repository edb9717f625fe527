"""What is quickly made again is not kept: it takes less memory, and no bit changes."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.engine import plan as plan_module
from cnntrain.engine.plan import Plan
from cnntrain.engine.pool import Pool
from tests.support.networks import declared, engine_of, everything, graph_of, random_batch


def _conv(name=None, filters=6, **fields):
    return declared("conv2d", filters=filters, kernel_size=3, padding=1, name=name, **fields)


def _norm(name, **fields):
    return declared("batch_norm", name=name, **fields)


def _head(*layers):
    return [*layers, declared("global_avg_pool"), declared("dense", units=3)]


def _usual():
    """The order of ResNet, with a dropout in between that keeps nothing of what it reads."""
    return _head(
        *(_conv(), _norm("n1"), declared("relu", name="r1"), _conv(), _norm("n2"), declared("leaky_relu", name="r2")),
        *(declared("dropout", rate=0.3), _conv(), _norm("n3"), declared("tanh", name="t3"), _conv()),
        *(_norm("n4"), declared("relu"), _conv()),  # no shard waits for another between this one's passes
    )


def _before():
    """Norms before convolutions, as in DenseNet: of joined branches, and one whose output two layers read."""
    grown = (_norm("n1"), declared("relu6", name="r1"), _conv())
    return _head(
        *(_conv(), declared("parallel", branches=((declared("identity"),), grown), join="concat")),
        *(_norm("n2"), declared("parallel", branches=((_conv(),), (_conv(),)), join="concat"), _norm("n3"), _conv()),
        _norm("n4"),
    )


def _odd():
    """Norms of norms and of ReLUs, of the images themselves, frozen ones, and one above frozen layers."""
    return _head(
        *(_norm("n0"), _conv(), declared("relu"), _norm("n1"), declared("relu", name="r1"), _norm("n2"), _conv()),
        *(_norm("n3", freeze=True), declared("relu", name="r3"), _conv(), _norm("n4")),
    )


def _frozen():
    """Only the last convolution and what follows it are trained."""
    return _head(
        *(_conv(freeze=True), _norm("n1", freeze=True), declared("relu"), _conv(), _norm("n2"), declared("relu")),
        *(_conv(), _norm("n3")),
    )


NETWORKS = {
    _usual: {"n1", "r1", "n2", "r2"},
    _before: {"parallel_1.2.n1", "parallel_1.2.r1", "n2", "n3"},
    _odd: {"n0", "n1", "r1", "n3", "r3"},
    _frozen: {"n2", "relu_2"},
}


def _trained(layers, threads=2):
    """Parameters and gradients after two steps of two batches, what was computed again, and what a shard takes."""
    again = set()
    with Pool(threads) as pool:
        engine = engine_of(layers, pool)
        names = [node.name for node in engine.graph.nodes]
        engine.watch = lambda call, _seconds: again.add(names[call.node]) if call.do == "recompute" else None
        for step in range(2):
            engine.step([random_batch(10), random_batch(9)], step)
            engine.params -= np.float32(0.1) * engine.grads
        return (engine.params.copy(), engine.grads.copy()), again, engine.plans[True].shard_bytes


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("network", [*NETWORKS, everything])
def test_no_bit_changes(network, threads, monkeypatch):
    monkeypatch.setattr(plan_module, "MUCH_WORK", 0)
    found, again, less = _trained(network(), threads)
    monkeypatch.setattr(plan_module, "MUCH_WORK", np.inf)
    expected, nothing, more = _trained(network(), threads)
    assert again
    assert not nothing
    assert less <= more
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_computed_again(network, monkeypatch):
    monkeypatch.setattr(plan_module, "MUCH_WORK", 0)
    assert _trained(network())[1] == NETWORKS[network]


def test_it_lies_in_the_memory_of_the_worker_where_it_was_kept_for_each_shard(monkeypatch):
    graph, sizes = graph_of(_head(_conv(), _norm("n"), declared("relu"), _conv(), _norm("m"))), []
    for much_work in (np.inf, 0):
        monkeypatch.setattr(plan_module, "MUCH_WORK", much_work)
        plan = Plan(graph, 4, np.dtype(np.float32), True)
        sizes.append((plan.places["y", 1, ""].owner, plan.places["y", 2, ""].owner, plan.shard_bytes))
    (*kept, most), (*again, least) = sizes
    assert kept == ["shard", "shard"]
    assert again == ["worker", "worker"]
    assert most - least == 4 * 8 * 8 * 6 * 4


def test_beside_little_work_it_is_kept():
    """A 3x3 convolution of 6 channels makes 108 operations for each output: two are as many as 200, one is not."""
    end = _norm("m"), declared("relu")
    much, little = (_head(_conv(), _norm("n"), declared("relu"), *rest, *end) for rest in ((_conv(),), ()))
    for layers, chain in ((much, 2), (little, 0)):
        plan = Plan(graph_of(layers, (8, 8, 6)), 4, np.dtype(np.float32), True)
        assert [call.do for segment in plan.segments for call in segment].count("recompute") == chain

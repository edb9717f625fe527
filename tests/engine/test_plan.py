"""The plan: buffers alive at the same time never overlap, and sharing memory saves most of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnntrain.engine.plan import Plan
from cnntrain.network.graph import BATCH
from cnntrain.ops import columns
from tests.support.counting import instructions
from tests.support.networks import declared, everything, graph_of, plain


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("network", [everything, plain])
def test_buffers_alive_at_the_same_time_do_not_overlap(network, training, monkeypatch):
    seen = {}
    original = Plan._place

    def spy(self, lives):
        seen["lives"] = list(lives)
        return original(self, lives)

    monkeypatch.setattr(Plan, "_place", spy)
    plan = Plan(graph_of(network()), 4, np.dtype(np.float32), training)
    lives = seen["lives"]
    assert len(lives) > 5
    for a, b in itertools.combinations(lives, 2):
        place_a, place_b = plan.places[a.key], plan.places[b.key]
        together = not _calls(a).isdisjoint(_calls(b))
        if together and place_a.owner == place_b.owner:
            assert place_a.offset + a.size <= place_b.offset or place_b.offset + b.size <= place_a.offset


def _calls(life):
    return {time for start, stop in life.spans for time in range(start, stop + 1)}


def test_segments_split_at_coupled_nodes_both_ways():
    plan = Plan(graph_of(everything()), 4, np.dtype(np.float32), True)
    assert len(plan.segments) == 2 * 4 + 1
    assert plan.segments[0][-1].do == "partial"
    middle = [call.do for call in plan.segments[4]]
    assert "loss" in middle
    assert middle[-1] == "partial_back"
    evaluation = Plan(graph_of(everything()), 4, np.dtype(np.float32), False)
    assert len(evaluation.segments) == 1
    assert evaluation.shard_bytes == 0


def test_without_coupled_nodes_nothing_belongs_to_a_shard():
    plan = Plan(graph_of(plain()), 4, np.dtype(np.float32), True)
    assert plan.shard_bytes == 0


def test_elementwise_layers_work_in_place():
    layers = [
        declared("conv2d", filters=4, kernel_size=3),
        declared("relu"),
        declared("flatten"),
        declared("dense", units=3),
    ]
    plan = Plan(graph_of(layers), 4, np.dtype(np.float32), True)
    assert plan.places["y", 0, ""] == plan.places["y", 1, ""]
    assert plan.places["dy", 0, ""] == plan.places["dy", 1, ""]
    evaluation = Plan(graph_of(layers), 4, np.dtype(np.float32), False)
    sizes = [np.prod(node.shape) for node in graph_of(layers).nodes]
    assert evaluation.worker_bytes < sum(sizes) * 4 * 4


def test_no_gradient_is_made_for_the_input_or_below_frozen_layers():
    layers = [
        declared("conv2d", filters=3, kernel_size=3, freeze=True),
        declared("relu"),
        declared("flatten"),
        declared("dense", units=3),
    ]
    plan = Plan(graph_of(layers), 4, np.dtype(np.float32), True)
    assert plan.wants == (False, False, False, True)
    assert not plan.wants_gradient(BATCH)
    assert [call.node for segment in plan.segments for call in segment if call.do == "backward"] == [3]


def test_the_scratch_of_every_shorter_shard_fits(monkeypatch):
    """Eight images of 12x12x75 columns go in two chunks of four, six go in one: the shorter shard needs more."""
    monkeypatch.setattr(columns, "CHUNK_VALUES", 128 * 1024)
    monkeypatch.setattr(columns, "FIELD_VALUES", 1)
    layers = [declared("conv2d", filters=6, kernel_size=5, padding=2), declared("relu")]
    plan = Plan(graph_of([declared("conv2d", filters=6, kernel_size=1), *layers], (12, 12, 3)), 8, np.dtype("f4"), True)
    whole, shorter = (sum(np.prod(shape) for shape, _ in plan.workspace(1, n).scratch.values()) for n in (8, 6))
    assert whole < shorter
    assert 4 * shorter <= plan.scratch_bytes


@pytest.mark.parametrize("layers", [("conv2d", "relu"), ("conv2d", "batch_norm", "relu")], ids=["plain", "coupled"])
def test_lifetimes_take_twice_as_long_in_a_network_twice_as_deep(layers):
    """Not four times: each call belongs to one node, and a segment is told by its ends."""

    def work(blocks: int) -> int:
        keys = {"conv2d": {"filters": 2, "kernel_size": 3, "padding": "same"}}
        parts = [declared(name, **keys.get(name, {})) for _ in range(blocks) for name in layers]
        graph = graph_of([*parts, declared("global_avg_pool"), declared("dense", units=3)])
        return instructions(lambda: Plan(graph, 4, np.dtype(np.float32), True), "Plan._lives")

    assert work(40) < 2.3 * work(20)

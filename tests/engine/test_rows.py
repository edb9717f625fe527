"""Rows: every gradient written once a shard, added up in a fixed order, in a few vectors used over and over."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from cnntrain.arrays import Array, aligned, tree_sum
from cnntrain.engine.plan import Plan
from cnntrain.engine.pool import Pool
from cnntrain.engine.rows import Group, Row, groups_of
from tests.support.networks import declared, everything, graph_of, plain

d = declared
LAYERS = [
    d("conv2d", filters=3, kernel_size=3, name="still", freeze=True),
    d("conv2d", filters=3, kernel_size=3, name="one"),
    d("batch_norm", name="norm"),
    d("conv2d", filters=3, kernel_size=1, name="two"),
    d("batch_norm", name="frozen_norm", freeze=True),
    d("batch_norm", name="last_norm"),
    d("flatten"),
    d("dense", units=3, name="head"),
]


def plan_of(layers: list) -> Plan:
    return Plan(graph_of(layers), 4, np.dtype(np.float32), True)


def fill(row: Row, shard: int) -> None:
    """What shard number `shard` contributes; the rest of the vector is of no matter."""
    row.vector.fill(np.nan)
    rng = np.random.default_rng(shard)
    for views in row.views.values():
        for view in views.values():
            view[...] = rng.normal(size=view.shape)


def contribution(group: Group, shard: int) -> dict[tuple[int, str], Array]:
    row = group.take()
    fill(row, shard)
    return {(i, name): view.copy() for i, views in row.views.items() for name, view in views.items()}


def gradients(plan: Plan) -> dict[str, Array]:
    return plan.graph.layout.views(aligned(plan.graph.layout.size, np.float32))


@pytest.mark.parametrize("layers", [LAYERS, everything(), plain()], ids=["layers", "everything", "plain"])
def test_every_trained_parameter_is_in_exactly_one_group(layers):
    plan = plan_of(layers)
    found = []
    for group in groups_of(plan):
        row = group.take()
        found += [f"{plan.graph.nodes[i].name}.{name}" for i, views in row.views.items() for name in views]
        for views in row.views.values():
            for view in views.values():
                assert view.base is not None
                assert view.ctypes.data % 64 == 0
    layout = plan.graph.layout
    assert sorted(found) == sorted(name for name, entry in layout.entries.items() if entry.offset < layout.trained)


def test_a_group_lives_from_the_first_segment_that_writes_it_to_the_last():
    """Segments: 0 up to norm, 1 up to last_norm, 2 turns and goes back to last_norm, 3 back to norm, 4 the rest."""
    plan = plan_of(LAYERS)
    names = [node.name for node in plan.graph.nodes]
    assert len(plan.segments) == 5
    assert [([names[i] for i in group.nodes], group.first, group.last) for group in groups_of(plan)] == [
        (["head"], 2, 2),
        (["two"], 3, 3),
        (["one"], 4, 4),
        (["last_norm", "norm"], 2, 4),
    ]


def test_a_network_without_trained_parameters_has_no_groups():
    assert groups_of(plan_of([d("conv2d", filters=3, kernel_size=3, freeze=True), d("relu")])) == []


@pytest.mark.parametrize("count", [1, 2, 5, 8, 13])
def test_rows_are_added_up_in_the_order_of_the_tree_and_scaled(count):
    plan = plan_of(LAYERS)
    group = groups_of(plan)[2]
    expected = {
        key: tree_sum(contribution(groups_of(plan)[2], shard)[key] for shard in range(count)) * np.float32(0.25)
        for key in contribution(groups_of(plan)[2], 0)
    }
    for shard in np.random.default_rng(count).permutation(count).tolist():
        row = group.take()
        fill(row, shard)
        group.hand_in(shard, row)
    grads = gradients(plan)
    group.collect(grads, 0.25)
    for (i, name), value in expected.items():
        assert np.array_equal(grads[f"{plan.graph.nodes[i].name}.{name}"], value)
    assert not any(view.any() for name, view in grads.items() if not name.startswith("one."))


def test_rows_are_few_and_used_again():
    """About as many as workers and levels of the tree, however many shards and steps there are."""
    plan = plan_of(LAYERS)
    group = groups_of(plan)[0]
    made = set()
    lock = threading.Lock()

    def work(_worker: int, shard: int) -> None:
        row = group.take()
        with lock:
            made.add(id(row.vector))
        fill(row, shard)
        group.hand_in(shard, row)

    results = []
    with Pool(3) as pool:
        for _ in range(4):
            pool.run(64, work)
            grads = gradients(plan)
            group.collect(grads, 1.0)
            results.append({name: view.copy() for name, view in grads.items()})
    for found in results[1:]:
        assert all(np.array_equal(found[name], results[0][name]) for name in found)
    assert len(made) < 64 / 2


def test_in_order_a_step_of_one_worker_needs_a_row_for_each_level_of_the_tree():
    group = groups_of(plan_of(LAYERS))[0]
    made = set()
    for shard in range(64):
        row = group.take()
        made.add(id(row.vector))
        fill(row, shard)
        group.hand_in(shard, row)
    assert len(made) == 7  # one being written, one waiting at each of six levels


def test_after_a_step_that_failed_nothing_of_it_is_left():
    plan = plan_of(LAYERS)
    group = groups_of(plan)[0]
    for shard in (0, 1, 2, 5):
        row = group.take()
        fill(row, shard)
        group.hand_in(shard, row)
    unfinished = group.take()  # a worker had it when the step failed
    fill(unfinished, 6)
    group.reset()
    taken = {id(group.take().vector) for _ in range(4)}
    assert id(unfinished.vector) in taken
    group.reset()
    for shard in (0, 1):
        row = group.take()
        fill(row, 10 + shard)
        group.hand_in(shard, row)
    grads = gradients(plan)
    group.collect(grads, 1.0)
    first, second = (contribution(groups_of(plan)[0], 10 + shard) for shard in (0, 1))
    for (i, name), value in first.items():
        assert np.array_equal(grads[f"{plan.graph.nodes[i].name}.{name}"], value + second[i, name])

"""Rows: every gradient written once a shard, added up in a fixed order, in a few vectors used over and over."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.arrays import Array, aligned, tree_blocks, tree_sum
from cnntrain.engine.plan import Plan
from cnntrain.engine.roster import Roster, shares_of
from cnntrain.engine.rows import Bucket, GradientRow, buckets_of, depth, prepare, row_values
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


def fill(row: GradientRow, shard: int) -> None:
    """What shard number `shard` contributes; the rest of the vector is of no matter."""
    row.vector.fill(np.nan)
    rng = np.random.default_rng(shard)
    for views in row.views.values():
        for view in views.values():
            view[...] = rng.normal(size=view.shape)


def prepared(plan: Plan, number: int, workers: int, most: int) -> Bucket:
    bucket = buckets_of(plan)[number]
    prepare([bucket], Roster((workers,)), workers * most, plan.dtype)
    return bucket


def contribution(plan: Plan, number: int, shard: int) -> dict[str, Array]:
    row = prepared(plan, number, 1, 1).take(0, 0)
    fill(row, shard)
    nodes = plan.graph.nodes
    return {f"{nodes[i].name}.{name}": view.copy() for i, views in row.views.items() for name, view in views.items()}


def work(bucket: Bucket, first: int, shares: list[tuple[int, int]]) -> None:
    """Hand in one batch, worker by worker."""
    for worker, (start, stop) in enumerate(shares):
        rows = {}
        for shard in range(start, stop):  # in the last segment, or, of a bucket that lives longer, up to there
            rows[shard] = bucket.take(worker, shard - start)
            fill(rows[shard], first + shard)
            if bucket.first == bucket.last:
                bucket.hand_in(worker, first + shard, rows.pop(shard))
        for shard, row in rows.items():
            bucket.hand_in(worker, first + shard, row)


def gradient(plan: Plan, bucket: Bucket, batches: list[int], workers: int, early: bool = False) -> dict[str, Array]:
    grads, first = aligned(plan.graph.layout.size, np.float32), 0
    for number, count in enumerate(batches):
        shares = shares_of(count, workers)
        work(bucket, first, shares)
        for worker in range(workers):
            bucket.gather(worker, first, shares, more=number < len(batches) - 1)
        first += count
    for worker in range(workers if early else 0):
        bucket.settle(worker, grads)
    for worker in range(workers if early else 0):
        for slot in range(3):
            bucket.take(worker, slot).vector.fill(np.nan)  # as the bucket after the next does
    for worker in range(workers):
        bucket.collect(worker, grads, 0.25)
    return plan.graph.layout.views(grads)


@pytest.mark.parametrize("layers", [LAYERS, everything(), plain()], ids=["layers", "everything", "plain"])
def test_every_trained_parameter_is_in_exactly_one_bucket(layers):
    plan = plan_of(layers)
    found = []
    for bucket in buckets_of(plan):
        prepare([bucket], Roster((1,)), 1, plan.dtype)
        row = bucket.take(0, 0)
        found += [f"{plan.graph.nodes[i].name}.{name}" for i, views in row.views.items() for name in views]
        for views in row.views.values():
            for view in views.values():
                assert view.base is not None
                assert view.ctypes.data % 64 == 0
    layout = plan.graph.layout
    assert sorted(found) == sorted(name for name, entry in layout.entries.items() if entry.offset < layout.trained)


def test_a_bucket_lives_from_the_first_segment_that_writes_it_to_the_last():
    """Segments: 0 up to norm, 1 up to last_norm, 2 turns and goes back to last_norm, 3 back to norm, 4 the rest."""
    plan = plan_of(LAYERS)
    names = [node.name for node in plan.graph.nodes]
    assert len(plan.segments) == 5
    assert [([names[i] for i in bucket.nodes], bucket.first, bucket.last) for bucket in buckets_of(plan)] == [
        (["head"], 2, 2),
        (["two"], 3, 3),
        (["one"], 4, 4),
        (["last_norm", "norm"], 2, 4),
    ]


def test_a_network_without_trained_parameters_has_no_buckets():
    assert buckets_of(plan_of([d("conv2d", filters=3, kernel_size=3, freeze=True), d("relu")])) == []


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("batches", [[1], [5], [8], [13], [3, 3, 1], [4, 8, 6]], ids=str)
@pytest.mark.parametrize("number", [2, 3], ids=["one", "norms"])
def test_rows_are_added_up_in_the_order_of_the_tree_and_scaled(number, batches, workers):
    plan = plan_of(LAYERS)
    bucket = prepared(plan, number, workers, -(-max(batches) // workers))
    shards = [contribution(plan, number, shard) for shard in range(sum(batches))]
    for _ in range(2):  # the second step finds what the first has left
        found = gradient(plan, bucket, batches, workers)
        for name in shards[0]:
            assert np.array_equal(found[name], tree_sum(shard[name].copy() for shard in shards) * np.float32(0.25))
        assert not any(view.any() for name, view in found.items() if name not in shards[0])


@pytest.mark.parametrize("start", [0, 3])
def test_a_worker_needs_a_row_for_each_level_of_the_tree(start):
    bucket = prepared(plan_of(LAYERS), 0, 1, 64)
    made = set()
    for shard in range(start, start + 64):
        row = bucket.take(0, shard - start)
        made.add(id(row.vector))
        fill(row, shard)
        bucket.hand_in(0, shard, row)
    assert len(made) == (10 if start else 7)  # one being written, one waiting at each of six levels; or at both ends
    assert depth(64) >= len(made)


def test_buckets_share_memory_with_the_one_after_the_next():
    norms = [d("conv2d", filters=3, kernel_size=3, padding=1), d("batch_norm")] * 5
    plan = plan_of([*norms, d("flatten"), d("dense", units=3)])
    *brief, lasting = buckets = buckets_of(plan)
    roster = Roster((2,))
    prepare(buckets, roster, 6, plan.dtype)
    at = [[bucket.take(worker, 0).vector.ctypes.data for worker in range(2)] for bucket in buckets]
    assert len({tuple(place) for place in at}) == 3
    assert all(at[i] == at[i + 2] != at[i + 1] for i in range(len(brief) - 2))
    sizes = [bucket.size for bucket in brief]
    assert row_values(buckets, 3) == 3 * (max(sizes[::2]) + max(sizes[1::2]) + lasting.size)


@pytest.mark.parametrize("batches", [[5], [3, 3, 1]], ids=str)
def test_a_sum_may_be_settled_before_its_factor_is_known(batches):
    plan = plan_of(LAYERS)
    bucket, other = (prepared(plan, 2, 2, 3) for _ in range(2))
    expected = gradient(plan, other, batches, 2)
    assert np.array_equal(gradient(plan, bucket, batches, 2, early=True)["one.weight"], expected["one.weight"])


def test_after_a_step_that_failed_nothing_of_it_is_left():
    plan = plan_of(LAYERS)
    bucket = prepared(plan, 0, 2, 3)
    work(bucket, 0, [(0, 3), (3, 5)])
    bucket.gather(0, 0, [(0, 3), (3, 5)], more=True)
    bucket.reset()
    expected = {name: contribution(plan, 0, 0)[name] + contribution(plan, 0, 1)[name] for name in ("head.weight",)}
    found = gradient(plan, bucket, [2], 2)
    assert np.array_equal(found["head.weight"], expected["head.weight"] * np.float32(0.25))


def test_the_depth_is_the_most_rows_that_any_stretch_of_shards_takes():
    for count in range(1, 40):
        starts = range(1 << count.bit_length())
        assert depth(count) == max(
            1 + len(tree_blocks(start, start + done)) for start in starts for done in range(count)
        )

"""What a pass makes of the parameters alone is made once for the shards that share it, and never used when old."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cnntrain.engine import plan as plan_module
from cnntrain.engine.plan import AHEAD
from cnntrain.engine.pool import Pool
from cnntrain.ops import calls as calls_module
from cnntrain.ops.calls import PORTION
from cnntrain.parts.layers.conv2d import Conv2d
from tests.support.networks import declared, engine_of, everything, random_batch

SHARD, SHARDS = 4, 6
CONVOLUTIONS = [
    declared("conv2d", filters=4, kernel_size=3, padding=1, algorithm="winograd", name="first"),
    declared("batch_norm"),
    declared("conv2d", filters=4, kernel_size=3, padding=1, algorithm="winograd", name="second"),
    declared("conv2d", filters=4, kernel_size=3, padding=1, groups=4, name="third"),
    declared("flatten"),
    declared("dense", units=3),
]


@pytest.fixture
def filled(monkeypatch) -> Counter[str]:
    """How many portions of what is held were made, by the pass."""
    found: Counter[str] = Counter()
    fill_calls = Conv2d.fill_calls

    def counting(self, f, do):
        return [[lambda: found.update([do]), *portion] for portion in fill_calls(self, f, do)]

    monkeypatch.setattr(Conv2d, "fill_calls", counting)
    return found


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("samples", [1, SHARD * SHARDS])
def test_in_training_the_workers_make_it_once_a_batch(filled, threads, samples):
    batch = random_batch(samples)
    with Pool(threads) as pool:
        engine = engine_of(CONVOLUTIONS, pool, shard=SHARD)
        for steps in (1, 2):
            engine.step([batch, batch], 0)
            assert filled == {"forward": 2 * 3 * steps, "backward": 2 * steps}


@pytest.mark.parametrize("ahead", [0, AHEAD])
@pytest.mark.parametrize("portion", [1, PORTION])
@pytest.mark.parametrize("network", [everything, lambda: CONVOLUTIONS])
def test_no_bit_depends_on_who_makes_it_and_when(network, portion, ahead, monkeypatch):
    monkeypatch.setattr(calls_module, "PORTION", portion)
    monkeypatch.setattr(plan_module, "AHEAD", ahead)
    batch, found = random_batch(SHARD * SHARDS), []
    for threads in (1, 2, 3):
        with Pool(threads) as pool:
            engine = engine_of(network(), pool, shard=SHARD)
            for step in range(2):
                engine.step([batch, batch], step)
                engine.params -= np.float32(0.1) * engine.grads
            found.append((engine.params.copy(), engine.outputs(batch)))
    assert all(np.array_equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_what_it_takes_is_told_by_node_and_pass():
    told = set()
    with Pool(2) as pool:
        engine = engine_of(CONVOLUTIONS, pool, shard=SHARD)
        engine.watch = lambda call, _seconds: told.add((call.do, engine.graph.nodes[call.node].name))
        engine.step([random_batch(SHARD * SHARDS)], 0)
    filled = {found for found in told if found[0].startswith("fill")}
    assert filled == {("fill", "first"), ("fill", "second"), ("fill", "third"), ("fill_back", "second")}


def test_in_evaluation_the_workers_share_it(filled):
    batch = random_batch(SHARD * SHARDS)
    with Pool(3) as pool:
        engine = engine_of(CONVOLUTIONS, pool, shard=SHARD)
        for batches in (1, 2, 3):
            engine.evaluate(batch)
            assert filled == {"forward": 3 * batches}


def test_a_settled_engine_makes_it_once(filled):
    batch = random_batch(SHARD * SHARDS)
    with Pool(2) as pool:
        engine = engine_of(CONVOLUTIONS, pool, shard=SHARD)
        engine.settle()
        for _ in range(3):
            engine.evaluate(batch)
            engine.outputs(batch)
        assert filled == {"forward": 3}


def test_an_engine_may_settle_after_it_has_evaluated(filled):
    batch, few = random_batch(SHARD * SHARDS), random_batch(1)
    with Pool(2) as pool:
        engine = engine_of(CONVOLUTIONS, pool, shard=SHARD)
        before = [engine.outputs(batch), engine.outputs(few)]
        engine.settle()
        filled.clear()
        for _ in range(3):
            assert np.array_equal(engine.outputs(batch), before[0])
        assert filled == {"forward": 3}
        assert np.array_equal(engine.outputs(few), before[1])


@pytest.mark.parametrize("network", [everything, lambda: CONVOLUTIONS])
def test_changed_parameters_are_seen_at_the_next_batch(network):
    batch, few = random_batch(SHARD * SHARDS), random_batch(1)
    with Pool(2) as pool:
        engine, other = (engine_of(network(), pool, shard=SHARD) for _ in range(2))
        for number in range(3):
            engine.step([batch], number)
            engine.params -= np.float32(0.1) * engine.grads
            engine.outputs(batch)
            other.params[...] = engine.params
            assert np.array_equal(engine.outputs(batch), other.outputs(batch))
            assert np.array_equal(engine.outputs(few), other.outputs(few))
            assert np.array_equal(engine.evaluate(batch), other.evaluate(batch))


@pytest.mark.parametrize("network", [everything, lambda: CONVOLUTIONS])
def test_settling_changes_no_bit(network):
    batch = random_batch(SHARD * SHARDS)
    with Pool(2) as pool:
        engine, other = (engine_of(network(), pool, shard=SHARD) for _ in range(2))
        engine.settle()
        for _ in range(3):
            assert np.array_equal(engine.outputs(batch), other.outputs(batch))
            assert np.array_equal(engine.evaluate(batch), other.evaluate(batch))

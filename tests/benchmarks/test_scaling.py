"""The model of scaling counts what the engine sends, and gives what can be worked out where that is simple."""

from __future__ import annotations

import pytest

from cnntrain.engine.pool import Pool
from cnntrain.engine.ranks import Ranks
from tests.benchmarks import own, scaling
from tests.benchmarks.workers import path
from tests.support.wires import QueueWire, on_ranks


@pytest.mark.parametrize("network", ["lenet", "resnet20"])
@pytest.mark.parametrize("workers", [[1, 1], [1, 1, 1, 1, 1]], ids=str)
def test_bytes_and_messages_are_those_that_the_engine_sends(network, workers):
    def work(ranks: Ranks):
        with Pool(1, ranks) as pool:
            engine = (stepper := own.stepper_of(network, 10, pool)).engine
            wire = ranks._wire
            assert isinstance(wire, QueueWire)
            before = wire.messages, wire.bytes
            engine.step(stepper.source(0), 0)
            pool.agree((0, 0, 0))
            return (wire.messages - before[0], wire.bytes - before[1]), scaling.traffic(engine, 10, workers, ranks.rank)

    with Pool(1) as pool:
        own.stepper_of(network, 1, pool)  # loads the parts once, not in all threads at a time
    for (messages, size), model in on_ranks(len(workers), work):
        assert (model.messages, model.bytes) == (messages, size)


def test_with_an_endless_link_only_shards_and_update_count(monkeypatch):
    monkeypatch.setattr(scaling, "OVERHEAD", 0.0)
    measured = scaling.Measured(8, (1.0, 2.0), 0.3, 0.2, 0)
    with Pool(1) as pool:
        engine = own.stepper_of("lenet", 64, pool).engine
        engine.shard = 8
        steps = [scaling.foretell(measured, engine, 64, ranks, 0.0, 1e30).step for ranks in (1, 2, 4, 8, 64)]
    assert steps == pytest.approx([24.5, 12.5, 6.5, 3.5, 3.5])


def test_the_critical_path_of_workers_is_that_of_the_slowest_at_every_meeting() -> None:
    one, three = (path("lenet", 64, count, 2) for count in (1, 3))
    assert one.meetings == three.meetings > 0
    assert one.longest == one.even > 0
    assert three.longest > 1.2 * three.even  # two shards for three workers
    assert three.step(1e-3) == three.longest + three.alone + three.meetings * 1e-3

"""A session tells which workers have nothing to do, however many each rank has."""

from __future__ import annotations

from types import SimpleNamespace

from cnntrain.engine.pool import Pool
from cnntrain.training import session
from tests.support.wires import on_ranks


def test_idle_workers_are_counted_over_ranks_with_unequal_numbers_of_them():
    train = SimpleNamespace(batch_size=32)
    trainer = SimpleNamespace(
        job=SimpleNamespace(
            loader=SimpleNamespace(indices=range(32)),
            loaded=SimpleNamespace(experiment=SimpleNamespace(train=train)),
        ),
        stepper=SimpleNamespace(engine=SimpleNamespace(shard=8)),
    )
    workers = (1, 4)

    def work(ranks):
        with Pool(workers[ranks.rank], ranks) as pool:
            return session._idle(trainer, pool)

    for said in on_ranks(2, work):
        assert said is not None
        assert said.startswith("1 of 5 workers is idle: a batch of 32 is 4 shards of 8.")

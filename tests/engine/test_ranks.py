"""Ranks that step together, here threads with queues between them: the same bits as one process, for any number."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from cnntrain.engine.fixed import Fixed
from cnntrain.engine.pool import Pool
from cnntrain.engine.ranks import Ranks
from tests.support.networks import engine_of, everything, plain, random_batch
from tests.support.wires import on_ranks

STEPS = ([22], [40, 17], [3], [64, 1, 30])  # samples of each batch of a step; shards have 4


def trained(pool: Pool, layers, processes: bool = False):
    engine = engine_of(layers, pool)
    batches = [[random_batch(n, seed=n) for n in sizes] for sizes in STEPS]
    if processes:
        engine.source = lambda step: batches[step]
    seen = []
    for step, of_step in enumerate(batches):
        seen.append(engine.step(of_step, step).tobytes())
        seen.append(engine.grads.tobytes())
        engine.params -= np.float32(0.1) * engine.grads
    seen.append(engine.params.tobytes())
    for count in (1, 5, 61):
        rows = np.zeros((count, 3), np.float32)

        def collect(start, outputs, _targets, rows=rows):
            rows[start : start + len(outputs)] = outputs

        seen.append(engine.evaluate(random_batch(count), collect).tobytes())
        seen.append(engine.share(rows).tobytes())
    return seen


@pytest.mark.parametrize("layers", [everything, plain])
@pytest.mark.parametrize("workers", [[1, 1], [1, 1, 1], [2, 2], [3, 1, 2], [1] * 7], ids=str)
def test_ranks_give_the_bits_of_one_process(layers, workers):
    with Pool(1) as pool:
        expected = trained(pool, layers())

    def work(ranks: Ranks):
        with Pool(workers[ranks.rank], ranks) as pool:
            return trained(pool, layers())

    for found in on_ranks(len(workers), work):
        assert found == expected


class Noted(Fixed):
    """A batch that notes which of its samples are asked for."""

    def __init__(self, batch: Fixed) -> None:
        super().__init__(batch.x, batch.targets)
        self.asked: list[int] = []

    def fill(self, start, stop, x):
        self.asked += range(start, stop)
        return super().fill(start, stop, x)


class Mirrored(Fixed):
    """A batch whose samples are seen twice: as they are, and mirrored."""

    views = 2

    def fill(self, start, stop, x):
        targets, weights = self.targets[start:stop], self.weights[start:stop].astype(x.dtype)
        x[0::2], x[1::2] = self.x[start:stop], self.x[start:stop, :, ::-1]
        return targets, weights


@pytest.mark.parametrize("count", [1, 9, 40])
def test_ranks_share_what_they_made_of_samples_with_several_views(count):
    given = random_batch(count)
    batch = Mirrored(given.x, given.targets)

    def evaluated(pool: Pool):
        engine, rows = engine_of(plain(), pool), np.zeros((count, 3), np.float32)

        def collect(start, outputs, _targets):
            rows[start : start + len(outputs)] = outputs

        engine.evaluate(batch, collect)
        return engine.share(rows, batch.views), engine.outputs(batch)

    with Pool(1) as pool:
        expected = evaluated(pool)

    def work(ranks: Ranks):
        with Pool(1, ranks) as pool:
            return evaluated(pool)

    for found in on_ranks(3, work):
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def test_each_rank_reads_its_own_samples_alone():
    layers = plain()

    def work(ranks: Ranks):
        with Pool(1, ranks) as pool:
            engine = engine_of(layers, pool)
            training, evaluation = Noted(random_batch(40)), Noted(random_batch(24))
            engine.step([training], 0)
            engine.evaluate(evaluation)
            return training.asked, evaluation.asked

    for asked in zip(*on_ranks(3, work), strict=True):
        assert sorted(itertools.chain(*asked)) == [*range(sum(map(len, asked)))]
        assert all(asked)


def test_what_leaves_something_behind_is_done_by_the_leader_first():
    done = []
    on_ranks(3, lambda ranks: ranks.leader_first(lambda: time.sleep(0.1 * ranks.leads) or done.append(ranks.rank)))
    assert done[0] == 0
    assert sorted(done) == [0, 1, 2]

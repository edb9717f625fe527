"""A few samples are evaluated faster, and never with other bits than in a whole shard."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.arrays import Array
from cnntrain.engine.engine import Engine
from cnntrain.engine.pool import Pool
from cnntrain.engine.program import Program
from cnntrain.parts.layers.dense import Dense
from tests.support.networks import Fixed, declared, engine_of, everything, plain, random_batch, wide

SHARD = 16
DENSE = [declared("flatten"), declared("dense", units=3)]


@pytest.fixture
def shards(monkeypatch) -> list[int]:
    """The size of every shard that is evaluated."""
    seen: list[int] = []
    run = Program.run

    def noting(self, *args, **kwargs):
        seen.append(self.plan.shard)
        return run(self, *args, **kwargs)

    monkeypatch.setattr(Program, "run", noting)
    return seen


def part(batch: Fixed, start: int, count: int) -> Fixed:
    return Fixed(batch.x[start : start + count], batch.targets[start : start + count])


def asked(engine: Engine, batch: Fixed, counts: list[int]) -> list[Array]:
    """The outputs of the first samples of a batch, so many at a time."""
    return [engine.outputs(part(batch, 0, count)) for count in counts]


@pytest.mark.parametrize("network", [everything, plain, wide])
def test_samples_have_the_bits_of_a_whole_shard_however_often_they_are_asked_for(network):
    batch = random_batch(40)
    with Pool(2) as pool:
        engine = engine_of(network(), pool, shard=SHARD)
        whole = engine.outputs(batch)
        for count in (1, 1, 1, 2, 3, 3, 3, 5, 5, 5, 8, 9, 16, 1):
            assert np.array_equal(engine.outputs(part(batch, 0, count)), whole[:count])
        engine.params *= np.float32(0.5)  # what was found of shapes holds for all values
        assert np.array_equal(engine.outputs(part(batch, 0, 2)), engine.outputs(batch)[:2])


def test_both_ways_are_compared_the_second_time_and_the_smaller_shard_is_taken_from_then_on(shards, monkeypatch):
    monkeypatch.setattr(Dense, "forward", lambda self, f: f.y.fill(1))  # whose bits depend on no number of rows
    with Pool(1) as pool:
        engine = engine_of(DENSE, pool, shard=SHARD)
        asked(engine, random_batch(SHARD), [1, 1, 2, 1, 5, 5, 5, 9])
    assert shards == [16, 16, 1, 16, 16, 1, 16, 16, 8, 16, 8, 16]


@pytest.mark.parametrize("row", [0, 1])
def test_where_any_value_of_any_layer_differs_whole_shards_go_on(row, shards, monkeypatch):
    """In a row of the smaller shard that is filled up, too: more samples may come the next time."""
    forward = Dense.forward

    def by_rows(self: Dense, f) -> None:
        forward(self, f)
        if len(f.y) > row:  # as products may do
            f.y[row, 0] = np.nextafter(f.y[row, 0], np.float32(9 if len(f.y) < SHARD else -9))

    monkeypatch.setattr(Dense, "forward", by_rows)
    batch = random_batch(SHARD)
    with Pool(1) as pool:
        engine = engine_of(wide(), pool, shard=SHARD)
        whole = engine.outputs(batch)
        shards.clear()
        for outputs in asked(engine, batch, [1 + row] * 12):
            assert np.array_equal(outputs, whole[: 1 + row])
    tried = [size for size in (1, 2, 4, 8) if size > row]
    assert shards == [*(shard for size in tried for shard in (16, 16, size, 16)), *[16] * (12 - 2 * len(tried))]


def test_a_larger_shard_is_tried_where_the_smallest_has_other_bits(shards, monkeypatch):
    monkeypatch.setattr(Dense, "forward", lambda self, f: f.y.fill(len(f.y) < 4))
    with Pool(1) as pool:
        engine = engine_of(DENSE, pool, shard=SHARD)
        asked(engine, random_batch(SHARD), [1] * 8)
    assert shards == [16, 16, 1, 16, 16, 16, 2, 16, 16, 16, 4, 16, 4, 4]


@pytest.mark.parametrize("units", [3, 700])
def test_a_single_row_of_a_dense_layer_has_the_bits_it_has_beside_others(units):
    batch = random_batch(2, (8, 8, 8))
    with Pool(1) as pool:
        layers = [declared("flatten"), declared("dense", units=units), declared("dense", units=3)]
        one, two = (engine_of(layers, pool, shape=(8, 8, 8), shard=shard) for shard in (1, 2))
        assert np.array_equal(one.outputs(part(batch, 0, 1)), two.outputs(batch)[:1])
        assert np.array_equal(one.outputs(part(batch, 1, 1)), two.outputs(batch)[1:])


def test_several_views_of_a_sample_are_counted(shards, monkeypatch):
    monkeypatch.setattr(Dense, "forward", lambda self, f: f.y.fill(1))

    class Twice(Fixed):
        """A sample and its mirror image."""

        views = 2

        def fill(self, start: int, stop: int, x: Array) -> tuple[Array, Array]:
            x[...] = np.repeat(self.x[start:stop], 2, axis=0)
            return self.targets[start:stop], self.weights[start:stop].astype(x.dtype)

    batch = random_batch(3)
    with Pool(1) as pool:
        engine = engine_of(DENSE, pool, shard=SHARD)
        for _ in range(3):
            engine.outputs(Twice(batch.x, batch.targets))
    assert shards == [16, 16, 8, 16, 8]


@pytest.mark.parametrize("first", [0.0, np.nan])
def test_pictures_without_anything_on_them_tell_nothing_of_bits(first, monkeypatch):
    """Sums of zeros have the same bits in any order."""
    forward = Dense.forward

    def by_rows(self: Dense, f) -> None:
        forward(self, f)
        f.y *= np.float32(1) + np.float32(1e-6) * (len(f.y) < SHARD)

    monkeypatch.setattr(Dense, "forward", by_rows)
    batch = random_batch(1)
    with Pool(1) as pool:
        engine = engine_of([declared("flatten"), declared("dense", units=3, bias=False)], pool, shard=SHARD)
        expected = engine.outputs(batch)
        for _ in range(12):
            engine.outputs(Fixed(np.full_like(batch.x, first), batch.targets))
        assert np.array_equal(engine.outputs(batch), expected)


def test_an_empty_batch_tells_nothing_of_bits():
    batch = random_batch(2)
    with Pool(1) as pool:
        engine = engine_of(DENSE, pool, shard=SHARD)
        assert [len(engine.outputs(part(batch, 0, 0))) for _ in range(3)] == [0, 0, 0]
        assert not engine._few._found


def test_fewer_samples_than_a_shard_are_spread_over_the_workers_where_there_is_much_to_do(shards, monkeypatch):
    monkeypatch.setattr(Dense, "forward", lambda self, f: f.y.fill(1))
    monkeypatch.setattr("cnntrain.engine.few.LEAST_WORK", 0)
    batch = random_batch(SHARD)
    with Pool(4) as pool:
        asked(engine_of(DENSE, pool, shard=SHARD), batch, [3, 3, 3, 8, 8, 8, 16, 16])
    assert shards == [16, 16, 1, 16, 1, 16, 16, 2, 16, 2, 16, 16, 4, 16]

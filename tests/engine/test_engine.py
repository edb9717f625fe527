"""The engine: right gradients, and the same bits however the work is cut."""

from __future__ import annotations

import contextlib
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cnntrain.core.arrays import Array
from cnntrain.core.errors import DivergedError
from cnntrain.core.registry import make
from cnntrain.engine.pool import Pool
from cnntrain.engine.update import Updater
from tests.support.networks import Fixed, declared, engine_of, everything, plain, random_batch, wide

NETWORKS = {"everything": everything, "plain": plain, "wide": wide}


@pytest.mark.parametrize("network", NETWORKS)
def test_gradient_is_the_central_difference_of_the_loss(network):
    """Through two unequal shards, in float64; the step number fixes every dropout mask."""
    with Pool(2) as pool:
        engine = engine_of(NETWORKS[network](), pool, dtype=np.float64, shard=4)
        batch = random_batch(7)
        frozen = engine.params.copy()

        def loss() -> float:
            return engine.tally.mean_loss(engine.step([batch], step=3))

        loss()
        gradient = engine.grads.copy()
        rng = np.random.default_rng(0)
        entries = [e for e in engine.graph.layout.entries.values() if e.offset < engine.graph.layout.trained]
        checked = 0
        for entry in entries:
            for index in entry.offset + rng.choice(entry.param.size, min(4, entry.param.size), replace=False):
                engine.params[:] = frozen
                engine.params[index] += 1e-5
                above = loss()
                engine.params[:] = frozen
                engine.params[index] -= 1e-5
                below = loss()
                assert gradient[index] == pytest.approx((above - below) / 2e-5, rel=2e-5, abs=1e-8), entry.name
                checked += 1
        assert checked > 3 * len(entries) / 2


def _batches(step: int) -> list[Fixed]:
    """Three, not equally long and, but for the first, not beginning with a whole block of the tree."""
    return [random_batch(size, seed=10 * step + size) for size in (22, 14, 9)]


def _steps(network, threads: int, processes: bool = False) -> tuple[bytes, bytes, bytes]:
    with Pool(threads) as pool:
        engine = engine_of(NETWORKS[network](), pool, shard=4)
        engine.source = _batches if processes else None
        updater = Updater(make("optimizers", "adam"), engine.graph.layout, pool, engine.params, engine.grads)
        tallies = []
        for step in range(3):
            tallies.append(engine.step(_batches(step), step))
            updater.apply(0.01, step, clip_norm=1.0)
        tallies.append(engine.evaluate(random_batch(13)))
        return engine.params.tobytes(), updater.slots["v"].tobytes(), np.concatenate(tallies).tobytes()


@pytest.mark.parametrize("network", NETWORKS)
def test_the_number_of_threads_changes_no_bit(network):
    reference = _steps(network, 1)
    for threads in (2, 3, 5):
        assert _steps(network, threads) == reference
        assert _steps(network, threads, processes=True) == reference


@pytest.mark.parametrize("network", [plain, wide])
def test_accumulated_batches_take_the_step_of_one_large_batch_to_the_bit(network):
    whole = random_batch(24)
    parts = [Fixed(whole.x[i : i + 8], whole.targets[i : i + 8]) for i in (0, 8, 16)]
    with Pool(2) as pool:
        engine = engine_of(network(), pool)
        vector = engine.step([whole], step=5).copy()
        grads = engine.grads.copy()
        assert np.array_equal(engine.step(parts, step=5), vector)
        assert np.array_equal(engine.grads, grads)
        assert np.abs(grads).max() > 0


def test_batch_norm_sees_the_whole_batch_whatever_the_shard():
    batch = random_batch(12)
    layers = [
        declared("conv2d", filters=3, kernel_size=3),
        declared("batch_norm"),
        declared("flatten"),
        declared("dense", units=3),
    ]
    results = []
    for shard in (2, 3, 5, 12):
        with Pool(2) as pool:
            engine = engine_of(layers, pool, dtype=np.float64, shard=shard)
            engine.step([batch], step=0)
            results.append((engine.grads.copy(), engine.params.copy()))
    for grads, params in results[1:]:
        np.testing.assert_allclose(grads, results[0][0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(params, results[0][1], rtol=1e-12)


def test_dirty_memory_changes_nothing():
    """Every buffer is written before it is read: NaN everywhere in between gives the same bits."""
    with Pool(1) as pool:
        engine = engine_of(everything(), pool)
        batch = random_batch(10)
        engine.step([batch], step=0)
        params, grads = engine.params.copy(), engine.grads.copy()
        engine.params[:] = engine_of(everything(), pool).params
        for own, scratch in engine.memory:
            own.view(np.float32)[:] = np.nan
            scratch.view(np.float32)[:] = np.nan
        for shard in engine._training._shards:
            shard.view(np.float32)[:] = np.nan
        engine.grads[:] = np.nan
        engine.step([batch], step=0)
        trained = slice(0, engine.graph.layout.trained)
        used = ~np.isnan(engine.grads)
        assert np.array_equal(engine.params, params)
        assert np.array_equal(engine.grads[used], grads[used])
        for entry in engine.graph.layout.entries.values():
            if entry.offset < trained.stop:
                assert np.isfinite(engine.graph.layout.view(engine.grads, entry)).all()


def in_turns(shift):
    """A stand-in for Pool.run in which worker (index + shift) % 2 takes an index."""

    def run(count, task):
        for index in range(count):
            task((index + shift) % 2, index)

    return run


def test_a_step_allocates_nothing_that_grows_with_the_batch(monkeypatch):
    shape = (16, 16, 2)
    peaks = {}
    with Pool(2) as pool:
        engine = engine_of(everything(), pool, shape=shape, shard=8)
        optimizer = make("optimizers", "sgd", momentum=0.9)
        updater = Updater(optimizer, engine.graph.layout, pool, engine.params, engine.grads)
        for count in (32, 128):
            batch = random_batch(count, shape=shape)

            def steps(first: int, batch: Fixed = batch) -> None:
                for step in range(first, first + 3):
                    engine.step([batch], step)
                    updater.apply(0.01, step)

            for shift in range(2):  # which thread takes a share is chance; in time each has had each
                monkeypatch.setattr(pool, "run", in_turns(shift))
                steps(0)
            tracemalloc.start()  # still in turns: whether two threads have their buffers at once is chance, too
            before = tracemalloc.get_traced_memory()[0]
            steps(3)
            peaks[count] = tracemalloc.get_traced_memory()[1] - before
            kept = [trace.size for trace in tracemalloc.take_snapshot().traces]
            tracemalloc.stop()
            assert sum(size for size in kept if size >= 1024) < 20_000  # smaller pieces NumPy keeps for reuse
    activations = 96 * 16 * 16 * 4 * 4  # of one node, for the samples the large batch has more
    assert peaks[128] - peaks[32] < activations / 4


def test_evaluation_fills_the_last_shard_so_that_a_sample_has_the_same_bits_in_any_set():
    with Pool(2) as pool:
        engine = engine_of(everything(), pool)
        batch = random_batch(11)
        all_outputs = engine.outputs(batch)
        for count in (1, 4, 5, 9):
            assert np.array_equal(engine.outputs(Fixed(batch.x[:count], batch.targets[:count])), all_outputs[:count])


def test_evaluation_counts_every_sample_once():
    with Pool(2) as pool:
        engine = engine_of(plain(), pool)
        batch = random_batch(11)
        vector = engine.evaluate(batch)
        outputs = engine.outputs(batch)
        values = engine.tally.values(vector)
        assert engine.tally.samples(vector) == 11
        assert values["accuracy"] == pytest.approx(np.mean(outputs.argmax(axis=1) == batch.targets))
        assert values["accuracy"] + values["error"] == pytest.approx(1)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_before_anything_is_updated(poison):
    with Pool(2) as pool:
        engine = engine_of(everything(), pool)
        good = random_batch(10)
        engine.step([good], step=0)
        params = engine.params.copy()
        bad = random_batch(10)
        bad.x[6, 3, 3, 0] = poison
        with pytest.raises(DivergedError, match=r"the loss became (nan|inf) at step 1"):
            engine.step([bad], step=1)
        assert np.array_equal(engine.params, params)
        grads = engine.grads.copy()
        engine.step([good], step=0)  # the engine is usable afterwards
        assert np.isfinite(engine.grads).all()
        assert grads.shape == engine.grads.shape


def test_frozen_layers_keep_their_parameters_and_statistics():
    layers = [
        declared("conv2d", filters=3, kernel_size=3, freeze=True, name="stem"),
        declared("batch_norm", freeze=True, name="norm"),
        declared("flatten"),
        declared("dense", units=3, name="head"),
    ]
    with Pool(2) as pool:
        engine = engine_of(layers, pool)
        updater = Updater(make("optimizers", "sgd"), engine.graph.layout, pool, engine.params, engine.grads)
        before = {k: v.copy() for k, v in engine.graph.layout.views(engine.params).items()}
        engine.step([random_batch(8)], 0)
        updater.apply(0.1, 0)
        for name, view in engine.graph.layout.views(engine.params).items():
            assert np.array_equal(view, before[name]) == (not name.startswith("head"))
        outputs = engine.outputs(random_batch(4))
        assert np.isfinite(outputs).all()


def test_the_gradient_below_a_frozen_batch_norm_takes_its_statistics_as_given():
    layers = [
        declared("conv2d", filters=2, kernel_size=3),
        declared("batch_norm", freeze=True, name="norm"),
        declared("flatten"),
        declared("dense", units=3),
    ]
    with Pool(2) as pool:
        engine = engine_of(layers, pool, dtype=np.float64)
        views = engine.graph.layout.views(engine.params)
        views["norm.running_mean"][...], views["norm.running_var"][...] = [0.3, -0.2], [2.0, 0.5]
        views["norm.scale"][...] = [1.5, -0.7]
        batch = random_batch(6)
        engine.step([batch], 0)
        gradient = engine.grads.copy()
        for index in (0, 5, 17):
            difference = 0.0
            for sign in (1, -1):
                engine.params[index] += sign * 1e-5
                difference += sign * engine.tally.mean_loss(engine.step([batch], 0))
                engine.params[index] -= sign * 1e-5
            assert gradient[index] == pytest.approx(difference / 2e-5, rel=1e-5)


def test_dropout_is_addressed_by_step_and_shard():
    layers = [declared("flatten"), declared("dropout", rate=0.5), declared("dense", units=3)]
    with Pool(1) as pool:
        engine = engine_of(layers, pool)
        batch = random_batch(8)
        losses = {step: engine.tally.mean_loss(engine.step([batch], step)) for step in (0, 1, 0)}
        assert losses[0] != losses[1]
        assert engine.tally.mean_loss(engine.step([batch], 0)) == losses[0]


class Met(Fixed):
    """A batch that, once it lies in a worker's memory, waits a while for others to be put there, too."""

    meeting: threading.Barrier

    def fill(self, start: int, stop: int, out: Array) -> tuple[Array, Array]:
        found = super().fill(start, stop, out)
        with contextlib.suppress(threading.BrokenBarrierError):
            self.meeting.wait(0.1)
        return found


@pytest.mark.parametrize("count", [2, 20])
def test_threads_that_evaluate_at_the_same_time_do_not_write_into_each_others_frames(count):
    batches = [Met(batch.x, batch.targets) for batch in (random_batch(count, seed=seed) for seed in range(3))]
    with Pool(2) as pool, ThreadPoolExecutor(3) as threads:
        engine = engine_of(plain(), pool, shard=8)
        alone = [engine.outputs(Fixed(batch.x, batch.targets)).tobytes() for batch in batches]
        tallies = [engine.evaluate(Fixed(batch.x, batch.targets)).tobytes() for batch in batches]
        Met.meeting = threading.Barrier(3)
        assert [found.tobytes() for found in threads.map(engine.outputs, batches)] == alone
        Met.meeting = threading.Barrier(3)
        assert [found.tobytes() for found in threads.map(engine.evaluate, batches)] == tallies

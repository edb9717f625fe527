"""The gradient of a large dense weight, by slices of a batch: the bits of the sum of every shard's own."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.errors import DivergedError
from cnntrain.engine import program
from cnntrain.engine.outer import is_outer
from cnntrain.engine.pool import Pool
from cnntrain.ops.calls import run
from cnntrain.ops.outer import outer, slice_rows
from tests.support.networks import Fixed, engine_of, graph_of, random_batch, wide


def gradients(threads: int, batches: list[int]) -> list[bytes]:
    with Pool(threads) as pool:
        engine = engine_of(wide(), pool)
        found = []
        for step in range(2):  # in the second everything that is used over and over has been used
            engine.step([random_batch(size, seed=step + size) for size in batches], step)
            found.append(engine.grads.tobytes())
        return found


@pytest.mark.parametrize("batches", [[3], [22], [16, 8], [22, 14, 9]])
def test_it_is_the_sum_of_the_shards_own_gradients_to_the_bit(batches, monkeypatch):
    by_slices = [gradients(threads, batches) for threads in (1, 3)]
    monkeypatch.setattr(program, "outer_gradients", lambda plan: [])
    assert by_slices == [gradients(1, batches)] * 2


def test_it_is_for_large_weights_alone():
    assert [node.params["weight"].shape for node in graph_of(wide()).nodes if is_outer(node)] == [
        (128, 515),
        (515, 130),
    ]


def test_a_step_that_diverged_leaves_nothing_behind():
    with Pool(2) as pool:
        engine = engine_of(wide(), pool)
        batch = random_batch(24)
        engine.step([batch], 0)
        grads = engine.grads.copy()
        spoilt = Fixed(np.full_like(batch.x, np.inf), batch.targets)
        with pytest.raises(DivergedError):
            engine.step([batch, spoilt, batch], 0)
        engine.step([batch], 0)
        assert np.array_equal(engine.grads, grads)


@pytest.mark.parametrize("shape", [(784, 512), (515, 130), (8, 9000), (30, 4096), (10, 10), (1, 70000)])
def test_slices_together_are_the_whole_product(shape):
    rng = np.random.default_rng(0)
    x, dy = (rng.integers(-3, 4, (5, size)).astype(np.float32) for size in shape)
    out = np.full(shape, np.nan, np.float32)
    run(outer(x, dy, out))
    assert np.array_equal(out, x.T @ dy)  # exact: small whole numbers
    assert 1 <= slice_rows(*shape) <= shape[0]

"""How much work a step is: NumPy's calls, the bytes they touch and the products they take, counted, not timed.

A change that makes a step do more than it did fails here, on any machine and however busy that is. One that makes
it do less should lower the figures.
"""

from __future__ import annotations

import tracemalloc

import pytest

from cnntrain.core.console import Console
from cnntrain.engine.pool import Pool
from cnntrain.rundir.directory import RunDirectory
from cnntrain.training.interrupts import Interrupts
from cnntrain.training.job import prepare
from cnntrain.training.trainer import Trainer
from tests.benchmarks import own
from tests.support.counting import counting
from tests.support.experiments import ADAM, write

BATCH = 64
MOST = {  # network: calls, megabytes they touch, GFLOP of products, megabytes of buffers on two threads
    "mlp": (196, 45.3, 0.105, 0.7),
    "lenet": (545, 208.8, 0.390, 14.2),
    "vgg_small": (4_525, 2_106.6, 3.719, 18.4),
    "resnet20": (14_560, 5_287.4, 7.022, 85.4),
    "vgg_wide": (8_523, 6_796.7, 17.721, 107.6),
    "mobilenet": (6_234, 3_983.7, 5.943, 137.8),
}


def work(network: str) -> tuple[float, ...]:
    """What a step of 64 images takes."""
    with Pool(1) as pool, counting() as count:
        stepper = own.stepper_of(network, BATCH, pool)
        stepper.step(0)
    engine = stepper.engine
    shards = -(-BATCH // engine.shard)
    return count.calls, count.bytes / 1e6, count.product_flops / 1e9, engine.plans[True].bytes(2, shards) / 1e6


@pytest.mark.parametrize("network", MOST)
def test_a_step_does_no_more_than_it_did(network):
    found = work(network)
    assert all(new <= old for new, old in zip(found, MOST[network], strict=True)), (
        f"{network} takes {found} now: where that is worth it, change MOST"
    )


def test_the_counts_are_right_where_they_can_be_worked_out():
    """Products of the MLP: forward and weights' gradients of both layers, and the gradient between them."""
    flops = 2 * BATCH * (2 * 784 * 512 + 3 * 512 * 10)
    assert work("mlp")[2] * 1e9 == pytest.approx(flops, rel=0.01)


def peak_of_steps(folder, batch_size: int) -> int:
    """Bytes beyond what was there, at most, in some steps of the trainer after it has warmed up.

    On one thread: how much of what two workers allocate meets is chance.
    """
    sets = (*ADAM[:2], "data.source.size=16", "data.source.samples=1600", f"train.batch_size={batch_size}")
    job = prepare([write(folder)], sets)
    with Pool(1) as pool, RunDirectory.create(folder / f"run{batch_size}", "run", "0" * 8) as run:
        trainer = Trainer(job, run, pool, Console("none"), Interrupts())
        trainer.start()
        for _ in range(2):
            trainer._take_step()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2):
            trainer._take_step()
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    return peak


def test_a_step_of_the_trainer_allocates_nothing_that_grows_with_the_batch(tmp_path):
    """Loader, augmentation, engine, optimizer; but for labels and weights, and the few objects that tell of a shard."""
    small, large = (peak_of_steps(tmp_path, batch_size) for batch_size in (64, 640))
    shards, images = (640 - 64) // 32, 32 * 16 * 16 * 4
    assert large - small < shards * images / 8

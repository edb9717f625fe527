"""What safety costs: the share of training that saving takes, and the memory it takes beside the weights'."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cnntrain.core.console import Console
from cnntrain.engine.pool import Pool
from cnntrain.rundir import checkpoint
from cnntrain.rundir.directory import RunDirectory
from cnntrain.training.interrupts import Interrupts
from cnntrain.training.job import prepare
from cnntrain.training.trainer import Trainer
from tests.support.campaign import Campaign

ROOT = Path(__file__).parent.parent.parent
SAMPLES = 54_000  # of MNIST that configs/mnist-lenet.yaml trains on; the small one that comes along does for a step
MOST = 0.02  # of the time of the steps between two saves


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder that is not in memory, as that of other tests may be."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.mark.faults
def test_saving_takes_little_of_the_time_of_training(disk: Path, campaign: Campaign) -> None:
    """LeNet on MNIST, saved as by default after every epoch, as the last and as the best."""
    root = f"data.source.root={ROOT / 'data' / 'mnist-mini'}"
    job = prepare([ROOT / "configs" / "mnist-lenet.yaml"], [root], 2)
    with Pool(2) as pool, RunDirectory.create(disk / "run", "run", "0" * 8) as run:
        trainer = Trainer(job, run, pool, Console("none"), Interrupts())
        trainer.start()
        trainer._take_step()
        steps = statistics.median(_seconds(trainer._take_step) for _ in range(20))
        saves = statistics.median(_seconds(lambda: trainer.save(best=True)) for _ in range(9))
        size = run.last.stat().st_size
    share = saves / (math.ceil(SAMPLES / job.loaded.experiment.train.batch_size) * steps)
    campaign.tell(
        f"a step {steps * 1e3:.1f} ms, saving {size / 1e6:.1f} MB twice {saves * 1e3:.0f} ms: {share:.2%} of an epoch"
    )
    assert share < MOST


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


@pytest.mark.parametrize("size", [20_000_000, pytest.param(100_000_000, marks=pytest.mark.faults)])
def test_saving_and_reading_do_not_double_memory(tmp_path: Path, campaign: Campaign, size: int) -> None:
    arrays = {f"param/{number}": np.ones(size // 32) for number in range(4)}
    tracemalloc.start()
    checkpoint.save(tmp_path / "a.npz", {"position": {"step": 12}}, arrays)
    saving = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    found = checkpoint.read(tmp_path / "a.npz")
    reading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    campaign.tell(
        f"{size / 1e6:.0f} MB: saving takes {saving / 1e6:.2f} MB beside them, reading {reading / 1e6:.0f} MB"
    )
    assert saving < 1e6
    assert reading < size + 1e6
    assert len(found.arrays) == 4

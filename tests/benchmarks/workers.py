"""How far workers carry on one machine: the critical path of a step, worked out on one core.

    python -m tests.benchmarks.scaling --workers [--only NETWORK ...] [--batches 64 ...] [--shard 8]

The shares of N workers are done one after the other in one thread, so that nobody needs N cores, and nothing is shared
but the caches of one; seconds are the processor's, which other load lengthens little. Workers meet after every segment
of the plan and whenever results are added up; between two meetings the slowest counts:

    step = sum over meetings of the longest share + what one of them does alone + meetings * seconds of one

What a meeting costs is measured with two processes that meet and do nothing else. Not in the model: memory that all
cores share, and processors that slow down when all of them work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cnntrain.core import blas
from cnntrain.engine import update
from cnntrain.engine.pool import Pool, ShardWork
from cnntrain.engine.roster import Roster
from cnntrain.engine.team import Team
from tests.benchmarks import own

WORKERS = (1, 2, 3, 4, 6, 8, 12, 16)
MEETINGS = 2000  # that are timed


class InTurn(Pool):
    """A pool of several workers that does their shares one after the other, and notes what each took."""

    def __init__(self, workers: int) -> None:
        super().__init__(1)
        self.reserve()
        self.threads, self.roster = workers, Roster((workers,), 0)
        self.shares: list[list[float]] = []  # seconds, by meeting and worker

    def each(self, task: Callable[[int], None]) -> None:
        """Call task(worker) for every worker."""
        taken = []
        for worker in range(self.threads):
            began = time.thread_time()
            task(worker)
            taken.append(time.thread_time() - began)
        self.shares.append(taken)

    def run(self, count: int, task: ShardWork) -> None:
        """Call task(0, index) for every index."""
        for index in range(count):
            task(0, index)


@dataclass(frozen=True)
class Path:
    """What a step with so many workers takes, in seconds."""

    longest: float  # the longest shares, from meeting to meeting
    even: float  # what they would be, were the work shared out evenly
    alone: float  # what one worker does alone
    meetings: int

    def step(self, meeting: float) -> float:
        """All of it."""
        return self.longest + self.alone + self.meetings * meeting


def path(network: str, batch: int, workers: int, repeats: int, shard: int | None = None) -> Path:
    """The critical path; of each share, and of what is done alone, the least of some repetitions."""
    found, alone = [], []
    with InTurn(workers) as pool:
        stepper = own.stepper_of(network, batch, pool, own.config(network, batch, shard=shard))
        stepper.engine.source = None  # or processes would take the steps
        for number in range(repeats + 1):
            pool.shares = []
            began = time.thread_time()
            stepper.step(number)
            taken = time.thread_time() - began
            found.append(pool.shares)
            alone.append(taken - sum(map(sum, pool.shares)))
    shares = np.min(np.array(found[1:]), axis=0)
    return Path(float(shares.max(axis=1).sum()), float(shares.mean(axis=1).sum()), min(alone[1:]), len(shares))


def meeting() -> float:
    """Seconds that two processes take to meet."""

    def meet(team: Team) -> float:
        began = time.perf_counter()
        for _ in range(MEETINGS):
            team.each(lambda _worker: None)
        return (time.perf_counter() - began) / MEETINGS

    with Pool(2) as pool:
        job = pool.register(meet)
        pool.fork()
        return pool.lead(pool.team(job), job, (), meet)


def table(networks: Sequence[str], batches: Sequence[int], repeats: int, shard: int | None = None) -> None:
    """Print a line for each network, batch and number of workers."""
    blas.pin()
    update.ALONE = 0  # as processes do it, which share out every update
    once = meeting()
    print(f"a meeting takes {once * 1e6:.0f} us with two processes\n")
    print(
        "| network | batch | shards | workers | longest shares | of even ones | alone | meetings | step | times one |"
    )
    print(f"|{'---|' * 10}", flush=True)
    for network in networks:
        for batch in batches:
            with Pool(1) as pool:
                shards = -(-batch // (shard or own.stepper_of(network, batch, pool).engine.shard))
            first = 0.0
            for workers in WORKERS:
                one = path(network, batch, workers, repeats, shard)
                step = one.step(once if workers > 1 else 0.0)
                first = first or step
                cells = [network, f"{batch:,}", shards, workers, f"{one.longest * 1e3:.2f} ms"]
                cells += [f"{one.longest / one.even:.2f}", f"{one.alone * 1e3:.2f} ms", one.meetings]
                cells += [f"{step * 1e3:.2f} ms", f"{first / step:.2f}"]
                print(f"| {' | '.join(map(str, cells))} |", flush=True)

"""Processes that step together: in step, with what failed told to the one that asked, and none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cnntrain.core.arrays import shared
from cnntrain.core.errors import LostWorkerError, StorageError
from cnntrain.core.storage import AGAIN
from cnntrain.engine.pool import Pool
from cnntrain.engine.processes import Processes
from cnntrain.reading.stored import Stored, StoredFile, checksums
from tests.support.networks import engine_of, plain, random_batch
from tests.support.processes import alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


@pytest.mark.parametrize("size", [2, 3, 5])
def test_all_meet_after_each_task_and_see_what_the_others_wrote(size):
    """Each adds up what all wrote in the round before, for more rounds than a race would go unnoticed for."""
    rounds, seen = 300, shared((2, size), np.int64)
    result = shared(size, np.int64)

    def work(team: Processes, numbers: list[float]) -> None:
        total, number = 0, int(numbers[0])
        for turn in range(rounds):

            def write(rank: int, turn: int = turn) -> None:
                seen[turn % 2, rank] = (number + turn) * (rank + 1)

            team.each(write)
            total += int(seen[turn % 2].sum())
        team.each(lambda rank: result.__setitem__(rank, total))

    team = Processes(size, work)
    try:
        for number in (1, 50):
            team.tell(number)
            work(team, [number])
            ranks = size * (size + 1) // 2
            assert result.tolist() == [sum(ranks * (number + turn) for turn in range(rounds))] * size
    finally:
        team.close()


def twice(team: Processes) -> None:
    for _ in range(2):
        team.each(lambda rank: None)


def failing(error: BaseException | None) -> tuple[Processes, list[int]]:
    def work(team: Processes, numbers: list[float]) -> None:
        def task(rank: int) -> None:
            if rank == 1 and error is not None:
                raise error
            if rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        team.each(task)
        team.each(lambda rank: None)

    team = Processes(3, work)
    return team, list(team._children)


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        (MemoryError(), MemoryError, "got no memory"),
        (ZeroDivisionError("of rank 1"), RuntimeError, "ZeroDivisionError: of rank 1"),
        (None, LostWorkerError, "by signal 9"),
    ],
)
def test_what_fails_in_one_is_raised_in_the_one_that_asked(error, expected, said):
    team, children = failing(error)
    team.tell(0)
    with pytest.raises(expected, match=said):
        twice(team)
    team.close()
    assert not any(map(alive, children))


@pytest.mark.parametrize("who", [0, 1])
def test_stored_data_that_is_cut_short_meanwhile_is_what_is_told_of(tmp_path: Path, who: int) -> None:
    """Read by this process or by a copy of it, which has the file open too."""
    file = tmp_path / "data"
    rows = np.arange(2**16, dtype=np.uint8).reshape(2**8, 2**8)
    file.write_bytes(rows.tobytes())
    stored = Stored(StoredFile(file), 0, rows.shape, rows.dtype, checksums(rows), "Bring it back")

    def look(team: Processes, start: float) -> None:
        team.each(lambda rank: stored[int(start) :] if rank == who else None)

    team = Processes(2, lambda team, numbers: look(team, numbers[0]))
    try:
        team.tell(0)
        look(team, 0)
        os.truncate(file, 2**15)
        team.tell(2**7 - 1)
        with pytest.raises(StorageError, match=f"cannot read {file}: it was cut short.*Bring it back") as caught:
            look(team, 2**7 - 1)
    finally:
        team.close()
    assert caught.value.exit_code == 5


def test_a_lost_worker_is_missed_where_the_system_keeps_nothing_of_it():
    """As where a daemon left SIGCHLD ignored to what it started."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        team = Processes(2, lambda team, _numbers: team.each(lambda _rank: None))
        os.kill(team._children[0], signal.SIGKILL)
        team.tell(0)
        with pytest.raises(LostWorkerError, match="was ended by somebody"):
            team.each(lambda _rank: None)
        team.close()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_lost_worker_ends_the_step_and_the_next_one_has_new_ones():
    with Pool(2) as pool:
        engine = engine_of(plain(), pool)
        batches = [random_batch(22)]
        engine.source = lambda _step: batches
        vector = engine.step(batches, 0).copy()
        assert pool._processes is not None
        (child,) = pool._processes._children
        os.kill(child, signal.SIGKILL)
        with pytest.raises(LostWorkerError, match="was ended by signal 9") as caught:
            engine.step(batches, 0)
        assert str(caught.value).endswith(AGAIN), "which only a run that has saved goes on otherwise"
        assert np.array_equal(engine.step(batches, 0), vector)
        (child,) = pool._processes._children
    assert not alive(child)


def test_an_error_of_the_parent_ends_the_step_and_the_next_one_goes_well(monkeypatch):
    with Pool(2) as pool:
        engine = engine_of(plain(), pool)
        batches = [random_batch(22)]
        engine.source = lambda _step: batches
        vector = engine.step(batches, 0).copy()
        with monkeypatch.context() as patch:
            patch.setattr(engine.tally, "of", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                engine.step(batches, 0)
        assert np.array_equal(engine.step(batches, 0), vector)


def test_a_batch_larger_than_any_before_gets_its_memory():
    with Pool(2) as pool:
        engine = engine_of(plain(), pool)
        engine.source = lambda step: [random_batch(8 * (step + 1))]
        alone = engine_of(plain(), pool)
        for step in (0, 3, 1):
            assert np.array_equal(engine.step(engine.source(step), step), alone.step(engine.source(step), step))
            assert np.array_equal(engine.grads, alone.grads)


def test_where_nothing_can_be_forked_threads_do_the_work(monkeypatch):
    def refuse() -> int:
        raise BlockingIOError("no more processes")

    with Pool(2) as pool:
        engine = engine_of(plain(), pool)
        batches = [random_batch(22)]
        engine.source = lambda _step: batches
        monkeypatch.setattr(os, "fork", refuse)
        assert np.isfinite(engine.step(batches, 0)).all()
        assert pool._processes is None


SCRIPT = """
import os, sys, time
from cnntrain.engine.processes import Processes
held = open(sys.argv[1], "w")
team = Processes(2, lambda team, numbers: team.each(lambda rank: time.sleep(60)))
if sys.argv[2] == "busy":
    team.tell(0)
print(team._children[0], flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_no_process_outlives_its_parent_nor_holds_its_files(state, tmp_path):
    """Killed at once, whatever it is at; and a pipe or lock of the parent is free while it lives."""
    command = [sys.executable, "-c", SCRIPT, tmp_path / "held", state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.1)
        files = {os.readlink(f"/proc/{child}/fd/{name}") for name in os.listdir(f"/proc/{child}/fd")}
        assert files == {"/dev/null"}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            os.kill(child, number)  # meant for the whole job: the parent decides
        time.sleep(0.1)
        assert alive(child)
        parent.kill()
    deadline = time.monotonic() + 5
    while alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_threads_of_the_parent_do_not_matter():
    """A pool whose threads have run is forked from while they wait."""
    with Pool(4) as pool:
        pool.run(8, lambda worker, index: None)
        assert threading.active_count() > 1
        job = pool.register(lambda team, *numbers: team.each(lambda rank: None))
        pool.fork()
        team = pool.team(job)
        assert isinstance(team, Processes)
        team.tell(job)
        team.each(lambda rank: None)


def test_threads_do_the_jobs_that_the_processes_do_not_know():
    with Pool(2) as pool:
        known = pool.register(lambda team, *numbers: None)
        assert pool.team(known) is pool
        pool.fork()
        unknown = pool.register(lambda team, *numbers: None)
        assert isinstance(pool.team(known), Processes)
        assert pool.team(unknown) is pool
        pool.end_processes()
        assert pool.team(known) is pool

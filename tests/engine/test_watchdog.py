"""The watchdog barks at workers that hang, and at no slow, starved, stopped or idle one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cnntrain.core import watchdog
from cnntrain.core.errors import StorageError
from cnntrain.core.watchdog import Watchdog
from cnntrain.data.loader import Waiting
from cnntrain.engine import pool as pools
from cnntrain.engine import processes
from cnntrain.engine.pool import Pool
from cnntrain.engine.processes import Processes
from cnntrain.reading.input_files import noted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody counts for how long a thread has run")
SOON = 0.05  # seconds between two looks here
LOOKS = 6


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "STILL", LOOKS * SOON)
    monkeypatch.setattr(pools, "PATIENCE", SOON)
    monkeypatch.setattr(processes, "PATIENCE", SOON)


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a hanging worker waits for, until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_a_thread_that_hangs_is_told_of_and_left_behind(never: threading.Event) -> None:
    waiting = Waiting()
    waiting._lock.acquire()  # so that the worker hangs in code of the package
    with Pool(3) as pool:
        with pytest.raises(StorageError) as caught:
            pool.run(3, lambda worker, _index: waiting.add(0.0) if worker == 1 else time.sleep(SOON))
        assert caught.value.exit_code == 5
        assert "a worker thread has stood still for 0 seconds in Waiting.add (data/loader.py:" in str(caught.value)
    waiting._lock.release()


@pytest.mark.parametrize("hanging", [1, 2])
@pytest.mark.parametrize("ours", [True, False], ids=["in the package", "outside"])
def test_the_file_that_a_hanging_thread_reads_is_named_whichever_it_is(
    never: threading.Event, hanging: int, ours: bool
) -> None:
    waiting, begun = Waiting(), threading.Barrier(3)
    waiting._lock.acquire()

    def read(worker: int, _index: int) -> None:
        begun.wait()  # so that each thread has one
        if worker == hanging:
            with noted(Path("/data/a.png")):
                waiting.add(0.0) if ours else never.wait()
        elif worker:
            waiting.add(0.0)  # as one that the other holds up

    with Pool(3) as pool, pytest.raises(StorageError, match=r" at /data/a\.png: a disk"):
        pool.run(3, read)
    waiting._lock.release()


def test_what_hangs_outside_the_package_has_no_name(never: threading.Event) -> None:
    with Pool(2) as pool, pytest.raises(StorageError, match="seconds: a disk or a file system does not answer"):
        pool.run(2, lambda worker, _index: never.wait() if worker else time.sleep(SOON))


def _compute() -> None:
    end = time.monotonic() + 3 * LOOKS * SOON
    while time.monotonic() < end:
        sum(range(1000))


def _read_slowly() -> None:
    for _ in range(3 * LOOKS):
        time.sleep(SOON)


@pytest.mark.parametrize("work", [_compute, _read_slowly])
def test_a_slow_worker_is_waited_for(work: Callable[[], None]) -> None:
    with Pool(3) as pool:
        pool.run(3, lambda worker, _index: work() if worker == 1 else time.sleep(SOON))


def test_a_process_that_hangs_is_told_of_and_ended() -> None:
    team = Processes(3, lambda team, _number: team.each(lambda rank: signal.pause() if rank == 1 else None))
    child, idle = team._children
    try:
        team.tell(0)
        with pytest.raises(StorageError, match=f"worker process {child} has stood still"):
            team.each(lambda _rank: None)
    finally:
        team.close()
    for process in (child, idle):
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_processes_that_wait_for_a_slow_one_do_not_hang() -> None:
    team = Processes(3, lambda team, _number: team.each(lambda rank: _read_slowly() if rank == 1 else None))
    try:
        team.tell(0)
        team.each(lambda _rank: None)
    finally:
        team.close()


def test_looks_count_and_not_the_time_between_them() -> None:
    """As after SIGSTOP or a night of sleep: one look tells nothing, however long after the one before."""
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        watched = Watchdog(SOON)
        time.sleep(2 * LOOKS * SOON)
        found = [watched.hangs(sleeping.pid, sleeping.pid) for _ in range(LOOKS + 3)]
        assert found == [False] * LOOKS + [True] * 3
        sleeping.send_signal(signal.SIGSTOP)  # by somebody who will know why
        time.sleep(SOON)
        assert not any(watched.hangs(sleeping.pid, sleeping.pid) for _ in range(2 * LOOKS))
        sleeping.kill()


def test_where_the_system_does_not_count_nobody_hangs(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("1 (a ) b) S 0 0")
    (tmp_path / "schedstat").write_text("0 0 0\n")
    assert watchdog._ran(tmp_path) is None
    (tmp_path / "schedstat").write_text("7 0 1\n")
    assert watchdog._ran(tmp_path) == 7


def test_of_what_is_gone_or_cannot_be_looked_at_nothing_is_said() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    watched = Watchdog(SOON)
    assert not any(watched.hangs(gone.pid, gone.pid) for _ in range(2 * LOOKS))

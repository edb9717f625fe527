"""Interrupts: a signal is a wish granted between two steps, a second one is not to be argued with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from cnntrain.core import signals
from cnntrain.core.errors import StoppedError
from cnntrain.core.signals import PARTING, STOPPING
from cnntrain.training.interrupts import BURST, Interrupts

ALL = (*STOPPING, signal.SIGUSR1, PARTING)

LOOP = """
import signal, sys, time
from cnntrain.core import signals
from cnntrain.core.errors import StoppedError
from cnntrain.training import interrupts
from cnntrain.training.interrupts import Interrupts

signals.take_over()
interrupts.BURST = 0.1
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
{before}
with Interrupts() as interrupts:
    print("ready", flush=True)
    try:
        noted = None
        while not interrupts.save:
            if interrupts.stop is not noted:
                noted = interrupts.stop
                print(noted.name, flush=True)
            time.sleep(0.005)
        print("save, stop:", interrupts.stop and interrupts.stop.name, flush=True)
    finally:
        print("cleaned up", flush=True)
"""


@pytest.fixture(autouse=True)
def _heeded() -> Iterator[None]:
    """No signal is ignored, as SIGINT is where the tests run in the background of a shell."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ALL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A process in the loop above; a parameter is code to run before it."""
    code = LOOP.format(before=getattr(request, "param", ""))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        yield running
        running.kill()


def rest(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it still said."""
    out, _ = process.communicate(timeout=30)
    return process.returncode, out


@pytest.mark.parametrize("number", STOPPING)
def test_the_first_signal_is_noted_and_nothing_else_happens(number):
    with Interrupts() as interrupts:
        assert interrupts.stop is None
        os.kill(os.getpid(), number)
        assert interrupts.stop is number
        assert not interrupts.save


def test_the_signal_that_saves_does_not_stop_and_may_come_often():
    with Interrupts() as interrupts:
        for _ in range(3):
            interrupts.save = False
            os.kill(os.getpid(), signal.SIGUSR1)
            assert interrupts.save
        assert interrupts.stop is None


@pytest.mark.parametrize("number", STOPPING)
def test_where_nothing_is_there_to_be_finished_a_signal_stops_at_once(number):
    with Interrupts() as interrupts:
        with (
            pytest.raises(StoppedError, match=f"stopped by {number.name} before training") as stopped,
            interrupts.at_once(),
        ):
            os.kill(os.getpid(), number)
        assert stopped.value.exit_code == 128 + number


def test_a_signal_that_arrives_in_a_finalizer_stops_in_the_end_and_prints_nothing(capsys):
    class Fragile:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            sum(range(1000))  # the handler runs in here, from where no error comes out

    with Interrupts() as interrupts:
        with pytest.raises(StoppedError, match="stopped by SIGTERM before training"), interrupts.at_once():
            Fragile()
        hook = sys.unraisablehook
    assert hook is sys.unraisablehook
    assert capsys.readouterr().err == ""


def test_a_signal_that_came_before_counts_too_and_one_that_comes_after_is_noted():
    with Interrupts() as interrupts:
        with interrupts.at_once():
            os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StoppedError), interrupts.at_once():
            pytest.fail("it went on")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("second", STOPPING)
def test_a_second_signal_ends_the_process_at_once(process, first, second):
    process.send_signal(first)
    assert process.stdout.readline() == f"{first.name}\n"
    time.sleep(0.15)
    process.send_signal(second)
    assert rest(process) == (128 + second, "")  # no finally, no flush, no saving


@pytest.mark.parametrize("second", STOPPING)
def test_what_comes_right_after_the_first_repeats_it(second, monkeypatch):
    """As from `timeout`, which sends one to its child and one to its group, a moment later."""
    left, now = [], [time.monotonic()]
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Interrupts() as interrupts:
        for number in (signal.SIGTERM, second, second):
            os.kill(os.getpid(), number)
        assert (interrupts.stop, left) == (signal.SIGTERM, [])
        now[0] += 2 * BURST
        os.kill(os.getpid(), second)
        assert left == [128 + second]


def test_a_sweep_and_the_system_ask_a_run_to_part_as_often_as_they_like(process):
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "SIGTERM\n"
    for _ in range(3):
        time.sleep(0.15)
        process.send_signal(PARTING)
    process.send_signal(signal.SIGUSR1)
    assert rest(process) == (0, "save, stop: SIGTERM\ncleaned up\n")


def test_to_part_is_to_stop_as_by_term(process):
    process.send_signal(PARTING)
    assert process.stdout.readline() == "SIGTERM\n"
    process.send_signal(signal.SIGUSR1)
    assert rest(process) == (0, "save, stop: SIGTERM\ncleaned up\n")


def test_a_program_that_has_imported_us_keeps_the_signal_of_sweeps():
    """Whether it has a handler or, with the signal blocked, waits for it."""
    came = []
    signal.signal(PARTING, lambda *_: came.append(1))
    with Interrupts() as interrupts:
        os.kill(os.getpid(), PARTING)
    assert (came, interrupts.stop) == ([1], None)
    signal.signal(PARTING, signal.SIG_DFL)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {PARTING})
    with Interrupts() as interrupts:
        signal.raise_signal(PARTING)  # to this thread: others may not have it blocked
        assert signal.sigtimedwait({PARTING}, 10)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert interrupts.stop is None


def test_a_wish_to_save_between_two_stops_changes_nothing(process):
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "SIGTERM\n"
    process.send_signal(signal.SIGUSR1)
    assert rest(process) == (0, "save, stop: SIGTERM\ncleaned up\n")


@pytest.mark.parametrize("process", ["signal.signal(signal.SIGINT, signal.SIG_IGN)"], indirect=True)
def test_a_signal_ignored_from_the_start_stays_ignored(process):
    """As nohup does with SIGHUP, and a shell with SIGINT for what it runs in the background."""
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGUSR1)
    assert rest(process) == (0, "save, stop: None\ncleaned up\n")


def test_handlers_are_put_back_whatever_happens(monkeypatch):
    monkeypatch.setattr(signals, "_ours", [os.getpid()])
    before = {number: signal.getsignal(number) for number in ALL}
    inside, blocked = {}, {signal.SIGHUP, signal.SIGUSR1}

    def fail() -> None:
        with Interrupts():
            inside.update({number: signal.getsignal(number) for number in ALL})
            assert not blocked & signal.pthread_sigmask(signal.SIG_BLOCK, ())
            raise RuntimeError("inside")

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert signal.pthread_sigmask(signal.SIG_SETMASK, mask) == mask | blocked
    assert all(inside[number] is not before[number] for number in ALL)
    assert {number: signal.getsignal(number) for number in ALL} == before


def test_outside_the_main_thread_no_signal_is_taken():
    """Where Python allows none to be: `fit` called by a program from a thread of its own still runs."""
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter() -> None:
        with Interrupts() as interrupts:
            seen.append((signal.getsignal(signal.SIGTERM), interrupts.stop))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [(before, None)]


def test_within_another_it_is_that_one() -> None:
    with Interrupts(seconds=0) as outer:
        signal.raise_signal(signal.SIGTERM)
        with Interrupts(seconds=1000) as inner:
            assert inner is outer  # what was asked for meanwhile is not lost, and time has run since then
            assert (inner.stop, inner.time_is_up) == (signal.SIGTERM, True)
        assert signal.getsignal(signal.SIGTERM) == outer._handle
    with Interrupts() as another:
        assert another.stop is None
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_sessions_in_threads_leave_the_hooks_of_the_process_alone() -> None:
    before = sys.unraisablehook
    inside, done = threading.Barrier(2), threading.Barrier(2)

    def session(leave_first: bool) -> None:
        with Interrupts() as interrupts:
            with interrupts.at_once():
                inside.wait(10)
                if not leave_first:
                    done.wait(10)
            if leave_first:
                done.wait(10)

    threads = [threading.Thread(target=session, args=(first,)) for first in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.unraisablehook is before

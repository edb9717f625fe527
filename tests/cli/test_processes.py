"""Whole processes: signals, and the exit codes a script relies on. Random moments are in tests/faults."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time

import pytest

from cnntrain.rundir.json_files import read_rows
from cnntrain.training.interrupts import Interrupts
from tests.support.experiments import call, start, write
from tests.support.processes import alive, workers
from tests.support.promises import evidence, require_same


@pytest.mark.parametrize(
    ("number", "code", "shown"),
    [(signal.SIGINT, 130, "--progress=plain"), (signal.SIGTERM, 143, "-q"), (signal.SIGHUP, 129, "-q")],
)
def test_a_signal_finishes_the_step_saves_and_tells_how_to_go_on(number, code, shown, tmp_path):
    config = write(tmp_path)
    process = start("fit", config, "-s", "train.epochs=500", "-o", "run", shown, cwd=tmp_path)
    _wait_for_steps(tmp_path)
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == code
    *more, last = err.splitlines()
    assert not more or shown != "-q"
    assert last.startswith(f"cnntrain: stopped by {number.name} after step")
    assert "cnntrain fit --run-dir run --resume" in last
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("interrupted", code)
    code, _, _ = call("fit", "--run-dir", "run", "--resume", "-s", "train.epochs=1", cwd=tmp_path)
    assert code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="workers are processes on Linux only")
def test_a_signal_to_all_processes_is_the_business_of_the_first(tmp_path):
    """As Ctrl-C in a terminal sends it, or `timeout` and batch systems."""
    config = write(tmp_path)
    process = start("fit", config, "-s", "train.epochs=500", "-o", "run", "-j", "3", cwd=tmp_path)
    _wait_for_steps(tmp_path)
    those = workers(process.pid)
    assert len(those) == 2
    for number in (*those, process.pid):
        os.kill(number, signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "stopped by SIGINT after step" in err.splitlines()[-1]
    assert not any(map(alive, those))


@pytest.mark.skipif(sys.platform != "linux", reason="workers are processes on Linux only")
def test_a_worker_that_is_killed_ends_the_run_which_can_be_resumed(tmp_path):
    config = write(tmp_path)
    sets = ("-s", "train.epochs=12", "-s", "checkpoint.every=2ep")
    assert call("fit", config, *sets, "-o", "straight", cwd=tmp_path)[0] == 0
    codes = []
    while not codes or codes[-1]:
        process = start("fit", config, *sets, "-o", "run", "-j", "2", "--resume-or-start", cwd=tmp_path)
        while not (those := workers(process.pid)) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.3 * len(codes))  # later each time: within the first step, and in the end not at all
        for worker in those:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        _, err = process.communicate(timeout=30)
        codes.append(process.returncode)
        if process.returncode == 5:
            assert err.splitlines()[-1].startswith(f"cnntrain: error: worker process {those[0]} was ended by signal 9")
            status = json.loads((tmp_path / "run/status.json").read_text())
            assert status["exit_code"] == 5
            onward = " run --resume" if status.get("step") is not None else "run the command again"
            assert err.rstrip().endswith(onward)
    assert codes[:-1] == [5] * (len(codes) - 1)
    assert len(codes) > 1
    require_same(tmp_path / "run", evidence(tmp_path / "straight"))


def test_usr1_saves_and_goes_on(tmp_path):
    config = write(tmp_path)
    process = start("fit", config, "-s", "train.epochs=40", "-s", "checkpoint.every=40ep", "-o", "run", cwd=tmp_path)
    _wait_for_steps(tmp_path)
    before = (tmp_path / "run/checkpoints/last.npz").stat().st_ino
    process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + 10
    while (tmp_path / "run/checkpoints/last.npz").stat().st_ino == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (tmp_path / "run/checkpoints/last.npz").stat().st_ino != before
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_second_run_in_the_same_directory_is_refused_at_once(tmp_path):
    config = write(tmp_path)
    process = start("fit", config, "-s", "train.epochs=500", "-o", "run", cwd=tmp_path)
    _wait_for_steps(tmp_path)
    code, _, err = call("fit", config, "-o", "run", "--resume-or-start", cwd=tmp_path)
    process.kill()
    process.communicate()
    assert code == 8
    assert "is in use by process" in err


def test_closed_output_never_stops_a_run(tmp_path):
    config = write(tmp_path)
    process = start("fit", config, "-s", "train.epochs=2", "-o", "run", cwd=tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert read_rows(tmp_path / "run/metrics.jsonl")[-1]["event"] == "end"


def _wait_for_steps(folder) -> None:
    """Until training is under way."""
    path = folder / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 30
    while not (path.exists() and b'"train"' in path.read_bytes()):
        assert time.monotonic() < deadline, "training did not begin"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD])
def test_what_was_blocked_or_ignored_by_whoever_started_it_arrives(number):
    """While training lasts; afterwards all is as it was."""
    before = signal.getsignal(number)
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    if number == signal.SIGCHLD:
        signal.signal(number, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            assert number not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
            assert signal.getsignal(number) is not signal.SIG_IGN
            if number != signal.SIGCHLD:
                os.kill(os.getpid(), number)
                assert interrupts.save if number == signal.SIGUSR1 else interrupts.stop == number
        assert number in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert number != signal.SIGCHLD or signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})

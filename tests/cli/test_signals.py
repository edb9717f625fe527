"""Signals at an odd moment, or to a sweep, as cli/README.md has them; those to `fit` are in test_processes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.experiments import start, write

PATIENCE = 60.0
SHORT = ("-s", "train.epochs=2")


def wait_for(condition, process) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def trains(run_dir: Path) -> bool:
    rows = run_dir / "metrics.jsonl"
    return rows.exists() and b'"train"' in rows.read_bytes()


def children(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.fixture
def desk(tmp_path):
    write(tmp_path)
    (tmp_path / "sweep.yaml").write_text("config: full.yaml\nset: {train.epochs: 2}\nseeds: 2\n")
    return tmp_path


def test_a_sweeps_signal_to_a_run_that_is_still_importing_stops_it_in_order(desk):
    code = (
        "import os, signal, sys; from cnntrain import cli; "
        "cli.terminal.prepare = lambda: os.kill(os.getpid(), signal.SIGUSR2); "
        "sys.argv = ['cnntrain', 'fit', 'full.yaml', '-o', 'run']; sys.exit(cli.main())"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=desk, capture_output=True, text=True, timeout=PATIENCE)
    assert (ended.returncode, "stopped by SIGTERM before training" in ended.stderr) == (143, True), ended.stderr
    assert not (desk / "run").exists()


def bombarded(*arguments: str, cwd: Path) -> tuple[int, str]:
    """The exit code and stderr of a command that gets a USR1 every few milliseconds, from its beginning to its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cnntrain", *arguments],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}),  # until Python itself has begun
    )
    while process.poll() is None:
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.004)
    return process.returncode, process.communicate()[1]


def test_the_wish_to_save_never_ends_a_run_that_begins_or_ends(desk):
    code, err = bombarded("fit", "full.yaml", "-o", "run", "-q", *SHORT, cwd=desk)
    assert (code, err) == (0, "")


def test_nor_one_of_a_sweep(desk):
    code, err = bombarded("sweep", "sweep.yaml", "-q", "-j", "2", cwd=desk)
    assert (code, err) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
def test_a_run_of_a_sweep_that_is_killed_counts_as_killed_and_the_others_go_on(desk):
    (desk / "sweep.yaml").write_text("config: full.yaml\nset: {train.epochs: 100000}\nseeds: 1\n")
    process = start("sweep", "sweep.yaml", "--json", cwd=desk)
    wait_for(lambda: bool(list((desk / "runs").glob("sweep/*/metrics.jsonl"))), process)
    run = next((desk / "runs/sweep").glob("*/metrics.jsonl")).parent
    wait_for(lambda: trains(run), process)
    (cell,) = children(process.pid)
    os.kill(cell, signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 137, err
    (document,) = json.loads(out)["cells"]
    assert (document["state"], document["exit_code"]) == ("killed", 137)


@pytest.mark.skipif(sys.platform != "linux", reason="terminals of Linux")
def test_a_sweep_whose_terminal_is_closed_ends_as_by_the_signal(desk):
    (desk / "sweep.yaml").write_text("config: full.yaml\nset: {train.epochs: 100000}\nseeds: 1\n")
    child, master = pty.fork()
    if not child:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup leaves ignored
        os.chdir(desk)
        os.execv(sys.executable, [sys.executable, "-m", "cnntrain", "sweep", "sweep.yaml"])
    deadline = time.monotonic() + PATIENCE
    os.set_blocking(master, False)
    while not any(trains(path.parent) for path in (desk / "runs").glob("sweep/*/metrics.jsonl")):
        assert time.monotonic() < deadline
        try:
            os.read(master, 4096)
        except OSError:
            time.sleep(0.02)
    os.close(master)  # the terminal is gone: HUP, and whatever is written fails
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 129

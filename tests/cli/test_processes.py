"""Whole processes: signals, and the exit codes a script relies on. Random moments are in tests/faults."""

from __future__ import annotations

import json
import signal
import time

import pytest

from cnntrain.run import read_metrics
from tests.support.experiments import call, start, write


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_finishes_the_step_saves_and_tells_how_to_go_on(number, code, tmp_path):
    config = write(tmp_path)
    process = start("fit", config, "-s", "train.epochs=500", "-o", "run", "--progress", "plain", cwd=tmp_path)
    _wait_for_steps(tmp_path)
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == code
    last = err.strip().splitlines()[-1]
    assert last.startswith(f"cnntrain: error: stopped by {number.name} after step")
    assert "cnntrain fit --run-dir run --resume" in last
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("interrupted", code)
    code, _, _ = call("fit", "--run-dir", "run", "--resume", "-s", "train.epochs=1", cwd=tmp_path)
    assert code == 0


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
    assert read_metrics(tmp_path / "run/metrics.jsonl")[-1]["event"] == "end"


def _wait_for_steps(folder) -> None:
    """Until training is under way."""
    path = folder / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 30
    while not (path.exists() and b'"train"' in path.read_bytes()):
        assert time.monotonic() < deadline, "training did not begin"
        time.sleep(0.01)

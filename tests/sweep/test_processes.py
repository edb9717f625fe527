"""A sweep as processes: each cell trained once whatever is killed, one failure alone, signals, no orphans."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from cnntrain.cli import main
from cnntrain.core.directory_lock import DirectoryLock
from cnntrain.sweep import child, scheduler
from cnntrain.sweep.cells import Cell
from cnntrain.sweep.processes import LocalExecutor, begin, exit_code
from cnntrain.sweep.standing import Standing
from cnntrain.training.interrupts import BURST
from tests.support.experiments import call, evidence, run, start, write
from tests.support.processes import alive

SEED = random.randrange(10**6)
DIVERGES = "1e30"

ENDLESS = "set: {train.epochs: 100000, train.early_stopping: null, checkpoint.every: 1ep}\n"
PATIENCE = 90  # seconds until training must have begun: a busy machine takes its time
SMALL = "config: full.yaml\nset: {train.epochs: 2}\ngrid: {optimizer.lr: [0.1, 1e30, 0.05]}\n"
TWELVE = """\
config: full.yaml
set: {train.epochs: 12, data.source.samples: 900}
grid: {optimizer.lr: [0.1, 1e30, 0.05], model.layers.3.rate: [0, 0.3]}
seeds: 2
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def children(pid: int) -> list[int]:
    """The processes that a process has begun."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")


def gone(pids: list[int], seconds: float = 30.0) -> bool:
    """Whether all of them end within some seconds."""
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kill_everything(process: subprocess.Popen[str]) -> None:
    """kill -9 a sweep and all its runs."""
    process.send_signal(signal.SIGSTOP)  # lest it begins another one
    pids = children(process.pid)
    for pid in (*pids, process.pid):
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert gone(pids)


def finished(folder: Path) -> dict[str, tuple[int, bytes]]:
    """The runs that are finished, each with what a second training would change."""
    found = {}
    for status in folder.glob("*/status.json"):
        if json.loads(status.read_text())["state"] == "finished":
            last = status.parent / "checkpoints/last.npz"
            found[status.parent.name] = (last.stat().st_ino, (status.parent / "metrics.jsonl").read_bytes())
    return found


def killed_and_rerun(desk: Path, text: str, kills: int, longest: float) -> tuple[int, dict[str, object]]:
    """Kill a sweep with all its processes, run it again, and so on; the last time let it end."""
    (desk / "sweep.yaml").write_text(text)
    rng = random.Random(SEED)
    before: dict[str, tuple[int, bytes]] = {}
    for _ in range(kills):
        process = start("sweep", "sweep.yaml", "-p", "2", cwd=desk)
        time.sleep(rng.uniform(0.5, longest))
        kill_everything(process)
        now = finished(desk / "runs/sweep")
        assert {name: now[name] for name in before} == before, "a finished run was trained again"
        before = now
    code, out, err = call("sweep", "sweep.yaml", "-p", "2", "--json", cwd=desk, patience=600)
    assert err
    now = finished(desk / "runs/sweep")
    assert {name: now[name] for name in before} == before, "a finished run was trained again"
    return code, json.loads(out)


def check(desk: Path, document: dict[str, object], cells: int) -> None:
    """Every cell has one run directory, with the bits of a run that was never killed; all that diverge, did."""
    found = {path.parent.name for path in (desk / "runs/sweep").glob("*/checkpoints")}
    assert found == {cell["name"] for cell in document["cells"]}
    assert len(found) == cells
    for number, cell in enumerate(document["cells"]):
        diverges = f"lr={DIVERGES}" in cell["name"]
        assert (cell["exit_code"], cell["state"]) == ((6, "diverged") if diverges else (0, "finished"))
        if not diverges and number % 5 == 0:
            sets = tuple(f"{key}={text}" for key, text in cell["settings"].items())
            straight = desk / f"straight-{number}"
            run(desk / "full.yaml", straight, sets)
            assert evidence(desk / cell["run_dir"]) == evidence(straight), f"seed {SEED}"


def programs(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let shell scripts run in place of cnntrain; returns the words each was begun with."""
    begun: list[list[str]] = []

    def command(words: Sequence[str]) -> list[str]:
        begun.append([*words])
        return ["sh", "-c", words[0]]

    monkeypatch.setattr(child, "command", command)
    return begun


def cell(script: str) -> Standing:
    return Standing(cast(Cell, None), Path("none"), [script])


def test_processes_share_the_threads_that_are_left_among_those_still_to_come(monkeypatch):
    programs(monkeypatch)
    for threads, most, count, shares in (
        (8, 4, 2, [4, 4]),
        (8, 3, 9, [2, 3, 3]),
        (2, 4, 4, [1, 1, 1, 1]),
        (5, 9, 1, [5]),
    ):
        executor, cells = LocalExecutor(threads, most), [cell("exit 0") for _ in range(count)]
        for number, one in enumerate(cells[:most]):
            assert executor.free == most - number
            assert executor.begin(one, waiting=count - number)
        assert [one.threads for one in cells[:most]] == shares
        executor.close()


def test_all_that_a_process_says_is_kept_with_its_exit_code(monkeypatch, capfd):
    begun = programs(monkeypatch)
    executor, ended = LocalExecutor(1, 3), []
    long = "for i in 1 2 3; do echo $i >&2; sleep 0.02; done; head -c 200000 /dev/zero >&2; exit 6"
    for script in (long, "printf '\\377' >&2; kill -9 $$", "echo out; cat"):
        executor.begin(cell(script), 1)
    while executor.running:
        ended += executor.look()
    executor.close()
    found = {one.standing.words[0]: (one.code, one.said) for one in ended}
    assert found[long] == (6, "1\n2\n3\n" + "\0" * 200000)
    assert [*found.values()].count((137, "\ufffd")) == 1, "as a shell has it"
    assert found["echo out; cat"] == (0, ""), "no input, and no output but stderr"
    assert capfd.readouterr() == ("", "")
    assert all(words[1:] == ["--threads", "1", "--quiet"] for words in begun)


def test_a_wish_to_save_that_comes_before_there_is_anything_does_no_harm():
    process = begin(["--version"])
    process.send_signal(signal.SIGUSR1)
    assert process.communicate()[1] == b""
    assert exit_code(process) == 0


@needs_proc
def test_killed_with_all_its_processes_and_rerun_it_trains_each_cell_once(desk):
    code, document = killed_and_rerun(desk, SMALL, kills=1, longest=2.5)
    assert code == 6
    assert document["exit_code"] == 6
    check(desk, document, 3)


@needs_proc
@pytest.mark.faults
def test_twelve_cells_killed_three_times_are_trained_once_each(desk):
    code, document = killed_and_rerun(desk, TWELVE, kills=3, longest=8.0)
    assert code == 6
    check(desk, document, 12)


@needs_proc
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_reaches_every_run_once_and_leaves_no_orphan(desk, number, code):
    (desk / "sweep.yaml").write_text(f"config: full.yaml\n{ENDLESS}seeds: 3\n")
    process = start("sweep", "sweep.yaml", "-p", "2", cwd=desk)
    runs = [desk / f"runs/sweep/seed={seed}" for seed in (0, 1)]
    pids = under_way(process, runs)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    assert not any(map(alive, pids))
    assert [line.split()[1:3] for line in out.splitlines()[2:]] == [["143", "stopped"]] * 2 + [["-", "waiting"]]
    assert err.splitlines()[-1] == (
        f"cnntrain: stopped by {number.name}; the runs under way are saved. Go on with the same command"
    )
    states = [json.loads((path / "status.json").read_text()) for path in runs]
    assert [(state["state"], state["exit_code"]) for state in states] == [("interrupted", 143)] * 2
    assert not (desk / "runs/sweep/seed=2").exists()


@needs_proc
@pytest.mark.parametrize("how", ["everybody", "twice"])
def test_whoever_stops_a_sweep_need_not_know_of_its_runs_and_may_be_impatient(desk, how):
    """As a service manager sends TERM to all processes of a service; the second of two makes the sweep leave alone."""
    (desk / "sweep.yaml").write_text(f"config: full.yaml\n{ENDLESS.replace('1ep', '90000ep')}seeds: 2\n")
    process = start("sweep", "sweep.yaml", "-p", "2", cwd=desk)
    runs = [desk / f"runs/sweep/seed={seed}" for seed in (0, 1)]
    pids = under_way(process, runs)
    if how == "everybody":
        for pid in (*pids, process.pid):
            os.kill(pid, signal.SIGTERM)
    else:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)  # so that none can be over before the sweep is told twice
        process.send_signal(signal.SIGTERM)
        time.sleep(4 * BURST)
        process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    assert gone(pids)
    assert ("are saved" in err) == (how == "everybody")
    states = [json.loads((path / "status.json").read_text()) for path in runs]
    assert {state["state"] for state in states} == {"interrupted"}
    codes = {143} if how == "everybody" else {129, 143}  # HUP is what the system sends to orphans that stand still
    assert {state["exit_code"] for state in states} <= codes


@needs_proc
def test_a_run_that_left_without_saving_is_not_called_saved(desk):
    (desk / "sweep.yaml").write_text(f"config: full.yaml\n{ENDLESS}")
    process = start("sweep", "sweep.yaml", cwd=desk)
    (pid,) = under_way(process, [desk / "runs/sweep/run"])
    os.kill(pid, signal.SIGSTOP)  # so that it cannot save before it is killed
    process.send_signal(signal.SIGTERM)
    time.sleep(4 * BURST)
    os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)
    assert err.splitlines()[-1] == (
        "cnntrain: stopped by SIGTERM; run left without saving, and will go on from the last checkpoint. "
        "Go on with the same command"
    )


@needs_proc
def test_where_it_is_killed_alone_its_runs_save_and_stop(desk):
    (desk / "sweep.yaml").write_text(f"config: full.yaml\n{ENDLESS}")
    process = start("sweep", "sweep.yaml", cwd=desk)
    pids = under_way(process, [desk / "runs/sweep/run"])
    process.kill()
    process.communicate()
    assert gone(pids)
    assert json.loads((desk / "runs/sweep/run/status.json").read_text())["state"] == "interrupted"


def under_way(process: subprocess.Popen[str], runs: list[Path]) -> list[int]:
    """Wait until all of these are training; returns their processes."""
    deadline = time.monotonic() + PATIENCE
    while not all((path / "metrics.jsonl").exists() and b'"train"' in (path / "metrics.jsonl").read_bytes()
                  for path in runs):  # fmt: skip
        assert time.monotonic() < deadline, "training did not begin"
        assert process.poll() is None
        time.sleep(0.02)
    pids = children(process.pid)
    assert len(pids) == len(runs)
    return pids


@needs_proc
def test_a_cell_that_another_process_still_saves_is_waited_for(desk):
    """As after kill -9 of a sweep, when it is started again at once."""
    (desk / "small.yaml").write_text(SMALL)
    held = start("fit", "full.yaml", "-s", "train.epochs=100000", "-o", "runs/small/lr=0.1", cwd=desk)
    while not (desk / "runs/small/lr=0.1/checkpoints/last.npz").exists():
        time.sleep(0.02)
    sweep = start("sweep", "small.yaml", "--processes", "2", "--json", cwd=desk)
    while not (desk / "runs/small/lr=0.05/checkpoints/last.npz").exists():
        time.sleep(0.02)
    held.kill()  # its directory holds a run that this sweep goes on with, if only by other settings
    held.communicate()
    out, err = sweep.communicate(timeout=PATIENCE)
    codes = {cell["name"]: cell["exit_code"] for cell in json.loads(out)["cells"]}
    assert codes["lr=0.05"] == 0
    assert codes["lr=0.1"] != 8, err
    assert "is in use by" not in err


def test_a_cell_that_stays_in_use_is_told_in_the_end(desk, monkeypatch):
    monkeypatch.setattr(scheduler, "_PATIENCE", 1.5)
    (desk / "small.yaml").write_text(SMALL)
    (desk / "runs/small/lr=0.1").mkdir(parents=True)
    with DirectoryLock(desk / "runs/small/lr=0.1"):
        assert main(["sweep", "small.yaml", "-q", "--json"]) == 8


def test_a_second_sweep_in_the_same_folder_is_refused(desk, capsys):
    from cnntrain.core.directory_lock import DirectoryLock

    (desk / "sweep.yaml").write_text("config: full.yaml\n")
    (desk / "out").mkdir()
    with DirectoryLock(desk / "out"):
        assert main(["sweep", "sweep.yaml", "-o", "out", "-q"]) == 8
    assert "out is in use by process" in capsys.readouterr().err
    assert not (desk / "out/run").exists()


def test_finished_runs_are_not_begun_again_and_keep_their_times(desk, capsys):
    (desk / "small.yaml").write_text(SMALL.replace("0.1, 1e30,", "0.1,"))
    assert main(["sweep", "small.yaml", "-q", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert all(cell["seconds"] > 0 for cell in first["cells"])
    commands = {path: path.read_text() for path in (desk / "runs/small").glob("*/command.txt")}
    assert main(["sweep", "small.yaml", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == first
    assert shown.err.count("was finished already") == 2
    assert {path: path.read_text() for path in commands} == commands, "a finished run was begun again"
    (desk / "small.yaml").write_text(SMALL.replace("0.1, 1e30,", "0.1,").replace("epochs: 2", "epochs: 3"))
    assert main(["sweep", "small.yaml", "--json"]) == 0
    assert [cell["epoch"] for cell in json.loads(capsys.readouterr().out)["cells"]] == [3, 3], "other settings go on"

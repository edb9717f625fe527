"""Of a run that says it is running, everything tells alike whether its process lives; none that does is called dead."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time

import pytest

import cnntrain as door
from cnntrain.cli import main
from cnntrain.core.directory_lock import LOCK, DirectoryLock
from cnntrain.core.errors import PausedError
from cnntrain.results.report import overview
from cnntrain.results.watch.view import Views
from cnntrain.rundir import pulse
from cnntrain.rundir.history import read
from tests.support.experiments import TINY, run, write

ELSEWHERE = "process 7 on elsewhere since 2026-01-01 00:00:00 UTC\n"


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A run that has paused after a step."""
    folder = tmp_path_factory.mktemp("paused")
    with pytest.raises(PausedError):
        run(write(folder, TINY), folder / "run", max_time=0.0)
    return folder / "run"


@pytest.fixture
def paused(once, tmp_path):
    """A copy of it."""
    return shutil.copytree(once, tmp_path / "run")


def says(path, state):
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps(status | {"state": state}))


def quiet(path, seconds):
    for name in os.listdir(path):
        if (path / name).is_file():
            os.utime(path / name, (time.time() - seconds,) * 2)


@pytest.mark.parametrize(
    ("said", "held", "state"),
    [
        ("running", True, "running"),
        ("running", False, "killed"),
        ("interrupted", False, "interrupted"),
        ("interrupted", True, "running"),  # it is being resumed, and reads its data
        ("failed", True, "running"),
        ("finished", True, "finished"),  # it says so before it lets go
        ("finished", False, "finished"),
        ("a later word", False, "a later word"),
        (None, False, "unknown"),
        (None, True, "running"),
    ],
)
def test_the_lock_decides(paused, said, held, state):
    says(paused, said)
    quiet(paused, 3600)  # a process that lives may be silent for long
    with DirectoryLock(paused) if held else contextlib.nullcontext():
        assert read(paused).state == state


@pytest.mark.parametrize(("seconds", "state"), [(3600, "silent"), (0, "running"), (-86400, "running")])
@pytest.mark.parametrize("lock", ["another machine's", "gone", "closed"])
def test_where_the_lock_does_not_tell_it_is_not_called_dead(paused, monkeypatch, lock, seconds, state):
    says(paused, "running")
    if lock == "gone":
        os.remove(paused / LOCK)
    elif lock == "closed":
        monkeypatch.setattr("cnntrain.core.directory_lock.opened", lambda *_, **__: os.open("/nowhere", 0))
    else:
        (paused / LOCK).write_text(ELSEWHERE)
    quiet(paused, seconds)
    assert read(paused).state == state


def test_one_that_ended_after_its_status_was_read_is_not_called_killed(paused):
    says(paused, "running")
    record = read(paused)
    says(paused, "finished")
    assert record.state == "finished"


@pytest.mark.parametrize("state", ["running", "killed", "silent"])
def test_everything_says_the_same(paused, capsys, state):
    says(paused, "running")
    quiet(paused, 3600)
    if state == "silent":
        (paused / LOCK).write_text(ELSEWHERE)
    with DirectoryLock(paused) if state == "running" else contextlib.nullcontext():
        assert door.Run(paused).state == state
        assert f", {state}, " in repr(door.Run(paused))
        assert [one["state"] for one in door.compare(paused)["runs"]] == [state]
        assert door.compare(paused, [f"state={state}"])["runs"]
        assert main(["compare", str(paused)]) == 0
        assert f"run ({state})" in capsys.readouterr().out
        assert f"<b>{state}</b>" in overview.of_one(read(paused))
        shown = {"running": "running, silent for 1 h", "silent": "silent for 1 h"}.get(state, state)
        assert f"<b>{shown}" in Views([paused]).sections()["cards"]


def test_a_run_that_trains_is_seen_to_live(tmp_path):
    seen = []
    run(write(tmp_path, TINY), tmp_path / "run", announce=lambda path: seen.append(pulse.state(path, None)))
    assert seen == ["running"]
    assert read(tmp_path / "run").state == "finished"

"""A worker serves several sweeps: signals reach the cells that they are meant for, begun or not."""

from __future__ import annotations

import signal
import subprocess
import threading
from types import SimpleNamespace

import pytest

from cnntrain.core.signals import PARTING, SAVING
from cnntrain.sweep import remote


@pytest.fixture
def worker(monkeypatch) -> SimpleNamespace:
    """A worker whose cells are processes that wait until they are ended."""
    monkeypatch.setattr(remote, "_running", {})
    monkeypatch.setattr(remote, "_parted", set())
    monkeypatch.setattr(remote, "_wanted", lambda _: lambda: True)
    monkeypatch.setattr(remote, "begin", lambda *_: subprocess.Popen(["sleep", "60"], stderr=subprocess.PIPE))
    return SimpleNamespace(state=SimpleNamespace(tasks={}))


def trained(worker, key: str, ended: dict[str, tuple[int, str]]) -> threading.Thread:
    worker.state.tasks[key] = SimpleNamespace(state="executing")
    thread = threading.Thread(target=lambda: ended.update({key: remote.train_cell([], "/", key)}))
    thread.start()
    while key not in remote._running:
        assert thread.is_alive()
    return thread


def test_cells_of_one_name_in_two_sweeps_are_told_apart(worker):
    ended: dict[str, tuple[int, str]] = {}
    threads = {key: trained(worker, key, ended) for key in ("lr=0.1-aa", "lr=0.1-bb")}
    assert remote.send(["lr=0.1-aa"], int(PARTING), worker) == []
    threads["lr=0.1-aa"].join()
    assert ended == {"lr=0.1-aa": (128 + PARTING, "")}
    assert remote._running["lr=0.1-bb"].poll() is None
    remote.send(["lr=0.1-bb"], int(signal.SIGTERM), worker)
    threads["lr=0.1-bb"].join()
    assert remote._running == {}


def test_a_cell_that_is_asked_to_part_before_it_begins_does_not_begin(worker):
    worker.state.tasks |= {"a-1": SimpleNamespace(state="ready"), "a-2": SimpleNamespace(state="executing")}
    asked = ["a-1", "a-2", "a-3"]
    assert remote.send(asked, int(SAVING), worker) == ["a-1", "a-3"]
    assert remote._parted == set()
    assert remote.send(asked, int(PARTING), worker) == ["a-1", "a-3"]
    for key in asked:
        assert remote.train_cell([], "/", key) == (remote.PARTED, "")
    assert remote._running == {}

"""One process at a time uses a run directory."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cnntrain.core.directory_lock import LOCK, DirectoryLock, is_held
from cnntrain.core.errors import RunDirectoryError


def test_the_lock_excludes_and_names_its_owner(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        with pytest.raises(RunDirectoryError, match=f"is in use by process {os.getpid()} on .* since 2") as caught:
            DirectoryLock(tmp_path).__enter__()
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 8
    with DirectoryLock(tmp_path):
        pass


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib; from cnntrain.core.directory_lock import DirectoryLock\n"
        "DirectoryLock(pathlib.Path(sys.argv[1])).__enter__(); print('held', flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(RunDirectoryError, match=f"process {child.pid} on"):
            DirectoryLock(tmp_path).__enter__()
        child.kill()
    with DirectoryLock(tmp_path):
        pass


def test_whether_it_is_held_is_told_without_writing(tmp_path: Path) -> None:
    assert is_held(tmp_path) is None  # there is none
    assert not [*tmp_path.iterdir()]
    with DirectoryLock(tmp_path):
        before = os.stat(tmp_path / LOCK).st_mtime_ns
        assert is_held(tmp_path) is True
    assert is_held(tmp_path) is False
    assert os.stat(tmp_path / LOCK).st_mtime_ns == before


ELSEWHERE = "process 7 on elsewhere since 2026-01-01 00:00:00 UTC\n"


@pytest.mark.parametrize("owner", [ELSEWHERE, "", "process 7", "\0" * 300])
def test_a_free_lock_that_this_machine_did_not_take_proves_nothing(tmp_path: Path, owner: str) -> None:
    (tmp_path / LOCK).write_text(owner)
    assert is_held(tmp_path) is None


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_something_else_in_its_place_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    with DirectoryLock(tmp_path):
        os.rename(tmp_path / LOCK, tmp_path / "moved")
        {
            "link": lambda: (tmp_path / LOCK).symlink_to("moved"),
            "fifo": lambda: os.mkfifo(tmp_path / LOCK),
            "folder": (tmp_path / LOCK).mkdir,
        }[kind]()
        assert is_held(tmp_path) is None


def test_who_looks_whether_it_is_held_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        pass
    with open(tmp_path / LOCK, "rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        done = threading.Timer(0.05, lambda: fcntl.flock(looking, fcntl.LOCK_UN))
        done.start()
        with DirectoryLock(tmp_path):
            assert is_held(tmp_path)
        done.join()


def test_it_is_refused_soon_where_it_stays_held(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        began = time.process_time()
        with pytest.raises(RunDirectoryError):
            DirectoryLock(tmp_path).__enter__()
        assert time.process_time() - began < 0.2

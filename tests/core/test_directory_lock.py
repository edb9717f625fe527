"""One process at a time uses a run directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnntrain.core.directory_lock import DirectoryLock
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

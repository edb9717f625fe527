"""A folder to run the scripts of configs/experiments in, as their user would."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent.parent / "configs" / "experiments"
TINY = """\
data: {source: {type: synthetic, size: 8, classes: 3, samples: 60}, val: 0.2}
model:
  layers:
    - {type: conv2d, filters: 4, kernel_size: 3}
    - relu
    - flatten
    - {type: dropout, name: drop, rate: 0.3}
    - {type: dense, units: auto}
train: {epochs: 1, batch_size: 8, log_every: 2}
"""


class Desk:
    """A working directory, with `cnntrain` on the PATH, to start scripts in."""

    scripts = SCRIPTS

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "bin" / "cnntrain"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cnntrain "$@"\n')
        program.chmod(0o755)
        path = f"{program.parent}:{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path, "CNNTRAIN_THREADS": "1"}

    def config(self, name: str, text: str = TINY) -> Path:
        """A config in the folder `many`."""
        path = self.folder / "many" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def start(self, script: str, *arguments: str, shell: str = "sh", **environment: str) -> subprocess.Popen[str]:
        """A script under way, listening to Ctrl-C even where the tests themselves run in the background."""
        return subprocess.Popen(
            [shell, SCRIPTS / script, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, script: str, *arguments: str, shell: str = "sh", **environment: str) -> tuple[int, list[str], str]:
        """Run a script to its end: exit code, the lines of its table, stderr."""
        return self.end(self.start(script, *arguments, shell=shell, **environment))

    def end(self, process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
        """Wait for a script."""
        out, err = process.communicate(timeout=120)
        return process.returncode, out.strip("\n").splitlines(), err

    def training(self, run: str) -> int:
        """Wait until a run has taken a few steps; returns the process that takes them."""
        metrics, status = self.folder / run / "metrics.jsonl", self.folder / run / "status.json"
        deadline = time.monotonic() + 30
        while not (metrics.exists() and b'"train"' in metrics.read_bytes()):
            assert time.monotonic() < deadline, "training did not begin"
            time.sleep(0.01)
        pid = json.loads(status.read_text())["pid"]
        assert isinstance(pid, int)
        return pid


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)

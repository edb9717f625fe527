"""A worker of a Dask cluster proves that it sees the folder of a sweep, and trains a cell as a process.

These functions run in the worker. A worker that is told to give up a cell, since the sweep was killed or the scheduler
is gone, has its process save and stop; one that is killed itself has the system do so (Linux).
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from cnntrain.core.signals import PARTING
from cnntrain.sweep.processes import begin, exit_code

_LOOK = 0.25  # seconds between two looks at whether a cell is still wanted
_running: dict[str, subprocess.Popen[bytes]] = {}  # in this worker: name of a cell -> its process


def read_probe(path: str) -> str:
    """The content of a file that the sweep has written, as a worker sees it; otherwise why it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError as error:
        return f"cannot read it: {error.strerror}"


def train_cell(name: str, words: Sequence[str], here: str, key: str) -> tuple[int, str]:
    """Train a cell: `cnntrain` with these words, from the sweep's working directory. Returns exit code and stderr."""
    process = begin(words, here)
    _running[name] = process
    wanted = _wanted(key)
    watching = threading.Event()
    watch = threading.Thread(target=_stop_if_unwanted, args=(process, wanted, watching), daemon=True)
    watch.start()
    try:
        assert process.stderr is not None
        said = process.stderr.read()
        return exit_code(process), said.decode(errors="replace")
    finally:
        watching.set()
        _running.pop(name, None)
        process.kill()  # no effect where it has ended


def send(names: Sequence[str], number: int) -> None:
    """Send a signal to those of these cells' processes that are this worker's."""
    for name in names:
        process = _running.get(name)
        if process is not None:
            process.send_signal(signal.Signals(number))


def _wanted(key: str) -> Callable[[], bool]:
    """A function that tells whether the cluster still wants the result of a task."""
    from distributed import get_worker

    tasks = get_worker().state.tasks

    def wanted() -> bool:
        task = tasks.get(key)
        return task is not None and task.state not in ("cancelled", "released", "forgotten")

    return wanted


def _stop_if_unwanted(process: subprocess.Popen[bytes], wanted: Callable[[], bool], over: threading.Event) -> None:
    while not over.wait(_LOOK):
        if not wanted():
            process.send_signal(PARTING)
            return

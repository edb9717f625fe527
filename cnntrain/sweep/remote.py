"""A worker of a Dask cluster tells what it sees of a sweep, and trains a cell as a process.

These functions run in the worker, which may serve several sweeps: a cell is known by the key of its task, which no
other has. A worker that is told to give up a cell, since the sweep was killed or the scheduler is gone, has its process
save and stop; one that is killed itself has the system do so (Linux).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cnntrain.core import launcher
from cnntrain.core.signals import PARTING
from cnntrain.sweep import child
from cnntrain.sweep.processes import begin, exit_code
from cnntrain.sweep.sight import BLIND

PARTED = 128 + signal.SIGTERM  # the exit code of a run that was asked to part
_LOOK = 0.25  # seconds between two looks at whether a cell is still wanted
_running: dict[str, subprocess.Popen[bytes]] = {}  # in this worker: key of a task -> its process
_parted: set[str] = set()  # keys of tasks that were asked to part before they had one
_lock = threading.Lock()  # of both


def read_probe(path: str) -> str:
    """The content of a file that the sweep has written, as a worker sees it; otherwise why it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError as error:
        return f"cannot read it: {error.strerror}"


async def look(here: str, question: str) -> tuple[str, str]:
    """What a worker sees of a sweep from its working directory: an answer to `sight`, or else what is wrong.

    The worker goes on with its other work meanwhile.
    """
    return await asyncio.to_thread(_look, here, question)


def _look(here: str, question: str) -> tuple[str, str]:
    if not os.path.isdir(here):
        return "", f"it does not see {here}, the working directory of this sweep"
    done = subprocess.run(
        child.command([], "cnntrain.sweep.sight"),
        cwd=here,
        env=launcher.without(),
        input=question.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return "", f"{BLIND} ({last or f'exit code {done.returncode}'})"
    return done.stdout.decode(), ""


def train_cell(words: Sequence[str], here: str, key: str) -> tuple[int, str]:
    """Train a cell: `cnntrain` with these words, from the sweep's working directory. Returns exit code and stderr."""
    with _lock:
        if key in _parted:
            _parted.remove(key)
            return PARTED, ""
        process = _running[key] = begin(words, here)
    wanted = _wanted(key)
    watching = threading.Event()
    watch = threading.Thread(target=_stop_if_unwanted, args=(process, wanted, watching), daemon=True)
    watch.start()
    assert process.stderr is not None
    try:
        said = process.stderr.read()
        return exit_code(process), said.decode(errors="replace")
    finally:
        watching.set()
        _running.pop(key, None)
        process.kill()  # no effect where it has ended
        process.stderr.close()


def send(keys: Sequence[str], number: int, dask_worker: Any) -> list[str]:
    """Send a signal to the processes of these tasks; one that has none yet will get none where it is asked to part.

    Returns the tasks that wait for their turn, behind those of others.
    """
    with _lock:
        for key in keys:
            process = _running.get(key)
            if process is not None:
                process.send_signal(signal.Signals(number))
            elif number == PARTING:
                _parted.add(key)
    tasks = dask_worker.state.tasks
    return [key for key in keys if key not in tasks or tasks[key].state in ("waiting", "constrained", "ready")]


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

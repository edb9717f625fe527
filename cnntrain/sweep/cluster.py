"""A Dask cluster trains the cells of a sweep: each worker one at a time, with the threads that the worker has.

Which cell a worker gets is decided here, not by Dask, so that another worker takes over the cell of a lost one as soon
as its run directory is free; Dask carries the arguments there and the exit code back. The run directories lie in a
folder that all workers see, which is verified before the first cell.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib.util
import os
import re
import secrets
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cnntrain
from cnntrain.core import files
from cnntrain.core.directories import make_directory
from cnntrain.core.errors import LostWorkerError, MissingExtraError, UsageError
from cnntrain.core.extras import install
from cnntrain.core.signals import PARTING
from cnntrain.sweep.executor import Ended
from cnntrain.sweep.processes import TICK
from cnntrain.sweep.standing import Standing

_PATIENCE = 30.0  # seconds for a cluster, and its first worker, to appear
_ABSENCE = 120.0  # seconds for which a cluster may be away, for instance while its scheduler restarts
_LAST_PORT = 65535
_ANSWER = 10.0  # seconds for a worker to answer
_ADDRESS = re.compile(r"((tcp|tls|ws|wss|ucx|ucxx)://)?([^\s/:\[\]]+|\[[0-9A-Fa-f:.]+(%\w+)?\]):\d{1,5}", re.ASCII)
_BROKEN = (  # what Dask raises when a connection breaks, or its other end has gone
    *(OSError, RuntimeError, ValueError, KeyError, AttributeError),
    *(asyncio.CancelledError, concurrent.futures.CancelledError),
)


@dataclass
class _Task:
    """A cell under way: its future, and the worker that has it."""

    future: Any
    worker: str


class _NoAnswerError(Exception):
    """A worker did not answer, perhaps because it has just gone."""


class DaskExecutor:
    """An executor: the workers of a Dask cluster that is running, or of one that it starts (`local:4`)."""

    def __init__(
        self, address: str, folder: Path, threads: int, warn: Callable[[str], None], most: int | None = None
    ) -> None:
        """Connect to `address`, and probe its workers: `warn` is called for those that cannot take part.

        `most` bounds the cells at a time; `threads` are for a cluster of its own.
        Raises MissingExtraError without Dask, UsageError where there is no cluster, or no worker that can take part.
        """
        if importlib.util.find_spec("distributed") is None:
            raise MissingExtraError(f"--dask needs Dask. Install it with: {install('dask')}")
        _check(address)
        self._folder, self._most = folder.absolute(), most
        self._under_way: dict[int, tuple[Standing, _Task]] = {}
        self._warn = warn
        self._unfit: dict[str, str] = {}  # worker -> what keeps it from taking part; nothing where it may
        self._away: float | None = None  # since when the cluster has been away
        self._cluster = _local(address, threads) if address.startswith("local:") else None
        self._address = self._cluster.scheduler_address if self._cluster else address
        self._client = self._connected()
        self._await_worker()

    # -- what an executor does ---------------------------------------------------------------------------------------

    @property
    def running(self) -> Collection[Standing]:
        """The cells under way."""
        return [standing for standing, _ in self._under_way.values()]

    @property
    def free(self) -> int:
        """How many workers have nothing to do."""
        idle = len(self._idle())
        return idle if self._most is None else min(idle, self._most - len(self._under_way))

    def begin(self, standing: Standing, waiting: int) -> bool:  # noqa: ARG002  (a worker's threads are its own)
        """Have an idle worker train a cell; False where the last one has gone meanwhile."""
        from cnntrain.sweep import remote

        idle = self._idle()
        if not idle:
            return False
        worker, threads = next(iter(idle.items()))
        standing.threads, standing.where = threads, worker
        words = [*standing.words, "--threads", str(threads), "--quiet"]
        key = f"{standing.cell.name}-{secrets.token_hex(4)}"
        with _quiet():
            future = self._client.submit(
                remote.train_cell, standing.cell.name, words, str(Path.cwd()), key,
                key=key, workers=[worker], allow_other_workers=False, pure=False, retries=0,
            )  # fmt: skip
        self._under_way[id(standing)] = standing, _Task(future, worker)
        return True

    def look(self) -> list[Ended]:
        """Wait a moment; return the cells that have ended, and those whose workers were lost."""
        time.sleep(TICK)
        workers = self._workers()
        ended = []
        for number, (standing, task) in [*self._under_way.items()]:
            found = self._ended(standing, task, workers)
            if found is not None:
                del self._under_way[number]
                ended.append(found)
        return ended

    def send(self, number: signal.Signals) -> None:
        """Have the workers send their processes a signal."""
        from cnntrain.sweep import remote

        names = [standing.cell.name for standing in self.running]
        there = self._workers() or {}
        workers = [task.worker for _, task in self._under_way.values() if task.worker in there]
        if workers:
            with contextlib.suppress(*_BROKEN), _quiet():  # a worker that is gone is found by look
                self._client.run(remote.send, names, int(number), workers=workers, on_error="ignore", wait=True)

    def close(self) -> None:
        """Have the cells under way save and stop, and let go of the cluster."""
        if self._under_way:
            self.send(PARTING)
        while self._under_way and self._away is None:
            self.look()
        with contextlib.suppress(*_BROKEN), _quiet():
            self._client.close()
        if self._cluster is not None:
            with contextlib.suppress(*_BROKEN), _quiet():
                self._cluster.close()

    # -- workers -----------------------------------------------------------------------------------------------------

    def _ended(self, standing: Standing, task: _Task, workers: dict[str, int] | None) -> Ended | None:
        """How a cell has ended, if it has."""
        status = task.future.status
        if status == "finished":
            with contextlib.suppress(*_BROKEN), _quiet():
                code, said = task.future.result(timeout=_ANSWER)
                return Ended(standing, code, said)
            return Ended(standing, None, "")  # the worker went with the result
        if status == "error":
            error = task.future.exception()
            return Ended(standing, None, f"its worker failed: {error!r}\n")
        if status in ("cancelled", "lost") or (workers is not None and task.worker not in workers):
            with contextlib.suppress(*_BROKEN), _quiet():
                task.future.cancel()
            return Ended(standing, None, "")
        return None

    def _idle(self) -> dict[str, int]:
        """Workers that may take part and have no cell, with their threads."""
        taken = {task.worker for _, task in self._under_way.values()}
        workers = self._workers() or {}
        return {address: n for address, n in workers.items() if address not in taken and self._may_take_part(address)}

    def _workers(self) -> dict[str, int] | None:
        """All workers with their threads; None where the cluster is away. Raises LostWorkerError where it stays so."""
        if self._client.status != "running" or not self._client.scheduler or self._gone():
            now = time.monotonic()
            self._away = self._away or now
            if now - self._away > _ABSENCE:
                raise LostWorkerError(
                    f"the Dask scheduler at {self._address} has not answered for {_ABSENCE:.0f} seconds. Restart it, "
                    "and go on with the same command"
                )
            self._reconnect()
            if self._away is not None:
                return None
        try:
            with _quiet():
                return dict(self._client.nthreads())
        except _BROKEN:  # whatever the connection raises while it breaks
            return None

    def _gone(self) -> bool:
        comm = getattr(self._client, "scheduler_comm", None)
        return comm is None or comm.comm is None or comm.comm.closed()

    def _reconnect(self) -> None:
        """Try once to reach the cluster; whatever was under way there is lost."""
        with contextlib.suppress(*_BROKEN), _quiet():
            self._client.close(timeout=1)
        try:
            self._client = self._connected(2.0)
        except UsageError:
            return
        self._away = None
        self._unfit.clear()

    def _connected(self, patience: float = _PATIENCE) -> Any:
        import distributed

        library: Any = distributed  # not all of it is typed
        try:
            with _quiet():
                return library.Client(self._address, timeout=patience, set_as_default=False)
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UsageError(
                f"--dask {self._address}: no Dask scheduler answers ({reason}). Start one with: dask scheduler"
            ) from error

    def _await_worker(self) -> None:
        """Wait for the first worker. Raises UsageError where none comes, or none can take part."""
        deadline = time.monotonic() + _PATIENCE
        while not self._client.nthreads():
            if time.monotonic() > deadline:
                raise UsageError(f"--dask {self._address}: the cluster has no worker. Start some with: dask worker")
            time.sleep(TICK)
        workers = [*self._client.nthreads()]
        if not any(map(self._may_take_part, workers)):
            raise UsageError(f"--dask {self._address}: no worker can take part. {self._unfit.get(workers[0], '')}")

    def _may_take_part(self, worker: str) -> bool:
        """Whether a worker has this version of cnntrain and sees the folder; the user hears of one that does not."""
        if worker not in self._unfit:
            try:
                self._unfit[worker] = self._wrong_with(worker)
            except _NoAnswerError:  # it is asked again
                return False
            if self._unfit[worker]:
                self._warn(f"the worker {worker} does not take part: {self._unfit[worker]}")
        return not self._unfit[worker]

    def _wrong_with(self, worker: str) -> str:
        """The reason why a worker cannot take part; empty where it can."""

        def about() -> str:  # sent as code, since the worker may have no cnntrain
            try:
                import cnntrain as theirs
            except ImportError as error:
                return f"({error})"
            return str(theirs.__version__)

        version = self._asked(worker, about)
        if version != cnntrain.__version__:
            return f"it has cnntrain {version}, but this is {cnntrain.__version__}. Install the same version there"
        from cnntrain.sweep import remote

        make_directory(self._folder)
        probe = self._folder / f"{files.TEMPORARY}probe-{os.getpid()}-{secrets.token_hex(4)}"
        word = secrets.token_hex(8)
        files.write_atomic(probe, word.encode())
        try:
            found = self._asked(worker, remote.read_probe, str(probe))
        finally:
            files.remove(probe)
        if found != word:
            return (
                f"it does not see {self._folder} ({found}). Choose a --run-dir on a file system that all workers share"
            )
        return ""

    def _asked(self, worker: str, function: Any, *arguments: Any) -> Any:
        try:
            with _quiet():
                return self._client.run(function, *arguments, workers=[worker])[worker]
        except Exception as error:
            raise _NoAnswerError from error


def _check(address: str) -> None:
    """Raise UsageError for what cannot be an address, with which Dask would be busy for a minute."""
    number = address.removeprefix("local:")
    if number != address:
        if not (number.isdecimal() and number.isascii() and 1 <= int(number) <= 256):
            raise UsageError(f"--dask {address}: expected local:N with N workers from 1 to 256, or an address")
    elif not _ADDRESS.fullmatch(address) or int(address.rpartition(":")[2]) > _LAST_PORT:
        raise UsageError(f"--dask {address}: expected an address such as tcp://host:8786, or local:4 for 4 workers")


def _local(address: str, threads: int) -> Any:
    """A cluster of worker processes on this machine, which share the threads."""
    import distributed

    library: Any = distributed
    number = address.removeprefix("local:")
    share = max(threads // int(number), 1)
    with _quiet():
        return library.LocalCluster(
            n_workers=int(number), threads_per_worker=share, processes=True, dashboard_address=None, memory_limit=0
        )


@contextlib.contextmanager
def _quiet() -> Any:
    """Within it, Dask logs only critical errors; what the user has to know is said here."""
    import logging
    import warnings

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

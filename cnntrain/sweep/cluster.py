"""A Dask cluster trains the cells of a sweep: each worker one at a time, with the threads that the worker has.

Which cell a worker gets is decided here, not by Dask, so that another worker takes over the cell of a lost one as soon
as its run directory is free; Dask carries the arguments there and the exit code back. The run directories lie in a
folder that all workers see. That and all else that a worker has to see is verified before its first cell, in a thread
of its own for each, so that one that does not answer keeps nobody waiting.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib.util
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import cnntrain
from cnntrain.core import files
from cnntrain.core.directories import make_directory
from cnntrain.core.errors import DataError, LostWorkerError, MissingExtraError, UsageError, first_line
from cnntrain.core.extras import install
from cnntrain.core.signals import PARTING, held_back
from cnntrain.core.threads import start
from cnntrain.sweep.cells import Cell, Sweep
from cnntrain.sweep.executor import Ended
from cnntrain.sweep.processes import TICK
from cnntrain.sweep.sight import ADVICE, SharedSight
from cnntrain.sweep.standing import Standing, read_status

_PATIENCE = 30.0  # seconds for a cluster, and its first worker, to appear
_ABSENCE = 120.0  # seconds for which a cluster may be away, as while its scheduler restarts, or have no fit worker
_LAST_PORT = 65535
_ANSWER = 10.0  # seconds for a worker to answer
_LOOK = 60.0  # seconds for a worker to look at configs and data, before the user hears of it
_AGAIN = 30.0  # seconds after which a worker that could not take part is asked again
_PROBE = ".probe-"  # how the files begin by which workers show that they see the folder
_UNSEEN = (UsageError.exit_code, DataError.exit_code)  # of a run on a worker that does not see what it should, perhaps
_ADDRESS = re.compile(r"((tcp|tls|ws|wss|ucx|ucxx)://)?([^\s/:\[\]]+|\[[0-9A-Fa-f:.]+(%\w+)?\]):\d{1,5}", re.ASCII)
_BROKEN = (  # what Dask raises when a connection breaks, or its other end has gone
    *(OSError, RuntimeError, ValueError, KeyError, AttributeError),
    *(asyncio.CancelledError, concurrent.futures.CancelledError),
)


@dataclass
class _Task:
    """A cell under way: its key, its future, and the worker that has it; `ended` once that is known without these."""

    key: str
    future: Any
    worker: str
    ended: Ended | None = None


@dataclass
class _Inspection:
    """What keeps a worker from taking part, once that is known: nothing where it may."""

    wrong: Future[str] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)
    heard: bool = False  # it has answered a first question
    slow: bool = False  # the user knows that it takes long


class _NoAnswerError(Exception):
    """A worker did not answer, perhaps because it has just gone."""


class DaskExecutor:
    """An executor: the workers of a Dask cluster that is running, or of one that it starts (`local:4`)."""

    def __init__(
        self,
        address: str,
        sweep: Sweep,
        folder: Path,
        threads: int,
        warn: Callable[[str], None],
        most: int | None = None,
    ) -> None:
        """Connect to `address`; `warn` is called for workers that cannot take part in the sweep.

        `most` bounds the cells at a time; `threads` are for a cluster of its own, whose workers see what this one does.
        Raises MissingExtraError without Dask, UsageError where there is no cluster.
        """
        if importlib.util.find_spec("distributed") is None:
            raise MissingExtraError(f"--dask needs Dask. Install it with: {install('dask')}")
        _check(address)
        self._folder, self._most = folder.absolute(), most
        self._under_way: dict[int, tuple[Standing, _Task]] = {}
        self._warn = warn
        self._inspections: dict[str, _Inspection] = {}
        self._silent: set[str] = set()  # workers of which the user knows that they do not answer
        self._unfit: dict[str, str] = {}  # those that cannot take part, and why, as the user knows
        self._begun = False  # a cell has
        self._away: float | None = None  # since when the cluster has been away
        self._cluster = _local(address, threads) if address.startswith("local:") else None
        self._shared = None if self._cluster else SharedSight(sweep, _examples(sweep, self._folder))
        for left in self._folder.glob(f"{_PROBE}*"):  # by a sweep that was killed
            files.remove(left)
        self._address = self._cluster.scheduler_address if self._cluster else address
        self._client = self._connected(_PATIENCE)
        self._waiting = time.monotonic()  # since when there has been no worker that can take part

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
                remote.train_cell, words, str(Path.cwd()), key,
                key=key, workers=[worker], allow_other_workers=False, pure=False, retries=0,
            )  # fmt: skip
        self._under_way[id(standing)] = standing, _Task(key, future, worker)
        self._begun = True
        return True

    def look(self) -> list[Ended]:
        """Wait a moment; return the cells that have ended, and those whose workers were lost.

        Raises UsageError where no worker can take part, LostWorkerError where the scheduler is gone.
        """
        time.sleep(TICK)
        workers = self._workers()
        ended = []
        for number, (standing, task) in [*self._under_way.items()]:
            found = self._ended(standing, task, workers)
            if found is not None:
                del self._under_way[number]
                ended.append(found)
                if found.code in _UNSEEN or task.future.status == "error":
                    self._inspections.pop(task.worker, None)  # before it gets another
        if not ended and workers is not None:
            self._require_worker([*workers])
        return ended

    def send(self, number: signal.Signals) -> None:
        """Have the workers send their processes a signal.

        Where cells are to part, those that still wait for their turn at a busy worker end at once, and those of a
        worker that does not answer are left to it: when it goes on, it finds that they are not wanted any more.
        """
        from cnntrain.sweep import remote

        there = self._workers() or {}
        keys: dict[str, list[str]] = {}
        for _, task in self._under_way.values():
            if task.worker in there:  # one that is gone is found by look
                keys.setdefault(task.worker, []).append(task.key)
        asked = {one: _begun(self._asked, one, remote.send, its, int(number)) for one, its in keys.items()}
        concurrent.futures.wait(asked.values(), _ANSWER)
        for standing, task in self._under_way.values():
            answer = asked.get(task.worker)
            if answer is None or (answer.done() and answer.exception()):
                continue
            if not answer.done():
                self._tell_silent(task.worker, f"{standing.cell.name} is left to it")
            if number == PARTING and (not answer.done() or task.key in answer.result()):
                task.ended = Ended(standing, remote.PARTED if answer.done() else None, "")
                with contextlib.suppress(*_BROKEN), _quiet():
                    task.future.cancel()

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
        if task.ended is not None:
            return task.ended
        status = task.future.status
        if status == "finished":
            with contextlib.suppress(*_BROKEN), _quiet():
                code, said = task.future.result(timeout=_ANSWER)
                return Ended(standing, code, said)
            return Ended(standing, None, "")  # the worker went with the result
        if status == "error":
            error = task.future.exception()
            return Ended(standing, None, f"its worker failed: {type(error).__name__}: {error}\n")
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
        self._inspections.clear()
        self._unfit.clear()

    def _connected(self, patience: float) -> Any:
        import distributed

        library: Any = distributed  # not all of it is typed
        try:
            with _quiet():
                return library.Client(self._address, timeout=patience, set_as_default=False)
        except Exception as error:
            raise UsageError(
                f"--dask {self._address}: no Dask scheduler answers ({first_line(error)}). "
                "Start one with: dask scheduler"
            ) from error

    def _require_worker(self, workers: Sequence[str]) -> None:
        """Raise UsageError where none comes, none answers, or none can take part.

        Once a cell has begun, others may come at any time; but those that are there may not all be unfit for long.
        """
        now = time.monotonic()
        fit = [worker for worker in workers if self._may_take_part(worker)]  # all of them are asked
        if self._under_way or fit:
            self._waiting = now
        waited = now - self._waiting
        if workers and self._unfit.keys() >= {*workers} and (waited > _ABSENCE or not self._begun):
            raise UsageError(
                f"--dask {self._address}: no worker can take part, for the reasons above. Mend one of them, and go on "
                "with the same command"
            )
        heard = any(worker in self._inspections and self._inspections[worker].heard for worker in workers)
        if not self._begun and not heard and waited > _PATIENCE:
            what = "no worker answers. Restart them" if workers else "the cluster has no worker. Start some"
            raise UsageError(f"--dask {self._address}: {what} with: dask worker")

    def _may_take_part(self, worker: str) -> bool:
        """Whether a worker has been found to see all that it has to; the user hears of one that does not."""
        if worker not in self._inspections:
            new = self._inspections[worker] = _Inspection()
            _begun(self._wrong_with, worker, new, into=new.wrong)
        one = self._inspections[worker]
        passed = time.monotonic() - one.since
        if one.heard:
            self._silent.discard(worker)
        if not one.wrong.done():
            if not one.heard and passed > _ANSWER:
                self._tell_silent(worker, "it gets no run until it does")
            if one.heard and passed > _LOOK and not one.slow:
                one.slow = True
                self._warn(
                    f"the worker {worker} has looked at configs and data for {_LOOK:.0f} seconds: it gets no run until "
                    "it has seen them"
                )
            return False
        try:
            wrong = one.wrong.result()
        except _NoAnswerError:  # it is asked again
            del self._inspections[worker]
            return False
        if not wrong:
            self._unfit.pop(worker, None)
            return True
        if self._unfit.get(worker) != wrong:
            self._unfit[worker] = wrong
            self._warn(f"the worker {worker} does not take part: {wrong}")
        if passed > _AGAIN:  # what is wrong may have been mended
            del self._inspections[worker]
        return False

    def _tell_silent(self, worker: str, what: str) -> None:
        if worker not in self._silent:
            self._silent.add(worker)
            self._warn(f"the worker {worker} has not answered for {_ANSWER:.0f} seconds: {what}")

    def _wrong_with(self, worker: str, inspection: _Inspection) -> str:
        """The reason why a worker cannot take part; empty where it can. Raises _NoAnswerError."""

        def about() -> str:  # sent as code, since the worker may have no cnntrain
            try:
                import cnntrain as theirs
            except ImportError as error:
                return f"({error})"
            return str(theirs.__version__)

        version = self._asked(worker, about)
        inspection.heard = True
        if version != cnntrain.__version__:
            return f"it has cnntrain {version}, but this is {cnntrain.__version__}. Install the same version there"
        return self._blind_to_folder(worker) or self._sees_otherwise(worker)

    def _blind_to_folder(self, worker: str) -> str:
        """What to say of a worker that does not see the folder of the sweep; empty where it does."""
        from cnntrain.sweep import remote

        make_directory(self._folder)
        probe = self._folder / f"{_PROBE}{secrets.token_hex(8)}"  # a temporary file the next writer would remove
        word = secrets.token_hex(8)
        files.write_atomic(probe, word.encode())
        try:
            found = self._asked(worker, remote.read_probe, str(probe))
        finally:
            files.remove(probe)
        if found == word:
            return ""
        return f"it does not see {self._folder} ({found}). Choose a --run-dir on a file system that all workers share"

    def _sees_otherwise(self, worker: str) -> str:
        """What to say of a worker that sees no working directory, or other configs or data; else empty."""
        from cnntrain.sweep import remote

        if self._shared is None:
            return ""
        answer, wrong = self._asked(worker, remote.look, str(Path.cwd()), self._shared.question())
        return f"{wrong}. {ADVICE}" if wrong else self._shared.difference(answer)

    def _asked(self, worker: str, function: Any, *arguments: Any) -> Any:
        """What a function returns on a worker. Raises _NoAnswerError."""
        try:
            return self._client.run(function, *arguments, workers=[worker])[worker]
        except (Exception, asyncio.CancelledError) as error:
            raise _NoAnswerError from error


def _begun(function: Callable[..., Any], *arguments: Any, into: Future[Any] | None = None) -> Future[Any]:
    """What a function returns, or raises, in a thread that nobody waits for at the end of the program."""
    future: Future[Any] = Future() if into is None else into

    def work() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    if not start([threading.Thread(target=work, name="cnntrain-dask", daemon=True)]):
        future.set_exception(_NoAnswerError())
    return future


def _examples(sweep: Sweep, folder: Path) -> Sequence[Cell]:
    """Cells that need whatever any does that is still to be trained."""
    if sweep.search is None:
        return [cell for cell in sweep.cells if read_status(folder / cell.name).get("state") != "finished"]
    from cnntrain.sweep.search import example

    return [example(sweep)]


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
    resource_tracker.ensure_running()  # or it is started in there, and the signals let go by that (Python 3.11)
    with _quiet(), held_back():  # from all workers: they are in the terminal's group of processes, as this one is
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

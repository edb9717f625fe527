"""The wire between ranks that an MPI launcher has started: mpirun, mpiexec, or srun.

A thread in each rank exchanges signs of life, the leader's with every other and theirs with the leader. A rank that was
stopped, or whose machine is gone, is missed after STILL seconds, and one whose work stands still says so itself; a rank
that computes for long, however slowly, is neither. When one rank fails, all are told why.

A killed rank is noticed by its keeper, which ends the job (`core.keeper`), or by MPI where the job goes on.

A job that fails says so in one line, the leader's. But a launcher may end the leader as soon as another rank has left.
So the others stay until the leader has come to its end; if it does not, one of them says what it would have said.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import json
import math
import os
import platform
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from cnntrain.core import keeper, launcher, terminal
from cnntrain.core.arrays import Array
from cnntrain.core.culprits import packed, unpacked
from cnntrain.core.errors import (
    CheckpointError,
    CnntrainError,
    DataError,
    DivergedError,
    LostWorkerError,
    MissingExtraError,
    OutOfMemoryError,
    PausedError,
    RunDirectoryError,
    StoppedError,
    StorageError,
    UnfinishedError,
    UsageError,
    first_line,
    printable,
)
from cnntrain.core.extras import install
from cnntrain.core.loaded_libraries import loaded_libraries
from cnntrain.core.threads import start
from cnntrain.core.watchdog import STILL, Watchdog
from cnntrain.engine.ranks import Pending, Ranks

PERIOD = 0.25  # seconds between two signs of life
STARTING = 22.0  # seconds after the start of a rank by which all must be there
PATIENCE = 10.0  # seconds in which all ranks have to come to the end of a job that has failed
_ALL_ASKED = 5.0  # seconds within which all ranks of a machine give up that have started together
_HEARD = 3.0  # seconds that a rank which fails waits for the others to know it
_KEEPER = 5.0  # seconds in which the keeper of a rank that is gone has had the job ended, unless it is gone, too
_TURN = 0.5  # seconds after which the next rank speaks in place of a leader that is gone
_BUSY = 60.0  # seconds in which a leader that computes comes to know that another rank has failed
_SAID = {"said": True}  # a message: what was to be said has been
_MOST = 16384  # bytes of a message between the threads
_TEXT = 2500  # characters of a text in it, none of which takes more than 6 bytes
_NOT_THERE = (
    f"not all ranks were there after {STARTING:.0f} seconds: one was ended, or its machine is slow to start it. Run "
    "the command again"
)
_NOT_MET = (
    "the ranks could not connect to each other: one was ended, or MPI has said what is missing. Run the command again"
)
_TOO_LONG = "MPI_ERR_TRUNCATE"  # what came has more bytes than what is waited for
_RETURNS = ("OMPI_MCA_mpi_initial_errhandler", "mpi_errors_return")  # or Open MPI ends the job where MPI_Init fails
_BY_CODE: dict[int, type[CnntrainError]] = {
    kind.exit_code: kind
    for kind in (
        UsageError,
        DataError,
        CheckpointError,
        StorageError,
        DivergedError,
        OutOfMemoryError,
        RunDirectoryError,
        PausedError,
    )
}


def _lacking(error: Exception) -> str:
    """What several processes lack to train together: mpi4py, or what mpi4py itself needs."""
    told = "an MPI launcher has started several processes, which need mpi4py to train together. "
    if isinstance(error, ModuleNotFoundError):
        return f"{told}Run: {install('mpi')} ({error})"
    return (
        f"{told}It is installed but finds no MPI library ({first_line(error)}). Load the one of the launcher, "
        "by `module load` or in LD_LIBRARY_PATH"
    )


def join() -> Ranks:
    """The ranks that a launcher has started with this process.

    Raises MissingExtraError without mpi4py, and UsageError where its library does not know the launcher, or where a
    training has ended early in this process: what was on its way between the ranks then would reach the next one.
    """
    wire = _wire()
    if wire.failed:
        raise UsageError(
            "a training of these ranks has ended early, and the same processes cannot train together again. Leave, and "
            "start the ranks anew"
        )
    return Ranks(wire)


@functools.cache
def _wire() -> MpiWire:
    """The wire of this process, which has one as long as it lives. Raises what `join` does."""
    ours = "mpi4py.MPI" not in sys.modules
    try:
        import mpi4py

        if ours:
            mpi4py.rc.initialize = mpi4py.rc.finalize = False
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        _have_the_first_speak()
        raise MissingExtraError(_lacking(error)) from error
    with _soon():
        try:
            if ours:
                _initialize(MPI)
            if MPI.COMM_WORLD.size == 1:
                raise _strangers(MPI.get_vendor()[0])
            wire = MpiWire(MPI)
        except MPI.Exception as error:
            _say_in_turn()
            atexit.register(_leave_late)
            raise LostWorkerError(f"{_NOT_MET} ({_kind(error)})") from error
    if ours:
        start([threading.Thread(target=wire.leave_in_time, name="cnntrain-leaves", daemon=True)])
        atexit.register(wire.end)
    return wire


def _strangers(library: str) -> UsageError:
    """What is wrong where every one of several processes is alone in the world of this library."""
    _have_the_first_speak()
    return UsageError(
        f"an MPI launcher has started {launcher.size()} processes, but {library}, which mpi4py has loaded, does not "
        f"know it: each would train by itself. Start them with the mpirun of {library}, or have mpi4py load the "
        "launcher's library, by `module load` or in MPI4PY_LIBMPI"
    )


def _have_the_first_speak() -> None:
    """Let the first rank of each machine print: they cannot ask each other."""
    if launcher.first_on_its_machine():
        launcher.speak()


def _kind(error: BaseException) -> str:
    """The class of an error of MPI's; its number where MPI has not begun and so cannot name it."""
    text = str(error)
    return text if text.startswith("error code") else text.partition(":")[0]


def _say_in_turn() -> None:
    """Have one rank of each machine say what has happened before they knew each other, unless a keeper has said it."""
    if keeper.stands():
        time.sleep(_KEEPER)
    if launcher.speaks_first():
        launcher.speak()
    else:
        launcher.silence()


def _leave_late() -> None:
    """Leave, without MPI, when all of this machine have asked whether somebody has spoken."""
    time.sleep(_ALL_ASKED)
    os._exit(LostWorkerError.exit_code)


@contextlib.contextmanager
def _soon() -> Iterator[None]:
    """End this process if what is done within takes too long: nobody else would notice a rank that is lost now."""

    def give_up() -> None:
        if launcher.speaks_first():
            launcher.speak()
            terminal.err(f"cnntrain: error: {_NOT_THERE}")
        _leave_late()

    timer = threading.Timer(STARTING, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _initialize(mpi: Any) -> None:
    """MPI_Init_thread, called so that other threads run meanwhile; in mpi4py's own call they wait.

    Raises MPI's exception, as where a rank is killed meanwhile.
    """
    if mpi.Is_initialized():
        return
    os.environ.setdefault(*_RETURNS)
    for path in loaded_libraries("/libmpi"):
        library = ctypes.CDLL(path)
        if hasattr(library, "MPI_Init_thread"):
            provided = ctypes.c_int()
            if code := library.MPI_Init_thread(None, None, mpi.THREAD_MULTIPLE, ctypes.byref(provided)):
                raise mpi.Exception(code)
            return
    mpi.Init_thread(mpi.THREAD_MULTIPLE)


class _Transfer:
    """An MPI request with one peer; of a receipt, with the number of bytes that are to come."""

    def __init__(self, wire: MpiWire, request: Any, peer: int, status: Any = None, expected: int = 0) -> None:
        self._wire, self._request, self._peer = wire, request, peer
        self._status, self._expected = status, expected

    def done(self) -> bool:
        """See Pending."""
        try:
            if not self._request.Test(self._status):
                return False
            if self._status is not None and self._wire.bytes_of(self._status) != self._expected:
                raise self._wire.apart(self._peer)
            return True
        except self._wire.errors as error:
            if _TOO_LONG in str(error):
                raise self._wire.apart(self._peer) from error
            raise self._wire.lost(self._peer, str(error)) from error


class MpiWire:
    """All ranks of MPI's world. `mpi` is the module mpi4py.MPI."""

    def __init__(self, mpi: Any) -> None:
        world = mpi.COMM_WORLD
        self._mpi, self.errors = mpi, mpi.Exception
        self.rank, self.size = world.rank, world.size
        world.Set_errhandler(mpi.ERRORS_RETURN)
        self._data, self._talk = world.Dup(), world.Dup()
        self._hosts = [""] * self.size
        self._at_work = False
        self._heard: dict[int, int] = {}  # peer -> looks since the last sign of life
        self._failure: BaseException | None = None  # what to raise here
        self._told = False
        self._line = ""  # what this rank says where the leader does not; nothing where another rank is to say it
        self._agreed = False  # whether all ranks end for the same reason, which only the leader knows to have saved
        self._leads = True  # whether the leader is there; it is gone once it has been missed
        self._said = False  # whether the leader, or another in its place, has said what was to be said
        self._code: int | None = None  # with which to leave without the others, who cannot all be met
        self._exit_code = 0  # the error that this rank has failed with
        self._by_force = False  # whether one of them has to be ended, too
        self._sent: list[tuple[Any, Array]] = []
        self._main = threading.get_native_id()
        self._watchdog = Watchdog(PERIOD)
        self._over = threading.Event()
        self._leaving, self._left = threading.Event(), threading.Event()  # around MPI's own end
        self._lock = threading.Lock()  # of the communicator `_talk`
        self._watcher: list[threading.Thread] = []
        self._exchange_hosts()
        if mpi.Query_thread() == mpi.THREAD_MULTIPLE:
            watched = range(1, self.size) if self.rank == 0 else [0]
            self._heard = dict.fromkeys(watched, 0)
            self._watcher = start([threading.Thread(target=self._watch, name="cnntrain-ranks", daemon=True)])

    def _exchange_hosts(self) -> None:
        name = np.zeros((self.size, 64), np.uint8)
        own = platform.node().encode()[:64]
        name[self.rank, : len(own)] = np.frombuffer(own, np.uint8)
        self._data.Allgather(self._mpi.IN_PLACE, name)
        self._hosts = [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in name]

    # -- arrays ------------------------------------------------------------------------------------------------------

    def send(self, array: Array, peer: int) -> Pending:
        """See Wire."""
        return _Transfer(self, self._data.Isend(array.reshape(-1).view(np.uint8), peer), peer)

    def receive(self, array: Array, peer: int) -> Pending:
        """See Wire."""
        request = self._data.Irecv(array.reshape(-1).view(np.uint8), peer)
        return _Transfer(self, request, peer, self._mpi.Status(), array.nbytes)

    def bytes_of(self, status: Any) -> int:
        """How many bytes have come with a message."""
        return int(status.Get_count(self._mpi.BYTE))

    def look(self) -> None:
        """See Wire."""
        if self._failure is not None:
            raise self._failure

    def attend(self, at_work: bool) -> None:
        """See Wire."""
        self._at_work = at_work

    # -- failing, ending ---------------------------------------------------------------------------------------------

    @property
    def failed(self) -> bool:
        """Whether this rank has failed, or has heard that another one has."""
        return self._failure is not None or self._told

    def fail(self, error: BaseException) -> None:
        """See Wire."""
        if self._said:  # the leader was too slow
            launcher.silence()
        if self._told or error is self._failure:
            return
        self._told = True
        said = _document(error)
        self._exit_code = int(said["code"])
        self._agreed = isinstance(error, UnfinishedError)
        self._line = "" if self._agreed else _line(_error(said, self._name(self.rank)))
        self._say(range(self.size), said, certainly=True)

    def lost(self, peer: int, why: str) -> LostWorkerError:
        """The error that a peer is gone, unless its keeper has the job ended first; `why` are MPI's words for it."""
        if keeper.stands():
            time.sleep(_KEEPER)
        error = LostWorkerError(
            f"{self._name(peer)} was ended from outside, as a system does that is short of memory. Run the command "
            f"again, to go on with --resume ({why.partition(':')[0]})"
        )
        return self._missed(error, peer)

    def apart(self, peer: int) -> UsageError:
        """The error that a peer is at another place of the program than this rank."""
        return UsageError(
            f"{self._name(peer)} sends something else than this rank waits for: they were not started alike. Start all "
            "ranks with one command, of one version"
        )

    def _missed(self, error: LostWorkerError, peer: int) -> LostWorkerError:
        """Note that a peer is gone, or hangs, unless it is on its way out like the others."""
        failing = self.failed
        if not failing:
            self._failure = error
        if not failing or (peer == 0 and not self._said):
            self._code, self._line = error.exit_code, _line(error)
            self._leads = self._leads and peer != 0
        return error

    def end(self) -> None:
        """Leave MPI when the process ends, with all others; where they cannot be met, without them.

        One that was killed is left to the launcher, which has noticed. One that hangs must be ended, by MPI_Abort.
        """
        if not self.failed:
            try:
                Ranks(self).meet()  # the leader may be busy, with a report for instance
            except (CnntrainError, RuntimeError) as error:
                if self.rank == 0:
                    terminal.err(_line(error))
        if self.failed:
            if self.rank == 0:
                self._say(range(1, self.size), _SAID, certainly=True)
            else:
                self._await_the_leader()
        self._over.set()
        for thread in self._watcher:
            thread.join()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        if self._by_force:
            self._mpi.COMM_WORLD.Abort(self._code or self._exit_code or 1)
        if self._code is not None:
            os._exit(self._code)
        self._leaving.set()
        self._mpi.Finalize()
        self._left.set()

    def leave_in_time(self) -> None:
        """End this process if MPI's own end takes too long. For a thread, which `end` could not start any more."""
        self._leaving.wait()
        if not self._left.wait(PATIENCE):
            os._exit(self._exit_code or getattr(self._failure, "exit_code", 1))

    def _patience(self) -> float:
        """Seconds for which to wait for the leader's end, as things are."""
        if not self._leads:
            return min(float(self.rank - 1) * _TURN, _KEEPER)
        if self._code is not None:
            return PATIENCE
        return math.inf if self._agreed else _BUSY

    def _await_the_leader(self, most: float = math.inf) -> None:
        """Stay until the leader has come to its end. Where it does not, say what it would have said, if nobody has."""
        began = time.monotonic()
        while not self._said and time.monotonic() - began < min(most, self._patience()):
            time.sleep(PERIOD / 10)
            with contextlib.suppress(self.errors):
                self._listen()
        if self._line and not self._said and launcher.speaks_first():
            launcher.speak()
            terminal.err(self._line)
            self._say(range(self.size), _SAID, certainly=True)

    def _name(self, rank: int) -> str:
        return f"rank {rank} on {self._hosts[rank]}"

    # -- the thread --------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._over.wait(PERIOD):
            try:
                self._listen()
                self._look_after_peers()
                if not self._hangs():
                    self._say(self._heard, {})
            except self.errors as error:  # MPI notices that one is gone
                with contextlib.suppress(self.errors):
                    self._find_lost(str(error))

    def _listen(self) -> None:
        """Receive what the others say. Raises the error of MPI's of one that is gone, after having heard the rest."""
        gone = None
        for peer in range(self.size):
            try:
                if peer != self.rank:
                    self._hear(peer)
            except self.errors as error:
                gone = error
        if gone is not None:
            raise gone

    def _hear(self, peer: int) -> None:
        with self._lock:
            while self._talk.Iprobe(peer):
                status = self._mpi.Status()
                message = np.zeros(_MOST, np.uint8)
                self._talk.Recv(message, peer, status=status)
                said = json.loads(message[: self.bytes_of(status)].tobytes())
                if peer in self._heard:
                    self._heard[peer] = 0
                self._said = self._said or said == _SAID
                if "code" in said and self._failure is None:
                    self._failure = _error(said, self._name(peer))
                    self._code = int(said["code"]) if said.get("lost") else None

    def _look_after_peers(self) -> None:
        for peer, looks in self._heard.items():
            self._heard[peer] = looks + 1
            concerns = self._failure is None or (peer == 0 and self._leads)
            if looks >= STILL / PERIOD and concerns:
                error = LostWorkerError(
                    f"{self._name(peer)} has given no sign of life for {STILL:.0f} seconds: it was stopped, or its "
                    "machine or the network is gone. Run the command again, to go on with --resume"
                )
                self._missed(error, peer)
                self._by_force = True

    def _hangs(self) -> bool:
        """Whether the work of this rank stands still; then the job ends here, for nobody else can say why."""
        if not self._at_work:
            self._watchdog = Watchdog(PERIOD)
            return False
        if self._watchdog.hangs(os.getpid(), self._main):
            text = (
                f"{self._name(self.rank)} has stood still for {STILL:.0f} seconds: a disk or a file system does not "
                "answer. Mend that and run the command again"
            )
            self._code = StorageError.exit_code
            self._say(range(self.size), {"code": self._code, "text": text, "whole": True})
            self._line = _line(StorageError(text))
            if self.rank == 0:
                terminal.err(self._line)
                time.sleep(_KEEPER)  # for the others to come to their end
            else:
                self._await_the_leader(_KEEPER)  # which records it
            self._mpi.COMM_WORLD.Abort(self._code)
        return False

    def _find_lost(self, why: str) -> None:
        for peer in range(self.size):
            if peer != self.rank:
                try:
                    self._talk.Iprobe(peer)
                except self.errors:
                    self.lost(peer, why)

    def _say(self, peers: Iterable[int], said: Mapping[str, Any], certainly: bool = False) -> None:
        """Send some of them a message; `certainly`: and wait until they have it, unless that takes long."""
        message = np.frombuffer(json.dumps(said, ensure_ascii=False).encode(errors="surrogatepass"), np.uint8)
        send = self._talk.Issend if certainly else self._talk.Isend
        for peer in peers:
            if peer != self.rank:
                with contextlib.suppress(self.errors), self._lock:  # one that is gone need not be told
                    self._sent.append((send(message, peer), message))
        deadline = time.monotonic() + (_HEARD if certainly else 0)
        while True:
            with self._lock:
                self._sent = [(request, kept) for request, kept in self._sent if not self._over_with(request)]
            if not self._sent or time.monotonic() >= deadline:
                return
            time.sleep(PERIOD / 10)

    def _over_with(self, request: Any) -> bool:
        try:
            return bool(request.Test())
        except self.errors:
            return True


def _line(error: BaseException) -> str:
    """The line that is printed for an error."""
    return f"cnntrain: error: {printable(str(error))}"


def _document(error: BaseException) -> dict[str, Any]:
    """What the others are told of an error."""
    if isinstance(error, CnntrainError):
        lost = {"lost": True} if isinstance(error, LostWorkerError) else {}
        return {"code": error.exit_code, "text": str(error)[:_TEXT], **lost}
    if isinstance(error, MemoryError):
        return {"code": OutOfMemoryError.exit_code, "text": str(error) or "out of memory"}
    return {"code": 1, "text": packed(error, _TEXT).decode(errors="replace")}


def _error(said: Mapping[str, Any], who: str) -> BaseException:
    """The same error for this rank to raise."""
    code, text = int(said["code"]), str(said["text"])
    if code > 128:
        return StoppedError(text, code - 128)
    if code == 1:
        return unpacked(text.encode(errors="replace"), who)
    whole = said.get("whole") or said.get("lost") or code == PausedError.exit_code
    return _BY_CODE.get(code, StorageError)(text if whole else f"{who}: {text}")

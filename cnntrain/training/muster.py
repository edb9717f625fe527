"""A muster finds out, before the first step, whether the ranks can train together: started by one command, on the same
data, from the same weights, with the same libraries, and with the same run directory in sight.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cnntrain.config.dump import fingerprint, libraries, packages
from cnntrain.core import launcher, machine
from cnntrain.core.errors import CheckpointError, DataError, UsageError
from cnntrain.data import fingerprint as of_data
from cnntrain.engine import mpi
from cnntrain.engine.ranks import ALONE, Ranks
from cnntrain.rundir.directory import RunDirectory
from cnntrain.rundir.environment import compare_environments, environment
from cnntrain.rundir.follower import Follower, lock_of
from cnntrain.training.job import Job
from cnntrain.training.warm_start import WarmStart


def threads(ranks: Ranks, asked: int | None = None) -> int:
    """How many workers a rank takes: the number asked for, or else one for each processor it may use, and its part of
    those it shares with other ranks on its machine.

    All ranks must call it, those that were given a number, too: they tell each other what they may use.
    """
    usable = getattr(os, "sched_getaffinity", None)
    mine = sorted(usable(0)) if usable else [*range(os.cpu_count() or 1)]
    seats = ranks.tell([machine.identity(), mine])
    here = [set(processors) for where, processors in seats if where == machine.identity()]
    if asked:
        return asked
    own = sum(1 / sum(processor in other for other in here) for processor in mine)
    return max(min(machine.threads(), int(own + 1e-6)), 1)


def require_one_command(ranks: Ranks, asked: Mapping[str, Any]) -> None:
    """Raise UsageError where the ranks were started with other options; `asked` are values that JSON has, by flag."""
    said = ranks.tell([platform.node(), asked])
    first = said[0][1]
    for rank, (name, theirs) in enumerate(said):
        for flag, value in theirs.items():
            if value != first[flag]:
                raise UsageError(
                    f"rank 0 was started {_flagged(flag, first[flag])} and rank {rank} on {name} "
                    f"{_flagged(flag, value)}. Start all with one command"
                )


def _flagged(flag: str, value: Any) -> str:
    """How a command has a flag, for a message."""
    if value in (None, False):
        return f"without {flag}"
    return f"with {flag}" if value is True else f"with {flag} {value}"


def require_alike(ranks: Ranks, job: Job, warm: WarmStart | None = None) -> None:
    """Raise UsageError, DataError or CheckpointError where the ranks' versions, configs, data or warm starts differ."""
    experiment = job.loaded.experiment
    about = environment(libraries(experiment), packages(experiment)) | {"config": fingerprint(experiment)}
    data = of_data.fingerprint(job.data, *job.identities)
    start = None if warm is None else [warm.digest, str(warm.path.absolute())]
    said = ranks.tell([platform.node(), about, data, start])
    _, first, samples, begun = said[0]
    for rank, (name, other, theirs, beginning) in enumerate(said):
        if other["config"] != first["config"]:
            raise UsageError(f"rank {rank} on {name} was given another config than rank 0. Start all with one command")
        if found := compare_environments(first, other):
            raise UsageError(
                f"the ranks would not compute the same bits: from rank 0 to rank {rank} on {name}, {'; '.join(found)}. "
                "Install the same versions everywhere, and use machines of one kind"
            )
        if of_data.changes(samples, theirs):
            raise DataError(
                f"rank {rank} on {name} sees other data than rank 0 ({of_data.difference(samples, theirs)}). Put the "
                "data on a file system that all ranks share"
            )
        if beginning and beginning[0] != begun[0]:
            raise CheckpointError(
                f"rank {rank} on {name} starts from other weights than rank 0: model.init_from is {begun[1]} on rank 0 "
                f"and {beginning[1]} there, with other parameters. Put the checkpoint on a file system that all ranks "
                "share, and start them in one folder or give its whole path"
            )


@contextlib.contextmanager
def held(ranks: Ranks, make: Callable[[], RunDirectory]) -> Iterator[RunDirectory | Follower]:
    """The run directory, which the leader makes or opens and holds; on the others, what stands for it.

    Raises StorageError where another rank does not see it.
    """
    if ranks.leads:
        with make() as run:
            ranks.tell([str(run.path.absolute()), lock_of(run.path)])
            ranks.meet()
            yield run
    else:
        path, lock = ranks.tell(None)[0]
        run_there = Follower(Path(path), lock)
        ranks.meet()
        yield run_there


def join() -> Ranks:
    """The ranks that an MPI launcher has started with this process; this one alone where there was none."""
    return mpi.join() if launcher.size() > 1 else ALONE

"""A muster finds out, before the first step, whether the ranks can train together: on the same data, with the same
libraries, and with the same run directory in sight.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

from cnntrain.config.dump import fingerprint
from cnntrain.core import launcher, machine
from cnntrain.core.errors import DataError, UsageError
from cnntrain.data import fingerprint as of_data
from cnntrain.engine import mpi
from cnntrain.engine.ranks import ALONE, Ranks
from cnntrain.rundir.directory import RunDirectory
from cnntrain.rundir.environment import compare_environments, environment
from cnntrain.rundir.follower import Follower, lock_of
from cnntrain.training.job import Job


def threads(ranks: Ranks) -> int:
    """How many workers a rank takes unless told: one for each processor it may use, and its part of those it shares
    with other ranks on its machine.
    """
    usable = getattr(os, "sched_getaffinity", None)
    mine = sorted(usable(0)) if usable else [*range(os.cpu_count() or 1)]
    seats = ranks.tell([platform.node(), mine])
    here = [set(processors) for name, processors in seats if name == platform.node()]
    own = sum(1 / sum(processor in other for other in here) for processor in mine)
    return max(min(machine.threads(), int(own + 1e-6)), 1)


def require_alike(ranks: Ranks, job: Job) -> None:
    """Raise UsageError or DataError where the ranks' versions, configs or data differ."""
    about = {**environment(), "config": fingerprint(job.loaded.experiment)}
    data = of_data.fingerprint(job.data, *job.identities)
    said = ranks.tell([platform.node(), about, data])
    _, first, samples = said[0]
    for rank, (name, other, theirs) in enumerate(said):
        if found := compare_environments(first, other):
            raise UsageError(
                f"the ranks would not compute the same bits: from rank 0 to rank {rank} on {name}, {'; '.join(found)}. "
                "Install the same versions everywhere, and use machines of one kind"
            )
        if other["config"] != first["config"]:
            raise UsageError(f"rank {rank} on {name} was given another config than rank 0. Start all with one command")
        if of_data.changes(samples, theirs):
            raise DataError(
                f"rank {rank} on {name} sees other data than rank 0 ({of_data.difference(samples, theirs)}). Put the "
                "data on a file system that all ranks share"
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
        run_there = Follower(Path(path), lock, f"rank {ranks.rank} on {platform.node()}")
        ranks.meet()
        yield run_there


def join() -> Ranks:
    """The ranks that an MPI launcher has started with this process; this one alone where there was none."""
    return mpi.join() if launcher.size() > 1 else ALONE

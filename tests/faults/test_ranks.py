"""Ranks killed at random moments: the job ends with 5, and going on with another number of them ends the same.

With plain mpirun, where a rank's keeper speaks, and one time in four with `--with-ft ulfm`, where the other ranks do;
over shared memory, and over TCP as between machines.

Replay: FAULTS_SEED=N pytest -m faults tests/faults/test_ranks.py.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from cnntrain.core import files
from cnntrain.rundir import checkpoint
from tests.support.campaign import Campaign, counts
from tests.support.experiments import ADAM, call, evidence, filmed, write
from tests.support.mpirun import (
    AS_BETWEEN_MACHINES,
    ULFM,
    keepers_of,
    left_behind,
    needs_mpi,
    ranks_of,
    said_by_us,
    start_ranks,
)
from tests.support.processes import all_gone, outcome

pytestmark = needs_mpi

SETS = ("data.source.samples=200", "train.epochs=2", "checkpoint.every=3st", "checkpoint.film=5", *ADAM[:2])
WITHIN = 30.0  # seconds in which a job has to be over after one of its ranks is lost
STARTING = 60.0  # seconds, where that was before all were there: ranks come late on a busy machine
KILLS_EACH = 4  # before a run is let alone to its end
MPIRUN_HUNG = "PMIX_ERR_UNREACH"  # said by Open MPI 5.0.11's where a rank is killed while it makes itself known there


def kill_one(process: subprocess.Popen[str], run: Path, rng: random.Random, length: float) -> tuple[int, str, bool]:
    """Kill a random rank at a random moment: exit code, what was said, and whether it was there to be killed.

    Fails where a process is left.
    """
    asked = time.time()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(rng.uniform(0.5, length))
    there = ranks_of(process)
    ranks = [*there, *keepers_of(process)]
    killed = bool(there) and process.poll() is None
    if killed:
        os.kill(rng.choice(there), signal.SIGKILL)
    status = run / "status.json"
    training = status.exists() and status.stat().st_mtime > asked
    try:
        _, err = outcome(process, (WITHIN if training else STARTING) if killed else 300)
    except subprocess.TimeoutExpired:  # its threads may wait for each other then, for ever, when all else has ended
        assert all_gone(ranks), "the job goes on"
        process.kill()
        _, err = process.communicate()
        assert MPIRUN_HUNG in err, err
    assert all_gone(ranks), "a rank outlives its job"
    return process.returncode, err, killed


@counts(normal=None, faults=100, soak=1000, parts=10)
def test_killed_at_random_a_run_goes_on_with_any_number_of_ranks_to_the_same_bits(
    tmp_path: Path, campaign: Campaign, count: int
) -> None:
    arguments = ["fit", str(write(tmp_path)), *(f"--set={text}" for text in SETS), "--resume-or-start", "-o"]
    assert call(*arguments, "straight", "-j", "2", cwd=tmp_path)[0] == 0
    expected, before = evidence(tmp_path / "straight"), left_behind()
    began = time.monotonic()
    assert outcome(start_ranks(2, *arguments, "length", cwd=tmp_path), 300)
    length = time.monotonic() - began
    ended: Counter[str] = Counter()
    sizes: Counter[int] = Counter()
    runs = kills = 0
    while kills < count:
        name = f"run-{runs}"
        for _ in range(KILLS_EACH):
            ranks, mpi = campaign.rng.randint(2, 4), campaign.rng.choice([(), (), (), ULFM])
            over = campaign.rng.choice([{}, AS_BETWEEN_MACHINES])
            process = start_ranks(ranks, *arguments, name, "-j", "1", cwd=tmp_path, mpi=mpi, **over)
            code, err, killed = kill_one(process, tmp_path / name, campaign.rng, length)
            hung = code == -signal.SIGKILL
            assert hung or code in ((0, 5, 137) if mpi else (0, 5)), (code, err)  # 137 before MPI, if nobody is kept
            if code == 5 or (hung and not mpi):
                lines = [text for text in said_by_us(err).splitlines() if text.startswith("cnntrain: error")]
                assert len(lines) == 1, err
                assert "was ended" in lines[0]
            kills += killed and code != 0
            ended[f"{'mpirun hung' if hung else code}{' ulfm' * bool(mpi)}"] += 1
            sizes[ranks] += 1
            last = tmp_path / name / "checkpoints" / "last.npz"
            if last.exists():
                checkpoint.read(last)
        ranks = campaign.rng.randint(1, 4)
        process = start_ranks(ranks, *arguments, name, "-j", "1", cwd=tmp_path)
        _, err = outcome(process, 300)
        assert process.returncode == 0, err
        assert evidence(tmp_path / name) == expected
        assert filmed(tmp_path / name) == filmed(tmp_path / "straight")
        assert not list((tmp_path / name).glob(f"**/{files.TEMPORARY}*"))
        runs += 1
    assert left_behind() <= before
    campaign.tell(f"{kills} kills of {runs} runs; exit codes {dict(ended)}; ranks {dict(sizes)}")


MOMENTS = {  # where a rank may fail: the method, and what it does there in place of its work
    "before MPI is there": ("mpi._initialize", "os.kill(os.getpid(), 9)"),
    "before the ranks know each other": ("mpi.MpiWire._exchange_hosts", "os.kill(os.getpid(), 9)"),
    "while it computes": ("ranks.Ranked.each", "os.kill(os.getpid(), 9)"),
    "at the end": ("mpi.MpiWire.end", "os.kill(os.getpid(), 9)"),
    "by an error, while another computes": ("ranks.Ranked.each", "raise StorageError('its disk is full')"),
}
PLANT = """
import os, time
from cnntrain.core.errors import StorageError
from cnntrain.engine import mpi, ranks
healthy = {0}
def failing(*arguments):
    if os.environ["OMPI_COMM_WORLD_RANK"] == "{1}":
        {2}
    if {3}:
        time.sleep(16)
    return healthy(*arguments)
{0} = failing
"""


@pytest.mark.faults
@pytest.mark.parametrize("mpi", [(), ULFM], ids=["plain", "ulfm"])
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("moment", MOMENTS)
def test_wherever_a_rank_fails_the_job_says_so_once(
    tmp_path: Path, moment: str, rank: int, mpi: tuple[str, ...]
) -> None:
    arguments = ["fit", str(write(tmp_path)), "--set=train.epochs=1", "--set=data.source.samples=34", "-q", "-o", "run"]
    method, what = MOMENTS[moment]
    plant = PLANT.format(method, rank, what, "another" in moment)
    process = start_ranks(3, *arguments, cwd=tmp_path, mpi=mpi, before=plant)
    _, err = outcome(process, 2 * STARTING)
    assert process.returncode == 5 or (mpi and "MPI is" in moment and process.returncode == 137), err
    assert said_by_us(err).count("cnntrain: error: ") == 1, err


@pytest.mark.faults
@pytest.mark.parametrize("mpi", [(), ULFM], ids=["plain", "ulfm"])
def test_where_mpi_does_not_start_we_say_so_once(tmp_path: Path, mpi: tuple[str, ...]) -> None:
    """As where a rank is killed while the others look for a way to it: here none has one."""
    arguments = ["fit", str(write(tmp_path)), "-q", "-o", "run"]
    process = start_ranks(2, *arguments, cwd=tmp_path, mpi=mpi, OMPI_MCA_pml="ob1", OMPI_MCA_btl="self")
    _, err = outcome(process, STARTING)
    assert process.returncode == 5, err
    assert said_by_us(err).count("cnntrain: error: the ranks could not connect to each other") == 1, err


@pytest.mark.faults
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_stopped_is_missed_within_30_seconds(tmp_path: Path, rank: int) -> None:
    arguments = ["fit", str(write(tmp_path)), "--set=train.epochs=2000", "-q", "-o", "run"]
    process = start_ranks(3, *arguments, cwd=tmp_path)
    while len(ranks_of(process)) < 3 or not (tmp_path / "run" / "checkpoints" / "last.npz").exists():
        time.sleep(0.05)
    there = ranks_of(process)
    os.kill(there[rank], signal.SIGSTOP)
    _, err = outcome(process, WITHIN)
    assert process.returncode == 5
    (line,) = [text for text in said_by_us(err).splitlines() if text]
    assert f"rank {rank} on" in line
    assert "no sign of life" in line
    assert all_gone(there)

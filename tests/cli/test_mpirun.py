"""`mpirun -n N cnntrain fit`: the bits of `-j N`, one voice, one outcome."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cnntrain.core.extras import install
from tests.support.experiments import call, evidence, filmed, write
from tests.support.mpirun import (
    AS_BETWEEN_MACHINES,
    ULFM,
    call_ranks,
    keepers_of,
    left_behind,
    needs_mpi,
    ranks_of,
    said_by_us,
    start_ranks,
)
from tests.support.processes import all_gone, outcome

SHORT = ("-s", "train.epochs=1", "-s", "data.source.samples=34", "-s", "checkpoint.film=3")
LONG = ("-s", "train.epochs=100000")
ON_RANK_1 = "os.environ['OMPI_COMM_WORLD_RANK'] == '1'"
NO_MPI = {"OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "0"}  # what the ranks of a launcher find in their environment


def wait_for_steps(run: Path, process: subprocess.Popen[str]) -> None:
    rows = run / "metrics.jsonl"
    while not (rows.exists() and b'"train"' in rows.read_bytes()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@needs_mpi
def test_any_number_of_ranks_and_of_workers_in_them_gives_the_same_run(tmp_path: Path) -> None:
    config, before = write(tmp_path), left_behind()
    assert call("fit", config, *SHORT, "-o", "alone", "-j", "2", cwd=tmp_path)[0] == 0
    for ranks, workers in ((1, 1), (2, 2), (4, 1)):
        run = f"{ranks}x{workers}"
        code, out, err = call_ranks(ranks, "fit", config, *SHORT, "-o", run, "-j", str(workers), "--json", cwd=tmp_path)
        assert code == 0, err
        assert json.loads(out)["run_dir"] == run  # once: one rank speaks
        assert err.count("run directory:") == 1
        assert evidence(tmp_path / run) == evidence(tmp_path / "alone")
        assert filmed(tmp_path / run) == filmed(tmp_path / "alone")
    assert left_behind() <= before


@needs_mpi
@pytest.mark.parametrize("rank", [0, 2])
def test_a_signal_to_any_rank_is_agreed_on_and_a_killed_rank_ends_the_job(tmp_path: Path, rank: int) -> None:
    config = write(tmp_path)
    process = start_ranks(3, "fit", config, *LONG, "-o", "run", "-q", cwd=tmp_path)
    wait_for_steps(tmp_path / "run", process)
    code, _, err = call_ranks(2, "fit", config, *LONG, "-o", "run", "--resume-or-start", cwd=tmp_path)
    assert code == 8, err
    assert "is in use by" in err
    os.kill((ranks_of if rank else keepers_of)(process)[rank], signal.SIGTERM)
    _, err = outcome(process, 60)
    assert process.returncode == 143
    assert said_by_us(err).startswith("cnntrain: stopped by SIGTERM after step ")
    assert said_by_us(err).count("\n") == 0

    how = {"mpi": ULFM} if rank else AS_BETWEEN_MACHINES
    process = start_ranks(2, "fit", "-o", "run", "--resume", "-q", cwd=tmp_path, **how)
    status = tmp_path / "run" / "status.json"
    while json.loads(status.read_text())["state"] != "running":
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    there = [*ranks_of(process), *keepers_of(process)]
    os.kill(there[rank // 2], signal.SIGKILL)
    _, err = outcome(process, 30)
    assert process.returncode == 5
    assert said_by_us(err).startswith(f"cnntrain: error: rank {rank // 2} on ")
    assert said_by_us(err).count("\n") == 0
    assert all_gone(there)


@needs_mpi
def test_a_number_of_workers_on_one_rank_alone_is_its_own_affair(tmp_path: Path) -> None:
    config = write(tmp_path)
    assert call("fit", config, *SHORT, "-o", "alone", cwd=tmp_path)[0] == 0
    there = f"import os; {ON_RANK_1} and os.environ.update(CNNTRAIN_THREADS='2')"
    process = start_ranks(2, "fit", config, *SHORT, "-o", "run", "-q", cwd=tmp_path, before=there)
    _, err = outcome(process, 60)
    assert process.returncode == 0, err
    assert evidence(tmp_path / "run") == evidence(tmp_path / "alone")


@needs_mpi
def test_ranks_that_do_not_take_the_same_steps_are_not_said_to_have_been_ended(tmp_path: Path) -> None:
    skipping = f"{ON_RANK_1} and setattr(Ranks, 'leader_first', lambda _, work: work())"
    there = f"import os; from cnntrain.engine.ranks import Ranks; {skipping}"
    process = start_ranks(2, "fit", write(tmp_path), "-o", "run", "-q", cwd=tmp_path, before=there)
    _, err = outcome(process, 60)
    assert process.returncode == 2, err
    assert "sends something else than this rank waits for: they were not started alike" in said_by_us(err)
    assert said_by_us(err).count("\n") == 0


@needs_mpi
def test_no_thread_is_started_once_the_interpreter_is_about_to_end(tmp_path: Path) -> None:
    """Python 3.12.0 and 3.12.1 refuse one then."""
    there = """
import threading
from cnntrain.engine import mpi
def refuse(*_):
    raise RuntimeError("can't create new thread at interpreter shutdown")
def end(wire, healthy=mpi.MpiWire.end):
    threading.Thread.start = refuse
    healthy(wire)
mpi.MpiWire.end = end
"""
    process = start_ranks(2, "fit", write(tmp_path), *SHORT, "-o", "run", "-q", cwd=tmp_path, before=there)
    _, err = outcome(process, 60)
    assert process.returncode == 0, err
    assert "Traceback" not in err


TWICE = """
import cnntrain
from cnntrain.core.errors import CnntrainError
for lr in (1e30, 0.1):
    try:
        cnntrain.fit("full.yaml", set={"optimizer.lr": lr, "train.clip_norm": None, "train.epochs": 1}, run_dir=f"{lr}")
    except CnntrainError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
"""


@needs_mpi
def test_a_process_that_trains_again_after_a_failure_is_told_that_it_cannot(tmp_path: Path) -> None:
    write(tmp_path)
    process = start_ranks(2, cwd=tmp_path, before=f"{TWICE}raise SystemExit(0)")
    out, _ = outcome(process, 60)
    assert out.count("DivergedError: the loss became nan") == 2, out
    assert out.count("UsageError: a training of these ranks has ended early, and the same processes cannot") == 2


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "mpi4py.py").write_text("raise ModuleNotFoundError('none here')")
    code, _, err = call("fit", write(tmp_path), cwd=tmp_path, PYTHONPATH=str(tmp_path), **NO_MPI)
    assert code == 2
    assert install("mpi") in err
    assert err.count("\n") == 1
    followers = NO_MPI | {"PMIX_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}
    assert call("fit", tmp_path / "full.yaml", cwd=tmp_path, PYTHONPATH=str(tmp_path), **followers)[2] == ""


@needs_mpi
@pytest.mark.parametrize("rank", [0, 1])
def test_the_launcher_of_another_mpi_is_found_out(tmp_path: Path, rank: int) -> None:
    of_mpich = {"PMI_SIZE": "2", "PMI_RANK": str(rank), "MPI_LOCALRANKID": str(rank)}
    code, out, err = call("fit", write(tmp_path), "-o", "run", cwd=tmp_path, **of_mpich)
    assert (code, out) == (2, "")
    assert not (tmp_path / "run").exists()
    said = said_by_us(err)
    assert said.count("\n") <= 1
    assert ("has started 2 processes, but Open MPI, which mpi4py has loaded, does not know it" in said) == (rank == 0)


def test_only_a_training_is_started_several_times(tmp_path: Path) -> None:
    code, _, err = call("eval", "run", cwd=tmp_path, **NO_MPI)
    assert code == 2
    assert "'cnntrain eval' 2 times" in err


@needs_mpi
def test_a_rank_that_does_not_see_the_config_says_so(tmp_path: Path) -> None:
    write(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    go_there = f"import os; {ON_RANK_1} and os.chdir({str(elsewhere)!r})"
    process = start_ranks(2, "fit", "full.yaml", "-o", tmp_path / "run", cwd=tmp_path, before=go_there)
    _, err = outcome(process, 60)
    assert process.returncode == 2
    assert said_by_us(err).startswith("cnntrain: error: rank 1 on ")
    assert str(elsewhere / "full.yaml") in err

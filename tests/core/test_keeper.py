"""A keeper ends as its rank does, with a line where that was killed, and passes on what it is asked for, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.processes import all_gone, children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are keepers on Linux only")

KEPT = "import os, signal; from cnntrain.core.keeper import keep; keep(); me = os.getpid(); "
COUNTS = (
    "import time; got = []; signal.signal(signal.SIGUSR1, lambda *_: got.append(1)); "
    "signal.signal(signal.SIGTERM, lambda *_: exit(10 + len(got))); print('ready', flush=True); time.sleep(60)"
)


def begun(code: str, call: str = "", **environment: str) -> subprocess.Popen[str]:
    ours = {"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "1", "OMPI_MCA_mpi_ft_enable": ""}
    return subprocess.Popen(
        [sys.executable, "-c", call or KEPT + code],
        env=os.environ | ours | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("code", "expected", "said"),
    [
        ("raise SystemExit(75)", 75, ""),
        ("os.kill(me, signal.SIGTERM)", 143, ""),
        ("os.kill(me, signal.SIGKILL)", 5, "was ended from outside, as a system does that is short of memory. Run"),
        ("os.kill(me, signal.SIGBUS)", 5, "was ended by SIGBUS. Run"),
        ("os.kill(me, 40)", 5, "was ended by signal 40. Run"),
    ],
)
def test_it_ends_as_its_rank_does(code, expected, said):
    process = begun(code)
    _, err = process.communicate(timeout=60)
    assert process.returncode == expected
    assert said in err
    assert err.count("\n") == (1 if said else 0)
    assert err.startswith("cnntrain: error: rank 1 on " if said else "")


def test_a_signal_reaches_the_rank_once_from_whoever_it_comes():
    process = begun(COUNTS)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGUSR1)  # as a launcher does, which this is to it
    time.sleep(0.2)
    subprocess.run(["/bin/sh", "-c", f"kill -USR1 {process.pid}"], check=True)  # as a person does
    time.sleep(0.2)
    subprocess.run(["/bin/sh", "-c", f"kill -TERM {process.pid}"], check=True)
    assert process.wait(60) == 12
    process.communicate()


def test_its_rank_ends_with_it():
    process = begun(COUNTS)
    assert process.stdout is not None
    process.stdout.readline()
    (rank,) = children(process.pid)
    process.kill()
    process.communicate(timeout=60)
    assert all_gone([rank])


def test_there_is_none_where_ranks_hear_of_one_that_is_gone():
    process = begun("print(os.getppid())", OMPI_MCA_mpi_ft_enable="1")
    assert process.communicate(timeout=60)[0] == f"{os.getpid()}\n"


def test_where_no_process_can_be_started_it_says_so():
    planted = "import errno, sys; os.fork = lambda: (_ for _ in ()).throw(BlockingIOError(errno.EAGAIN, 'no more')); "
    process = begun("0", call=f"import os; {planted}from cnntrain.cli import main; sys.exit(main())")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 7
    assert "too many processes" in err
    assert err.count("\n") == 1

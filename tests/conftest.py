"""What every test sees: a clean environment, and no BLAS threads. At the end campaigns say what they counted."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

from cnntrain.core import blas
from tests.support.campaign import Campaign

blas.pin()
hypothesis.settings.register_profile(
    "busy", deadline=None
)  # on a machine that does other things too, time says nothing
hypothesis.settings.load_profile("busy")
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),  # as in the background of a script: the processes of tests heed it
    (signal.SIGCHLD, signal.SIG_DFL),  # as under some daemons: tests want to know how the processes they start end
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


if sys.dont_write_bytecode and "PYTHONPYCACHEPREFIX" not in os.environ:
    # Containers often say so. The hundreds of processes that tests start would each compile the whole package.
    folder = tempfile.mkdtemp(prefix="cnntrain-bytecode-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = folder
    sys.dont_write_bytecode = False


MEMORY = Path("/dev/shm")
ROOM = 4e9  # bytes to be free there; a container's is often 64 MB
TEMPORARY = ("PYTEST_DEBUG_TEMPROOT", "TMPDIR")
if MEMORY.is_dir() and not any(name in os.environ for name in TEMPORARY):
    room, system = shutil.disk_usage(MEMORY).free, os.statvfs(MEMORY)
    if room > ROOM and os.access(MEMORY, os.W_OK) and not system.f_flag & os.ST_NOEXEC:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)  # an fsync of a disk takes milliseconds, and a run makes many


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One worker a processor; but none with `-k`, since collecting in each takes longer than the tests."""
    return 0 if config.getoption("keyword") else None


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CNNTRAIN_"):
            monkeypatch.delenv(name)


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> Campaign:
    """Seed and counts of a fault campaign."""
    return Campaign(request)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the campaigns counted, where they were asked for."""
    if not config.getoption("markexpr") or "not faults" in config.getoption("markexpr"):
        return
    terminalreporter.section("campaigns")
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            told = [text for name, text in report.user_properties if name == "campaign"]
            if told and report.when == "call":
                terminalreporter.line(f"{report.nodeid} ({report.duration:.0f} s): {', '.join(told)}")

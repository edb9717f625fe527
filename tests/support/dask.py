"""A Dask cluster of real processes: a scheduler and workers that can be killed and started again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

_PATIENCE = 90


class DaskCluster:
    """A scheduler on a port of its own, and workers with one thread each."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.others: list[subprocess.Popen[str]] = []  # what is to end with it
        self.start_scheduler()

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until it listens."""
        self.scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", str(self._port), "--no-show")
        deadline = time.monotonic() + _PATIENCE
        while True:
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", self._port)):
                    return
            assert self.scheduler.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start another worker."""
        flags = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder))
        worker = self._start("dask_worker", self.address, *flags, **environment)
        self.workers.append(worker)
        return worker

    def _start(self, module: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{module}.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *arguments],
                cwd=self.folder,
                env=os.environ | {"DASK_DISTRIBUTED__DASHBOARD__LINK": ""} | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def close(self) -> None:
        """Kill all of it."""
        for process in (*self.others, *self.workers, self.scheduler):
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

"""A stand-in for Slurm: reads a script's #SBATCH lines, and runs its tasks as sbatch would on one machine."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from pathlib import Path

_JOB = 1000
_SCONTROL = '#!/bin/sh\n[ "$1" = requeue ] && echo "$2" >> "$STAND_IN/requeued"\n'


class Cluster:
    """A cluster that knows one script. `options` are its #SBATCH lines."""

    def __init__(self, folder: Path, script: Path) -> None:
        (folder / "bin").mkdir(parents=True)
        scontrol = folder / "bin/scontrol"
        scontrol.write_text(_SCONTROL)
        scontrol.chmod(0o755)
        self._folder, self._script = folder, script.absolute()
        self.options: dict[str, str] = {}
        for line in script.read_text().splitlines():
            if line.startswith("#SBATCH --"):
                (word,) = shlex.split(line.removeprefix("#SBATCH --"))
                name, _, value = word.partition("=")
                self.options[name] = value

    @property
    def tasks(self) -> range:
        """The numbers of the array's tasks."""
        first, last = self.options["array"].partition("%")[0].split("-")
        return range(int(first), int(last) + 1)

    @property
    def requeued(self) -> list[str]:
        """What `scontrol requeue` was called with."""
        path = self._folder / "requeued"
        return path.read_text().split() if path.exists() else []

    def begin(self, task: int, seconds: float | None = None) -> subprocess.Popen[bytes]:
        """Begin a task, in the folder and with the log that the script names, `seconds` before its limit."""
        environment = os.environ | {
            "PATH": f"{self._folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "STAND_IN": str(self._folder),
            "SLURM_ARRAY_JOB_ID": str(_JOB),
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_CPUS_PER_TASK": self.options["cpus-per-task"],
        }
        if seconds is not None:
            environment["SLURM_JOB_END_TIME"] = str(int(time.time() + seconds))
        log = self.options["output"].replace("%%", "%").replace("%a", str(task))
        mode = {"append": "ab", "truncate": "wb"}[self.options["open-mode"]]
        with open(log, mode) as file:
            return subprocess.Popen(
                ["bash", str(self._script)],
                cwd=self.options["chdir"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def submit(self, seconds: float | None = None) -> dict[int, int]:
        """Run all tasks to their ends, one after the other; returns their exit codes."""
        return {task: self.begin(task, seconds).wait(120) for task in self.tasks}

"""Every-point fault injection: fail or kill at the n-th operation on files, for n = 0, 1, 2, ... until there is none.

    python -m tests.faults.points start|resume FOLDER 0/1

trains the tiny experiment in a forked process with one fault, looks at what is left, goes on without faults, and
compares the whole result with that of an undisturbed run. Prints one JSON object with what it counted, and before it
the points at which a promise was broken. `I/N` takes every N-th point from I on; `"123 eio"` takes that one again.

To be killed after an operation is to be killed before the next one: no state lies between. So a kill has one mode, and
the last point is a run that ends. A kill forgets nothing that was written, so nothing waits for the disk here: power
cuts have a test of their own.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from cnntrain.core import files
from tests.support.experiments import TINY, run, write
from tests.support.faults import OPERATIONS, WRITERS
from tests.support.promises import (
    evidence,
    forked,
    require,
    require_error,
    require_same,
    require_sound,
    require_success,
    require_tidy,
    temporaries,
)

SPACE = (
    "write",
    "fsync",
    "mkdir",
    "makedirs",
    "replace",
    "symlink",
)  # a full disk refuses these, and new files
CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_DIRECTORY  # flags of an open that is part of a change
SMALL = 4096  # bytes gathered into one write here, so that a checkpoint takes several


class Faulty:
    """A module `os` for the writers in which the operation `number` meets its fault; keeps a list of them all."""

    def __init__(self, number: int = -1, mode: str = "kill") -> None:
        self.number, self.mode = number, mode
        self.operations: list[str] = []

    def install(self) -> None:
        """Let them use it from here on."""
        for module in WRITERS:
            module.os = self  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in OPERATIONS:
            return real

        def operation(*arguments: Any, **options: Any) -> Any:
            if name == "open" and not arguments[1] & CHANGING:  # what cannot be read is for its reader to say
                return real(*arguments, **options)
            here = len(self.operations)
            wants = name in SPACE or (name == "open" and arguments[1] & os.O_CREAT and not os.path.exists(arguments[0]))
            self.operations.append(f"{name}, for space" if wants else name)
            if here == self.number:
                self._meet(name, real, arguments)
            elif self.mode == "stays full" and -1 < self.number < here and wants:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return None if name == "fsync" else real(*arguments, **options)

        return operation

    def _meet(self, name: str, real: Any, arguments: tuple[Any, ...]) -> None:
        if name == "write" and self.mode != "kill":  # half of it gets out
            real(arguments[0], arguments[1][: len(arguments[1]) // 2])
        if self.mode in ("kill", "half"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "close":  # Linux closes the file even where it reports an error
            real(*arguments)
        code = errno.EIO if self.mode == "eio" else errno.ENOSPC
        raise OSError(code, os.strerror(code))


def modes(operation: str) -> list[str]:
    """The faults an operation can meet."""
    name, _, space = operation.partition(", ")
    return ["kill", "eio", *(["half"] if name == "write" else []), *(["full", "stays full"] if space else [])]


class Campaign:
    """All points of one scenario: a run that starts, or one that resumes after a kill within an epoch."""

    def __init__(self, scenario: str, folder: Path) -> None:
        self.folder, self.run, self.shown = folder, folder / "run", folder / "shown.txt"
        config = write(folder, TINY, "tiny.yaml")
        run(config, folder / "first", threads=1)  # what is imported and cached once, the forked processes have
        self.again = ["fit", str(config), "-o", str(self.run), "--resume-or-start", "-j", "1"]
        self.command = ["fit", str(config), "-o", str(self.run), "-j", "1"]
        self.template: Path | None = None
        self.stale: set[str] = set()  # temporary files that lie in the template
        operations = self._undisturbed()
        self.reference = evidence(self.run)
        if scenario == "resume":
            self.command = ["fit", "-o", str(self.run), "--resume", "-j", "1"]
            self.template = self._stopped(len(operations) * 2 // 3)
            self.stale = temporaries(self.template)
            shutil.copytree(self.template, self.run)
            operations = self._undisturbed()
        self.points = [(number, mode) for number, name in enumerate(operations) for mode in modes(name)]
        self.operations = operations

    def _undisturbed(self) -> list[str]:
        faulty = Faulty()
        names = self.folder / "operations.json"
        code = forked(self.command, self.shown, faulty.install, lambda: names.write_text(json.dumps(faulty.operations)))
        require_success(code, self.shown)
        operations: list[str] = json.loads(names.read_text())
        return operations

    def _stopped(self, number: int) -> Path:
        """A run that was killed on its way, with rows its checkpoint does not count and a stale temporary file."""
        shutil.rmtree(self.run)
        forked(self.again, self.shown, Faulty(number).install)
        with (self.run / "metrics.jsonl").open("ab") as rows:
            rows.write(b'{"event": "torn')
        (self.run / "checkpoints" / f"{files.TEMPORARY}1-stale").write_bytes(b"half")
        return self.run.rename(self.folder / "stopped")

    def check(self, number: int, mode: str) -> None:
        """Raise BrokenPromiseError unless a fault at this point leaves what it should and the run can go on."""
        shutil.rmtree(self.run, ignore_errors=True)
        if self.template:
            shutil.copytree(self.template, self.run)
        code = forked(self.command, self.shown, Faulty(number, mode).install)
        self._check_end(code, number, mode)
        require_sound(self.run)
        require_success(forked(self.again, self.shown, Faulty().install), self.shown)
        require_same(self.run, self.reference)
        require_tidy(self.run)

    def _check_end(self, code: int, number: int, mode: str) -> None:
        if mode in ("kill", "half"):
            require(code == -signal.SIGKILL, f"killed, not ended with {code}: {self.shown.read_text()}")
            return
        if code == 0:
            require(evidence(self.run) == self.reference, "success after an error is the whole result")
            return
        require_error(5, code, self.shown.read_text())
        if not (self.operations[number] == "unlink" and mode == "eio"):  # the removal itself failed
            require_tidy(self.run, besides=self.stale)


def main(scenario: str, folder: str, choice: str) -> int:
    """Check every point, a share `I/N` of them, or one: `123 eio`."""
    files._GATHERED = SMALL
    campaign = Campaign(scenario, Path(folder))
    if "/" in choice:
        start, step = map(int, choice.split("/"))
        points = campaign.points[start::step]
    else:
        number, _, mode = choice.partition(" ")
        points = [(int(number), mode)]
    counted: Counter[str] = Counter()
    bad = 0
    for number, mode in points:
        counted[mode] += 1
        try:
            campaign.check(number, mode)
        except Exception as error:
            bad += 1
            where = f"{scenario} {number} {mode} ({campaign.operations[number]})"
            print(f"{where}: {type(error).__name__}: {error}", file=sys.stderr)
        if bad > 10:
            break
    print(json.dumps({"operations": len(campaign.operations), "points": len(points), "bad": bad, **counted}))
    return bad > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

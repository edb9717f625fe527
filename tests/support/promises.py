"""What is promised of a run directory, and a way to try it: the command line in a forked process that may die.

For programs of one thread that have imported all they need: a fork then is a fresh process at a tenth of the price.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Set
from pathlib import Path

from cnntrain.cli import main as cnntrain
from cnntrain.core import files, strict_json
from cnntrain.rundir import checkpoint
from cnntrain.rundir.json_files import read_rows


class BrokenPromiseError(Exception):
    """What must not happen happened."""


def forked(
    arguments: list[str],
    shown: Path,
    before: Callable[[], object] | None = None,
    after: Callable[[], object] | None = None,
) -> int:
    """Run a command line in a forked process: its exit code, or minus the signal that killed it.

    `shown` gets what it prints; `before` and `after` are called in there.
    """
    child = spawned(arguments, shown, before, after)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def spawned(
    arguments: list[str],
    shown: Path,
    before: Callable[[], object] | None = None,
    after: Callable[[], object] | None = None,
) -> int:
    """Like `forked`, but does not wait for the process; returns its id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        with shown.open("w") as stream:
            sys.stdout = sys.stderr = stream
            if before:
                before()
            code = cnntrain(arguments)
            if after:
                after()
    except BaseException:
        shown.write_text(traceback.format_exc())
    finally:
        os._exit(code)


def evidence(run: Path) -> dict[str, bytes]:
    """All that has to be the same, byte by byte, for two equal runs."""
    names = ["metrics.jsonl", "metrics.csv", "config.yaml", "config.resolved.yaml", "data.json"]
    paths = [*(run / name for name in names), *(run / "checkpoints").iterdir()]
    return {path.name: path.read_bytes() for path in paths}


def require(holds: bool, promise: str) -> None:
    """Raise BrokenPromiseError unless it holds."""
    if not holds:
        raise BrokenPromiseError(promise)


def require_success(code: int, shown: Path) -> None:
    """A command that met no fault ends well."""
    require(code == 0, f"ends well, not with {code}: {shown.read_text()}")


def require_error(expected: int, code: int, shown: str) -> None:
    """A command ended with this exit code and said why in one line, the last."""
    require("Traceback" not in shown, shown)
    require(code == expected, f"exit code {expected}, not {code}: {shown}")
    start = "cnntrain: error: " if expected < 75 else ("cnntrain: stopped", "cnntrain: paused", "cnntrain: interrupted")
    errors = [line for line in shown.splitlines() if line.startswith(start)]
    require(len(errors) == 1 and shown.endswith(errors[-1] + "\n"), f"one line of error: {shown}")


def require_sound(run: Path) -> None:
    """Whatever is in a run directory can be read."""
    for path in (run / "checkpoints").glob("*.npz"):
        checkpoint.read(path)
    for name in ("metrics.jsonl", "timing.jsonl"):
        if (run / name).exists():
            read_rows(run / name)
    for path in run.glob("*.json"):
        strict_json.decode(path.read_text())


def temporaries(run: Path) -> set[str]:
    """The names of the temporary files in a run directory."""
    return {path.name for path in run.glob(f"**/{files.TEMPORARY}*")}


def require_tidy(run: Path, besides: Set[str] = frozenset()) -> None:
    """No temporary file is left in a run directory, except those that a killed process had left there before."""
    left = temporaries(run) - besides
    require(not left, f"no temporary file is left: {left}")


def require_same(run: Path, expected: dict[str, bytes]) -> None:
    """A run has the evidence of another, byte by byte."""
    found = evidence(run)
    differing = [name for name in found | expected if found.get(name) != expected.get(name)]
    require(not differing, f"the whole result is the same: {differing}")

"""A sight is what a machine sees of a sweep: its configs and the files of its data, so that two machines can compare.

Of data these are the names and sizes of all files, and what stands at both ends of some of them: a listing, however
much the files hold, and the same for a copy that was made at another time. A worker looks in a process of its own, for
paths count from the sweep's working directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnntrain.config.dump import fingerprint
from cnntrain.config.load import load
from cnntrain.config.schema import Experiment
from cnntrain.core import terminal
from cnntrain.core.errors import CnntrainError, ConfigError, UsageError, first_line
from cnntrain.core.spread import spread
from cnntrain.data import manifest
from cnntrain.reading.attended import attended
from cnntrain.reading.input_files import opened, reading
from cnntrain.sweep.cells import Cell, Sweep

_SOME = 64  # files of which more than the size is compared
_END = 2**16  # bytes at either end of them
_SHOWN = 60  # letters of an answer that is none
BLIND = "it cannot look at configs and data"
ADVICE = "Put configs and data on a file system that all workers share, or give them the same files"

Files = dict[str, tuple[int, str]]  # path as the config has it -> bytes, and the digest of its ends or ""


class SharedSight:
    """What all workers have to see alike: what this machine does or, where it has no data, the first one that has.

    May be asked by several threads.
    """

    def __init__(self, sweep: Sweep, cells: Iterable[Cell]) -> None:
        """Of the cells, one for each place where data lies is looked at."""
        self._configs = sweep.configs
        self._cells = [*{manifest.place(cell.loaded.experiment): cell for cell in cells}.values()]
        self._sets = [sweep.overrides(cell) for cell in self._cells]
        self._seen: list[Files | None] = []
        self._lock = threading.Lock()

    def question(self) -> str:
        """What a worker's `main` is asked."""
        with self._lock:
            self._seen = self._seen or [_here(cell) for cell in self._cells]
            asked = [
                {"sets": sets, "expected": fingerprint(cell.loaded.experiment), "files": _digest(seen)}
                for sets, cell, seen in zip(self._sets, self._cells, self._seen, strict=True)
            ]
        return json.dumps({"configs": self._configs, "cells": asked})

    def difference(self, answer: str) -> str:
        """What a worker that answered this sees otherwise, and what to do; empty where it sees the same."""
        try:
            answers = json.loads(answer)
        except ValueError:
            return f"{BLIND} (what it has answered begins with {answer[:_SHOWN]!a})"
        with self._lock:
            for number, found in enumerate(answers):
                if found.get("edited") and self._edited_here(number):
                    return (
                        f"{_absolute(self._configs)} was edited since this sweep has read it. Undo that, or stop the "
                        "sweep and begin it again"
                    )
                if "wrong" in found:
                    return f"{found['wrong']}. {ADVICE}"
                if "files" in found:
                    theirs: Files = {path: (size, ends) for path, (size, ends) in found["files"].items()}
                    here = _here(self._cells[number])  # again, since what is trained on may have changed meanwhile
                    reference = self._seen[number] if here is None else here
                    self._seen[number] = theirs if reference is None else reference
                    if reference is not None and reference != theirs:
                        return f"it sees other data: {_first_difference(reference, theirs)}. {ADVICE}"
        return ""

    def _edited_here(self, number: int) -> bool:
        """Whether the configs are not what the sweep has read on this machine, either."""
        try:
            experiment = load(self._configs, self._sets[number]).experiment
        except CnntrainError:
            return True
        return fingerprint(experiment) != fingerprint(self._cells[number].loaded.experiment)


def _here(cell: Cell) -> Files | None:
    """What this machine sees of a cell's data; None where it has none."""
    try:
        return files_of(cell.loaded.experiment)
    except CnntrainError:
        return None


def files_of(experiment: Experiment) -> Files:
    """The files that the experiment may read. Raises DataError, or StorageError for what may pass."""
    return attended(lambda: _listed(experiment))


def _listed(experiment: Experiment) -> Files:
    sizes = dict(sorted(_sizes(experiment)))
    some = {*spread([*sizes], _SOME)}
    return {path: (size, _ends(path, size) if path in some else "") for path, size in sizes.items()}


def _sizes(experiment: Experiment) -> Iterator[tuple[str, int]]:
    """Paths below the working directory are told from there: two machines may reach it by other links."""
    here = os.path.join(os.getcwd(), "")
    for _, source, split in manifest.splits_read(experiment):
        for path in source.files(split):
            with reading(path):
                try:
                    found = os.stat(path)
                except FileNotFoundError:
                    if source.skips_unreadable:
                        continue
                    raise
            if stat.S_ISREG(found.st_mode):
                yield str(path).removeprefix(here), found.st_size


def _ends(path: str, size: int) -> str:
    """The SHA-256 of both ends of a file, in hex."""
    with reading(Path(path)), opened(Path(path)) as file:
        sha = hashlib.sha256(file.read(_END))
        file.seek(max(size - _END, 0))
        sha.update(file.read(_END))
    return sha.hexdigest()


def _digest(files: Files | None) -> str | None:
    return None if files is None else hashlib.sha256(json.dumps([*files.items()]).encode()).hexdigest()


def _first_difference(here: Files, there: Files) -> str:
    """The first file that is not the same on two machines, for people."""
    path = min(path for path in here.keys() | there.keys() if here.get(path) != there.get(path))
    name = os.path.abspath(path)
    if path not in there:
        return f"{name} is not there"
    if path not in here:
        return f"{name} is there, and not here"
    if here[path][0] != there[path][0]:
        return f"{name} has {there[path][0]:,} bytes there and {here[path][0]:,} here"
    return f"{name} has other contents there than here"


# -- on the worker -----------------------------------------------------------------------------------------------------


def main() -> int:
    """Answer the question on stdin, on stdout."""
    question = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # parts of one's own may print when they are imported
        answers = [_answer(question["configs"], **asked) for asked in question["cells"]]
    terminal.out(json.dumps(answers))
    return 0


def _answer(configs: Sequence[str], sets: Sequence[str], expected: str, files: str | None) -> Mapping[str, Any]:
    """What is seen of one cell: what is wrong, or its files where these are not those with the digest `files`."""
    missing = next((config for config in configs if not os.path.exists(config)), None)
    if missing is not None:
        return {"wrong": f"it does not see the config {os.path.abspath(missing)}"}
    try:
        experiment = load(configs, sets).experiment
        if fingerprint(experiment) != expected:
            return {"wrong": f"there, {_absolute(configs)} is not what this sweep has read", "edited": True}
        found = files_of(experiment)
    except (ConfigError, UsageError) as error:
        return {"wrong": f"the configs cannot be read there: {first_line(error).rstrip('.')}"}
    except CnntrainError as error:
        return {"wrong": f"it does not see the data: {first_line(error).rstrip('.')}"}
    return {} if _digest(found) == files else {"files": found}


def _absolute(configs: Sequence[str]) -> str:
    return ", ".join(map(os.path.abspath, configs))

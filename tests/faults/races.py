"""Processes that get in each other's way: for a run directory, for names, for a checkpoint that is being replaced.

    python -m tests.faults.races one|names|readers|owner FOLDER COUNT SEED

prints what it counted as one JSON object, or ends with the traceback of the first promise that was broken.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from cnntrain.cli import main as cnntrain
from cnntrain.rundir import checkpoint
from cnntrain.rundir.json_files import read_rows
from tests.support.experiments import TINY, run, write
from tests.support.promises import evidence, forked, require, require_error, require_same, require_success, spawned

RACERS = 4
AT_ONCE = 0.05  # seconds within which the others start


def _code(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def one(folder: Path, config: str, count: int, rng: random.Random) -> dict[str, int]:
    """Of several that start in one directory one wins; the others are told so, at once."""
    expected = evidence(folder / "first")
    slowest = 0.0
    for number in range(count):
        directory = folder / f"run-{number}"
        shown = [folder / f"shown-{racer}" for racer in range(RACERS)]
        processes = []
        for path in shown:
            processes.append(spawned(["fit", config, "-o", str(directory), "-j", "1"], path))
            time.sleep(rng.uniform(0, AT_ONCE) if rng.random() < 0.5 else 0)
        began, codes = time.monotonic(), {}
        while len(codes) < RACERS:
            process, status = os.wait()
            codes[process] = os.waitstatus_to_exitcode(status)
            if codes[process]:
                slowest = max(slowest, time.monotonic() - began)
        require(sorted(codes.values()) == [0, 8, 8, 8], f"one wins: {codes} {[path.read_text() for path in shown]}")
        for process, path in zip(processes, shown, strict=True):
            if codes[process]:
                require_error(8, codes[process], path.read_text())
        require_same(directory, expected)
    return {"races": count, "milliseconds until the last was refused": round(slowest * 1000)}


def names(folder: Path, config: str, count: int, rng: random.Random) -> dict[str, int]:
    """As many runs without a name, all at once, get as many directories."""
    os.chdir(folder)
    arguments = ["fit", config, "-s", "train.epochs=null", "-s", "train.steps=1", "-j", "1", "-q"]
    processes = [spawned(arguments, folder / "shown.txt") for _ in range(count)]
    codes = Counter(_code(process) for process in processes)
    require(codes == {0: count}, f"all end well: {codes} {(folder / 'shown.txt').read_text()}")
    made = [path for path in (folder / "runs" / "tiny").iterdir() if not path.is_symlink()]
    require(len(made) == count, f"{count} directories, not {len(made)}")
    for path in made:
        require(read_rows(path / "metrics.jsonl")[-1]["event"] == "end", f"{path} holds a whole run")
    require(
        (folder / "runs" / "tiny" / "latest").resolve() in [path.resolve() for path in made], "latest is one of them"
    )
    return {"directories": len(made)}


def readers(folder: Path, config: str, count: int, rng: random.Random) -> dict[str, int]:
    """A checkpoint that is replaced after every step is whole whenever it is read."""
    directory, shown = folder / "run", folder / "shown.txt"
    writer = spawned(
        ["fit", config, "-s", "checkpoint.every=1st", "-s", "train.epochs=100000", "-o", str(directory), "-q"], shown
    )
    last = directory / "checkpoints" / "last.npz"
    while not (directory / "checkpoints" / "best.npz").exists():
        time.sleep(0.01)
    sys.stdout = (folder / "results.txt").open("w")
    steps, evaluations = set(), 0
    for number in range(count):
        steps.add(checkpoint.read(last).meta["position"]["step"])
        read_rows(directory / "metrics.jsonl")
        if number % 10 == 0:
            require(cnntrain(["eval", str(last), "--json"]) == 0, "an evaluation ends well")
            evaluations += 1
    sys.stdout = sys.__stdout__
    os.kill(writer, signal.SIGTERM)
    require(_code(writer) == 128 + signal.SIGTERM, f"the writer stops in order: {shown.read_text()}")
    return {"reads": count, "different steps": len(steps), "evaluations": evaluations}


def owner(folder: Path, config: str, count: int, rng: random.Random) -> dict[str, int]:
    """A lock dies with its process: right after a kill -9 the next one has the directory."""
    directory, shown = folder / "run", folder / "shown.txt"
    arguments = [
        "fit",
        config,
        "-s",
        "train.epochs=100000",
        "-o",
        str(directory),
        "--resume-or-start",
        "-j",
        "1",
        "-q",
    ]
    for _ in range(count):
        process = spawned(arguments, shown)
        deadline = time.monotonic() + 30
        while not (directory / "status.json").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        os.kill(process, signal.SIGKILL)
        require(_code(process) == -signal.SIGKILL, f"killed while it ran: {shown.read_text()}")
    require_success(forked([*arguments, "-s", "train.epochs=1"], shown), shown)
    return {"owners killed": count}


def main(kind: str, folder: str, count: str, seed: str) -> None:
    path = Path(folder)
    config = write(path, TINY, "tiny.yaml")
    run(config, path / "first", threads=1)  # what is imported and cached once, the forked processes have
    sys.stdout.flush()
    kinds = {"one": one, "names": names, "readers": readers, "owner": owner}
    print(json.dumps(kinds[kind](path, str(config), int(count), random.Random(int(seed)))))


if __name__ == "__main__":
    main(*sys.argv[1:])

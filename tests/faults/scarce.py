"""Runs that lack something of the system: space, permission, a size limit, or the directory itself.

    unshare -rm python -m tests.faults.scarce tmpfs FOLDER COUNT SEED
    unshare -rm python -m tests.faults.scarce readonly FOLDER COUNT SEED
    python -m tests.faults.scarce limits FOLDER COUNT SEED

Each fault must end with 5 and one line, leave what was saved, and once it is gone the run goes on to the same bits.
Prints what it counted as one JSON object.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cnntrain.cli import main as cnntrain
from cnntrain.training.trainer import Trainer
from tests.support.experiments import TINY, run, write
from tests.support.promises import (
    evidence,
    forked,
    require,
    require_error,
    require_same,
    require_sound,
    require_success,
    require_tidy,
)

DISK = 1_000_000  # bytes; last, best and the one being written take two thirds
LARGE = (
    "-s",
    "model.layers=[flatten, {type: dense, units: 250}, relu, {type: dense, units: auto}]",
    "-s",
    "checkpoint.keep=0",
)
NOBODY = 65534


class Campaign:
    """One run directory that meets a fault, and then goes on without it."""

    def __init__(self, folder: Path, where: Path, large: bool = False) -> None:
        self.folder, self.run, self.shown = folder, where / "run", folder / "shown.txt"
        config = str(write(folder, TINY))
        more = LARGE if large else ()
        run(Path(config), folder / "first", threads=1)
        self.again = ["fit", config, *more, "-o", str(self.run), "--resume-or-start", "-j", "1"]
        straight = ["fit", config, *more, "-o", str(folder / "straight"), "-j", "1"]
        require_success(forked(straight, self.shown), self.shown)
        self.reference = evidence(folder / "straight")
        self.outcomes: Counter[str] = Counter()

    def check(self, fault: Callable[[], object], undo: Callable[[], object], word: str = "") -> None:
        """`fault` strikes in the process that trains; its message has the word. `undo` mends it."""
        shutil.rmtree(self.run, ignore_errors=True)
        code = forked(self.again, self.shown, fault)
        shown = self.shown.read_text()
        if code:
            require_error(5, code, shown)
            require(word in shown, f"says {word!r}: {shown}")
        if self.run.exists():
            require_sound(self.run)
            require_tidy(self.run)
        there = (self.run / "checkpoints" / "last.npz").exists()
        self.outcomes["finished" if not code else "stopped, resumable" if there else "not begun"] += 1
        undo()
        require_success(forked(self.again, self.shown), self.shown)
        require_same(self.run, self.reference)


def at_step(step: int, action: Callable[[], object]) -> Callable[[], None]:
    """Let something happen in the middle of training; before it where `step` is negative."""

    def arrange() -> None:
        if step < 0:
            action()
        original = Trainer._take_step

        def take(self: Trainer) -> None:
            if self.state.step == step:
                action()
            original(self)

        Trainer._take_step = take  # type: ignore[method-assign]

    return arrange


def tmpfs(folder: Path, count: int, rng: random.Random) -> Counter[str]:
    """A disk that is filled to some level before the run, or in the middle of it."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", disk], check=True)
    campaign, filler = Campaign(folder, disk, large=True), disk / "filler"

    def fill(left: int) -> None:
        system = os.statvfs(disk)
        filler.write_bytes(bytes(max(system.f_bavail * system.f_frsize - left, 0)))

    for number in range(count):
        left = DISK * (number // 2) // (count // 2)
        step = rng.randrange(29) if number % 2 else -1
        campaign.check(
            at_step(step, lambda left=left: fill(left)),
            lambda: filler.unlink(missing_ok=True),
            "No space left" if step > 0 else "",
        )
    return campaign.outcomes


def readonly(folder: Path, count: int, rng: random.Random) -> Counter[str]:
    """A directory that is mounted read-only."""
    closed = folder / "closed"
    closed.mkdir()
    campaign = Campaign(folder, closed)
    subprocess.run(["mount", "--bind", closed, closed], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", closed], check=True)
    campaign.check(lambda: None, lambda: subprocess.run(["umount", closed], check=True), "read-only")
    return campaign.outcomes


def limits(folder: Path, count: int, rng: random.Random) -> Counter[str]:
    """A limit on the size of files, a directory that is removed, and one that may not be written."""
    campaign = Campaign(folder, folder)

    def limited(size: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    for _ in range(count):
        step = rng.randrange(-1, 29)
        campaign.check(at_step(step, limited(rng.randrange(2_000, 8_000))), lambda: None, "ulimit -f")
        campaign.check(at_step(rng.randrange(1, 29), lambda: shutil.rmtree(campaign.run)), lambda: None, "is gone")

    def become_nobody() -> None:
        # Once as who one is, since the checkout may be closed to anybody else: nothing is left to import afterwards.
        require_success(cnntrain(["fit", campaign.again[1], "-o", str(folder / "loaded"), "-j", "1"]), campaign.shown)
        if os.getuid() == 0:
            os.setuid(NOBODY)

    with tempfile.TemporaryDirectory() as name:  # not in a folder of pytest's, which is closed to anybody else
        closed = Path(name) / "closed"
        Path(name).chmod(0o755)
        closed.mkdir(mode=0o555)
        campaign.again[1] = str(write(Path(name), TINY))
        campaign.again[campaign.again.index(str(campaign.run))] = str(closed / "run")
        campaign.run = closed / "run"
        campaign.check(become_nobody, lambda: closed.chmod(0o755), "Check the permissions")
    return campaign.outcomes


def main(kind: str, folder: str, count: str, seed: str) -> None:
    kinds = {"tmpfs": tmpfs, "readonly": readonly, "limits": limits}
    print(json.dumps(kinds[kind](Path(folder), int(count), random.Random(int(seed)))))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Processes killed and signalled at random moments: whatever was acknowledged is there, and going on ends the same.

Replay: FAULTS_SEED=N pytest -m faults tests/faults/test_kills_and_signals.py. The moments are drawn again, but what
happens at them is up to the machine.
"""

from __future__ import annotations

import functools
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from cnntrain.core import files
from cnntrain.rundir import checkpoint
from tests.support.campaign import Campaign, counts, rounds
from tests.support.experiments import ADAM, CLIPS, DETECTION, FULL, SEGMENTATION, call, evidence, start, write
from tests.support.processes import workers

SETS = ("data.source.samples=400", "train.epochs=3", "checkpoint.every=5st")  # 32 steps an epoch
TEXTS = {"detection": DETECTION, "segmentation": SEGMENTATION, "clips": CLIPS}
LONGER = ("data.source.samples=200", "train.epochs=2", "checkpoint.every=5st")
FLAVOURS = {"momentum": SETS, "adam": (*SETS, *ADAM), "few": LONGER}
SOONEST = 0.1  # seconds after the start of a process
GRACE = 5.0  # seconds in which a signalled run has to be gone; a step here takes milliseconds
KILLS_EACH = 4  # before a run is let alone to its end


@functools.cache
def undisturbed(arguments: tuple[str, ...], text: str) -> tuple[float, tuple[dict[str, str], bytes]]:
    """How many seconds such a run takes, and its evidence."""
    with tempfile.TemporaryDirectory() as place:
        write(Path(place), text)
        began = time.monotonic()
        code, _, err = call(*arguments, "run", cwd=Path(place))
        assert code == 0, err
        return time.monotonic() - began, evidence(Path(place) / "run")


class Trajectory:
    """One run directory through kills and signals to the end, compared with an undisturbed run."""

    def __init__(self, folder: Path, sets: tuple[str, ...], text: str = FULL) -> None:
        self.folder = folder
        write(folder, text)
        self.arguments = ("fit", "full.yaml", *(f"--set={text}" for text in sets), "--resume-or-start", "-o")
        self.length, self.expected = undisturbed(self.arguments, text)
        self.runs = 0

    @property
    def name(self) -> str:
        """The run directory in work."""
        return f"run-{self.runs}"

    def start(self, rng: random.Random) -> subprocess.Popen[str]:
        """Start the run, or go on with it, on one to three threads."""
        return start(*self.arguments, self.name, "-j", str(rng.randint(1, 3)), cwd=self.folder)

    def check(self) -> None:
        """What is there can be used."""
        last = self.folder / self.name / "checkpoints" / "last.npz"
        if last.exists():
            checkpoint.read(last)

    def finish(self) -> None:
        """Go on to the end, compare, and begin anew."""
        code, _, err = call(*self.arguments, self.name, cwd=self.folder)
        assert code == 0, err
        assert evidence(self.folder / self.name) == self.expected
        assert not list((self.folder / self.name).glob(f"**/{files.TEMPORARY}*"))
        self.runs += 1


def moment(rng: random.Random, trajectory: Trajectory, process: subprocess.Popen[str]) -> bool:
    """Wait for a random moment of a run; False where it has ended before."""
    try:
        process.wait(rng.uniform(SOONEST, trajectory.length))
    except subprocess.TimeoutExpired:
        return True
    return False


@pytest.mark.parametrize(
    ("flavour", "count"),
    [
        pytest.param("few", 2, id="few"),
        *(
            pytest.param(flavour, rounds(50), marks=pytest.mark.faults, id=f"{flavour}{part}")
            for flavour in ("momentum", "adam")
            for part in "ab"
        ),
        *(pytest.param(task, 8, marks=pytest.mark.faults, id=task) for task in TEXTS),
        *(
            pytest.param(flavour, 1000, marks=pytest.mark.soak, id=f"{flavour}-soak")
            for flavour in ("momentum", "adam")
        ),
    ],
)
def test_killed_at_random_moments_a_run_ends_with_the_same_bits(
    tmp_path: Path, campaign: Campaign, count: int, flavour: str
) -> None:
    trajectory, kills = Trajectory(tmp_path, FLAVOURS.get(flavour, LONGER), TEXTS.get(flavour, FULL)), 0
    while kills < count:
        for _ in range(min(KILLS_EACH, count)):
            process = trajectory.start(campaign.rng)
            if moment(campaign.rng, trajectory, process):
                process.kill()
            _, err = process.communicate()
            assert process.returncode in (0, -signal.SIGKILL), err
            kills += process.returncode != 0
            trajectory.check()
        trajectory.finish()
    campaign.tell(f"{kills} kills of {trajectory.runs} runs")


def _once(number: signal.Signals) -> Callable[[subprocess.Popen[str], random.Random], set[int]]:
    def send(process: subprocess.Popen[str], rng: random.Random) -> set[int]:
        process.send_signal(number)
        return {number}

    return send


def _saves_then_stops(process: subprocess.Popen[str], rng: random.Random) -> set[int]:
    process.send_signal(signal.SIGUSR1)
    time.sleep(rng.uniform(0, 0.3))
    process.send_signal(signal.SIGTERM)
    return {signal.SIGTERM, signal.SIGUSR1}  # the latter only where Python was not up yet


def _twice(process: subprocess.Popen[str], rng: random.Random) -> set[int]:
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
    return {signal.SIGTERM}


def _burst(process: subprocess.Popen[str], rng: random.Random) -> set[int]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    for _ in range(20):
        process.send_signal(rng.choice(numbers))
        time.sleep(0.005)
    return {*numbers}


SIGNALS = {
    "INT": _once(signal.SIGINT),
    "TERM": _once(signal.SIGTERM),
    "HUP": _once(signal.SIGHUP),
    "USR1, then TERM": _saves_then_stops,
    "TERM twice": _twice,
    "20 in 100 ms": _burst,
}


def _outcome(code: int, err: str, numbers: set[int]) -> str:
    """What came of a signal; fails for what must not."""
    assert "Traceback" not in err or "KeyboardInterrupt" in err, err
    if code == 0:
        return "finished before"
    if code < 0:  # by the system, where no handler stood yet, or none any more
        assert -code in numbers, err
        if "results:" in err or ", which is saved." in err:
            return "on its way out"
        assert "run directory:" not in err, err
        assert "resuming" not in err, err
        return "not up yet"
    assert code - 128 in numbers, (code, err)
    if "before training" in err:
        return "before training"
    return "saved" if ", which is saved." in err else "at once"


@pytest.mark.parametrize(
    ("kinds", "count"),
    [
        pytest.param([*SIGNALS], 3, id="few"),
        *(pytest.param([kind], rounds(34), marks=pytest.mark.faults, id=kind.replace(" ", "-")) for kind in SIGNALS),
        pytest.param([*SIGNALS], 2000, marks=pytest.mark.soak, id="soak"),
    ],
)
def test_signalled_at_random_moments_a_run_stops_in_order(
    tmp_path: Path, campaign: Campaign, count: int, kinds: list[str]
) -> None:
    trajectory, slowest = Trajectory(tmp_path, LONGER if count < len(SIGNALS) else SETS), 0.0
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        process = trajectory.start(campaign.rng)
        send = SIGNALS[campaign.rng.choice(kinds)]
        numbers = send(process, campaign.rng) if moment(campaign.rng, trajectory, process) else set()
        sent = time.monotonic()
        _, err = process.communicate(timeout=60)
        slowest = max(slowest, time.monotonic() - sent if numbers else 0)
        outcomes[_outcome(process.returncode, err, numbers)] += 1
        trajectory.check()
        if process.returncode == 0:
            trajectory.finish()
    trajectory.finish()
    campaign.tell(f"{count} times {' or '.join(kinds)}: {dict(outcomes)}, gone within {slowest:.2f} s")
    assert slowest < GRACE


@counts(1, 10)
def test_stopped_for_a_while_and_continued_a_run_ends_as_if_nothing_had_been(
    tmp_path: Path, campaign: Campaign, count: int
) -> None:
    """Alone, as by `kill -STOP`, or with its workers, as by Ctrl-Z."""
    trajectory = Trajectory(tmp_path, LONGER)
    outcomes: Counter[str] = Counter()
    for number in range(count):
        process = trajectory.start(campaign.rng)
        while number % 2 and process.poll() is None and not workers(process.pid):
            time.sleep(0.01)
        if process.poll() is None if number % 2 else moment(campaign.rng, trajectory, process):
            stopped = [process.pid, *workers(process.pid)] if number % 2 else [process.pid]
            for signalled in (signal.SIGSTOP, signal.SIGCONT):
                for pid in stopped:
                    os.kill(pid, signalled)
                time.sleep(campaign.rng.uniform(0.5, 2.0) if signalled == signal.SIGSTOP else 0)
            outcomes[f"with {len(stopped) - 1} workers"] += 1
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        trajectory.finish()
    campaign.tell(f"stopped {dict(outcomes)}")


@counts(None, 10)
def test_a_scheduler_that_kills_after_its_grace_finds_the_run_gone(
    tmp_path: Path, campaign: Campaign, count: int
) -> None:
    trajectory = Trajectory(tmp_path, SETS)
    for _ in range(count):
        process = trajectory.start(campaign.rng)
        if moment(campaign.rng, trajectory, process):
            process.terminate()
            process.wait(GRACE)
        process.kill()
        process.communicate()
        assert process.returncode in (0, 128 + signal.SIGTERM, -signal.SIGTERM)
        trajectory.check()
    trajectory.finish()
    campaign.tell(f"{count} times")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("wrapper", "ignored"),
    [("nohup {} > out.txt 2>&1", signal.SIGHUP), ("{} > out.txt 2>&1 & echo $!; wait $!", signal.SIGINT)],
    ids=["nohup", "in the background of a script"],
)
def test_what_was_ignored_from_the_start_stays_ignored(tmp_path: Path, wrapper: str, ignored: signal.Signals) -> None:
    trajectory = Trajectory(tmp_path, SETS)
    process = subprocess.Popen(["bash", "-c", wrapper.format(_line(trajectory))], cwd=tmp_path, stdout=subprocess.PIPE)
    with process:
        _wait_for(tmp_path / trajectory.name / "metrics.jsonl")
        status = (tmp_path / trajectory.name / ".lock").read_text()
        pid = int(status.split()[1])  # "process 123 on ..."
        subprocess.run(["kill", f"-{ignored.name[3:]}", str(pid)], check=True)
        assert process.wait(60) == 0
    trajectory.finish()


def _line(trajectory: Trajectory) -> str:
    return shlex.join([sys.executable, "-m", "cnntrain", *trajectory.arguments, trajectory.name])


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.01)

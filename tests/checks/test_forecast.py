"""`fit --dry-run`: what it says a run will take is what the run takes, and what cannot be is refused before it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest

from cnntrain.checks import forecast
from cnntrain.checks.preflight import dry_run
from cnntrain.cli import main
from cnntrain.core import machine, storage
from cnntrain.core.errors import OutOfMemoryError, StorageError
from cnntrain.training.job import prepare
from tests.engine.test_memory import HUGE
from tests.support.experiments import ADAM, FULL, WHITENED, run, write

WIDE = """\
data: {source: {type: synthetic, size: 32, channels: 3, samples: 300}, val: 0.1}
model:
  layers:
    - {type: conv2d, filters: 24, kernel_size: 3, padding: same}
    - batch_norm
    - relu
    - {type: conv2d, filters: 24, kernel_size: 1}
    - batch_norm
    - relu
    - global_avg_pool
    - {type: dense, units: auto}
train: {epochs: 1, batch_size: 250}
"""
MEASURED = """
import os, pathlib, sys, threading, time
from cnntrain.checks import forecast
from cnntrain.cli import main


def held(process, fields):
    with open(f"/proc/{process}/smaps_rollup") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith(fields)) * 1024


def look():
    me = os.getpid()
    while True:
        try:
            children = pathlib.Path(f"/proc/{me}/task/{me}/children").read_text().split()
            own = sum(held(child, ("Private_Clean:", "Private_Dirty:")) for child in children)
            most[0] = max(most[0], held(me, "Rss:") + own)
        except OSError:  # one has just ended
            pass
        time.sleep(0.005)


forecast.STEPS, forecast.SECONDS, most = 1, 0.0, [0]
threading.Thread(target=look, daemon=True).start()
code = main(sys.argv[1:])
print(most[0])
sys.exit(code)
"""


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(forecast, "SECONDS", 0.0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what several processes have together")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_memory_is_what_a_run_has_at_most(tmp_path, threads):
    config = write(tmp_path, WIDE)

    def measured(*more):
        """What `fit` prints, and the most memory that it has."""
        fit = [sys.executable, "-c", MEASURED, "fit", str(config), "-j", threads, *more]
        return subprocess.run(fit, cwd=tmp_path, capture_output=True, check=True, text=True).stdout.splitlines()

    ahead, taken = json.loads(measured("-n", "--json")[0]), int(measured("-o", "run", "-q")[-1])
    assert ahead["memory_bytes"] > 50e6  # or else it would be about the program alone
    assert ahead["peak_bytes"] == pytest.approx(taken, rel=0.1)


@pytest.mark.parametrize("sets", [(), ADAM, WHITENED, ("train.average=ema", "checkpoint.keep=2")])
def test_the_disk_is_what_the_run_directory_takes(tmp_path, sets):
    config = write(tmp_path)
    ahead = forecast.forecast(prepare([config], sets), 1, tmp_path)
    run(config, tmp_path / "run", sets, threads=1)
    one = (tmp_path / "run" / "checkpoints" / "last.npz").stat().st_size
    found = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert 0.7 * ahead["checkpoint_bytes"] < one < ahead["checkpoint_bytes"]
    assert 0.5 * ahead["disk_bytes"] < found + one < ahead["disk_bytes"]  # one more, while it is being written
    assert ahead["checkpoints"] == (5 if "checkpoint.keep=2" in sets else 3)


def test_the_time_is_of_the_right_size(tmp_path, monkeypatch):
    """Within a factor of three: this is a machine that others use too."""
    monkeypatch.setattr(forecast, "SECONDS", 0.5)
    config = write(tmp_path)
    sets = ("data.source.samples=600", "checkpoint.every=5ep")
    ahead = dry_run([config], sets, 2)
    began = time.monotonic()
    run(config, tmp_path / "run", sets, threads=2)
    taken = time.monotonic() - began
    assert ahead["run_seconds"] / 3 < taken < ahead["run_seconds"] * 3 + 1
    assert (ahead["epochs"], ahead["steps_per_epoch"], ahead["steps"]) == (5, 48, 240)
    assert ahead["epoch_seconds"] * 5 <= ahead["run_seconds"]
    assert ahead["images_per_second"] == pytest.approx(10 / ahead["step_seconds"])


def test_sam_averages_and_penalties_are_part_of_the_steps(tmp_path):
    more = ("optimizer={type: sgd, lr: 0.1, sam: {rho: 0.05}}", "train.average=swa", "train.regularize=[l2]")
    assert dry_run([write(tmp_path)], more, 1)["run_seconds"] > 0


def test_what_does_not_fit_in_memory_is_refused(tmp_path, monkeypatch, capsys):
    config = write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "free", lambda: 1000)
    assert main(["fit", str(config), "-n", "--json"]) == 7
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(
        r"cnntrain: error: training needs [\d.]+ [MG]B of memory, [\d.]+ [MG]B of it for data and program; "
        r"only [\d.]+ [MG]B is available now\. "
        r"Lower train\.batch_size \(10\), or make the network, the images or the data smaller\n",
        captured.err,
    )
    assert [path.name for path in tmp_path.iterdir()] == [config.name]


def test_a_network_beyond_every_machine_is_refused_before_the_data_is_read(tmp_path):
    with pytest.raises(OutOfMemoryError, match=r"training needs [\d.]+ TB of memory"):
        dry_run([write(tmp_path, HUGE)], ())


def test_what_does_not_fit_on_the_disk_is_refused(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(storage, "free", lambda path: asked.append(path) or 1000)
    with pytest.raises(StorageError) as raised:
        dry_run([write(tmp_path)], ("checkpoint.keep=4",), run_dir=tmp_path / "not" / "yet")
    assert raised.value.exit_code == 5
    assert asked == [tmp_path]  # of a directory that is yet to be made, the one it will be made in
    assert re.match(
        rf"{re.escape(str(tmp_path))} has no room for the run, 7 checkpoints of [\d.]+ KB for the most part "
        r"\(needs [\d.]+ MB, 1,000 bytes free\)\. ",
        str(raised.value),
    )


def test_no_more_checkpoints_are_kept_than_are_made(tmp_path):
    job = prepare([write(tmp_path, FULL)], ("checkpoint={every: 2ep, keep: 100}",))
    assert forecast.forecast(job, 1, tmp_path)["checkpoints"] == 3 + 2

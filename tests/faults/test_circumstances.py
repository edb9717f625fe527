"""Little memory, another processor, a clock that jumps, a worker that fails: what a run does in bad circumstances."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.cli import main
from cnntrain.core import blas, watchdog
from cnntrain.core.watchdog import STILL
from cnntrain.engine.engine import Engine
from cnntrain.rundir.checkpoint import read
from tests.support.campaign import Campaign
from tests.support.experiments import FULL, TINY, call, evidence, run, write
from tests.support.promises import require_error, require_sound

HUNGRY = """\
name: hungry
data: {source: {type: synthetic, size: 32, classes: 3, samples: 150}}
model:
  layers:
    - {type: conv2d, filters: 64, kernel_size: 3}
    - relu
    - {type: conv2d, filters: 64, kernel_size: 3}
    - relu
    - flatten
    - {type: dense, units: 128}
    - {type: dense, units: auto}
train: {steps: 2, batch_size: 64}
"""  # takes 142 MB beside some 250 MB of address space for Python, NumPy and BLAS
MEGABYTE = 2**20
LIMITS = (280, 310, 340, 370, 400, 450, 500, 600, 800, 1200, 2000)  # MB of address space


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit is not heeded")
@pytest.mark.parametrize(
    "limits", [pytest.param((340, 1200), id="few"), pytest.param(LIMITS, marks=pytest.mark.faults, id="all")]
)
def test_with_too_little_memory_a_run_ends_with_7_and_says_what_it_needs(
    tmp_path: Path, campaign: Campaign, limits: tuple[int, ...]
) -> None:
    config, codes = write(tmp_path, HUNGRY), []
    for limit in limits:
        ended = subprocess.run(
            [sys.executable, "-m", "cnntrain", "fit", config, "-o", f"run-{limit}", "-j", "2", "--progress", "none"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_AS, (limit * MEGABYTE, limit * MEGABYTE)),
        )
        codes.append(ended.returncode)
        if ended.returncode:
            require_error(7, ended.returncode, ended.stderr)
            assert "out of memory: training at batch size 64 on 2 threads needs about 1" in ended.stderr
            assert "of address space (ulimit -v), libraries included. Raise the limit, lower train" in ended.stderr
            require_sound(tmp_path / f"run-{limit}")
    campaign.tell(f"limits of {limits} MB: {codes}")
    assert codes == sorted(codes, reverse=True)  # enough is enough
    assert set(codes) == {0, 7}


@pytest.mark.faults
@pytest.mark.skipif(
    platform.machine() != "x86_64" or "openblas" not in blas.description(),
    reason="needs kernels of OpenBLAS to choose from",
)
def test_another_kernel_is_warned_of_and_stays_close(tmp_path: Path) -> None:
    config = write(tmp_path)
    arguments = ("fit", str(config), "-s", "train.epochs=null", "-s", "train.steps=5")
    kernels = {"Haswell": ("1", "2"), "Nehalem": ("1", "2")}
    found = {}
    for kernel, threads in kernels.items():
        for number in threads:
            name = f"{kernel}-{number}"
            code, _, err = call(*arguments, "-o", name, "-j", number, cwd=tmp_path, OPENBLAS_CORETYPE=kernel)
            assert code == 0, err
        assert evidence(tmp_path / f"{kernel}-1") == evidence(tmp_path / f"{kernel}-2")
        found[kernel] = read(tmp_path / f"{kernel}-1" / "checkpoints" / "last.npz").arrays
    for name, array in found["Haswell"].items():
        np.testing.assert_allclose(array, found["Nehalem"][name], rtol=1e-4, atol=1e-4)
    resume = ("fit", "-o", "Haswell-1", "--resume", "-s", "train.steps=6")
    code, _, err = call(*resume, "--strict-env", cwd=tmp_path, OPENBLAS_CORETYPE="Nehalem")
    assert code == 4
    assert "BLAS kernel Haswell -> Nehalem" in err
    code, _, err = call(*resume, cwd=tmp_path, OPENBLAS_CORETYPE="Nehalem")
    assert code == 0
    assert "cnntrain: warning: not bit-identical to an uninterrupted run: BLAS kernel " in err


@pytest.mark.faults
def test_a_folder_of_images_needs_few_open_files(tmp_path: Path) -> None:
    for number in range(150):
        folder = tmp_path / "images" / "train" / f"class-{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(folder / f"{number}.png")
    text = FULL.replace(
        "{type: synthetic, size: 8, classes: 3, samples: 90, noise: 0.3}",
        "{type: image_folder, root: images, size: [8, 8]}",
    )
    ended = subprocess.run(
        [sys.executable, "-m", "cnntrain", "fit", write(tmp_path, text), "-s", "train.epochs=1", "-o", "run", "-q"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32)),
    )
    assert ended.returncode == 0, ended.stderr


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a day or by ten years, back or forth, whenever it is looked at."""
    config = write(tmp_path, TINY)
    run(config, tmp_path / "steady", threads=1)
    real = time.time

    def jumping(*_: object) -> float:
        return real() + campaign.rng.choice([-1, 1]) * campaign.rng.choice([86_400.0, 315_576_000.0])

    with monkeypatch.context() as patch:
        patch.setattr(time, "time", jumping)
        patch.setattr(time, "time_ns", lambda: int(jumping() * 1e9))
        gmtime = time.gmtime
        patch.setattr(time, "gmtime", lambda seconds=None: gmtime(jumping()))
        run(config, tmp_path / "jumping", ("train.epochs=2",), threads=1)
        run(None, tmp_path / "jumping", ("train.epochs=3",), resume=True, threads=1)
        run(config, tmp_path / "whole", threads=1)
    assert evidence(tmp_path / "whole") == evidence(tmp_path / "steady")
    rows = [json.loads(line) for line in (tmp_path / "whole" / "timing.jsonl").read_text().splitlines()]
    assert all(0 <= row["seconds"] < 60 for row in rows)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody counts for how long a thread has run")
@pytest.mark.parametrize("seconds", [1.0, pytest.param(STILL, marks=pytest.mark.faults)])
def test_a_worker_that_hangs_ends_the_run_in_time_and_half_saves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seconds: float
) -> None:
    config = write(tmp_path, FULL)
    run(config, tmp_path / "straight")
    original, never = Engine.step, threading.Event()

    def step(self: Engine, batches: object, number: int) -> object:
        if number == 13:
            self.pool.run(3, lambda worker, index: never.wait() if worker else time.sleep(0.05))
        return original(self, batches, number)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", step)
        patch.setattr(watchdog, "STILL", seconds)
        began = time.monotonic()
        assert main(["fit", str(config), "-o", str(tmp_path / "run"), "-j", "3", "-q"]) == 5
        assert time.monotonic() - began < 10 + seconds
    never.set()
    require_error(5, 5, capsys.readouterr().err)
    require_sound(tmp_path / "run")
    assert read(tmp_path / "run" / "checkpoints" / "last.npz").meta["position"]["step"] == 12
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == evidence(tmp_path / "straight")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 7, "out of memory: training at batch size 10 on 3 threads"),
        (ZeroDivisionError("in a layer"), 1, "a bug in cnntrain: ZeroDivisionError: in a layer. The traceback is in"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_a_worker_that_fails_ends_the_run_at_once_and_half_saves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    config = write(tmp_path, FULL)
    run(config, tmp_path / "straight")
    original = Engine.step

    def step(self: Engine, batches: object, number: int) -> object:
        if number == 13:
            self.pool.run(3, lambda worker, index: (_ for _ in ()).throw(error) if worker else time.sleep(0.05))
        return original(self, batches, number)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", step)
        began = time.monotonic()
        assert main(["fit", str(config), "-o", str(tmp_path / "run"), "-j", "3", "-q"]) == code
        assert time.monotonic() - began < 30
    assert words in capsys.readouterr().err
    require_sound(tmp_path / "run")
    assert read(tmp_path / "run" / "checkpoints" / "last.npz").meta["position"]["step"] == 12
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == evidence(tmp_path / "straight")

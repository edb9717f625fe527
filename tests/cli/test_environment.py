"""The environment changes what is shown and how fast, never a bit of a result, unless it chooses BLAS's kernels."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import warnings

import pytest

from cnntrain.core import blas
from tests.support.experiments import evidence, write

ARGUMENTS = ["fit", "full.yaml", "-s", "train.epochs=1", "-o", "run"]
KERNELS = {name: os.environ[name] for name in blas.CHOOSE_KERNELS if name in os.environ}  # these do change bits


def fit(folder, *more, **environment):
    """Train in a process of its own with exactly this environment; what stderr showed."""
    write(folder)
    ended = subprocess.run(
        [sys.executable, "-m", "cnntrain", *ARGUMENTS, *more],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    return ended.stderr


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    fit(folder, **os.environ)
    return evidence(folder / "run")


@pytest.mark.parametrize(
    "environment",
    [
        {},  # no HOME, no PATH, no locale
        {"LC_ALL": "C", "TZ": "Asia/Kathmandu", "COLUMNS": "0", "LINES": "0", "PYTHONHASHSEED": "1"},
        {
            "LC_ALL": "POSIX",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONHASHSEED": "2",
            "PYTHONOPTIMIZE": "2",
            "TMPDIR": "/nowhere",
            "HOME": "/nowhere",
            "COLUMNS": "many",
            "OPENBLAS_NUM_THREADS": "4",
            "OMP_NUM_THREADS": "4",
            "MKL_NUM_THREADS": "4",
            "CNNTRAIN_THREADS": "3",
            "NO_COLOR": "1",
            "TERM": "dumb",
        },
    ],
    ids=lambda environment: ",".join(f"{key}={value}" for key, value in environment.items()) or "nothing",
)
def test_no_variable_changes_a_bit(environment, expected, tmp_path):
    fit(tmp_path, **KERNELS | environment)
    assert evidence(tmp_path / "run") == expected


@pytest.mark.skipif(
    platform.machine() != "x86_64" or "openblas" not in blas.description(),
    reason="needs kernels of OpenBLAS to choose from",
)
def test_a_kernel_decides_bits_is_recorded_and_warned_of(cnntrain, tmp_path):
    for kernel in ("Haswell", "Sandybridge"):
        folders = [tmp_path / f"{kernel}-{threads}" for threads in "12"]
        for folder in folders:
            folder.mkdir()
            fit(folder, "-j", folder.name[-1], **os.environ | {"OPENBLAS_CORETYPE": kernel})
            assert json.loads((folder / "run" / "env.json").read_text())["kernel"] == kernel
        assert evidence(folders[0] / "run") == evidence(folders[1] / "run")
    other = "Sandybridge" if blas.kernel() == "Haswell" else "Haswell"
    run = tmp_path / f"{other}-1" / "run"
    resume = ("fit", "-o", run, "--resume", "-s", "train.epochs=2")
    differs = f"BLAS kernel {other} -> {blas.kernel()}"
    refused = cnntrain(*resume, "--strict-env")
    assert refused.code == 4
    assert differs in refused.err
    assert differs in cnntrain("replay", run).err
    resumed = cnntrain(*resume)
    assert resumed.code == 0
    assert f"cnntrain: warning: not bit-identical to an uninterrupted run: {differs}" in resumed.err


def test_an_unknown_variable_of_ours_is_warned_of(cnntrain, monkeypatch):
    monkeypatch.setenv("CNNTRAIN_THREDS", "1")
    outcome = cnntrain("list", "losses")
    assert outcome.code == 0
    assert outcome.err == (
        "cnntrain: warning: the environment variable CNNTRAIN_THREDS is unknown and ignored; "
        "known: CNNTRAIN_THREADS, CNNTRAIN_DEBUG\n"
    )


@pytest.mark.parametrize("command", ["summary", "check"])
def test_the_number_of_threads_may_come_from_the_environment_and_a_flag_wins(cnntrain, config, monkeypatch, command):
    monkeypatch.setenv("CNNTRAIN_THREADS", "3")
    assert '"threads":3' in cnntrain(command, config, "--json").out
    assert '"threads":2' in cnntrain(command, config, "--json", "-j", "2").out


def test_a_wrong_number_of_threads_in_the_environment_is_refused(cnntrain, config, monkeypatch):
    monkeypatch.setenv("CNNTRAIN_THREADS", "many")
    outcome = cnntrain("summary", config)
    assert outcome.code == 2
    assert outcome.error == (
        "invalid value for the environment variable CNNTRAIN_THREADS: expected a whole number from 1 to 256, "
        "got 'many'. See 'cnntrain summary --help'"
    )


def test_the_flag_sets_the_threads_of_a_run(cnntrain, config, desk):
    cnntrain("fit", config, "-s", "train.epochs=1", "-o", "run", "-j", "3", "-q")
    assert '"threads": 3' in (desk / "run" / "env.json").read_text()


def test_a_warning_of_a_library_is_shown_as_ours(cnntrain, config, monkeypatch):
    def pin():
        warnings.warn("no BLAS answers", RuntimeWarning, stacklevel=2)

    monkeypatch.setattr(blas, "pin", pin)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        outcome = cnntrain("fit", config, "-s", "train.epochs=1", "-o", "run", "-q")
    assert outcome.err == "cnntrain: warning: no BLAS answers\n"

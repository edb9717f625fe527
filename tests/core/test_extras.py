"""What is to be typed for an extra reaches the environment that runs, however the program came to be installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnntrain.core import extras
from cnntrain.core.errors import DataError
from cnntrain.engine.mpi import _lacking
from cnntrain.reading.clips import Look, read_clip
from cnntrain.reading.input_files import advised
from cnntrain.reading.sounds import recording


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with a python and a pip, which the shell finds."""
    (tmp_path / "bin").mkdir()
    for name in ("python", "pip"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    return tmp_path


def test_pip_of_the_environment_that_the_shell_finds(here: Path) -> None:
    assert re.fullmatch(r"pip install 'onnx>=[\d.]+' 'onnxruntime>=[\d.]+'", extras.install("onnx"))
    assert extras.install("search", "torch") == "pip install 'optuna>=4.0' torch"


def test_another_pip_is_found_first_or_none(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert extras.install("safetensors") == f"{here}/bin/python -m pip install 'safetensors>=0.4.3'"


def test_pipx_and_an_environment_without_pip(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert extras.install("safetensors") == f"uv pip install --python {here}/bin/python 'safetensors>=0.4.3'"
    (here / "pipx_metadata.json").write_text("{}")
    assert extras.install("safetensors") == "pipx inject cnntrain 'safetensors>=0.4.3'"


def test_a_checkout_that_is_not_installed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", lacking)
    assert re.fullmatch(r"pip install 'onnx>=[\d.]+' 'onnxruntime>=[\d.]+'", extras.install("onnx"))
    assert extras.install("pandas") == "pip install pandas"


def test_no_command_names_a_package_that_is_on_no_registry(here: Path) -> None:
    for extra in ("report", "onnx", "safetensors", "features", "audio", "search", "dask"):
        packages = shlex.split(extras.install(extra))[2:]
        assert packages
        assert not any(package.startswith("cnntrain") for package in packages)


def clip(path: Path) -> None:
    read_clip([path], lambda count, _: range(count), Look(None, 3))


@pytest.mark.parametrize(("module", "read", "name"), [("soundfile", recording, "a.flac"), ("av", clip, "a.mp4")])
def test_files_that_only_an_extra_reads_are_not_to_be_mended_or_removed(
    module: str, read: Callable[[Path], Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"fLaC")
    with pytest.raises(DataError) as caught:
        read(tmp_path / name)
    assert ". Run: " in advised(str(caught.value))
    assert "Mend" not in advised(str(caught.value))


def test_mpi4py_without_a_library_is_not_to_be_installed_once_more() -> None:
    assert extras.install("mpi") in _lacking(ModuleNotFoundError("No module named 'mpi4py'"))
    said = _lacking(RuntimeError("cannot load MPI library\nlibmpi.so: cannot open shared object file"))
    assert "install" not in said.replace("installed", "")
    assert "(cannot load MPI library). Load the one of the launcher" in said

"""The command line in this process: what a command prints and returns, in an empty working directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cnntrain.checks import forecast
from cnntrain.cli import main
from tests.support.experiments import run, write


@dataclass(frozen=True)
class Outcome:
    """What came of a command line."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr, without its beginning; nothing may have been printed on stdout."""
        (line,) = self.err.splitlines()
        assert self.out == ""
        return line.removeprefix("cnntrain: error: ")


Invoke = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run times as few steps as it may, not a second of them: how long they take does not matter here."""
    monkeypatch.setattr(forecast, "SECONDS", 0.0)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COLUMNS", raising=False)
    return folder


@pytest.fixture
def cnntrain(capsys: pytest.CaptureFixture[str], desk: Path) -> Invoke:
    """Run a command line in the empty working directory."""

    def invoke(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        code = main([os.fspath(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return invoke


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    run(write(folder), folder / "run", ("train.epochs=1",))
    return folder / "run"


@pytest.fixture
def finished(_finished: Path, tmp_path: Path) -> Path:
    """A run directory of one epoch, for this test alone."""
    return Path(shutil.copytree(_finished, tmp_path / "finished", symlinks=True))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The config of a small experiment with every moving part."""
    return write(tmp_path)

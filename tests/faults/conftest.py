"""What fault campaigns start from: a finished run of the small experiment with every moving part."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.experiments import run, write


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of one epoch. Not to be written to."""
    folder = tmp_path_factory.mktemp("finished")
    run(write(folder), folder / "run", ("train.epochs=1",))
    return folder / "run"

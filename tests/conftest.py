"""What every test sees: a clean environment, and no BLAS threads."""

from __future__ import annotations

import os

import pytest

from cnntrain import blas

blas.pin()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CNNTRAIN_"):
            monkeypatch.delenv(name)

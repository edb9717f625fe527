"""A closed folder: another user's, into which one may not look. Simulated, since nothing is closed to root."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def close(monkeypatch: pytest.MonkeyPatch, *places: Path) -> None:
    """From now on, nothing below these folders can be looked at, nor their names be listed; a file cannot be opened."""

    def shut(function: Callable[..., Any], itself: bool) -> Callable[..., Any]:
        def look(path: Any = ".", *arguments: Any, **keys: Any) -> Any:
            if isinstance(path, str | os.PathLike):
                whole = Path(os.path.abspath(path))
                if any(place in whole.parents or (itself and place == whole) for place in map(Path.absolute, places)):
                    raise OSError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
            return function(path, *arguments, **keys)

        return look

    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, shut(getattr(os, name), itself=False))
    for name in ("open", "scandir", "listdir"):
        monkeypatch.setattr(os, name, shut(getattr(os, name), itself=True))

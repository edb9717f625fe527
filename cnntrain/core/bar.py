"""A bar shows on a terminal how far a count has come; elsewhere, and where stderr is closed, it shows nothing."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any

from tqdm import tqdm

from cnntrain.core import terminal
from cnntrain.core.errors import printable


class Meter(tqdm):  # type: ignore[type-arg]  # which it has for type checkers only
    """A tqdm that ends silently: in most versions, collecting one whose first line could not be written raises."""

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError, ValueError):
            super().__del__()


class Bar:
    """A count on its way to `total`, such as bytes of a download or files of a folder. One thread advances it."""

    def __init__(self, what: str, total: int, unit: str, start: int = 0) -> None:
        scale = unit == "B"
        self._bar: Any = (
            Meter(None, printable(what), total=total, initial=start, unit=unit, unit_scale=scale, leave=False)
            if terminal.watched()
            else None
        )

    def advance(self, count: int = 1) -> None:
        """Count this many more."""
        if self._bar is not None:
            with contextlib.suppress(OSError, ValueError):
                self._bar.update(count)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError, ValueError):
                self._bar.close()

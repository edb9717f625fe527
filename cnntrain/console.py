"""The console shows how training goes: a bar on a terminal, plain lines elsewhere, every line in train.log too.

It is a convenience: a closed or full stderr never stops a run.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Literal

from tqdm import tqdm

Progress = Literal["auto", "bar", "plain", "none"]

_LINE_EVERY = 10.0  # seconds between two plain lines within an epoch
_BAR = "{desc} {bar:4} {n_fmt}/{total_fmt} {remaining}{postfix}"  # in 80 columns
_BAR_EVERY = 0.2  # seconds between two updates of the numbers beside the bar


class Console:
    """Where messages and progress go. `quiet` leaves only warnings."""

    def __init__(
        self, progress: Progress = "auto", quiet: bool = False, log: Callable[[str], None] | None = None
    ) -> None:
        there = sys.stderr is not None and not sys.stderr.closed  # not so after `2>&-`
        if progress == "auto":
            progress = "bar" if there and sys.stderr.isatty() else "plain"
        elif progress == "bar" and not there:
            progress = "plain"
        self._progress: Progress = "none" if quiet else progress
        self._quiet = quiet
        self.log = log  # every line goes here as well: the run's train.log
        self._bar: Any = None
        self._last_shown = time.monotonic()

    def say(self, text: str) -> None:
        """Print a message."""
        self._write(text, show=not self._quiet)

    def warn(self, text: str) -> None:
        """Print a warning; not silenced by quiet."""
        self._write(f"cnntrain: warning: {text}", show=True)

    def step(self, epoch: int, done: int, steps: int, values: Callable[[], dict[str, str]]) -> None:
        """One more step of an epoch is done; `values` are shown with it, and asked for only when they are."""
        now = time.monotonic()
        if self._progress == "bar":
            self._advance(epoch, done, steps, values if now - self._last_shown > _BAR_EVERY else None)
        elif self._progress == "plain" and now - self._last_shown > _LINE_EVERY:
            self.say(f"epoch {epoch}  step {done}/{steps}  {_joined(values())}")

    def _advance(self, epoch: int, done: int, steps: int, values: Callable[[], dict[str, str]] | None) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._bar is None:
                columns, lines = _terminal_size()
                self._bar = tqdm(
                    desc=f"epoch {epoch}",
                    total=steps,
                    initial=done - 1,
                    bar_format=_BAR,
                    leave=False,
                    ncols=columns,
                    nrows=lines,
                )
            if values is not None:
                self._last_shown = time.monotonic()
                self._bar.set_postfix_str(_joined(values()), refresh=False)
            self._bar.update(1)

    def end_epoch(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            with contextlib.suppress(OSError, ValueError):
                self._bar.close()
            self._bar = None

    close = end_epoch

    def _write(self, text: str, show: bool) -> None:
        self._last_shown = time.monotonic()
        if self.log is not None:
            self.log(text)
        if show and sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):
                if self._bar is not None:
                    self._bar.clear()
                print(text, file=sys.stderr, flush=True)
                if self._bar is not None:
                    self._bar.refresh()


def _terminal_size() -> tuple[int, int]:
    """Columns and lines of stderr's terminal; 80 and 24 where it says 0, for which tqdm would show nothing."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        return 80, 24
    return size.columns or 80, size.lines or 24


def _joined(values: dict[str, str]) -> str:
    return "  ".join(f"{name} {value}" for name, value in values.items())

"""The console shows how training goes: a bar on a terminal, plain lines elsewhere, and every line goes
to train.log as well.

It is a convenience: a closed or full stderr never stops a run.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tqdm import tqdm

from cnntrain.core import terminal
from cnntrain.core.bar import Meter
from cnntrain.core.errors import printable
from cnntrain.core.figures import figure
from cnntrain.core.sparkline import sparkline
from cnntrain.core.terminal import raw, shown

Progress = Literal["auto", "bar", "plain", "none"]

_LINE_EVERY = 10.0  # seconds between two plain lines within an epoch
_BAR = "{desc} {bar} {n_fmt}/{total_fmt}{postfix}"  # as long as the terminal leaves it room
_BAR_EVERY = 0.2  # seconds between two updates of the numbers beside the bar
_USUAL = 8  # columns of a value in a row of an epoch, and of a metric's name
_SPLITS = ("train", "val", "val_average")  # whose values a row of an epoch shows
_BEST, _PLAIN = "\x1b[1;32m", "\x1b[0m"


@dataclass(frozen=True)
class Epoch:
    """A finished epoch: its number, the number of epochs, its values ("val/loss" -> number), its training seconds."""

    number: int
    of: int
    values: Mapping[str, float]
    seconds: float
    best: bool

    def columns(self) -> list[tuple[str, list[str]]]:
        """For each measured split, the metrics to show: the loss, and accuracy or else whatever comes first."""
        found = []
        for split in _SPLITS:
            names = [name.partition("/")[2] for name in self.values if name.startswith(f"{split}/")]
            others = [name for name in names if name not in ("loss", "penalty", "objective")]
            second = ["accuracy"] if "accuracy" in others else others[:1]
            if "loss" in names:
                found.append((split, ["loss", *second]))
        return found

    def line(self) -> str:
        """The epoch as a line that stands by itself, for logs."""
        names = [f"{split}/{name}" for split, shown in self.columns() for name in shown]
        shown = "  ".join(f"{name} {figure(self.values[name])}" for name in names)
        mark = "  best" if self.best else ""
        return f"epoch {self.number:>{len(str(self.of))}}/{self.of}  {shown}  {self.seconds:.1f}s{mark}"

    def header(self) -> str:
        """Two lines above the rows of epochs."""
        columns = self.columns()
        splits = "".join(f"  {split:>{(_USUAL + 2) * len(shown) - 2}}" for split, shown in columns)
        names = "".join(f"  {_short(name):>{_USUAL}}" for _, shown in columns for name in shown)
        return f"{'':{self._width}}{splits}\n{'epoch':>{self._width}}{names}    time"

    def row(self) -> str:
        """The epoch as a row of a table, the marks of the best left out."""
        names = [f"{split}/{name}" for split, shown in self.columns() for name in shown]
        numbers = "".join(f"  {_fitted(self.values[name]):>{_USUAL}}" for name in names)
        return f"{f'{self.number}/{self.of}':>{self._width}}{numbers}  {f'{self.seconds:.1f}s':>6}"

    @property
    def _width(self) -> int:
        return max(len("epoch"), 2 * len(str(self.of)) + 1)


class Console:
    """Where messages and progress go. `quiet` leaves only warnings, `verbose` adds details."""

    def __init__(
        self,
        progress: Progress = "auto",
        quiet: bool = False,
        log: Callable[[str], None] | None = None,
        verbose: bool = False,
        warned: Callable[[str], None] | None = None,
    ) -> None:
        """`warned` is called with warnings, which then do not go to stderr."""
        if progress == "auto":
            progress = "bar" if terminal.watched() else "plain"
        elif progress == "bar" and not terminal.heard():
            progress = "plain"
        self._progress: Progress = "none" if quiet else progress
        self._quiet, self._verbose = quiet, verbose
        self._warned = warned
        self._log = log
        self._early: list[str] = []  # lines from before there was a log
        self._bar: Any = None
        self._headed = False  # whether the table of epochs has its header
        self._last_shown = time.monotonic()

    def log_to(self, log: Callable[[str], None]) -> None:
        """Write every line there, too, from the first on: the run's train.log."""
        self._log, early = log, self._early
        self._early = []
        for line in early:
            log(line)

    def say(self, text: str) -> None:
        """Print a message."""
        self._write(shown(text), show=not self._quiet)

    def detail(self, text: str) -> None:
        """Print a message for those who asked for more."""
        if self._verbose:
            self.say(text)

    def warn(self, text: str) -> None:
        """Print a warning; not silenced by quiet."""
        text = printable(text)
        self._write(f"cnntrain: warning: {text}", show=self._warned is None)
        if self._warned is not None:
            self._warned(text)

    def step(self, epoch: int, done: int, steps: int, values: Callable[[], dict[str, str]]) -> None:
        """One more step of an epoch is done; `values` are shown with it, and asked for only when they are."""
        now = time.monotonic()
        if self._progress == "bar":
            self._advance(epoch, done, steps, values if now - self._last_shown > _BAR_EVERY else None)
        elif self._progress == "plain" and now - self._last_shown > _LINE_EVERY:
            self.say(f"epoch {epoch}  step {done}/{steps}  {_joined(values())}")

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is over: a row of a table on a terminal, a line that stands by itself elsewhere and in the log."""
        self.end_epoch()
        if self._progress != "bar":
            self.say(epoch.line())
            return
        if not self._headed:
            self._print(epoch.header())
            self._headed = True
        best = f"{_BEST}best{_PLAIN}" if _colours() else "best"
        self._print(f"{epoch.row()} {best}" if epoch.best else epoch.row())
        self._note(epoch.line())

    def curve(self, name: str, values: Sequence[float | None]) -> None:
        """Show on a terminal how a value went from epoch to epoch, if there were several and it has the characters."""
        ends = [figure(value) if value is not None else "none" for value in (*values[:1], *values[-1:])]
        line = f"{name}  {ends[0]} {sparkline(values)} {ends[-1]}" if values else ""
        with contextlib.suppress(AttributeError, LookupError, UnicodeError):
            line.encode(sys.stderr.encoding or "ascii")
            if self._progress == "bar" and len(values) > 1:
                self._print(line)

    def _advance(self, epoch: int, done: int, steps: int, values: Callable[[], dict[str, str]] | None) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._bar is None:
                columns, lines = terminal.size()  # as tqdm does not ask: for 0 it would show nothing
                self._bar = Meter(
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
        self._note(text)
        if show:
            self._print(text)

    def _note(self, text: str) -> None:
        if self._log is not None:
            self._log(text)
        else:
            self._early.append(text)

    def _print(self, text: str) -> None:
        self._last_shown = time.monotonic()
        with contextlib.suppress(OSError, ValueError):
            if self._bar is not None:
                self._bar.clear()
            raw(text)
            if self._bar is not None:
                self._bar.refresh()


def _colours() -> bool:
    """Whether the terminal is to be sent colours: not where NO_COLOR says no (no-color.org), nor a dumb one."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _short(name: str) -> str:
    """A metric's name in a column of the usual width."""
    return name if len(name) <= _USUAL else name[: _USUAL - 1] + "."


def _fitted(value: float) -> str:
    """A value in a column of the usual width, with as many digits as there is room for: 5.34e+11."""
    shorter = (f"{value:.{digits}g}" for digits in range(6, 0, -1))
    return next(text for text in (figure(value), *shorter) if len(text) <= _USUAL)


def clock(seconds: float) -> str:
    """A duration as clocks show it: 01:23, or 2:03:04."""
    text: str = tqdm.format_interval(seconds)
    return text


def _joined(values: dict[str, str]) -> str:
    return "  ".join(f"{name} {value}" for name, value in values.items())

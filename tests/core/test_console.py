"""The console: a bar on a terminal, plain lines elsewhere, all of them in the log, and never a reason to fail."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

import pytest

from cnntrain.core import console as module
from cnntrain.core.bar import Bar
from cnntrain.core.console import Console, Epoch


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    """A stderr on a full disk, or one whose reader has gone."""

    def __init__(self, terminal: bool, error: type[Exception]) -> None:
        super().__init__()
        self._terminal, self._error = terminal, error

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        raise self._error("no")

    def flush(self) -> None:
        raise self._error("no")


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(module, "time", fake)
    return fake


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Callable[[io.StringIO | None], io.StringIO | None]:
    """Puts something in the place of sys.stderr, and gives it back."""

    def put(stream: io.StringIO | None) -> io.StringIO | None:
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return put


def values() -> dict[str, str]:
    return {"loss": "0.5000", "lr": "0.1"}


def use(console: Console, clock: Clock, every: float = 11.0) -> None:
    """An epoch of four steps, so many seconds apart, between two messages."""
    console.say("before")
    for done in range(1, 5):
        clock.now += every
        console.step(3, done, 4, values)
    console.warn("careful")
    console.end_epoch()
    console.say("after")
    console.close()


LINES = [f"epoch 3  step {done}/4  loss 0.5000  lr 0.1" for done in range(1, 5)]
WARNING = "cnntrain: warning: careful"


def test_elsewhere_than_on_a_terminal_there_are_plain_lines(clock, stderr):
    stream = stderr(io.StringIO())
    use(Console(), clock)
    assert stream.getvalue().splitlines() == ["before", *LINES, WARNING, "after"]


def test_plain_lines_come_at_most_every_ten_seconds_and_their_numbers_are_only_then_asked_for(clock, stderr):
    stream = stderr(io.StringIO())
    asked = []

    def counted() -> dict[str, str]:
        asked.append(clock.now)
        return values()

    console = Console()
    for done in range(1, 101):
        clock.now += 0.25
        console.step(1, done, 100, counted)
    assert len(stream.getvalue().splitlines()) == len(asked) == 2  # in 25 seconds


def test_a_message_puts_the_next_plain_line_off(clock, stderr):
    stream = stderr(io.StringIO())
    console = Console()
    clock.now += 9
    console.say("epoch 1/2 ...")
    clock.now += 9
    console.step(2, 1, 4, values)
    assert stream.getvalue() == "epoch 1/2 ...\n"


def test_on_a_terminal_there_is_a_bar_that_leaves_nothing_behind(clock, stderr):
    stream = stderr(Terminal())
    use(Console(), clock)
    written = stream.getvalue()
    assert re.search(r"\repoch 3 .* 4/4, loss 0.5000  lr 0.1\r", written)
    assert "step" not in written
    lines = [re.split("\r", line)[-1].strip() for line in written.split("\n")]
    assert [line for line in lines if line] == ["before", WARNING, "after"]


def test_the_numbers_beside_the_bar_are_asked_for_at_most_five_times_a_second(clock, stderr):
    stderr(Terminal())
    asked = []

    def counted() -> dict[str, str]:
        asked.append(clock.now)
        return values()

    console = Console()
    for done in range(1, 101):
        clock.now += 0.01
        console.step(1, done, 100, counted)
    console.close()
    assert 3 <= len(asked) <= 5


def test_the_bar_fits_into_80_columns(clock, stderr, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = stderr(Terminal())
    console = Console()
    shown = {"loss": "0.123", "acc": "0.988", "lr": "0.0012", "img/s": "1234", "left": "12:34"}
    for done in range(1, 4):
        clock.now += 1
        console.step(12, 350 + done, 782, lambda: shown)
        console._bar.refresh()
    console.close()
    pieces = [piece.rstrip() for piece in stream.getvalue().split("\r")]
    assert max(map(len, pieces)) <= 80
    assert any("loss 0.123  acc 0.988  lr 0.0012  img/s 1234  left 12:34" in piece for piece in pieces)


def test_a_resumed_epoch_begins_its_bar_where_it_stood(clock, stderr):
    stream = stderr(Terminal())
    console = Console()
    console.step(2, 61, 80, values)
    console.close()
    assert re.search(r"\repoch 2 .* 60/80\r", stream.getvalue())


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_can_be_chosen(terminal, clock, stderr):
    for progress, bar, lines in (("bar", True, 0), ("plain", False, 4), ("none", False, 0)):
        stream = stderr(Terminal() if terminal else io.StringIO())
        use(Console(progress), clock)
        assert ("\repoch 3 " in stream.getvalue()) == bar
        assert sum(line in LINES for line in stream.getvalue().splitlines()) == lines
        assert "before\n" in stream.getvalue()


@pytest.mark.parametrize("progress", ["auto", "bar", "plain"])
def test_quiet_leaves_warnings_alone(progress, clock, stderr):
    for stream in (io.StringIO(), Terminal()):
        stderr(stream)
        use(Console(progress, quiet=True), clock)
        assert stream.getvalue() == f"{WARNING}\n"


@pytest.mark.parametrize("quiet", [False, True])
def test_every_message_goes_to_the_log(quiet, clock, stderr):
    for stream in (io.StringIO(), Terminal(), None):
        stderr(stream)
        log: list[str] = []
        use(Console(quiet=quiet, log=log.append), clock)
        assert [line for line in log if line not in LINES] == ["before", WARNING, "after"]
    log = []
    stderr(io.StringIO())
    use(Console("plain", log=log.append), clock)
    assert log == ["before", *LINES, WARNING, "after"]


@pytest.mark.parametrize("error", [OSError, BrokenPipeError, ValueError])
@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("progress", ["auto", "bar", "plain"])
def test_a_stderr_that_cannot_be_written_stops_nothing(error, terminal, progress, clock, stderr):
    stderr(Full(terminal, error))
    log: list[str] = []
    use(Console(progress, log=log.append), clock)
    assert "after" in log


@pytest.mark.parametrize("progress", ["auto", "bar", "plain"])
def test_a_closed_or_missing_stderr_stops_nothing(progress, clock, stderr):
    closed, closed_later = Terminal(), Terminal()
    closed.close()
    for stream in (closed, None):
        stderr(stream)
        use(Console(progress), clock)
    stderr(closed_later)
    console = Console(progress)
    console.step(1, 1, 2, values)
    closed_later.close()
    use(console, clock)


MEASURED = {"train/loss": 0.5, "train/accuracy": 0.75, "train/error": 0.25, "val/loss": 12.25, "val/accuracy": 1.0}
LINE = "epoch  7/10  train/loss 0.5000  train/accuracy 0.7500  val/loss 12.2500  val/accuracy 1.0000  61.2s  best"
TABLE = [
    "                    train                 val",
    "epoch      loss  accuracy      loss  accuracy    time",
    " 7/10    0.5000    0.7500   12.2500    1.0000   61.2s best",
    " 8/10    0.5000    0.7500   12.2500    1.0000    1.0s",
]


def test_an_epoch_is_a_row_on_a_terminal_and_a_line_elsewhere_and_in_the_log(clock, stderr, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    epochs = Epoch(7, 10, MEASURED, 61.2, best=True), Epoch(8, 10, MEASURED, 1.0, best=False)
    for terminal, shown in ((Terminal(), TABLE), (io.StringIO(), [LINE, epochs[1].line()])):
        stderr(terminal)
        log: list[str] = []
        console = Console(log=log.append)
        for epoch in epochs:
            console.epoch(epoch)
        assert [line for line in terminal.getvalue().splitlines() if line.strip()] == shown
        assert log == [LINE, epochs[1].line()]


def test_a_log_that_comes_later_has_every_line_from_the_first_on(stderr):
    stream, log = stderr(io.StringIO()), list[str]()
    console = Console("plain")
    console.warn("early")
    console.say("a message")
    console.log_to(log.append)
    console.say("another")
    assert log == stream.getvalue().splitlines() == ["cnntrain: warning: early", "a message", "another"]


def test_the_best_is_coloured_where_colours_are_welcome(clock, stderr, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value, coloured in (("TERM", "xterm", True), ("TERM", "dumb", False), ("NO_COLOR", "1", False)):
        monkeypatch.setenv(name, value)
        stream = stderr(Terminal())
        Console().epoch(Epoch(1, 2, MEASURED, 1.0, best=True))
        assert ("\x1b[" in stream.getvalue()) == coloured


def test_a_row_with_averaged_weights_fits_into_80_columns_and_shows_what_is_measured():
    values = {f"{split}/{name}": 0.5 for split in ("train", "val", "val_average") for name in ("loss", "accuracy")}
    assert max(map(len, Epoch(1, 999, values, 1.0, best=True).header().splitlines())) <= 80
    assert len(f"{Epoch(999, 999, values, 999.9, best=True).row()} best") == 80
    regression = {"train/loss": 1.0, "train/mae": 2.0, "train/mse": 3.0, "val/loss": 4.0, "val/mae": 5.0}
    assert Epoch(1, 2, regression, 1.0, best=False).columns() == [("train", ["loss", "mae"]), ("val", ["loss", "mae"])]
    assert Epoch(1, 2, {"train/loss": 1.0}, 1.0, best=False).row() == "  1/2    1.0000    1.0s"


def test_columns_stay_in_line_whatever_the_values_are():
    several = [0.3, 1.7, 12345.678, -12345.678, 123456.7, 99999.99, 5.34367e11, -5.34367e11, -1e300, 1e-12]
    rows = [Epoch(1, 3, {"train/loss": 0.5, "val/loss": value}, 1.0, best=False).row() for value in several]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert [row.split()[2] for row in rows[2:7]] == ["12345.7", "-12345.7", "123457", "100000", "5.34e+11"]


def test_a_curve_is_for_terminals_that_have_its_letters(clock, stderr):
    class Spelled(Terminal):
        encoding = "utf-8"

    class Plain(Terminal):
        encoding = "ascii"

    for stream, shown in ((Spelled(), "val/loss  3.0000 █▅▁ 1.0000\n"), (Plain(), ""), (io.StringIO(), "")):
        stderr(stream)
        Console().curve("val/loss", [3.0, 2.0, 1.0])
        assert stream.getvalue() == shown
    stream = stderr(Spelled())
    Console().curve("val/loss", [3.0])
    Console(quiet=True).curve("val/loss", [3.0, 2.0])
    assert stream.getvalue() == ""


class Logger:
    """What many a program puts in the place of stderr, to have it in its log: it writes, and knows nothing else."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written += text.splitlines()

    def flush(self) -> None:
        """There is nothing to do."""


@pytest.mark.parametrize("progress", ["auto", "bar", "plain"])
def test_a_stderr_may_know_nothing_but_to_write(progress, clock, monkeypatch):
    logger = Logger()
    monkeypatch.setattr(sys, "stderr", logger)
    console = Console(progress)
    use(console, clock)
    console.epoch(Epoch(1, 1, MEASURED, 1.0, best=False))
    console.curve("val/loss", [3.0, 2.0])
    assert {"before", WARNING, "after"} <= {*logger.written}
    with Bar("files", 3, "file") as bar:
        bar.advance()

"""Exit codes are a promise, and a located problem shows its place."""

from __future__ import annotations

import copy
import pickle
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cnntrain.core import errors
from cnntrain.core.errors import ConfigError, Mark, Problem, first_line, printable
from cnntrain.core.letters import columns
from cnntrain.core.watchdog import StandstillError


def test_exit_codes_are_never_renumbered() -> None:
    without = (errors.StoppedError, errors.UnfinishedError)  # one depends on the signal, the other is a base
    assert {
        name: cls.exit_code
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, errors.CnntrainError) and cls not in without
    } == {
        "CnntrainError": 1,
        "UsageError": 2,
        "ConfigError": 2,
        "MissingExtraError": 2,
        "DataError": 3,
        "CheckpointError": 4,
        "StorageError": 5,
        "LostWorkerError": 5,
        "DivergedError": 6,
        "OutOfMemoryError": 7,
        "RunDirectoryError": 8,
        "CheckFailedError": 9,
        "PausedError": 75,
    }


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stopped_run_ends_as_its_signal_would(number: int, code: int) -> None:
    error = errors.StoppedError("stopped", number)
    assert (error.exit_code, str(error)) == (code, "stopped")


def test_a_problem_points_at_its_place() -> None:
    problem = Problem(Mark("a.yaml", 3, 5, "lr:\tx-1"), "expected a number", ("did you mean 1?",))
    assert str(problem) == ("a.yaml:3:5: expected a number\n    lr:\tx-1\n       \t^\n    did you mean 1?")


def test_a_problem_without_a_line_is_one_line() -> None:
    assert str(Problem(Mark("--set lr", 1, 1), "unknown")) == "--set lr:1:1: unknown"
    assert str(Problem(Mark("best.npz", 0, 0), "unknown")) == "best.npz: unknown"


@pytest.mark.parametrize("column", [1, 50, 500, 1000])
def test_a_long_line_is_shown_around_the_place(column: int) -> None:
    text = "".join(chr(0x4E00 + number) for number in range(1000))
    _, shown, caret = str(Problem(Mark("a.yaml", 1, column, text), "wrong")).split("\n")
    assert len(shown) < 200
    assert next(shown[i] for i in range(len(shown)) if columns(shown[:i]) == caret.index("^")) == text[column - 1]


def test_a_config_error_carries_every_problem_in_order() -> None:
    problems = [Problem(Mark("a.yaml", line, 1), "wrong") for line in (2, 1)]
    error = ConfigError(*problems)
    assert error.problems == tuple(problems)
    assert str(error) == "a.yaml:2:1: wrong\na.yaml:1:1: wrong"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe 大", "größe 大"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("odd\udcff", r"odd\udcff"),  # a byte of a file name that is not UTF-8
        ("right\u202eleft", r"right\u202eleft"),
    ],
)
def test_a_printable_text_is_one_line_that_no_terminal_acts_upon(text: str, shown: str) -> None:
    assert printable(text) == shown


ARGUMENTS: dict[type[errors.CnntrainError], tuple[Any, ...]] = {
    ConfigError: (Problem(Mark("a.yaml", 1, 1), "wrong"), Problem(Mark("a.yaml", 2, 1), "wrong")),
    errors.DivergedError: ("the loss became nan", {"step": 3}),
    errors.StoppedError: ("stopped", signal.SIGINT),
}


def kinds(base: type[errors.CnntrainError] = errors.CnntrainError) -> Iterator[type[errors.CnntrainError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.deepcopy])
def test_every_error_comes_back_from_another_process_as_it_was(again: Callable[[Exception], Exception]) -> None:
    assert StandstillError in {*kinds()}
    for kind in kinds():
        error = kind(*ARGUMENTS.get(kind, ("a message",)))
        vars(error)["result"] = {"run_dir": "runs/a"}
        error.add_note("a note")
        came = again(error)
        assert type(came) is kind
        assert (str(came), came.args, vars(came)) == (str(error), error.args, vars(error))
        assert came.exit_code == error.exit_code


def test_the_first_line_of_an_error_is_what_it_says_first_or_else_its_name() -> None:
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(TimeoutError()) == "TimeoutError"

"""Requirements are conditions on a command's figures, `--require 'val/accuracy>=0.98'`; exit code 9 where one fails."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from cnntrain.core.errors import CheckFailedError, UsageError
from cnntrain.core.registry import did_you_mean

F = TypeVar("F", bound=Callable[..., Any])
_CONDITION = re.compile(r"\s*([\w/]+)\s*(>=|<=|>|<)\s*([-+.\deE]+)\s*")
_HOLDS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def require(command: F) -> F:
    """Add `--require`, repeatable."""
    return click.option(
        "--require",
        "requirements",
        multiple=True,
        metavar="CONDITION",
        callback=lambda _context, _option, texts: _checked(texts),
        help="Exit with 9 unless it holds, as in 'accuracy>=0.98'. Repeatable.",
    )(command)


def check(requirements: Sequence[str], values: Mapping[str, Any]) -> None:
    """Raise CheckFailedError for the first condition that does not hold, UsageError for a figure that there is not.

    What is not a number, which NaN is not, fulfils nothing.
    """
    figures = {name: value for name, value in values.items() if isinstance(value, float | int)}
    for text in requirements:
        name, relation, bound = _parts(text)
        if name not in figures:
            raise UsageError(f"--require {text}: there is no figure {name!r}{did_you_mean(name, figures)}")
        if not _HOLDS[relation](figures[name], bound):
            raise CheckFailedError(f"{text} was required, and {name} is {figures[name]:.6g}")


def _checked(texts: Sequence[str]) -> Sequence[str]:
    """The conditions as they are; UsageError for one that cannot be read, before anything is done."""
    for text in texts:
        _parts(text)
    return texts


def _parts(text: str) -> tuple[str, str, float]:
    match = _CONDITION.fullmatch(text)
    try:
        return (match[1], match[2], float(match[3])) if match else _refuse(text)
    except ValueError:
        return _refuse(text)


def _refuse(text: str) -> tuple[str, str, float]:
    raise UsageError(f"--require {text}: expected a figure, one of >=, <=, > and <, and a number: 'accuracy>=0.98'")

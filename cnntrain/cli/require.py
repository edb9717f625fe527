"""Requirements are conditions (core/conditions.py) on a command's figures; exit code 9 where one does not hold."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import click

from cnntrain.core.conditions import Condition
from cnntrain.core.errors import CheckFailedError, UsageError

F = TypeVar("F", bound=Callable[..., Any])


def require(example: str) -> Callable[[F], F]:
    """Add `--require`, repeatable; `example` is a condition on a figure that the command has."""
    return click.option(
        "--require",
        "requirements",
        multiple=True,
        metavar="CONDITION",
        callback=lambda _context, _option, texts: _checked(texts),
        help=f"Exit with 9 unless it holds, such as '{example}'. Repeatable.",
    )


def figures(requirements: Sequence[str]) -> tuple[str, ...]:
    """The names of the figures that are judged."""
    return tuple(_read(text).name for text in requirements)


def check(requirements: Sequence[str], values: Mapping[str, Any]) -> None:
    """Raise CheckFailedError for the first condition that does not hold, UsageError for a figure that does not exist.

    Where weights are averaged, "val/accuracy" is that of the averaged ones, as it is in `eval`.
    """
    figures = {name: value for name, value in values.items() if isinstance(value, float | int)}
    for text in requirements:
        condition = _read(text)
        averaged = re.sub("^val/", "val_average/", condition.name)
        if averaged != condition.name and averaged in figures:  # a checkpoint stands for its averaged weights
            condition, of = replace(condition, name=averaged), ", of the averaged weights, which eval measures"
        else:
            of = ""
        condition.require_name(figures, "there is no figure")
        if not condition.holds(figures[condition.name]):
            raise CheckFailedError(f"{text} was required, but {condition.name} is {figures[condition.name]:.6g}{of}")


def _checked(texts: Sequence[str]) -> Sequence[str]:
    """The conditions, unchanged; UsageError for one that cannot be read, before anything is done."""
    for text in texts:
        condition = _read(text)
        name, bound = condition.name, float(condition.value)
        if 2 <= bound <= 100 and _is_share(name.rpartition("/")[2]):
            raise UsageError(f"--require {text}: {name} lies between 0 and 1. For {bound:g} % write {bound / 100:g}")
    return texts


def _is_share(label: str) -> bool:
    """Whether a metric of this name is a share, which lies between 0 and 1."""
    from cnntrain.core.registry import parts

    return getattr(parts("metrics").get(label), "bounds", None) == (0, 1)


def _read(text: str) -> Condition:
    """A condition on a figure, which is a number."""
    condition = Condition.read("--require", text)
    if not isinstance(condition.value, float) or not math.isfinite(condition.value):
        raise UsageError(f"--require {text!r}: expected a number after {condition.relation}")
    return condition

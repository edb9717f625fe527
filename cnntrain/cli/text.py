"""Text for people: tables and paragraphs that fit the terminal, without anything a terminal would act upon."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Collection, Sequence

from cnntrain.core import letters, terminal
from cnntrain.core.errors import printable

_GAP = 2  # spaces between two columns
_LONGEST_RULE = 40  # dashes under the head of a column where nothing bounds its width
_NARROWEST = 20  # a folded column is not made narrower than this


def width() -> int | None:
    """Columns to fill: what COLUMNS says, else what the terminal has; None, no bound, if stdout is not one."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or None if sys.__stdout__ else None
    except (OSError, ValueError):
        return None


def show(text: str = "") -> None:
    """Print a line, or several, on stdout."""
    terminal.out(text)


def duration(seconds: float) -> str:
    """A length of time in one unit: "12 s", "3.4 min", "2.1 h"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def sentence(text: str) -> str:
    """A text with an end that another sentence can follow."""
    return text if text.endswith((".", "?", ")")) else text + "."


def table(rows: Sequence[Sequence[str]], right: Collection[int] = (), fold: int | None = None) -> str:
    """Rows as aligned columns, the first row being the header; columns in `right` are flush right.

    Column `fold` goes on in further lines where the table would be wider than the terminal.
    """
    cells = [[_written(cell) for cell in row] for row in rows]
    widths = [max(map(letters.columns, column)) for column in zip(*cells, strict=True)]
    bound = width()
    if fold is not None and bound is not None:
        others = sum(widths) - widths[fold] + _GAP * (len(widths) - 1)
        widths[fold] = min(widths[fold], max(bound - others, _NARROWEST))
    lines = [_line(line, widths, right) for row in cells for line in _folded(row, fold, widths)]
    longest = max(widths) if bound is not None else _LONGEST_RULE
    lines.insert(1, _line(["-" * min(extent, longest) for extent in widths], widths, right))
    return "\n".join(lines)


def _folded(row: list[str], fold: int | None, widths: list[int]) -> list[list[str]]:
    """A row as the lines it takes."""
    if fold is None or letters.columns(row[fold]) <= widths[fold]:
        return [row]
    first, *others = letters.wrapped(row[fold], widths[fold])
    return [
        [*row[:fold], first, *row[fold + 1 :]],
        *([other if column == fold else "" for column in range(len(row))] for other in others),
    ]


def _line(cells: Sequence[str], widths: Sequence[int], right: Collection[int]) -> str:
    padded = [
        letters.right(cell, extent) if column in right else letters.left(cell, extent)
        for column, (cell, extent) in enumerate(zip(cells, widths, strict=True))
    ]
    return (" " * _GAP).join(padded).rstrip()


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Names and what they stand for, aligned."""
    named = [(_written(name), value) for name, value in rows]
    extent = max(letters.columns(name) for name, _ in named)
    return "\n".join(f"{letters.left(name, extent)}  {value}" for name, value in named)


def _written(text: str) -> str:
    """A text as it will stand on stdout: what that cannot say is shown escaped, which takes more columns."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


def paragraphs(text: str) -> str:
    """A docstring brought to the terminal's width. Formulas and tables, which have spaces within, keep their lines."""
    bound = width()
    return text if bound is None else "\n\n".join(_paragraph(part, bound) for part in text.split("\n\n"))


def _paragraph(text: str, bound: int) -> str:
    if any("  " in line for line in text.split("\n")):
        return text
    return textwrap.fill(text, max(bound, _NARROWEST), break_on_hyphens=False)

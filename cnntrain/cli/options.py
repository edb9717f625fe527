"""Options that several commands share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def sets(command: F) -> F:
    """Add `-s/--set KEY=VALUE`, repeatable."""
    return click.option(
        "-s",
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a config key, such as optimizer.lr=0.1 or model.layers.2.filters=64. Repeatable.",
    )(command)


def threads(command: F) -> F:
    """Add `-j/--threads N`."""
    return click.option(
        "-j",
        "--threads",
        type=click.IntRange(1, 256),
        envvar="CNNTRAIN_THREADS",
        help="Worker threads; by default one per processor. Changes the speed, never a bit of the result.",
    )(command)


def as_json(command: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)


def debug(command: F) -> F:
    """Add `--debug`, which shows tracebacks; CNNTRAIN_DEBUG=1 is the same."""

    def switch_on(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value:
            import os

            os.environ["CNNTRAIN_DEBUG"] = "1"

    return click.option(
        "--debug", is_flag=True, expose_value=False, callback=switch_on, help="Show tracebacks of errors."
    )(command)


def print_json(document: Any) -> None:
    """Print a document on stdout; what is not a finite number becomes null, which JSON can say."""
    click.echo(json.dumps(finite(document), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def finite(value: Any) -> Any:
    """The same document with null for NaN and infinities."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def table(rows: list[list[str]], right: Collection[int] = ()) -> str:
    """Rows as aligned columns, the first row being the header; columns in `right` are flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)

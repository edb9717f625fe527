"""Rows as CSV (RFC 4180), for spreadsheets; their texts are printable, so that a row is a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cnntrain.core import strict_json
from cnntrain.core.errors import printable


def table(rows: Iterable[Sequence[Any]]) -> str:
    """Rows of cells, the first being the header."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerows([printable(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue()


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of named values: a column for every name, in the order of its first appearance.

    Texts are written as they are, None and absent values as nothing, the rest as JSON; no rows are nothing at all.
    """
    if not rows:
        return ""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return table([columns, *([_cell(row.get(column)) for column in columns] for row in rows)])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else strict_json.encode(value)

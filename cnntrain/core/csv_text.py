"""Rows of named values as CSV, for spreadsheets: a column for every name, in the order of its first appearance."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from cnntrain.core import strict_json


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A header, then a line a row. Texts stand as they are, None and what is absent as nothing, the rest as JSON."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else strict_json.encode(value)

"""The numbering of epochs in metrics.jsonl: from 1, and in files that older versions began, as those versions counted.

The first row names the file's schema. Files without one are of the first, "metrics/1", whose rows within epochs
("event": "train") counted epochs from 0 while those at their ends counted from 1. A file keeps its schema when its run
is resumed, since checkpoints count its bytes and `verify` compares them; records of runs are numbered from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SCHEMA = "metrics/2"
_FIRST = "metrics/1"
_BEFORE = {_FIRST: 1}  # schema -> what its rows within epochs lack


def schema_of(start: Mapping[str, Any]) -> Any:
    """The schema that the first row of a file names; that of new files where there is no row yet."""
    return start.get("schema", _FIRST) if start else SCHEMA


def written(row: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    """A row whose epochs count from 1, as a file of that schema has it."""
    as_stored: Mapping[str, Any] = _shifted(row, -_before(schema))
    return as_stored


def numbered(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of a file, whatever its schema, with epochs that count from 1."""
    before = None
    for row in rows:
        before = _before(schema_of(row)) if before is None else before
        yield _shifted(row, before)


def _before(schema: Any) -> int:
    return _BEFORE.get(schema, 0) if isinstance(schema, str) else 0


def _shifted(row: Any, by: int) -> Any:
    """A row with its epoch renumbered, where it is one within an epoch."""
    if not by or row.get("event") != "train" or type(row.get("epoch")) is not int:
        return row
    return row | {"epoch": row["epoch"] + by}

"""The JSON files of a run directory, read back: an object such as status.json, or rows such as metrics.jsonl."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from cnntrain.core import strict_json
from cnntrain.core.errors import StorageError
from cnntrain.core.presence import exists
from cnntrain.core.regular_file import cured, open_regular, read_own

LARGEST = 64 * 2**20  # bytes of one object
_ROWS = 2**30  # bytes of one file of rows
_RESTORE = "Restore the file from a copy"
WITHOUT = "Restore it from a copy, or delete it, and do without what it says"

Row = dict[str, Any]


def read_object(path: Path) -> Row:
    """The object that a file holds; an empty one where there is no file.

    Raises StorageError for any other content, and for a link or a pipe: a run directory may be a stranger's.
    """
    if not exists(path, follow=False):
        return {}
    return _object(read_own(path, LARGEST), str(path), WITHOUT)


def read_rows(path: Path) -> list[Row]:
    """The rows of a metrics.jsonl or timing.jsonl, without a last line that is still being written.

    Raises StorageError for a file that cannot be read, a link or a pipe, or a line of it that is no row.
    """
    lines = read_own(path, _ROWS).split(b"\n")[:-1]
    rows = (_object(line, f"{path}:{number}", _RESTORE) for number, line in enumerate(lines, 1))
    # One text for each key, whichever row it is in, halves the memory of a long history.
    return [{sys.intern(key): value for key, value in row.items()} for row in rows]


def first_row(path: Path) -> Row:
    """The first of these rows; an empty one where there is none yet, or no file. Raises what `read_rows` does."""
    if not exists(path, follow=False):
        return {}

    def fail(reason: str) -> StorageError:
        return StorageError(f"{path} {cured(reason, _RESTORE)}")

    with open_regular(path, fail, follow=False) as file:
        line = file.readline(LARGEST)
    return _object(line, f"{path}:1", _RESTORE) if line.endswith(b"\n") else {}


def _object(data: bytes, place: str, cure: str) -> Row:
    try:
        value = strict_json.decode(data.decode())
    except ValueError as error:
        raise StorageError(f"{place} is damaged: {error}. {cure}") from error
    if not isinstance(value, dict):
        raise StorageError(f"{place} is damaged: it is no JSON object. {cure}")
    return value

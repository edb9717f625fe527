"""The JSON files of a run directory, read back: an object such as status.json, or rows such as metrics.jsonl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnntrain.core import strict_json
from cnntrain.core.errors import StorageError
from cnntrain.core.files import read_limited

LARGEST = 64 * 2**20  # bytes of one object

Row = dict[str, Any]


def read_object(path: Path) -> Row:
    """The object that a file holds; an empty one where there is no file. Raises StorageError for any other content."""
    if not path.exists():
        return {}
    cure = "Restore it from a copy"
    return _object(read_limited(path, LARGEST, lambda why: StorageError(f"{path} {why}. {cure}")), str(path), cure)


def read_rows(path: Path) -> list[Row]:
    """The rows of a metrics.jsonl or timing.jsonl, without a last line that is still being written.

    Raises StorageError for a file that cannot be read, or a line of it that is no row.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise StorageError(f"cannot read {path.absolute()}: {error.strerror}. Was it moved or removed?") from error
    cure = "Restore the file from a copy"
    return [_object(line, f"{path}:{number}", cure) for number, line in enumerate(lines, 1)]


def _object(data: bytes, place: str, cure: str) -> Row:
    try:
        value = strict_json.decode(data.decode())
    except ValueError as error:
        raise StorageError(f"{place} is damaged: {error}. {cure}") from error
    if not isinstance(value, dict):
        raise StorageError(f"{place} is damaged: it is no JSON object. {cure}")
    return value

"""Reading finds the user's data files, and turns what goes wrong with one into a line that names it."""

from __future__ import annotations

import contextlib
import gzip
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from cnntrain.core.errors import DataError
from cnntrain.core.failures import system_failure, unreadable

_DEFLATE_RATIO = 1_032  # deflate cannot do better
_LIKELY_RATIO = 100  # nor do images that anybody would learn from do better than this
_SMALL = 2**28  # bytes that are unpacked whatever the ratio


def on_disk(path: str | Path, advice: str, *, folder: bool) -> Path:
    """The absolute path of a file or folder that must be there. Raises DataError with the advice otherwise."""
    place = Path(path).absolute()
    kind = "folder" if folder else "file"
    with reading(place):
        if place.is_dir() if folder else place.is_file():
            return place
        if place.exists():
            raise DataError(f"{place} is not a {kind}. {advice}")
    raise DataError(
        f"{place} does not exist, expected a {kind}. {advice}; relative paths count from the working directory"
    )


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a DataError that names it.

    What says nothing of the file, such as a failing device, a server that does not answer, or a limit that is reached,
    is a StorageError, want of memory an OutOfMemoryError: it may pass, and must not be taken for the file's fault.
    """
    try:
        yield
    except (EOFError, zlib.error, OSError, zipfile.BadZipFile) as error:
        failure = system_failure(error)
        if failure is not None:
            raise unreadable(path, failure) from error
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            why = error.strerror or error
            raise DataError(f"cannot read {path}: {why}. Check the file and its permissions") from error
        raise DataError(f"{path} is damaged or cut short ({error}). Fetch or make it again") from error


def largest_unpacked(packed: int) -> int:
    """The most bytes that so many deflated ones may claim to unpack to: beyond, a file is damaged or a bomb."""
    return min(packed * _DEFLATE_RATIO, max(packed * _LIKELY_RATIO, _SMALL))


def is_special(path: Path) -> bool:
    """Whether it is a pipe, socket or device: opening one may wait for ever. A broken link is not."""
    return path.exists() and not path.is_file()

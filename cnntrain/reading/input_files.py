"""Reading finds the user's data files, and turns what goes wrong with one into a line that names it."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import threading
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from cnntrain.core import regular_file
from cnntrain.core.errors import DataError
from cnntrain.core.failures import system_failure, unreadable

_DEFLATE_RATIO = 1_032  # deflate cannot do better
_LIKELY_RATIO = 100  # and images that anybody would learn from do no better than this
_BLOCK = 2**20  # bytes that are read at a time
_PREDICATE = re.compile(r"(is|has|holds|cannot|does|ends|lacks)\b")  # what goes on from the name of a file
# what lists of files leave out
_LIKELY_ENDINGS = ("", ".jpg", ".png", ".jpeg", ".JPG", ".tif", ".wav")
_LIKELY_FOLDERS = ("images", "image", "imgs", "img", "pictures", "photos", "train", "data", "audio", "wav", "wavs")
NOT_THERE = "No such file or directory"
_SMALL = 2**28  # bytes that are unpacked whatever the ratio

_read_now: dict[int, list[Path]] = {}  # by thread what it is reading, innermost last


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
        f"{place} does not exist, expected a {kind}; relative paths count from the working directory. {advice}"
    )


def is_there(path: Path) -> bool:
    """Whether an optional file of a data set, such as val.csv, is there.

    Raises DataError for what is there but is not a file: if a link that leads nowhere were taken for missing, a split
    or a label would be left out without a word.
    """
    with reading(path):
        if path.is_file():
            return True
        if not os.path.lexists(path):
            return False
    what = "a folder" if path.is_dir() else "a pipe or the like" if path.exists() else "a link that leads nowhere"
    raise DataError(f"{path} is {what}, expected a file, or nothing. Mend or remove it")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a DataError that names it.

    What says nothing of the file, such as a failing device, a server that does not answer, or a limit that is reached,
    is a StorageError, lack of memory an OutOfMemoryError: it may pass, and must not be taken for the file's fault.
    """
    try:
        with noted(path):
            yield
    except (EOFError, zlib.error, OSError, zipfile.BadZipFile) as error:
        failure = system_failure(error)
        if failure is not None:
            raise unreadable(path, failure) from error
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            why = why_missing(path) if isinstance(error, FileNotFoundError) else error.strerror or error
            what = advised(str(why), "Check the file and its permissions")
            raise DataError(f"cannot read {path}: {what}") from error
        raise DataError(f"{path} is damaged or cut short ({error}). Fetch or make it again") from error


@contextlib.contextmanager
def noted(path: Path) -> Iterator[None]:
    """Within, this thread reads a file or a folder, which `being_read` tells those who wait for the thread in vain."""
    me = threading.get_ident()
    mine = _read_now.setdefault(me, [])
    mine.append(path)
    try:
        yield
    finally:
        mine.remove(path)
        if not mine:
            _read_now.pop(me, None)


def being_read(thread: int) -> Path | None:
    """What the thread of this identifier is reading; None where it reads nothing."""
    return next(reversed([*_read_now.get(thread, ())]), None)


def why_missing(path: Path) -> str:
    """What to say of a file that is not there, with a hint where its path is written as elsewhere."""
    text = str(path)
    if "\\" in text:
        other = Path(text.replace("\\", "/"))
        there = f": {other} is there" if os.path.exists(other) else ""
        return f"No such file. The path has backslashes, as Windows writes them: write / instead{there}"
    if re.search(r"(^|/)[a-z][a-z0-9+]*:/[^/]", text):
        return "No such file. URLs are not fetched: download what is there, and name the files"
    if any(part.startswith("~") for part in path.parts):
        return "No such file. Only shells know a path that begins with ~: write the folder's name"
    if os.path.islink(path):
        return "It is a link that leads nowhere. Mend or remove it"
    for form in ("NFC", "NFD"):
        if os.path.exists(unicodedata.normalize(form, text)):
            return (
                f"No such file. There is one of that name in another form of Unicode ({form}): rename it, or write that"
            )
    found = _nearby(path)
    if found is not None:
        return f"No such file. There is {found}: write {found.relative_to(path.parent)} in place of {path.name}"
    return NOT_THERE


def _nearby(path: Path) -> Path | None:
    """The file that may be meant by one that is not there.

    It has an ending, lies in a folder beside it, or is written with other capitals.
    """
    name, ending = path.name, path.suffix
    folders = (path.parent, *(path.parent / folder for folder in _LIKELY_FOLDERS))
    places = [folder / f"{name}{more}" for folder in folders for more in _LIKELY_ENDINGS]
    cases = (name.removesuffix(ending) + ending.swapcase(), name.lower(), name.upper(), name[:1].swapcase() + name[1:])
    return next((place for place in (*places, *(path.parent / case for case in cases)) if os.path.isfile(place)), None)


def advised(reason: str, advice: str = "Mend or remove them") -> str:
    """What is wrong, and what to do: the advice, unless the reason gives its own."""
    return reason if re.search(r"\. [A-Z]", reason) else f"{reason}. {advice}"


def without_name(reason: str, path: Path | str) -> str:
    """A message without the name of its file, where that is told beside it."""
    return reason.removeprefix("cannot read ").removeprefix(str(path)).removeprefix(":").lstrip()


def told_of(path: Path | str, reason: str) -> str:
    """Why a file cannot be read, as a sentence about it: `reason` is a whole one, or goes on from the file's name."""
    return f"{path}{' ' if _PREDICATE.match(reason) else ': '}{reason}"


def largest_unpacked(packed: int) -> int:
    """The most bytes that `packed` deflated ones may claim to unpack to: beyond that, a file is damaged or a bomb."""
    return min(packed * _DEFLATE_RATIO, max(packed * _LIKELY_RATIO, _SMALL))


def opened(path: str | Path) -> BufferedReader:
    """A data file, opened to read bytes: a regular file, or a link to one.

    Raises OSError, also for a pipe, socket, device or terminal, none of which is asked for a byte.
    """
    return regular_file.opened(path)


def check_device(path: Path) -> None:
    """Read a file to its end: a library may have taken a failing device for a damaged file. Raises OSError."""
    with opened(path) as file:
        while file.read(_BLOCK):
            pass


def is_special(path: Path) -> bool:
    """Whether it is a pipe, socket or device: opening one may wait for ever. A broken link is not."""
    return path.exists() and not path.is_file()

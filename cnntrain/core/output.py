"""An output is a file whose name the user gives. What stands under that name decides what may become of it:

- nothing: the file is made, and its folder
- a regular file: it is replaced whole, if it is empty or begins as ours of its kind do, or if the user has said so
- a checkpoint, or what the work reads: it is refused, unless a checkpoint is written in place of another
- a FIFO or a character device, such as /dev/stdout: it is written into, since it cannot be replaced
- anything else, such as a folder: it is refused

A link is followed, and stays a link. Files that cannot be replaced are refused before any work is done.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cnntrain.core import files
from cnntrain.core.directories import make_directory
from cnntrain.core.errors import StorageError
from cnntrain.core.regular_file import opened
from cnntrain.core.storage import explained, write_all

_HEAD = 200  # bytes, enough for every beginning
_SOFTWARE = b"tEXtSoftware\0cnntrain"
_CHUNK = (len(_SOFTWARE) - 4).to_bytes(4, "big") + _SOFTWARE + zlib.crc32(_SOFTWARE).to_bytes(4, "big")
_SIGNATURE = 33  # bytes of a PNG file before the first chunk that says who wrote it


class FileKind(NamedTuple):
    """A kind of file that cnntrain writes anew each time: what messages call it, and how ours begin."""

    name: str
    beginning: re.Pattern[bytes]


ANY = FileKind("file", re.compile(b""))
PAGE = FileKind("page", re.compile(rb'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv'))
PICTURE = FileKind("picture", re.compile(rb"\x89PNG\r\n\x1a\n.{25}" + re.escape(_CHUNK), re.DOTALL))
CHECKPOINT = FileKind("checkpoint", re.compile(rb"PK\x03\x04.{26}meta\.npy", re.DOTALL))
RESULTS = FileKind("list of results", re.compile(rb'\[(\]|\n\{"image_id":)'))


class Output:
    """A file that the user names, found fit to be written."""

    def __init__(
        self, path: Path, replaces: FileKind | None = None, ours: bool = False, reads: Sequence[Path] = ()
    ) -> None:
        """Raises StorageError for what cannot be replaced, and for a file that is not of the kind `replaces`.

        Without a kind any file is replaced, but no checkpoint. What is written is made of the files that it `reads`,
        none of which is replaced. One that is `ours`, in a run directory, which may be a stranger's, is
        replaced whatever it is, a link included.
        """
        self.path, self._kind, self._ours, self._reads = path, replaces, ours, reads
        self.is_stream = self.is_there = False
        if not ours:
            self._look()

    def _look(self) -> None:
        with explained("write", self.path):
            try:
                status = os.stat(self.path)
            except FileNotFoundError:
                self._require_folder()
                return
        self.is_stream = stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode)
        if self.is_stream:
            return
        self.is_there = stat.S_ISREG(status.st_mode)
        if not self.is_there:
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a file"
            raise StorageError(f"{self.path} is {what}, expected a file to write. Name a file")
        for read in self._reads:
            with explained("read", read):
                same = os.path.samestat(status, os.stat(read))
            if same:
                raise StorageError(f"{self.path} is itself read for what would be written there. Name another file")
        head = self.read(_HEAD) if status.st_size else b""
        if self._kind is not None and head and not self._kind.beginning.match(head):
            raise StorageError(
                f"{self.path} exists and is no {self._kind.name} that cnntrain wrote. Remove it, or name another file"
            )
        if self._kind is None and CHECKPOINT.beginning.match(head):
            raise StorageError(f"{self.path} exists and is a checkpoint. Remove it, or name another file")

    def _require_folder(self) -> None:
        """Raise StorageError for a link into a folder that is not there; one of a plain name is made later."""
        target = Path(os.path.realpath(self.path))
        if self.path.is_symlink() and not target.parent.is_dir():
            raise StorageError(
                f"{self.path} is a link to {target}, whose folder does not exist. Make it, or name another file"
            )

    def read(self, size: int = -1) -> bytes:
        """What the file begins with, or all of it. Raises StorageError."""
        with explained("read", self.path), opened(self.path) as file:
            return file.read(size)

    def write(self, content: str | bytes | Iterable[bytes | memoryview]) -> None:
        """Write the file; text in UTF-8, where what file names have that is no UTF-8 is escaped.

        A picture is marked as written by cnntrain. Raises StorageError; BrokenPipeError where a pipe's reader is gone.
        """
        if isinstance(content, str):
            content = content.encode(errors="backslashreplace")
        if isinstance(content, bytes):
            content = (_marked(content) if self._kind is PICTURE else content,)
        if self.is_stream:
            _write_into(self.path, content)
        else:
            linked = self.path.is_symlink() and not self._ours
            place = Path(os.path.realpath(self.path)) if linked else self.path
            make_directory(place.parent)
            files.write_atomic(place, content)


def _write_into(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    unread: BrokenPipeError | None = None
    with explained("write", path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            for chunk in chunks:
                write_all(descriptor, chunk)
        except BrokenPipeError as error:
            unread = error
        finally:
            os.close(descriptor)
    if unread:  # no fault of the storage
        raise unread


def _marked(png: bytes) -> bytes:
    """A PNG file that says in its first chunk of text who wrote it."""
    return png[:_SIGNATURE] + _CHUNK + png[_SIGNATURE:]

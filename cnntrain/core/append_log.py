"""An append log is a file that only grows, by whole lines, so that a kill leaves at most one torn."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from cnntrain.core.directories import fsync_directory
from cnntrain.core.errors import StorageError
from cnntrain.core.regular_file import open_own
from cnntrain.core.storage import calling, explained, write_all

_TAIL = 2**16  # a log is searched for its last newline in blocks of this size


class AppendLog:
    """A file that grows by whole lines, one `write` each, so that a kill leaves at most one torn last line.

    Opened at a known length, it drops what lies beyond, which was written after the checkpoint being resumed; opened
    without one, it drops a torn last line once there is another to write: until then the file stays as it is.
    """

    def __init__(self, path: Path, length: int | None = None) -> None:
        self.path = path
        with explained("open", path):
            self._descriptor = open_own(path)
            try:
                self.length = self._cut(length)
                fsync_directory(path.parent)
            except BaseException:
                os.close(self._descriptor)
                raise

    def _cut(self, length: int | None) -> int:
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        self._torn = False
        if length is None:
            whole = self._last_line_end(end)
            self._torn = whole < end
            return whole
        if length > end:
            raise StorageError(
                f"{self.path} has {end} bytes, but the checkpoint counted {length}: rows are missing. "
                "Restore the file, or start again with --overwrite"
            )
        if length and os.pread(self._descriptor, 1, length - 1) != b"\n":
            raise StorageError(
                f"{self.path} has no end of a line at byte {length}, where the checkpoint counted one: it has been "
                "changed since, perhaps by an editor or in its line ends. Restore the file, or start again with "
                "--overwrite"
            )
        with calling("truncate"):
            os.ftruncate(self._descriptor, length)
        return length

    def _last_line_end(self, end: int) -> int:
        while end:
            start = max(0, end - _TAIL)
            newline = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0

    def append(self, line: str) -> None:
        """Add one line (without its newline). A failed write leaves the file as it was."""
        self.extend(line.encode(errors="backslashreplace") + b"\n")

    def extend(self, data: bytes) -> None:
        """Add bytes, for files whose records are not lines. A failed write leaves the file as it was."""
        with explained("write", self.path, len(data)):
            self._drop_torn()
            try:
                os.lseek(self._descriptor, self.length, os.SEEK_SET)
                write_all(self._descriptor, data)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self.length)
                raise
        self.length += len(data)

    def _drop_torn(self) -> None:
        if self._torn:
            with calling("truncate"):
                os.ftruncate(self._descriptor, self.length)
            self._torn = False

    def sync(self) -> None:
        """Make every line durable. Called before the checkpoint that counts them."""
        with explained("write", self.path), calling("fsync"):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; a second close does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with explained("write", self.path), calling("close"):
                os.close(descriptor)

"""The terminal: the one door through which anything is printed, in characters that no terminal acts upon.

What is printed may hold names out of strangers' files. Results go to stdout, and it is an error where they cannot;
messages go to stderr, which is a convenience.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Any

from cnntrain.core.errors import StorageError, printable
from cnntrain.core.storage import ADVICE

_unread: list[BrokenPipeError] = []  # what `out_first` met, until the command is over


def shown(text: str) -> str:
    """A text whose lines are printable; line ends and tabs are kept."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def out(text: str = "", end: str = "\n", now: bool = False) -> None:
    """Print a result on stdout, at once or with what follows.

    Raises StorageError where it cannot be written; BrokenPipeError where nobody reads.
    """
    with writing():
        print(shown(text), end=end, flush=now)


def out_first(text: str) -> None:
    """Print at once what a command has to say before its work, which goes on where nobody reads: `finish` raises.

    Raises StorageError where it cannot be written.
    """
    try:
        out(text, now=True)
    except BrokenPipeError as error:
        _unread.append(error)


def finish() -> None:
    """Write what is left for stdout. Raises StorageError or BrokenPipeError as `out` does, also for `out_first`."""
    with writing():
        sys.stdout.flush()
    if _unread:
        raise _unread.pop()


def err(text: str, end: str = "\n") -> None:
    """Print a message on stderr; a closed or full one is no reason to fail."""
    raw(shown(text), end)


def raw(text: str, end: str = "\n") -> None:
    """Print on stderr text with cursor movements or colours; all else in it has been through `shown` already."""
    if sys.stderr is None:  # after `2>&-`: print would take stdout
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(text, end=end, file=sys.stderr, flush=True)


def heard() -> bool:
    """Whether there is a stderr: none after `2>&-`. What a program puts in its place may not say if it is open."""
    return sys.stderr is not None and not getattr(sys.stderr, "closed", False)


def watched() -> bool:
    """Whether stderr is a terminal; what does not say is none."""
    return heard() and hasattr(sys.stderr, "isatty") and sys.stderr.isatty()


def size() -> tuple[int, int]:
    """Columns and lines of stderr's terminal; 80 and 24 where it has none, or says 0."""
    try:
        found = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return 80, 24
    return found.columns or 80, found.lines or 24


@contextlib.contextmanager
def writing() -> Any:
    """Within it, an error of the system is reported as one of stdout."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritten(error) from error


def unwritten(error: OSError) -> StorageError:
    """The error to raise where stdout takes no more."""
    cures = {errno.EBADF: "It is closed: leave it open, or write to a file", errno.EFBIG: ADVICE[errno.EFBIG]}
    cure = cures.get(error.errno or 0, "Make room, or write elsewhere")
    return StorageError(f"cannot write to standard output: {error.strerror}. {cure}")


class _Closed(io.TextIOBase):
    """Stands for a stdout that the parent process closed: writing to it is an error, and nothing is lost unnoticed."""

    encoding = "utf-8"

    def write(self, text: str, /) -> int:
        """Raises OSError."""
        if text:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return 0


def prepare() -> None:
    """Show as escapes what an encoding cannot say; take the places of streams that are closed.

    Otherwise the next file that is opened would get the number of stdout or stderr, and their text. Where Python does
    not buffer them (PYTHONUNBUFFERED), have them written line by line: it would drop what a full disk takes no more.
    """
    _unread.clear()
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = _Closed()
    sys.stdout, sys.stderr = map(_whole, (sys.stdout, sys.stderr))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _whole(stream: Any) -> Any:
    """The stream, or one on the same file that writes all it is given: a raw file may write less without an error."""
    if not (isinstance(stream, io.TextIOWrapper) and isinstance(stream.buffer, io.FileIO)):
        return stream
    whole = io.BufferedWriter(io.FileIO(stream.fileno(), "wb", closefd=False))  # its owner closes the file
    return io.TextIOWrapper(whole, stream.encoding, stream.errors, line_buffering=True)

"""Failures of the system: errors while a file is read that say nothing about the file."""

from __future__ import annotations

import errno
from pathlib import Path

from cnntrain.core.errors import OutOfMemoryError, StorageError

_OF_THE_FILE = frozenset(  # errors that say something about a file or its name; all others pass, or are the machine's
    [
        *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG),
        *(errno.ENXIO, errno.ENODEV, errno.EINVAL, errno.EOVERFLOW, errno.EFBIG, errno.ESPIPE, errno.EILSEQ),
    ]
)
_ADVICE = {
    errno.EIO: "The device failed: check the disk",
    errno.ESTALE: "The file server has lost sight of it: look whether it is there and run the command again",
    errno.EMFILE: "Raise the limit of open files (ulimit -n), or use fewer threads (-j), and run the command again",
    errno.ENFILE: "The system has run out of open files: wait until others are done and run the command again",
}


def system_failure(error: BaseException) -> OSError | None:
    """The operating system's error behind this one that says nothing about the file that was read, or None.

    It may be hidden: `zipfile` takes a failing device for the end of an archive.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno not in _OF_THE_FILE:
            return cause
        cause = cause.__context__
    return None


def unreadable(path: Path, failure: OSError) -> StorageError | OutOfMemoryError:
    """The error to raise for a file that cannot be read because the system failed."""
    reason = failure.strerror or type(failure).__name__
    if failure.errno == errno.ENOMEM:
        return OutOfMemoryError(f"cannot read {path}: {reason}. Free some memory, or use fewer threads (-j)")
    advice = _ADVICE.get(failure.errno or 0, "Mend the cause and run the command again")
    return StorageError(f"cannot read {path}: {reason}. {advice}")

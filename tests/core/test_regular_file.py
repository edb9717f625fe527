"""Only regular files are read, never beyond a limit, and nothing is waited for."""

from __future__ import annotations

import errno
import os
import re
import tracemalloc
from pathlib import Path

import pytest

from cnntrain.core.errors import StorageError
from cnntrain.core.regular_file import read_limited


def test_reading_is_limited_and_never_hangs(tmp_path: Path) -> None:
    def read(name: str, limit: int = 5) -> bytes:
        return read_limited(tmp_path / name, limit, lambda reason: ValueError(f"{name} {reason}"))

    (tmp_path / "file").write_bytes(b"12345")
    os.mkfifo(tmp_path / "fifo")
    assert read("file") == b"12345"
    for name, limit, expected in [
        ("file", 4, "file is larger than 4 bytes"),
        ("fifo", 5, "fifo is not a regular file"),
        (".", 5, "cannot be read: Is a directory"),
        ("none", 5, "none cannot be read: No such file or directory"),
    ]:
        with pytest.raises(ValueError, match=expected):
            read(name, limit)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT, errno.EIO])
def test_what_passes_is_no_fault_of_the_file(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"whole")

    def refuse(*_: object, **_named: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as within:  # what removes the folder of an earlier test opens files, too
        within.setattr(os, "open", refuse)
        with pytest.raises(StorageError, match=re.escape(f"cannot read {path}: {os.strerror(number)}")):
            read_limited(path, 100, ValueError)


def test_a_limit_takes_no_memory_that_the_file_does_not_need(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"x" * 3_000_000)
    tracemalloc.start()
    assert len(read_limited(path, 2**30, StorageError)) == 3_000_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
    with pytest.raises(StorageError, match="is larger than 2999999 bytes"):
        read_limited(path, 2_999_999, StorageError)
    assert len(read_limited(path, 3_000_000, StorageError)) == 3_000_000

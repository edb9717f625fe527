"""File systems that lack something: what will be done is tried first, and what is a convenience is gone without."""

from __future__ import annotations

import errno
import os
import re
from types import SimpleNamespace

import pytest

from cnntrain.core import files
from cnntrain.core.append_log import AppendLog
from cnntrain.core.directory_lock import DirectoryLock
from cnntrain.core.errors import StorageError
from cnntrain.core.partial_file import PartialFile
from cnntrain.core.storage import free, require_space


def refusing(number: int, when=lambda *_: True):
    """A system call that fails with this error where `when` holds of its arguments."""

    def call(real):
        def instead(*arguments, **options):
            if when(*arguments):
                raise OSError(number, os.strerror(number))
            return real(*arguments, **options)

        return instead

    return call


def test_a_file_system_that_renames_over_nothing_is_found_before_training(tmp_path, monkeypatch):
    """As a checkpoint would be renamed, hours later, over the one before it."""
    monkeypatch.setattr(
        os, "replace", refusing(errno.EPERM, lambda _source, target: os.path.exists(target))(os.replace)
    )
    with pytest.raises(StorageError, match="cannot write in"):
        files.probe(tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_that_can_is_left_as_it_was(tmp_path):
    (tmp_path / "kept").write_text("kept")
    files.probe(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_one_that_tells_no_size_is_not_full(tmp_path, monkeypatch):
    nothing = SimpleNamespace(f_blocks=0, f_bavail=0, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda path: nothing)
    assert free(tmp_path) is None
    require_space(tmp_path, 10**15, "a run")
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_blocks=9, f_bavail=0, f_frsize=4096))
    with pytest.raises(StorageError, match="has no room for a run"):
        require_space(tmp_path, 1, "a run")


@pytest.mark.parametrize(
    ("inodes", "free", "said"),
    [
        (0, 9, " (it has no more inodes: too many files)"),
        (5, 0, " (needs 3 bytes, 0 bytes free)"),
        (5, 9, " (needs 3 bytes)"),
    ],
)
def test_what_a_full_one_lacks_is_told_where_it_tells(tmp_path, monkeypatch, inodes, free, said):
    monkeypatch.setattr(
        os, "statvfs", lambda _: SimpleNamespace(f_blocks=9, f_bavail=free, f_frsize=4096, f_files=9, f_favail=inodes)
    )
    monkeypatch.setattr(os, "write", refusing(errno.ENOSPC)(os.write))
    with pytest.raises(StorageError, match=re.escape(f"file: No space left on device{said}. Free some space")):
        files.write_atomic(tmp_path / "file", b"new")


@pytest.mark.parametrize("call", ["symlink", "replace"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_link_for_convenience_is_gone_without(tmp_path, monkeypatch, call, number):
    monkeypatch.setattr(os, call, refusing(number)(getattr(os, call)))
    files.link("run", tmp_path / "latest")
    assert not list(tmp_path.iterdir())


def test_but_a_device_that_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "symlink", refusing(errno.EIO)(os.symlink))
    with pytest.raises(StorageError, match="cannot link"):
        files.link("run", tmp_path / "latest")


@pytest.mark.parametrize(
    ("call", "named", "times"),
    [
        ("fsync", "fsync( of the folder)?", 3),
        ("replace", "rename", 2),
        ("ftruncate", "(truncate|write)", 2),
        ("pwrite", "write", 1),
    ],
)
def test_the_operation_that_failed_is_named(tmp_path, monkeypatch, call, named, times):
    """Of those that a writer of files, of logs, of locks and of downloads is made of."""

    def download():
        with PartialFile(tmp_path / "download") as file:
            file.append(b"whole")
            file.finish()

    writers = [
        lambda: files.write_atomic(tmp_path / "file", b"new"),
        download,
        lambda: AppendLog(tmp_path / "log", 0),
        DirectoryLock(tmp_path).__enter__,
    ]
    monkeypatch.setattr(os, call, refusing(errno.EIO)(getattr(os, call)))
    said = []
    for writer in writers:
        try:
            writer()
        except StorageError as error:
            said.append(str(error))
    assert len(said) == times
    assert all(re.match(f"cannot (write|open|lock) {tmp_path}/.*: {named}: Input/output error", one) for one in said)

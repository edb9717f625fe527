"""Presence: where one may not look, nothing is said to be absent."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cnntrain.core import presence
from cnntrain.core.errors import CheckpointError, StorageError
from tests.support.closed import close


def test_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    file, folder, nowhere = tmp_path / "file", tmp_path / "folder", tmp_path / "link"
    file.touch()
    folder.mkdir()
    nowhere.symlink_to("gone")
    circle = tmp_path / "circle"
    circle.symlink_to("circle")
    absent = (tmp_path / "gone", file / "below", circle, tmp_path / ("x" * 300), tmp_path / "a\0b", nowhere)
    looks = (presence.exists, presence.is_file, presence.is_directory)
    assert [look(file) for look in looks] == [True, True, False]
    assert [look(folder) for look in looks] == [True, False, True]
    for path in absent:
        assert not any(look(path) for look in looks)
    assert presence.exists(nowhere, follow=False)


def test_a_closed_folder_is_an_error_of_the_kind_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    close(monkeypatch, tmp_path / "closed")
    assert presence.is_directory(tmp_path / "closed")
    line = f"cannot look into {tmp_path}/closed: Permission denied. Check the permissions"
    for look in (presence.exists, presence.is_file, presence.is_directory):
        for kind in (StorageError, CheckpointError):
            with pytest.raises(kind) as raised:
                look(tmp_path / "closed" / "file", denied=kind)
            assert str(raised.value) == line
    with pytest.raises(StorageError):
        presence.exists(tmp_path / "closed" / "file", follow=False)


def test_so_is_a_device_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "stat", fail)
    with pytest.raises(StorageError, match=r"Input/output error\. The device failed"):
        presence.exists(tmp_path, denied=CheckpointError)

"""Directories are made durably."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.core import directories
from cnntrain.core.directories import make_directory, make_new_directory
from cnntrain.core.errors import StorageError


def test_make_directory_makes_the_names_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(directories, "fsync_directory", synced.append)
    make_directory(tmp_path / "a" / "b")
    make_directory(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]


def test_make_directory_explains_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    for path in ("a", "a/b"):
        with pytest.raises(StorageError, match="A file stands where a directory is needed"):
            make_directory(tmp_path / path)


def test_make_new_directory_tells_whether_it_was_there(tmp_path: Path) -> None:
    assert make_new_directory(tmp_path / "a" / "b")
    assert not make_new_directory(tmp_path / "a" / "b")

"""A file that is as it was is not read again to know what it holds; any other is, whatever was done to it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from cnntrain.reading import digests
from cnntrain.reading.reader import Reader


@pytest.fixture
def read(monkeypatch):
    """The names of the files that were read to be hashed."""
    names, original = [], digests._hash

    def hashed(path):
        names.append(path.name)
        return original(path)

    monkeypatch.setattr(digests, "_hash", hashed)
    return names


@pytest.fixture
def paths(tmp_path: Path, monkeypatch) -> list[Path]:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.bin").write_bytes(bytes([number]) * 10)
    monkeypatch.setattr(digests, "_RESTED", 0)  # the files are as old as they need be
    return sorted(folder.iterdir())


def _hashes(paths: list[Path]) -> list[bytes]:
    return [hashlib.sha256(path.read_bytes()).digest() for path in paths]


def test_the_second_time_nothing_is_read(paths, tmp_path, read):
    reader = Reader(2, tmp_path / "cache")
    assert digests.digests(paths, reader) == _hashes(paths)
    assert sorted(read) == ["0.bin", "1.bin", "2.bin"]
    read.clear()
    assert digests.digests(paths, reader) == _hashes(paths)
    assert digests.digests(paths[::-1], reader) == _hashes(paths[::-1]), "in another order"
    assert read == []


def test_a_digest_is_that_of_the_whole_file(paths, tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "_BLOCK", 4)  # bytes at a time
    assert digests.digests(paths, Reader(2, tmp_path / "cache")) == _hashes(paths)


def _written_with_its_old_time(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"another 10")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced_with_its_old_time(path: Path) -> None:
    before = path.stat()
    other = path.with_suffix(".new")
    other.write_bytes(b"another 10")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def _exchanged(path: Path) -> None:
    other = path.with_name("2.bin")
    path.rename(path.with_suffix(".old"))
    other.rename(path)
    path.with_suffix(".old").rename(other)


def _written(path: Path) -> None:
    path.write_bytes(b"longer than before")


@pytest.mark.parametrize("change", [_written, _written_with_its_old_time, _replaced_with_its_old_time, _exchanged])
def test_no_change_goes_unnoticed(paths, tmp_path, change):
    reader = Reader(1, tmp_path / "cache")
    digests.digests(paths, reader)
    change(paths[1])
    assert digests.digests(paths, reader) == _hashes(paths)


def test_a_file_dated_before_1970_is_as_good_as_another(paths, tmp_path, read):
    os.utime(paths[1], ns=(-1, -3_600 * 10**9))
    reader = Reader(1, tmp_path / "cache")
    assert digests.digests(paths, reader) == _hashes(paths)
    read.clear()
    assert digests.digests(paths, reader) == _hashes(paths)
    assert read == []


def test_what_has_just_been_written_is_read_again(paths, tmp_path, read, monkeypatch):
    monkeypatch.setattr(digests, "_RESTED", 2 * 10**9)
    reader = Reader(1, tmp_path / "cache")
    digests.digests(paths, reader)
    digests.digests(paths, reader)
    assert len(read) == 6
    assert not (tmp_path / "cache").exists(), "nothing is kept that is not to be relied on"


def test_what_could_not_be_read_is_tried_again(paths, tmp_path, read):
    reader = Reader(1, tmp_path / "cache")
    gone = paths[0].with_name("gone.bin")
    first = digests.digests([*paths, gone], reader)
    gone.write_bytes(b"here")
    read.clear()
    assert digests.digests([*paths, gone], reader) == [*first[:3], hashlib.sha256(b"here").digest()]
    assert read == ["gone.bin"]


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_file_of_digests_is_made_again(paths, tmp_path, read, damage):
    reader = Reader(1, tmp_path / "cache")
    digests.digests(paths, reader)
    (kept,) = (tmp_path / "cache").glob("*.digests")
    data = kept.read_bytes()
    kept.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:] if damage is None else damage)
    read.clear()
    assert digests.digests(paths, reader) == _hashes(paths)
    assert len(read) == 3
    read.clear()
    digests.digests(paths, reader)
    assert read == []

"""What is appended is whole lines: every operation fails in turn, and no row is half there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cnntrain.core.append_log import AppendLog
from cnntrain.core.errors import StorageError
from tests.support.faults import every_point, inject


def test_append_log_writes_each_line_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AppendLog(tmp_path / "log")
    done: list[str] = []
    inject(monkeypatch, lambda _count, name: done.append(name))
    log.append("one")
    log.append("zwei ä \udcff")  # what a path that is not UTF-8 looks like
    log.close()
    log.close()
    assert (tmp_path / "log").read_bytes() == b"one\nzwei \xc3\xa4 \\udcff\n"
    assert done == ["write", "write", "close"]
    assert log.length == (tmp_path / "log").stat().st_size


def test_append_log_cuts_what_the_checkpoint_did_not_count(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\ntwo\nthree\n")
    log = AppendLog(tmp_path / "log", 4)
    log.append("2")
    log.close()
    assert (tmp_path / "log").read_text() == "one\n2\n"


def test_append_log_refuses_a_file_that_lost_rows(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\n")
    with pytest.raises(StorageError, match="has 4 bytes, but the checkpoint counted 10: rows are missing"):
        AppendLog(tmp_path / "log", 10)
    assert (tmp_path / "log").read_text() == "one\n"


def test_append_log_refuses_a_file_whose_lines_end_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    with pytest.raises(StorageError, match="has no end of a line at byte 8, where the checkpoint counted one"):
        AppendLog(tmp_path / "log", 8)
    assert (tmp_path / "log").read_bytes() == b"one\r\ntwo\r\nthree\r\n"


@pytest.mark.parametrize("torn", ["", "torn", "x" * 200_000, "\0" * 70_000])
def test_append_log_cuts_a_torn_line(tmp_path: Path, torn: str) -> None:
    (tmp_path / "log").write_text("one\n" + torn)
    log = AppendLog(tmp_path / "log")
    log.append("two")
    log.close()
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_append_log_cuts_a_file_without_a_whole_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("torn" * 40_000)
    log = AppendLog(tmp_path / "log")
    log.append("one")
    log.close()
    assert (tmp_path / "log").read_text() == "one\n"


def test_append_log_leaves_a_torn_line_until_there_is_another(tmp_path: Path) -> None:
    """It may be a row that only lacks its newline, and whoever opened the log may go no further."""
    (tmp_path / "log").write_text("one\ntwo")
    log = AppendLog(tmp_path / "log")
    assert log.length == 4
    log.close()
    assert (tmp_path / "log").read_text() == "one\ntwo"


def test_append_log_survives_every_fault(tmp_path: Path) -> None:
    path = tmp_path / "log"

    def action() -> None:
        log = AppendLog(path)
        try:
            log.append("two")
            log.sync()
        finally:
            log.close()

    path.write_text("one\n")
    opened = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for number, code, mode, outcome in every_point(action):
        where = (number, errno.errorcode[code], mode)
        assert outcome == "failed", where
        lines = path.read_bytes().split(b"\n")
        assert lines[0] == b"one", where
        assert lines[1] in (b"", b"two", b"tw"), where  # torn only where cutting it off failed too
        path.write_text("one\n")
    if opened:
        assert len(os.listdir("/proc/self/fd")) == opened


def test_append_log_is_whole_after_a_failed_write(tmp_path: Path) -> None:
    log = AppendLog(tmp_path / "log")
    log.append("one")
    with pytest.MonkeyPatch.context() as patch:
        inject(patch, lambda _count, name: OSError(errno.ENOSPC, "No space left") if name == "write" else None)
        with pytest.raises(StorageError, match="needs 4 bytes"):
            log.append("two")
    assert (tmp_path / "log").read_text() == "one\n"
    log.append("three")
    log.close()
    assert (tmp_path / "log").read_text() == "one\nthree\n"

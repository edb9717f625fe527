"""Nothing is half-written: every operation fails in turn, and the old file or the new one is there."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cnntrain.core import files, storage
from cnntrain.core.append_log import AppendLog
from cnntrain.core.errors import StorageError
from cnntrain.core.storage import require_space
from tests.support.faults import FaultyOs, Killed, every_point, inject, never, use


def temporaries(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if name.startswith(files.TEMPORARY)]


def test_write_atomic_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_atomic(path, b"old")
    files.write_atomic(path, [b"a", memoryview(b"bc"), b"", b"d"])
    assert path.read_bytes() == b"abcd"
    assert os.listdir(tmp_path) == ["file"]


def test_small_pieces_are_written_together_and_large_ones_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = bytes(files._GATHERED + 1)
    pieces = [b"a"] * 1000 + [large, b"", b"b", large, *[bytes(40_000)] * 2]
    done: list[str] = []
    inject(monkeypatch, lambda _count, name: done.append(name))
    files.write_atomic(tmp_path / "file", pieces)
    assert (tmp_path / "file").read_bytes() == b"".join(pieces)
    assert done.count("write") == 6


def test_write_atomic_respects_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_atomic(tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_write_atomic_survives_every_fault(tmp_path: Path) -> None:
    path = tmp_path / "file"
    runs = 0
    path.write_bytes(b"old")
    for number, code, mode, outcome in every_point(lambda: files.write_atomic(path, [b"new ", b"content"])):
        runs += 1
        content = path.read_bytes()
        where = (number, errno.errorcode[code], mode)
        assert content in (b"old", b"new content"), where
        assert outcome == "failed", where  # success after an error would be a lie
        assert temporaries(tmp_path) == [], where
        path.write_bytes(b"old")
    assert runs >= 4 * 8  # open, write, fsync, close, rename, and three for the folder


def test_write_atomic_fsyncs_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    inject(monkeypatch, lambda _count, name: done.append(name))
    files.write_atomic(tmp_path / "file", b"content")
    assert done == ["open", "write", "fsync", "close", "replace", "close", "open", "fsync", "close"]


def test_a_failed_fsync_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def fault(_count: int, name: str) -> OSError | None:
        done.append(name)
        return OSError(errno.EIO, "input/output error") if name == "fsync" else None

    inject(monkeypatch, fault)
    with pytest.raises(StorageError, match="check the disk"):
        files.write_atomic(tmp_path / "file", b"content")
    assert done.count("fsync") == 1
    assert "replace" not in done


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(monkeypatch, never, short=True)
    files.write_atomic(tmp_path / "file", b"content")
    log = AppendLog(tmp_path / "log")
    log.append("a line")
    log.close()
    assert (tmp_path / "file").read_bytes() == b"content"
    assert (tmp_path / "log").read_bytes() == b"a line\n"


def test_a_device_that_takes_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(FaultyOs):
        def write(self, _descriptor: int, _data: memoryview) -> int:
            return 0

    use(monkeypatch, Deaf(never))
    with pytest.raises(StorageError, match="accepts no more"):
        files.write_atomic(tmp_path / "file", b"content")


def test_killed_at_every_operation_leaves_old_or_new(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for number in range(8):
        path.write_bytes(b"old")

        def kill(count: int, _name: str, number: int = number) -> None:
            if count >= number:  # what a dead process cannot do: clean up
                raise Killed

        with pytest.MonkeyPatch.context() as patch:
            inject(patch, kill)
            with pytest.raises(Killed):
                files.write_atomic(path, b"new")
        assert path.read_bytes() == (b"old" if number < 5 else b"new")
        for left in tmp_path.glob(files.TEMPORARY + "*"):
            left.unlink()  # this process lives, and so do its locks
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_says_how_much_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(
        monkeypatch, lambda _count, name: OSError(errno.ENOSPC, "No space left on device") if name == "write" else None
    )
    monkeypatch.setattr(storage, "free", lambda _directory: 1_100_000)
    with pytest.raises(StorageError) as caught:
        files.write_atomic(tmp_path / "last.npz", bytes(12_400_000))
    assert str(caught.value) == (
        f"cannot write {tmp_path}/last.npz: No space left on device (needs 12.4 MB, 1.1 MB free). "
        "Free some space and run the command again"
    )


def test_the_size_limit_of_the_shell_is_explained(tmp_path: Path) -> None:
    code = (
        "import resource, sys, pathlib; from cnntrain.core import files\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: files.write_atomic(pathlib.Path(sys.argv[1]), bytes(5000))\n"
        "except files.StorageError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "f"], capture_output=True, text=True, check=True)
    assert "File too large. The file would exceed the size limit: raise it (ulimit -f)" in done.stdout
    assert os.listdir(tmp_path) == []


def test_a_full_disk_that_does_not_say_how_full_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _directory: os.stat("/nowhere"))
    inject(monkeypatch, lambda _count, name: OSError(errno.ENOSPC, "No space left") if name == "write" else None)
    with pytest.raises(
        StorageError, match=r"No space left \(needs 7 bytes\)\. Free some space and run the command again"
    ):
        files.write_atomic(tmp_path / "file", b"content")
    require_space(tmp_path, 10**18, "anything")


@pytest.mark.parametrize("code", [errno.EBADF, errno.EINVAL])
def test_a_file_system_that_cannot_sync_directories_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    inject(monkeypatch, lambda count, name: OSError(code, "no") if (name, count) == ("fsync", 6) else None)
    files.write_atomic(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("gone/file", "The directory is gone"),
        ("plain/file", "A file stands where a directory is needed"),
        ("folder", "A directory stands where a file is needed"),
        ("n" * 300, "Choose a shorter name"),
    ],
)
def test_write_atomic_explains(tmp_path: Path, path: str, expected: str) -> None:
    (tmp_path / "plain").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=expected) as caught:
        files.write_atomic(tmp_path / path, b"")
    assert "\n" not in str(caught.value)
    assert temporaries(tmp_path) == []


def test_remove_takes_only_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files.remove(tmp_path / "file")
    files.remove(tmp_path / "file")
    assert os.listdir(tmp_path) == []


def test_only_what_is_ours_is_abandoned(tmp_path: Path) -> None:
    for name in (files.TEMPORARY + "1-ab", ".tmp", "file.tmp", "cnntrain-tmp-1"):
        (tmp_path / name).write_text("")
    files.remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".tmp", "cnntrain-tmp-1", "file.tmp"]


def test_link_replaces_links_and_nothing_else(tmp_path: Path) -> None:
    files.link("a", tmp_path / "latest")
    files.link("b", tmp_path / "latest")
    assert os.readlink(tmp_path / "latest") == "b"
    (tmp_path / "file").write_text("mine")
    files.link("b", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_link_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    outcomes = []
    for *_, outcome in every_point(lambda: files.link("a", tmp_path / "latest")):
        outcomes.append(outcome)
        assert temporaries(tmp_path) == []
    assert set(outcomes) == {"failed"}


def test_link_does_without_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(monkeypatch, lambda _count, _name: OSError(errno.EPERM, "no links here"))
    files.link("a", tmp_path / "latest")
    assert os.listdir(tmp_path) == []


def test_probe_leaves_nothing_and_meets_every_fault(tmp_path: Path) -> None:
    files.probe(tmp_path)
    assert os.listdir(tmp_path) == []
    for *_, outcome in every_point(lambda: files.probe(tmp_path)):
        assert outcome == "failed"
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("failing", "named"),
    [("open", "create a file: "), ("write", ""), ("fsync", "fsync: "), ("replace", "rename: "), ("unlink", "remove: ")],
)
def test_a_probe_that_fails_names_the_directory_and_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, named: str
) -> None:
    inject(monkeypatch, lambda _count, name: OSError(errno.ENOSPC, "No space left") if name == failing else None)
    with pytest.raises(StorageError) as caught:
        files.probe(tmp_path)
    reason = f"{named}No space left. Free some space and run the command again"
    assert str(caught.value) == f"cannot write in {tmp_path}: {reason}"


def test_what_is_written_beside_takes_away_what_a_killed_process_left(tmp_path: Path) -> None:
    """Of files, probes and links alike; what somebody is writing, and what is nobody's, stays."""
    for name in ("1-ab", f"{os.getpid()}-cd", "probe-7-ef"):
        (tmp_path / f"{files.TEMPORARY}{name}").write_bytes(b"half")
    busy, descriptor = files._create_owned(tmp_path)
    (tmp_path / f"{files.TEMPORARY}latest").symlink_to("nowhere")
    os.mkfifo(tmp_path / f"{files.TEMPORARY}fifo")
    (tmp_path / "mine.tmp").touch()
    files.write_atomic(tmp_path / "file", b"new")
    files.link("run", tmp_path / "latest")
    os.close(descriptor)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("file", "latest", "mine.tmp", busy.name, f"{files.TEMPORARY}fifo")
    }
    assert os.readlink(tmp_path / "latest") == "run"


def test_links_made_at_the_same_time_leave_one(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for _ in range(50):
            files.link(str(number), tmp_path / "latest")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]
    assert os.readlink(tmp_path / "latest") in "0123"


def test_whoever_writes_and_whoever_clears_up_do_not_disturb_each_other(tmp_path: Path) -> None:
    stop = threading.Event()

    def clear() -> None:
        while not stop.is_set():
            files.remove_abandoned(tmp_path)

    threads = [threading.Thread(target=clear) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(100):
            files.write_atomic(tmp_path / "file", b"%d" % number)
            files.probe(tmp_path)
            assert (tmp_path / "file").read_bytes() == b"%d" % number
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

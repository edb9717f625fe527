"""What the user names is written without loss of anything else: links stay, devices stay, other files are refused."""

from __future__ import annotations

import io
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from cnntrain.core import archive
from cnntrain.core.errors import StorageError
from cnntrain.core.output import ANY, PAGE, PICTURE, RESULTS, Output
from cnntrain.results.report.page import page

CHECKPOINT = b"".join(archive.pack({"meta.npy": [b"{}"], "param/a.npy": [b""]}))
HTML = page("title", "subtitle", footer="footer")


def png(**how: str) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (5, 4), 7).save(stream, "PNG", **how)
    return stream.getvalue()


def test_a_name_that_is_free_becomes_a_file(tmp_path: Path) -> None:
    Output(tmp_path / "a", PAGE).write([b"ab", memoryview(b"c")])
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert os.listdir(tmp_path) == ["a"]


def test_so_does_one_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    Output(tmp_path / "new" / "deep" / "a").write("abc")
    assert (tmp_path / "new" / "deep" / "a").read_text() == "abc"


def test_a_fifo_is_written_into(tmp_path: Path) -> None:
    path, got = tmp_path / "fifo", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    Output(path, PAGE).write("ü" * 100_000)
    reader.join(20)
    assert got == [("ü" * 100_000).encode()]
    assert path.is_fifo()
    assert os.listdir(tmp_path) == ["fifo"]


def test_a_reader_that_goes_away_is_no_fault_of_the_file(tmp_path: Path) -> None:
    """A command then ends as one does whose stdout nobody reads."""
    os.mkfifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    chunks = iter((b"first", b"second"))

    def leaving() -> Iterator[bytes]:
        yield next(chunks)
        os.close(reading)
        yield next(chunks)

    with pytest.raises(BrokenPipeError):
        Output(tmp_path / "fifo").write(leaving())


@pytest.mark.parametrize("minor", [3, 7], ids=["null", "full"])
def test_a_device_is_written_into_and_its_errors_are_told(tmp_path: Path, minor: int) -> None:
    path = tmp_path / "device"
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        path.open("wb").close()
    except OSError:
        pytest.skip("takes the right to make devices")
    output = Output(path, PICTURE)
    if minor == 3:
        output.write(png())
    else:
        with pytest.raises(StorageError, match=r"cannot write .*device: No space left on device"):
            output.write(png())
    assert path.is_char_device()


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.html").write_text(HTML)
    (tmp_path / "link").symlink_to("there/real.html")
    (tmp_path / "new").symlink_to("there/new.html")
    for name in ("link", "new"):
        Output(tmp_path / name, PAGE).write("new")
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "there" / "real.html").read_text() == "new"
    assert (tmp_path / "there" / "new.html").read_text() == "new"


def test_ours_in_a_run_directory_is_replaced_whatever_it_is(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to("precious")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo"):
        Output(tmp_path / name, PAGE, ours=True).write("new")
        assert (tmp_path / name).is_file()
        assert not (tmp_path / name).is_symlink()
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("folder", "folder is a folder, expected a file to write. Name a file"),
        ("socket", "socket is not a file, expected a file to write"),
        ("circle", "cannot write .*circle: Too many levels of symbolic links"),
        ("file/below", "cannot write .*below: Not a directory"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    Path("circle").symlink_to("circle")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
    with pytest.raises(StorageError, match=says):
        Output(Path(name))


@pytest.mark.parametrize(
    ("kind", "before", "replaced"),
    [
        (PAGE, HTML.encode(), True),
        (PAGE, b"", True),
        (PAGE, b"<!doctype html>\n<html><p>a page of somebody's</p></html>", False),
        (PAGE, b"PK\x03\x04", False),
        (PAGE, png(), False),
        (PICTURE, png(), False),
        (PICTURE, b"\x89PNG\r\n\x1a\n", False),
        (RESULTS, b"[]\n", True),
        (RESULTS, b'[\n{"image_id":1}\n]\n', True),
        (RESULTS, b'{"images": []}', False),
        (None, b"whatever", True),
        (None, b"PK\x03\x04", True),
        (ANY, CHECKPOINT, True),
    ],
)
def test_a_file_is_replaced_only_by_one_of_its_kind(tmp_path: Path, kind, before: bytes, replaced: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(before)
    if replaced:
        Output(path, kind).write(b"new")
        assert path.read_bytes().endswith(b"new") or kind is PICTURE
    else:
        with pytest.raises(StorageError, match=r"file exists and is no .* that cnntrain wrote\. Remove it, or name an"):
            Output(path, kind)
        assert path.read_bytes() == before


def test_a_checkpoint_is_replaced_by_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "best.npz"
    path.write_bytes(CHECKPOINT)
    with pytest.raises(StorageError, match=r"best\.npz exists and is a checkpoint\. Remove it, or name another file"):
        Output(path)


def test_what_is_read_is_not_replaced_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "read").write_bytes(b"")
    (tmp_path / "link").symlink_to("read")
    with pytest.raises(StorageError, match=r"link is itself read for what would be written there\. Name another file"):
        Output(tmp_path / "link", ANY, reads=[tmp_path / "read"])
    with pytest.raises(StorageError, match=r"cannot read .*gone: No such file or directory"):
        Output(tmp_path / "link", ANY, reads=[tmp_path / "gone"])


@pytest.mark.parametrize("optimize", [False, True])
def test_a_picture_says_that_cnntrain_wrote_it_and_is_replaced(tmp_path: Path, optimize: bool) -> None:
    path = tmp_path / "a.png"
    for _ in range(2):
        Output(path, PICTURE).write(png(optimize=optimize))
        with Image.open(path) as image:
            image.verify()
            assert image.info["Software"] == "cnntrain"
        with Image.open(path) as image:
            assert image.getpixel((4, 3)) == 7


def test_what_is_no_utf_8_in_a_name_is_escaped(tmp_path: Path) -> None:
    Output(tmp_path / "a", PAGE).write("ä " + os.fsdecode(b"p\xff.png"))
    assert (tmp_path / "a").read_text("utf-8") == r"ä p\udcff.png"

"""An archive is read only if its directory, its headers and its size agree."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from cnntrain.core import archive
from cnntrain.core.archive import DamagedError, ForeignError, Member


def packed(**members: bytes) -> bytes:
    return b"".join(archive.pack({name: [data] for name, data in members.items()}))


def members(data: bytes) -> dict[str, Member]:
    return archive.members(io.BytesIO(data))


def test_members_lie_where_they_are_said_to() -> None:
    data = b"".join(archive.pack({"a": [b"one", memoryview(b"two")], "ä/b": [], "c": [b"x" * 1000]}))
    found = members(data)
    assert {name: data[m.start : m.start + m.size] for name, m in found.items()} == {
        "a": b"onetwo",
        "ä/b": b"",
        "c": b"x" * 1000,
    }
    with zipfile.ZipFile(io.BytesIO(data)) as other:
        assert other.testzip() is None
        assert [(i.filename, i.file_size, i.CRC) for i in other.infolist()] == [
            (m.name, m.size, m.crc) for m in found.values()
        ]


def test_nothing_of_a_member_is_copied() -> None:
    view = memoryview(bytearray(100))
    assert any(chunk is view for chunk in archive.pack({"a": [view]}))


def test_what_others_write_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as other:
        other.writestr("a", b"one")
        with other.open("b", "w", force_zip64=True) as member:
            member.write(b"two")
    data = (tmp_path / "a.zip").read_bytes()
    assert {name: data[m.start : m.start + m.size] for name, m in members(data).items()} == {"a": b"one", "b": b"two"}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_compressed_members_are_refused(method: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as other:
        other.writestr("a", b"one" * 100)
    with pytest.raises(ForeignError, match="'a' is compressed or encrypted"):
        members(stream.getvalue())


def test_a_name_twice_is_refused() -> None:
    data = packed(a=b"1", b=b"2").replace(b"b", b"a")
    with pytest.raises(DamagedError, match="'a' is in it twice"):
        members(data)


def test_two_names_for_the_same_bytes_are_refused() -> None:
    """The trick of the zip bomb: many members, one body."""
    data = packed(a=b"1" * 50)
    end = len(data) - archive._END.size
    start = data.index(b"PK\x01\x02")
    entry = data[start:end]
    with pytest.raises(DamagedError, match="twice"):
        members(data[:end] + entry + archive._end(2, 2 * len(entry), start))
    other = entry[:-1] + b"b"
    with pytest.raises(DamagedError, match="contradict each other"):
        members(data[:end] + other + archive._end(2, 2 * len(entry), start))


def test_members_that_overlap_are_refused() -> None:
    """One member's bytes are another, whole."""
    inner = archive._local_header(b"b", 10, 0) + bytes(10)
    outer = archive._local_header(b"a", len(inner), 0)
    directory = archive._central_header(b"a", len(inner), 0, 0) + archive._central_header(b"b", 10, 0, len(outer))
    body = outer + inner
    with pytest.raises(DamagedError, match="'b' overlaps the member before it"):
        members(body + directory + archive._end(2, len(directory), len(body)))


def built(local: bytes, central: bytes, data: bytes = bytes(10), count: int = 1) -> bytes:
    """An archive of one member from these headers."""
    return local + data + central + archive._end(count, len(central), len(local + data))


def test_headers_that_contradict_the_directory_are_refused() -> None:
    def central(size: int = 10) -> bytes:
        return archive._central_header(b"a", size, 0, 0)

    sound = archive._local_header(b"a", 10, 0)
    assert members(built(sound, central()))["a"].size == 10
    for local, entry, expected in [
        (archive._local_header(b"a", 9, 0), central(), "'a' and the directory contradict each other"),
        (archive._local_header(b"b", 10, 0), central(), "'a' and the directory contradict each other"),
        (sound.replace(b"PK", b"KP"), central(), "does not begin like one"),
        (archive._local_header(b"a", 11, 0), central(11), "'a' does not lie inside the file"),
        (sound, central()[:-1] + b"\xff", "name is not UTF-8"),
        (sound, archive._central_header(b"a", 10, 0, 30), "the entry of 'a' contradicts itself"),
        (sound, central()[:-1], "its directory is cut short"),
        (sound, central() + b"\0", "its directory does not end where it should"),
        (sound, central() + bytes(2000), "it holds 1 member in a directory of 2047 bytes"),
    ]:
        with pytest.raises(DamagedError, match=expected):
            members(built(local, entry))


@pytest.mark.parametrize("extra", [b"\0", b"x" * 100])
def test_bytes_after_the_end_and_before_the_start_are_refused(extra: bytes) -> None:
    data = packed(a=b"1")
    with pytest.raises(DamagedError):
        members(data + extra)
    with pytest.raises(ForeignError):
        members(extra + data)


def test_every_truncation_is_refused() -> None:
    data = packed(a=b"123", b=b"4567")
    for length in range(len(data)):
        with pytest.raises(DamagedError):
            members(data[:length])


def test_limits_hold_for_writing_too() -> None:
    with pytest.raises(ValueError, match="at most 500 bytes"):
        archive.pack({"ä" * 251: []})
    with pytest.raises(ValueError, match="at most 10000 members"):
        archive.pack({str(number): [] for number in range(10_001)})

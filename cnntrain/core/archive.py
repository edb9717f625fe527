"""An archive is a zip file of stored members: written as a list of chunks, read as if an enemy had made it.

Nothing is compressed, so a member lies in the file as it is and a file can claim no more than it holds. The bytes
depend on names and contents alone. Layout: PKWARE's APPNOTE 6.3.10, sections 4.3 to 4.5.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from cnntrain.core.counts import counted

Bytes = bytes | memoryview

MOST_MEMBERS = 10_000
LONGEST_NAME = 500  # bytes of UTF-8

_WIDE = 0xFFFFFFFF  # stands in a 32-bit field for "see the zip64 field"
_WIDE_FROM = _WIDE  # sizes and offsets from here on are written that way
_DATE = 0x0021  # 1 January 1980, midnight: the earliest moment that zip can express
_UTF8 = 0x0800  # flag: the name is UTF-8

_LOCAL = struct.Struct("<4s5H3L2H")  # signature, version, flags, method, time, date, crc, sizes, name, extra
_CENTRAL = struct.Struct("<4s6H3L5H2L")  # the same, with maker, comment, disk, attributes, offset
_END = struct.Struct("<4s4H2LH")  # signature, disks, counts, size and offset of the directory, comment
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_LOCAL_SIGNATURE, _CENTRAL_SIGNATURE, _END_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64_SIGNATURE, _LOCATOR_SIGNATURE = b"PK\x06\x06", b"PK\x06\x07"


class DamagedError(Exception):
    """The file is not a sound archive; the message says why: "it is truncated"."""


class ForeignError(DamagedError):
    """The file is not an archive at all; it may be sound as something else."""


@dataclass(frozen=True)
class Member:
    """Where one member's bytes lie in the file."""

    name: str
    start: int
    size: int
    crc: int


def pack(members: Mapping[str, Sequence[Bytes]]) -> list[Bytes]:
    """The archive of these members as chunks in order; the members' own chunks are used as they are, uncopied."""
    chunks: list[Bytes] = []
    directory = []
    offset = 0
    for name, parts in members.items():
        encoded = name.encode()
        if len(encoded) > LONGEST_NAME:
            raise ValueError(f"a member's name has at most {LONGEST_NAME} bytes, got {name!r}")
        size, crc = sum(map(len, parts)), 0
        for part in parts:
            crc = zlib.crc32(part, crc)
        local = _local_header(encoded, size, crc)
        directory.append(_central_header(encoded, size, crc, offset))
        chunks += [local, *parts]
        offset += len(local) + size
    if len(directory) > MOST_MEMBERS:
        raise ValueError(f"an archive has at most {MOST_MEMBERS} members, got {len(directory)}")
    chunks += [*directory, _end(len(directory), sum(map(len, directory)), offset)]
    return chunks


def _narrow(value: int) -> int:
    return _WIDE if value >= _WIDE_FROM else value


def _zip64(*values: int) -> bytes:
    """The field that holds the values too large for 32 bits; empty where there are none."""
    wide = [value for value in values if value >= _WIDE_FROM]
    return struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""


def _local_header(name: bytes, size: int, crc: int) -> bytes:
    extra = _zip64(size, size)
    fields = (45 if extra else 20, _UTF8, 0, 0, _DATE, crc, _narrow(size), _narrow(size), len(name), len(extra))
    return _LOCAL.pack(_LOCAL_SIGNATURE, *fields) + name + extra


def _central_header(name: bytes, size: int, crc: int, offset: int) -> bytes:
    extra = _zip64(size, size, offset)
    version = 45 if extra else 20
    fields = (version, version, _UTF8, 0, 0, _DATE, crc, _narrow(size), _narrow(size), len(name), len(extra))
    return _CENTRAL.pack(_CENTRAL_SIGNATURE, *fields, 0, 0, 0, 0, _narrow(offset)) + name + extra


def _end(count: int, size: int, offset: int) -> bytes:
    wide = b""
    if _WIDE in (_narrow(size), _narrow(offset)):
        wide = _END64.pack(_END64_SIGNATURE, _END64.size - 12, 45, 45, 0, 0, count, count, size, offset)
        wide += _LOCATOR.pack(_LOCATOR_SIGNATURE, 0, offset + size, 1)
    return wide + _END.pack(_END_SIGNATURE, 0, 0, count, count, _narrow(size), _narrow(offset), 0)


def members(file: BinaryIO) -> dict[str, Member]:
    """The members of an archive by name, in the order of its directory.

    Raises DamagedError unless every member is stored, whole, inside the file, and shares no byte with another.
    Allocates no more than a few times the size of the directory, which is limited.
    """
    end = file.seek(0, os.SEEK_END)
    if not end:
        raise DamagedError("it is empty (0 bytes)")
    if _bytes_at(file, 0, min(4, end)) != _LOCAL_SIGNATURE:
        raise ForeignError("it does not begin like one")
    count, start, size = _directory(file, end)
    found: dict[str, Member] = {}
    raw = _bytes_at(file, start, size)
    at = before = 0
    for _ in range(count):
        at, offset, member = _entry(file, raw, at, start)
        if member.name in found:
            raise DamagedError(f"{member.name!r} is in it twice")
        if offset < before:
            raise DamagedError(f"{member.name!r} overlaps the member before it")
        before = member.start + member.size
        found[member.name] = member
    if at != size:
        raise DamagedError("its directory does not end where it should")
    return found


def _bytes_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise DamagedError("it is truncated")
    return data


def _directory(file: BinaryIO, end: int) -> tuple[int, int, int]:
    """Number of entries, offset and size of the directory at the end of a file of `end` bytes."""
    at = end - _END.size
    if at < 0:
        raise DamagedError("it is truncated: it ends before its directory")
    signature, disk, disk2, count, count2, size, start, comment = _END.unpack(_bytes_at(file, at, _END.size))
    if signature != _END_SIGNATURE or disk or disk2 or comment:
        raise DamagedError("it is truncated: it ends before its directory")
    if _WIDE in (size, start):
        at -= _LOCATOR.size + _END64.size
        if at < 0:
            raise DamagedError("its directory is missing")
        wide = _bytes_at(file, at, _END64.size + _LOCATOR.size)
        signature, _, _, _, disk, disk2, count, count2, size, start = _END64.unpack_from(wide)
        locator = _LOCATOR.pack(_LOCATOR_SIGNATURE, 0, at, 1)
        if signature != _END64_SIGNATURE or disk or disk2 or wide[_END64.size :] != locator:
            raise DamagedError("its directory is missing")
    if count != count2 or start + size != at:
        raise DamagedError("its directory is not where it should be")
    if count > MOST_MEMBERS or size > count * (_CENTRAL.size + 2 * LONGEST_NAME):
        raise ForeignError(f"it holds {counted(count, 'member')} in a directory of {size} bytes")
    return count, start, size


def _entry(file: BinaryIO, raw: bytes, at: int, limit: int) -> tuple[int, int, Member]:
    """Read one directory entry and its member's local header: the next entry's place, the header's, the member."""
    if at + _CENTRAL.size > len(raw):
        raise DamagedError("its directory is cut short")
    fields = _CENTRAL.unpack_from(raw, at)
    signature, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment, disk, _, _, offset = fields
    name_at = at + _CENTRAL.size
    extra_at = name_at + name_size
    following = extra_at + extra_size
    if signature != _CENTRAL_SIGNATURE or following > len(raw) or name_size > LONGEST_NAME or comment or disk:
        raise DamagedError("its directory is cut short")
    encoded = raw[name_at:extra_at]
    name = _text(encoded)
    if method or flags & ~_UTF8:
        raise ForeignError(f"its member {name!r} is compressed or encrypted")
    packed, size, offset = _widened(raw[extra_at:following], packed, size, offset)
    if packed != size or offset + _LOCAL.size > limit:
        raise DamagedError(f"the entry of {name!r} contradicts itself")
    start = _data_start(file, name, encoded, offset, size)
    if start + size > limit:
        raise DamagedError(f"{name!r} does not lie inside the file")
    return following, offset, Member(name, start, size, crc)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise DamagedError("a member's name is not UTF-8") from None


def _widened(extra: bytes, *values: int) -> tuple[int, ...]:
    """The sizes and the offset; those too large for 32 bits are taken from the zip64 field."""
    wanted = values.count(_WIDE)
    if not wanted:
        return values
    # the field lists what is wanted in the order: size, packed size, offset; the two sizes must be equal anyway
    field = struct.pack("<2H", 1, 8 * wanted)
    if len(extra) != len(field) + 8 * wanted or not extra.startswith(field):
        raise DamagedError("a size beyond 4 GiB is missing")
    wide = iter(struct.unpack_from(f"<{wanted}Q", extra, len(field)))
    return tuple(next(wide) if value == _WIDE else value for value in values)


def _data_start(file: BinaryIO, name: str, encoded: bytes, offset: int, size: int) -> int:
    """Where a member's bytes begin, after a local header that says what the directory says."""
    header = _LOCAL.unpack(_bytes_at(file, offset, _LOCAL.size))
    signature, _, flags, method, _, _, _, packed, unpacked, name_size, extra_size = header
    same = signature == _LOCAL_SIGNATURE and not method and not flags & ~_UTF8 and name_size == len(encoded)
    if same and _bytes_at(file, offset + _LOCAL.size, name_size) == encoded:
        extra = _bytes_at(file, offset + _LOCAL.size + name_size, extra_size)
        if _WIDE in (packed, unpacked):  # a writer may use the wide form for a small member, as NumPy does
            packed, unpacked = _widened(extra, packed, unpacked)
        if packed == unpacked == size:
            start: int = offset + _LOCAL.size + name_size + extra_size
            return start
    raise DamagedError(f"{name!r} and the directory contradict each other")

"""Small picture files written byte by byte, so that what they mean does not depend on the library that reads them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence


def png(width: int, height: int, depth: int, kind: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG: kind 0 is grey, 2 colour, 3 palette, 4 grey with alpha, 6 colour with alpha; rows without filter bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    length = len(rows) // height
    filtered = b"".join(b"\0" + rows[start : start + length] for start in range(0, len(rows), length))
    body = b"".join(chunk(*one) for one in chunks) + chunk(b"IDAT", zlib.compress(filtered))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def bomb(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of one pixel that says it is so large."""
    small = png(1, 1, 8, 0, b"\0", *chunks)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return small[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + small[33:]


def tiff(
    width: int,
    height: int,
    data: bytes,
    *,
    bits: Sequence[int] = (8,),
    photometric: int = 1,
    order: str = "<",
    tags: dict[int, tuple[int, int]] | None = None,
    pages: int = 1,
) -> bytes:
    """An uncompressed TIFF of one strip; photometric 0 is white-is-zero, 1 grey, 2 RGB, 5 inks, 6 YCbCr, 8 L*a*b*.

    `tags` are further (type, value) by number; each further page is black.
    """
    out = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    for page in range(pages):
        entries = {
            256: (3, width), 257: (3, height), 258: (3, bits[0]), 259: (3, 1), 262: (3, photometric),
            273: (4, 0), 277: (3, len(bits)), 278: (3, height), 279: (4, len(data)),
        } | (tags or {})  # fmt: skip
        size = 2 + 12 * len(entries) + 4
        place = len(out) + size
        extra = struct.pack(order + f"{len(bits)}H", *bits) if len(bits) > 2 else b""
        entries[273] = (4, place + len(extra))
        following = place + len(extra) + len(data) if page + 1 < pages else 0
        table = struct.pack(order + "H", len(entries))
        for tag, (kind, value) in sorted(entries.items()):
            if tag == 258 and extra:
                table += struct.pack(order + "HHII", tag, 3, len(bits), place)
            elif tag == 258 and len(bits) == 2:
                table += struct.pack(order + "HHIHH", tag, 3, 2, *bits)
            elif kind == 3:
                table += struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
            else:
                table += struct.pack(order + "HHII", tag, kind, 1, value)
        out += table + struct.pack(order + "I", following) + extra + (data if page == 0 else bytes(len(data)))
    return out


def bmp(width: int, height: int, rows: bytes, bits: int = 24, palette: bytes = b"") -> bytes:
    """An uncompressed BMP: rows from the bottom up, each padded to 4 bytes, pixels as blue, green, red."""
    offset = 14 + 40 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, len(rows), 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + info + palette + rows


def gif(width: int, height: int, palette: bytes, *frames: int, transparent: int | None = None) -> bytes:
    """A GIF of frames of one palette index each; the palette has two colours."""
    out = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + palette
    for index in frames:
        if transparent is not None or len(frames) > 1:
            flags = 1 if transparent is not None else 0
            out += b"\x21\xf9\x04" + struct.pack("<BHB", flags, 10, transparent or 0) + b"\0"
        codes: list[int] = []
        for _ in range(width * height):
            codes += [4, index]  # a clear code before each keeps every code 3 bits wide
        codes.append(5)
        bits = "".join(format(code, "03b")[::-1] for code in codes)
        data = bytes(int(bits[start : start + 8][::-1], 2) for start in range(0, len(bits), 8))
        blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
        out += b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02" + blocks + b"\0"
    return out + b"\x3b"

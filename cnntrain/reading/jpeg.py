"""JPEG: how many scans a file has, each of which makes a decoder go over the whole picture (ITU-T T.81, B.1)."""

from __future__ import annotations

import re

_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # not a stuffed byte of coded data, and no restart
_SCAN, _END, _BEGIN = 0xDA, 0xD9, 0xD8


def scans(data: bytes) -> int:
    """The number of scans up to the end of the first picture in a file."""
    found, place = 0, 2
    while marker := _MARKER.search(data, place):
        place, kind = marker.end(), data[marker.end() - 1]
        if kind == _END:
            break
        found += kind == _SCAN
        if kind not in (_BEGIN, 0x01):  # which stand alone
            place += max(int.from_bytes(data[place : place + 2]), 2)
    return found

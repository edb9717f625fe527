"""Event files let TensorBoard watch a run: every number of metrics.jsonl, in TensorBoard's own format.

Writing them needs no TensorBoard. They are derived like metrics.csv: each session writes the run's whole history anew,
then follows it.
"""

from __future__ import annotations

import functools
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import numpy as np

from cnntrain.core import files
from cnntrain.core.append_log import AppendLog
from cnntrain.rundir.directory import EVENT_FILES, RunDirectory


@contextmanager
def following(run: RunDirectory) -> Iterator[None]:
    """Write what the run's metrics.jsonl holds, and what is added to it meanwhile, to RUN/tensorboard.

    Raises StorageError where it cannot.
    """
    rows = run.rows()
    last = max((row.get("step", 0) for row in rows), default=0)
    path = run.path / EVENT_FILES.replace("*", f"{last:010}.cnntrain")
    with closing(run.folder(path.parent.name)) as folder:
        for old in sorted(run.path.glob(EVENT_FILES)):
            folder.remove(old.name)
        files.write_atomic(path, b"", folder)
    log = AppendLog(path, 0)

    def follow(row: Mapping[str, Any]) -> None:
        log.extend(encoded(row, time.time()))

    try:
        log.extend(record(_time(time.time()) + _bytes(3, b"brain.Event:2")))
        for row in rows:
            follow(row)
        run.followers.append(follow)
        try:
            yield
        finally:
            run.followers.remove(follow)
    finally:
        log.close()


def encoded(row: Mapping[str, Any], wall_time: float) -> bytes:
    """A row of metrics.jsonl as a record of an event file; nothing where it has no step or no number.

    The record is TensorBoard's Event (event.proto: 1 wall_time, 2 step, 5 summary) with a Summary.Value (summary.proto:
    1 tag, 2 simple_value) for each number.
    """
    numbers = {tag(key, row["event"]): value for key, value in row.items() if type(value) is float}
    if "step" not in row or not numbers:
        return b""
    values = [_bytes(1, name.encode()) + _float(2, number) for name, number in numbers.items()]
    summary = b"".join(_bytes(1, value) for value in values)
    return record(_time(wall_time) + _varint(2 << 3) + _varint(row["step"]) + _bytes(5, summary))


def tag(key: str, event: str) -> str:
    """What TensorBoard calls a value: its key; the training values of a whole epoch get a name of their own."""
    return key.replace("train/", "train_epoch/") if event == "eval" else key


def record(data: bytes) -> bytes:
    """TFRecord's frame: the length and its checksum, the data and its checksum."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data))


def crc32c(data: bytes) -> int:
    """The CRC of Castagnoli et al. (1993), reflected polynomial 0x82F63B78, as in iSCSI (RFC 3720)."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@functools.cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


def _masked(data: bytes) -> int:
    """TFRecord's checksum: a CRC, rotated and offset, since the data may itself hold CRCs."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# What protocol buffers look like: a key of field number and wire type (0 varint, 1 double, 2 bytes, 5 float), a value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _time(seconds: float) -> bytes:
    return _varint(1 << 3 | 1) + struct.pack("<d", seconds)


def _float(field: int, value: float) -> bytes:
    """In float32: what is too large for it is infinite there."""
    with np.errstate(over="ignore"):
        return _varint(field << 3 | 5) + struct.pack("<f", np.float32(value))

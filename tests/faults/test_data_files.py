"""Damaged data files are read as what they declare or refused by name, within a second and a gigabyte; so are bombs.

Replay with the printed seed: FAULTS_SEED=N pytest -m faults tests/faults/test_data_files.py, or a single format with
`python -m tests.faults.data_files`.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core.errors import DataError
from cnntrain.reading.pictures import decode, decode_clip
from tests.faults.data_files import FORMATS, LIMIT, SECONDS, readable
from tests.support.campaign import Campaign, counts, peak_memory
from tests.support.datasets import idx, refusal
from tests.support.pictures import gif, png, tiff

ROOT = Path(__file__).parent.parent.parent


@counts(60, 3000, 30_000)
@pytest.mark.parametrize("kinds", [pytest.param(",".join([*FORMATS][start::3]), id=str(start)) for start in range(3)])
def test_mutated_files_are_refused_by_name_or_are_what_they_declare(campaign: Campaign, count: int, kinds: str) -> None:
    there = readable(kinds.split(","))
    command = [sys.executable, "-m", "tests.faults.data_files", ",".join(there), str(count), str(campaign.seed)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    peak = found.pop("peak")
    for kind, outcome in found.items():
        campaign.tell(f"{count} of {kind}: {outcome}")
        assert outcome["refused"] > count / 4
    assert peak < LIMIT


# Bombs and lies


def jpeg_header(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    scan = b"\x01\x01\x00\x00\x3f\x00"
    segments = ((b"\xff\xc0", frame), (b"\xff\xda", scan))
    return (
        b"\xff\xd8" + b"".join(mark + struct.pack(">H", 2 + len(body)) + body for mark, body in segments) + b"\xff\xd9"
    )


def webp(width: int, height: int) -> bytes:
    """A lossless WebP whose header alone is there."""
    bits = (width - 1) | (height - 1) << 14
    body = b"VP8L" + struct.pack("<IBI", 5, 0x2F, bits) + b"\0"
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def animated_png(frames: int) -> bytes:
    return png(1, 1, 8, 0, b"\0", (b"acTL", struct.pack(">II", frames, 0)))


def looped_tiff() -> bytes:
    """A TIFF whose second page is the first."""
    data = bytearray(tiff(1, 1, b"\0"))
    data[8 + 2 + 9 * 12 : 8 + 2 + 9 * 12 + 4] = struct.pack("<I", 8)
    return bytes(data)


IMAGES: dict[str, tuple[bytes, str]] = {
    "gif as large as can be": (b"GIF89a" + b"\xff" * 4 + gif(1, 1, bytes(6), 0)[10:], "more than 25,000,000 pixels"),
    "bmp of 2 billion pixels": (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0),
        "more than 25,000,000 pixels",
    ),
    "ppm of 10^18 pixels": (b"P6 1000000000 1000000000 255\n", "more than 25,000,000 pixels"),
    "ppm without an end of its header": (b"P6 " + b"1" * 100_000, "Token too long in file header"),
    "jpeg as large as can be": (jpeg_header(65_535, 65_535), "more than 25,000,000 pixels"),
    "webp as large as can be": (webp(16_384, 16_384), "more than 25,000,000 pixels"),
    "webp of a header": (webp(10, 10), "damaged (failed to read next frame)"),
    "tiff of 2^62 pixels": (
        tiff(1, 1, b"\0", tags={256: (4, 2**31), 257: (4, 2**31)}), "more than 25,000,000 pixels",
    ),
    "tiff whose strip lies outside": (tiff(9, 9, b"\0"), "damaged (image file is truncated"),
    "png without pixels": (png(100, 100, 8, 0, b"\0" * 100), "damaged (image file is truncated"),
    "png of no width": (png(1, 1, 8, 0, b"\0")[:16] + bytes(4) + png(1, 1, 8, 0, b"\0")[20:], "not an image"),
    "png with a text that unpacks to 100 MB": (
        png(1, 1, 8, 0, b"\0", (b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))), "Decompressed data too large",
    ),
    "png with a profile that unpacks to 100 MB": (
        png(1, 1, 8, 0, b"\0", (b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8)))), "Decompressed data too large",
    ),
    "a svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "not an image, expected PNG"),
    "a postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image, expected PNG"),
    "an icon": (b"\0\0\1\0\1\0" + bytes(30), "not an image, expected PNG"),
}  # fmt: skip


@pytest.mark.parametrize("kind", IMAGES)
def test_images_that_lie(tmp_path: Path, kind: str) -> None:
    data, words = IMAGES[kind]
    path = tmp_path / "a.png"
    path.write_bytes(data)
    before, began = peak_memory(), time.process_time()
    with pytest.raises(DataError) as caught:
        decode(path, None, 3)
    said = str(caught.value).replace(": b'", ": ")  # as some versions of Pillow put it
    assert said.lower().startswith(f"{path}: {words}".lower())
    assert time.process_time() - began < SECONDS
    assert peak_memory() - before < 200e6


def test_a_file_too_large_for_a_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate(2**40)  # of which nothing is written
    with pytest.raises(DataError, match="1,099,511,627,776 bytes, expected at most 536,870,912 of a picture"):
        decode(path, None, 3)


def test_frames_without_end(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(looped_tiff())
    assert decode(path, None, 1).pixels.tolist() == [[[0]]]
    assert decode_clip(path, lambda _frames, _times: (0, 0), None, 1).tolist() == [[[[0]]]] * 2
    path.write_bytes(animated_png(2**31 - 1))
    assert decode(path, None, 1).pixels.tolist() == [[[0]]]
    with pytest.raises(DataError, match="2,147,483,648 frames of 1x1, too many pixels to decode"):
        decode_clip(path, lambda _frames, _times: (0, 0), None, 1)


def idx_bomb(folder: Path) -> dict[str, Any]:
    """A gzipped file of 2 GB that is as well packed as deflate can, and declares itself rightly."""
    shape = (2048, 1024, 1024)
    packer = zlib.compressobj(9, wbits=31)
    block = packer.compress(b"\0\0\x08\x03" + struct.pack(">3I", *shape) + bytes(2**26)) + packer.flush()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(block + bytes(2**21))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(2048, dtype=np.uint8) % 10))
    return {"root": str(folder)}


def npz_bomb(folder: Path) -> dict[str, Any]:
    """300 MB of zeros in 300 KB, rightly declared."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (3, 10_000, 10_000)})
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("x_train.npy", "w") as member:
            member.write(header.getvalue())
            for _ in range(300):
                member.write(bytes(10**6))
        y = io.BytesIO()
        np.save(y, np.arange(3))
        file.writestr("y_train.npy", y.getvalue())
    return {"path": str(folder / "a.npz")}


def gzip_of_endless_dimensions(folder: Path) -> dict[str, Any]:
    data = b"\0\0\x08\x03" + b"\xff" * 12
    (folder / "train-images-idx3-ubyte").write_bytes(gzip.compress(data))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(1, np.uint8)))
    return {"root": str(folder)}


ARRAYS: dict[str, tuple[str, Callable[[Path], dict[str, Any]], str]] = {
    "gzip": ("idx", idx_bomb, "declares 2048x1024x1024 = 2,147,483,648 values, more than its "),
    "gzip of endless dimensions": ("idx", gzip_of_endless_dimensions, "more than its "),
    "npz": ("npz", npz_bomb, "declares shape (3, 10000, 10000) of uint8, 300,000,000 bytes, found 268,435,456"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_that_unpack_to_too_much(tmp_path: Path, kind: str) -> None:
    name, write, words = ARRAYS[kind]
    fields = write(tmp_path)
    before, began = peak_memory(), time.process_time()
    said = refusal(name, **fields)
    assert str(tmp_path) in said
    assert words in said
    assert time.process_time() - began < SECONDS
    assert peak_memory() - before < 200e6

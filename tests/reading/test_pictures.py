"""What every kind of picture file means in pixels: small files made by hand, with the pixels written by hand."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import sys
import threading
import time
import tracemalloc
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image, ImageCms

from cnntrain.core.errors import DataError
from cnntrain.reading import pictures
from cnntrain.reading.jpeg import scans
from cnntrain.reading.pictures import LARGEST, MAX_PIXELS, decode, decode_clip, evenly, header
from cnntrain.reading.reader import Reader
from tests.support.pictures import bmp, bomb, gif, png, tiff

WHITE = [255, 255, 255]
TRNS, PLTE = b"tRNS", b"PLTE"


def saved(mode: str, colour: Any, kind: str, **options: Any) -> bytes:
    """A flat picture as Pillow writes it: for the formats that cannot be written by hand in a few lines."""
    file = io.BytesIO()
    Image.new(mode, (16, 16), colour).save(file, kind, **options)
    return file.getvalue()


def float_bits(value: float) -> bytes:
    return struct.pack("<f", value)


# name -> the file, and the pixels of its first row (as many as it has), as colours
ZOO: dict[str, tuple[bytes, list[list[int]]]] = {
    "png grey": (png(2, 1, 8, 0, b"\x4d\x00"), [[77] * 3, [0] * 3]),
    "png 1 bit": (png(2, 1, 1, 0, b"\x40"), [[0] * 3, WHITE]),
    "png 2 bits": (png(4, 1, 2, 0, b"\x1b"), [[0] * 3, [85] * 3, [170] * 3, WHITE]),
    "png 4 bits": (png(2, 1, 4, 0, b"\x1f"), [[17] * 3, WHITE]),
    "png 16 bits": (
        png(4, 1, 16, 0, struct.pack(">4H", 0, 128, 129, 65535)),
        [[0] * 3, [0] * 3, [1] * 3, WHITE],  # 128 / 257 is below a half, 129 / 257 above
    ),
    "png 16 bits middle": (png(2, 1, 16, 0, struct.pack(">2H", 0x8000, 257 * 77)), [[128] * 3, [77] * 3]),
    "png 16 bits, one value transparent": (
        png(2, 1, 16, 0, struct.pack(">2H", 258, 32896), (TRNS, struct.pack(">H", 258))),
        [WHITE, [128] * 3],
    ),
    "png grey, one value transparent": (png(2, 1, 8, 0, b"\x05\x06", (TRNS, b"\0\x05")), [WHITE, [6] * 3]),
    "png 1 bit, black transparent": (png(2, 1, 1, 0, b"\x40", (TRNS, b"\0\0")), [WHITE, WHITE]),
    "png 2 bits, one value transparent": (png(2, 1, 2, 0, b"\x60", (TRNS, b"\0\1")), [WHITE, [170] * 3]),
    "png 4 bits, one value transparent": (png(2, 1, 4, 0, b"\x12", (TRNS, b"\0\2")), [[17] * 3, WHITE]),
    "png colour": (png(2, 1, 8, 2, bytes([1, 2, 3, 4, 5, 6])), [[1, 2, 3], [4, 5, 6]]),
    "png colour, one transparent": (
        png(2, 1, 8, 2, bytes([1, 2, 3, 4, 5, 6]), (TRNS, struct.pack(">3H", 4, 5, 6))),
        [[1, 2, 3], WHITE],
    ),
    "png colour 16 bits": (png(1, 1, 16, 2, struct.pack(">3H", 0x00FF, 0x8080, 0xFFFF)), [[0, 128, 255]]),
    "png colour 16 bits, one transparent": (
        png(1, 1, 16, 2, b"\1\2\x80\x80\xff\xff", (TRNS, b"\1\2\x80\x80\xff\xff")),
        [WHITE],
    ),
    "png palette": (
        png(2, 1, 8, 3, b"\1\0", (PLTE, bytes([9, 9, 9, 200, 100, 50]))), [[200, 100, 50], [9, 9, 9]],
    ),
    "png palette of 1 bit": (png(2, 1, 1, 3, b"\x80", (PLTE, bytes([9, 8, 7, 6, 5, 4]))), [[6, 5, 4], [9, 8, 7]]),
    "png palette, one transparent": (
        png(2, 1, 8, 3, b"\1\0", (PLTE, bytes([9, 9, 9, 200, 100, 50])), (TRNS, b"\xff\0")), [WHITE, [9, 9, 9]],
    ),
    "png palette, half seen through": (
        png(1, 1, 8, 3, b"\0", (PLTE, bytes([0, 100, 200])), (TRNS, bytes([51]))), [[204, 224, 244]],
    ),
    "png grey with alpha": (png(2, 1, 8, 4, bytes([0, 0, 100, 255])), [WHITE, [100] * 3]),
    "png grey with alpha, 16 bits": (png(1, 1, 16, 4, struct.pack(">2H", 0x8000, 0)), [WHITE]),
    "png colour with alpha": (
        png(3, 1, 8, 6, bytes([0, 100, 200, 51, 1, 2, 3, 255, 1, 2, 3, 0])),
        [[204, 224, 244], [1, 2, 3], WHITE],  # 255 - 51 / 255 * (255 - colour)
    ),
    "png colour with alpha, 16 bits": (png(1, 1, 16, 6, struct.pack(">4H", 0xFFFF, 0, 0, 0xFFFF)), [[255, 0, 0]]),
    "bmp colour": (bmp(1, 1, bytes([3, 2, 1, 0])), [[1, 2, 3]]),
    "bmp palette": (bmp(1, 1, b"\1\0\0\0", 8, bytes([9, 9, 9, 0, 50, 100, 200, 0])), [[200, 100, 50]]),
    "gif": (gif(1, 1, bytes([9, 9, 9, 200, 100, 50]), 1), [[200, 100, 50]]),
    "gif, transparent": (gif(1, 1, bytes([9, 9, 9, 200, 100, 50]), 1, transparent=1), [WHITE]),
    "gif, the first of two frames": (gif(1, 1, bytes([9, 9, 9, 200, 100, 50]), 1, 0), [[200, 100, 50]]),
    "pbm": (b"P4 2 1\n\x80", [[0] * 3, WHITE]),
    "pgm": (b"P5 2 1 255\n\x4d\xff", [[77] * 3, WHITE]),
    "pgm up to 100": (b"P5 2 1 100\n\x00\x64", [[0] * 3, WHITE]),
    "pgm of 16 bits": (b"P5 2 1 65535\n" + struct.pack(">2H", 0x8000, 257 * 77), [[128] * 3, [77] * 3]),
    "ppm": (b"P6 1 1 255\n\1\2\3", [[1, 2, 3]]),
    "tiff grey": (tiff(2, 1, b"\x4d\x00"), [[77] * 3, [0] * 3]),
    "tiff white is 0": (tiff(2, 1, b"\x00\xff", photometric=0), [WHITE, [0] * 3]),
    "tiff 1 bit": (tiff(2, 1, b"\x80", bits=(1,)), [WHITE, [0] * 3]),
    "tiff colour": (tiff(1, 1, bytes([1, 2, 3]), bits=(8, 8, 8), photometric=2), [[1, 2, 3]]),
    "tiff colour with alpha": (
        tiff(1, 1, bytes([0, 100, 200, 51]), bits=(8,) * 4, photometric=2, tags={338: (3, 2)}), [[204, 224, 244]],
    ),
    "tiff 16 bits, little": (tiff(1, 1, struct.pack("<H", 257 * 3 + 100), bits=(16,)), [[3] * 3]),
    "tiff 16 bits, big": (tiff(1, 1, struct.pack(">H", 257 * 3 + 200), bits=(16,), order=">"), [[4] * 3]),
    "tiff float": (
        tiff(3, 1, float_bits(0.0) + float_bits(0.5) + float_bits(1.0), bits=(32,), tags={339: (3, 3)}),
        [[0] * 3, [128] * 3, WHITE],
    ),
    "tiff 32 bits, of small numbers": (
        tiff(1, 1, struct.pack("<i", 257 * 9), bits=(32,), tags={339: (3, 2)}), [[9] * 3],
    ),
    "tiff inks": (
        tiff(2, 1, bytes([0, 255, 0, 0, 0, 0, 0, 255]), bits=(8,) * 4, photometric=5), [[255, 0, 255], [0] * 3],
    ),
    "tiff Lab": (
        tiff(3, 1, bytes([255, 0, 0, 0, 0, 0, 137, 0, 0]), bits=(8,) * 3, photometric=8),
        [WHITE, [0] * 3, [128] * 3],  # L* = 53.7 is the middle of sRGB's greys
    ),
    "tiff of two pages": (tiff(1, 1, b"\x4d", pages=2), [[77] * 3]),
    "jpeg grey": (saved("L", 77, "jpeg"), [[77] * 3] * 16),
    "jpeg colour": (saved("RGB", (128, 128, 128), "jpeg"), [[128] * 3] * 16),
    "jpeg inks": (saved("CMYK", (0, 0, 0, 255), "jpeg"), [[0] * 3] * 16),
    "webp": (saved("RGB", (1, 2, 3), "webp", lossless=True), [[1, 2, 3]] * 16),
    "webp with alpha": (saved("RGBA", (1, 2, 3, 0), "webp", lossless=True, exact=True), [WHITE] * 16),
}  # fmt: skip


@pytest.mark.parametrize("kind", ZOO)
def test_the_zoo(tmp_path: Path, kind: str) -> None:
    data, expected = ZOO[kind]
    path = tmp_path / "picture"  # what counts is the content
    path.write_bytes(data)
    found, moves, _ = decode(path, None, 3)
    assert found.dtype == np.uint8
    assert found[0].tolist() == expected
    assert moves == ("of two" in kind)


def test_a_tiff_that_this_pillow_cannot_decode_is_called_by_name(tmp_path: Path) -> None:
    """Pillow reads the YCbCr TIFFs that it writes since version 13."""
    path = tmp_path / "picture"
    path.write_bytes(saved("YCbCr", (76, 85, 255), "tiff"))
    if int(PIL.__version__.split(".")[0]) >= 13:
        assert decode(path, None, 3).pixels[0].tolist() == [[254, 0, 0]] * 16
    else:
        with pytest.raises(DataError, match=r"a TIFF of 3 bands \(8 bits, YCbCr\), which is not read. Convert it"):
            decode(path, None, 3)


def test_grey_is_luma(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(3, 1, 8, 2, bytes([255, 0, 0, 0, 255, 0, 0, 0, 255])))
    assert decode(path, None, 1).pixels.tolist() == [[[76], [150], [29]]]  # 0.299, 0.587 and 0.114 of 255
    path.write_bytes(png(1, 1, 8, 6, bytes(4)))
    assert decode(path, None, 1).pixels.tolist() == [[[255]]]


def test_a_colour_profile_is_not_applied(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    (tmp_path / "a.png").write_bytes(saved("RGB", (10, 120, 230), "png", icc_profile=profile))
    assert decode(tmp_path / "a.png", None, 3).pixels[0, 0].tolist() == [10, 120, 230]


@pytest.mark.parametrize("band", [1, 70, 2**18])
def test_lab_is_the_colour_management_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, band: int) -> None:
    monkeypatch.setattr(pictures, "_BAND", band)  # pixels at a time
    rng = np.random.default_rng(0)
    colours = rng.integers(60, 200, (10, 20, 3), np.uint8)
    there = ImageCms.profileToProfile(
        Image.fromarray(colours), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(20, 10, np.asarray(there).tobytes(), bits=(8,) * 3, photometric=8))
    back = decode(path, None, 3).pixels
    assert np.abs(back.astype(int) - colours).max() <= 4  # L*a*b* in 8 bits is coarse


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            tiff(1, 1, float_bits(1.5), bits=(32,), tags={339: (3, 3)}),
            "float pixels from 1.5 to 1.5, expected 0",
        ),
        (tiff(1, 1, float_bits(float("nan")), bits=(32,), tags={339: (3, 3)}), "float pixels from nan to nan"),
        (tiff(1, 1, struct.pack("<i", 70_000), bits=(32,), tags={339: (3, 2)}), "32-bit integer pixels, expected 8 or"),
        (tiff(1, 1, struct.pack("<i", -1), bits=(32,), tags={339: (3, 2)}), "32-bit integer pixels, expected 8 or"),
        (b"", "not an image, expected PNG, JPEG"),
        (b"<!DOCTYPE html>", "not an image, expected PNG, JPEG"),
        (b"%PDF-1.4", "not an image"),
        (bomb(5001, 5000), "more than 25,000,000 pixels"),
        (bomb(20_000, 20_000), "more than 25,000,000 pixels"),
        (bomb(2**31 - 1, 2**31 - 1), "more than 25,000,000 pixels"),
    ],
)
def test_what_has_no_agreed_meaning(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    with pytest.raises(DataError, match=words) as caught:
        decode(path, None, 3)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_limit_of_pixels_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(3, 2, 8, 0, bytes(6)))
    assert decode(path, None, 3, max_pixels=6).pixels.shape == (2, 3, 3)
    with pytest.raises(DataError, match="more than 5 pixels"):
        decode(path, None, 3, max_pixels=5)
    assert MAX_PIXELS == 25_000_000


@pytest.mark.parametrize(("width", "height"), [(1, 140_000_000), (140_000_000, 1), (1_000_001, 1)])
def test_a_side_that_nobody_has_is_refused_before_it_is_resized(tmp_path: Path, width: int, height: int) -> None:
    """Of which Pillow's resizing says that there is no memory, though a few pixels are asked for."""
    path = tmp_path / "a.png"
    path.write_bytes(bomb(width, height))
    with pytest.raises(DataError, match=f"a.png: a picture of {height}x{width}, expected sides of at most 1,000,000"):
        decode(path, (4, 4), 3, max_pixels=LARGEST)
    assert header(path) is None


def test_huge_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bomb(1, 1, (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000)))))
    with pytest.raises(DataError, match=r"(?i)decompressed data too large"):
        decode(tmp_path / "a.png", None, 3)


TURNED = {  # EXIF orientation -> what the corners (top left, top right, bottom left, bottom right) become
    1: "abcd", 2: "badc", 3: "dcba", 4: "cdab", 5: "acbd", 6: "cadb", 7: "dbca", 8: "bdac",
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    corners = np.array([[10, 20], [30, 40]], np.uint8).repeat(8, 0).repeat(8, 1)[:, :12]
    Image.fromarray(corners).save(tmp_path / "a.jpg", exif=exif, quality=100)
    image = decode(tmp_path / "a.jpg", None, 1).pixels[..., 0]
    assert image.shape == ((16, 12) if orientation < 5 else (12, 16))
    seen = [image[0, 0], image[0, -1], image[-1, 0], image[-1, -1]]
    assert "".join("abcd"[round(int(value) / 10) - 1] for value in seen) == TURNED[orientation]


def orientation_of(kind: int, count: int, value: bytes) -> bytes:
    """An orientation as a field of TIFF: its kind of number, how many, and their bytes."""
    return struct.pack("<HHI4s", 274, kind, count, value.ljust(4, b"\0"))


ORIENTATIONS = {  # as broken tools write it, too
    **{f"short {value}": (3, 1, struct.pack("<H", value)) for value in (0, 3, 5, 6, 7, 8, 9, 65535)},
    "two": (3, 2, struct.pack("<HH", 6, 1)),
    "text": (2, 2, b"6\0"),
    "bytes": (1, 1, b"\6"),
    "undefined": (7, 1, b"\6"),
    "long": (4, 1, b"\6"),
}


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_header_is_turned_as_its_pixels_are(suffix: str, name: str, tmp_path: Path) -> None:
    path, field = tmp_path / f"a.{suffix}", orientation_of(*ORIENTATIONS[name])
    if suffix == "tif":
        Image.new("RGB", (12, 8)).save(path, tiffinfo={274: 1})
        path.write_bytes(path.read_bytes().replace(orientation_of(3, 1, b"\1"), field))
    else:
        exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + field + bytes(4)
        Image.new("RGB", (12, 8)).save(path, exif=exif)
    head = header(path)
    assert head is not None
    assert (head.height, head.width) == decode(path, None, 3).pixels.shape[:2]


def test_resizing_antialiases(tmp_path: Path) -> None:
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    small = decode(tmp_path / "a.png", (4, 8), 3).pixels
    assert small.shape == (4, 8, 3)
    assert np.abs(small.astype(int) - 128).max() < 8  # without antialiasing: stripes


def test_a_chunk_that_lies_about_its_length_reserves_no_memory(tmp_path: Path) -> None:
    sound = png(2, 1, 8, 0, b"\x4d\x00")
    place = sound.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(sound[:place] + struct.pack(">I", 2**31 - 1) + sound[place + 4 :])
    tracemalloc.start()
    try:
        with contextlib.suppress(DataError):
            decode(tmp_path / "a.png", None, 1)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_libtiff_says_nothing_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = saved("L", 77, "tiff", compression="tiff_lzw")
    (tmp_path / "a.tif").write_bytes(data.replace(b"\x80", b"\xff", 1)[:-1] + b"\xff")
    cut = tmp_path / "b.tif"
    cut.write_bytes(data[:8] + b"\xff" * 20 + data[28:])
    refused = 0
    for path in (tmp_path / "a.tif", cut):
        try:
            decode(path, None, 1)
        except DataError:
            refused += 1
    assert refused
    if Path("/proc/self/maps").exists():
        assert capfd.readouterr().err == ""


# Clips


def test_frames_are_evenly_spaced() -> None:
    assert evenly(16, 4) == [0, 4, 8, 12]
    assert evenly(5, 3) == [0, 1, 3]
    assert evenly(2, 4) == [0, 0, 1, 1]
    assert evenly(1, 3) == [0, 0, 0]


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    frames = [Image.new("RGB", (6, 4), (40 * index, 255, 255)) for index in range(6)]
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    clip = decode_clip(path, lambda n, _times: evenly(n, 3), None, 3)
    assert (clip.shape, clip.dtype) == ((3, 4, 6, 3), np.uint8)
    assert clip[:, 0, 0, 0].tolist() == [0, 80, 160]
    assert decode_clip(path, lambda n, _times: evenly(n, 12), (2, 2), 1).shape == (12, 2, 2, 1)
    assert decode(path, None, 3).moves
    monkeypatch.setattr(pictures, "_MAX_CLIP", 5)
    with pytest.raises(DataError, match="6 frames of 4x6, too many pixels"):
        decode_clip(path, lambda n, _times: evenly(n, 3), None, 3, max_pixels=24)


def test_a_still_picture_is_a_clip_of_itself(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1, 1, 8, 0, b"\x4d"))
    assert decode_clip(tmp_path / "a.png", lambda n, _times: evenly(n, 2), None, 1).tolist() == [[[[77]]], [[[77]]]]


def test_pages_of_different_sizes(tmp_path: Path) -> None:
    pages = [Image.new("L", (4, 4)), Image.new("L", (5, 4))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match="frames of different sizes"):
        decode_clip(tmp_path / "a.tif", lambda n, _times: evenly(n, 2), None, 1)
    assert decode_clip(tmp_path / "a.tif", lambda n, _times: evenly(n, 2), (4, 4), 1).shape == (2, 4, 4, 1)


# Whatever comes


def test_warnings_are_silent_in_every_thread_and_come_back(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(ZOO["png palette, one transparent"][0])
    before = warnings.filters[:]
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(30):
                decode(tmp_path / "a.png", None, 3)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert warnings.filters == before


# TIFF, against tifffile

with np.load(Path(__file__).parents[1] / "golden" / "tiffs.npz") as _golden:
    GOLDEN = dict(_golden)
# the order of bytes of this machine, and the other, in which Pillow reads compressed floats wrongly
OURS, OTHER, FOREIGN = ("le", "be", "big") if sys.byteorder == "little" else ("be", "le", "little")
READ = (  # kinds of which every file has to be read, and not only read rightly if it is
    "u1 grey", "u1 white is 0", "u2 grey", "u2 white is 0 le", f"f4 grey {OURS}", f"f4 white is 0 {OURS}", "2 bits",
    "4 bits", "12 bits grey", "u1 rgb contig", "u2 rgb contig", "u1 separated contig unspecified", "palette",
    "u1 rgb turned", "u2 miniswhite turned", "f4 white is 0 big", "f4 grey classic",
)  # fmt: skip


@pytest.mark.parametrize("kind", [name[:-4] for name in GOLDEN if name.endswith(".tif")])
def test_a_tiff_means_what_tifffile_says_or_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    """Grey of 8 and 16 bits, floats, colours, inks; white is 0; turned; in strips and tiles; packed; BigTIFF."""
    golden = GOLDEN
    meant, path = golden[f"{kind}.meant"], tmp_path / "a.tif"
    path.write_bytes(golden[f"{kind}.tif"].tobytes())
    try:
        found = decode(path, None, meant.shape[2]).pixels
    except DataError as error:
        said = str(error)
        found = None
    if found is None:
        assert not kind.startswith(READ), said
        assert re.search(r"TIFF of \d+ bands? \(.*\), which is not read. Convert|32-bit integer pixels", said)
        return
    assert not np.isnan(meant).any(), "read, and has no agreed meaning"
    assert found.shape == meant.shape
    assert np.abs(found - 255.0 * meant).max() <= (3 if "alpha" in kind or "separated" in kind else 1.01)
    head = pictures.header(path)
    assert head is not None
    assert (head.height, head.width, head.grey) == (*meant.shape[:2], meant.shape[2] == 1)


def test_tiffs_of_a_kind_that_is_not_read_are_called_by_name(tmp_path: Path) -> None:
    said = {}
    for kind in (
        "13 bands f4",
        "i2 grey le None",
        "f4 rgb contig",
        f"f4 grey {OTHER} zlib",
        "12 bits white is 0",
        "linear_raw",
    ):
        (tmp_path / "a.tif").write_bytes(GOLDEN[f"{kind}.tif"].tobytes())
        with pytest.raises(DataError) as caught:
            decode(tmp_path / "a.tif", None, 3)
        said[kind] = str(caught.value).split(": a TIFF of ")[1].split(", which is not read")[0]
    assert said == {
        "13 bands f4": "13 bands (32-bit floats, grey)",
        "i2 grey le None": "1 band (16-bit signed integers, grey)",
        "f4 rgb contig": "3 bands (32-bit floats, RGB)",
        f"f4 grey {OTHER} zlib": f"1 band (32-bit floats, grey, compressed, {FOREIGN}-endian)",
        "12 bits white is 0": "1 band (12 bits, grey, white is 0)",
        "linear_raw": "3 bands (8 bits, raw linear)",
    }


# JPEG, whose scans each go over all pixels


def scanned(width: int, height: int, further: int, progressive: bool = True, mode: str = "L") -> bytes:
    """A JPEG with so many empty scans more than it needs."""
    file = io.BytesIO()
    Image.new(mode, (width, height), 100).save(file, "jpeg", progressive=progressive)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    head = data[last : last + 2 + int.from_bytes(data[last + 2 : last + 4])]
    return data[:-2] + head * further + b"\xff\xd9"


def test_scans_are_counted_up_to_the_end_of_the_picture() -> None:
    needed = scans(scanned(8, 8, 0))
    assert needed > 1
    assert scans(scanned(8, 8, 0, progressive=False)) == 1
    assert scans(scanned(8, 8, 500)) == needed + 500
    behind = b"\xff\xda\0\2" * 50  # as of a film that a telephone appends
    assert scans(scanned(8, 8, 0) + behind) == needed
    comment = b"\xff\xfe" + (2 + len(behind)).to_bytes(2) + behind  # as of a preview
    assert scans(scanned(8, 8, 0)[:2] + comment + scanned(8, 8, 0)[2:]) == needed
    rng = np.random.default_rng(0)
    for quality in (30, 95):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (300, 200, 3), np.uint8)).save(file, "jpeg", quality=quality)
        assert scans(file.getvalue()) == 1
    assert [scans(data) for data in (b"", b"\xff\xd8", b"\xff\xd8\xff\xda", b"\xff" * 99)] == [0, 0, 1, 0]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_scans_are_bounded_as_pixels_are(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(scanned(1000, 1000, 20_000, mode=mode))
    began = time.process_time()
    with pytest.raises(DataError, match=r"a.jpg: 20,0\d\d scans of 1000x1000, too much work to decode. Save it as"):
        decode(path, (8, 8), 3)
    assert time.process_time() - began < 1
    path.write_bytes(scanned(200, 200, 20_000, mode=mode))  # as much work as 800 million pixels, which may be
    assert decode(path, (8, 8), 3).pixels.shape == (8, 8, 3)
    path.write_bytes(scanned(1000, 1000, 20, mode=mode))
    assert decode(path, (8, 8), 3).pixels.shape == (8, 8, 3)


def test_decoding_ends_when_nobody_waits_for_it(tmp_path: Path) -> None:
    """A file given in pieces is given up between two of them, so that a signal ends a run that is decoding."""
    path = tmp_path / "a.jpg"
    path.write_bytes(scanned(900, 900, 900))
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "b.png")
    read: list[int] = []
    contents = Reader(threads=2).map(
        lambda one: read.append(len(decode(one, None, 3).pixels)), [path, tmp_path / "b.png"] * 9
    )
    next(contents)
    began = time.monotonic()
    contents.close()
    assert time.monotonic() - began < 5
    assert len(read) < 18

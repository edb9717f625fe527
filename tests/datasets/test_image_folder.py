"""Image folders: what every kind of file means in pixels, what is ignored, and what is refused by name."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnntrain import registry
from cnntrain.arrays import Array
from cnntrain.datasets.image_folder import MAX_PIXELS, decode
from cnntrain.errors import DataError
from tests.support.datasets import SHARED, pixels, refusal

# isort: split
import numpy as np
import pytest
from PIL import Image


def write(path: Path, value: Array | int = 0, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.full((4, 6, 3), value, np.uint8) if isinstance(value, int) else value
    Image.fromarray(array).save(path, **options)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, two training images each and one for validation."""
    for split, count in (("train", 2), ("val", 1)):
        for value, name in ((10, "cat"), (20, "dog")):
            for index in range(count):
                write(tmp_path / split / name / f"{index}.png", value + index)
    return tmp_path


def make(root: Path, **fields: Any) -> Any:
    return registry.make("datasets", "image_folder", root=str(root), **fields)


# Which files, which classes


def test_splits_classes_and_order(root: Path) -> None:
    source = make(root)
    assert source.splits() == ("train", "val")
    assert source.describe() is None
    train, val = source.load("train"), source.load("val")
    assert train.classes == val.classes == ("cat", "dog")
    assert train.pixels[:, 0, 0, 0].tolist() == [10, 11, 20, 21]
    assert train.targets.tolist() == [0, 0, 1, 1]
    assert val.targets.tolist() == [0, 1]
    assert train.shape == (4, 6, 3)
    assert [str(path.relative_to(root)) for path in source.files("val")] == ["val/cat/0.png", "val/dog/0.png"]


def test_without_split_folders_all_is_training(root: Path) -> None:
    assert make(root / "train").splits() == ("train",)
    assert make(root / "train").load("train").classes == ("cat", "dog")


def test_classes_and_files_are_sorted_by_code_point(tmp_path: Path) -> None:
    for name in ("b", "B", "10", "2", "é", "a b"):
        for file in ("2.png", "10.PNG"):
            write(tmp_path / name / file, 10 if file == "10.PNG" else 2)
    images = make(tmp_path).load("train")
    assert images.classes == ("10", "2", "B", "a b", "b", "é")
    assert images.pixels[:, 0, 0, 0].tolist() == [10, 2] * 6


def test_ignored_names_and_deeper_folders(root: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "notes.txt", ".hidden.png", "image.png.part", "noending"):
        (root / "train" / "cat" / name).write_bytes(b"nothing")
    (root / "train" / ".cache").mkdir()
    (root / "train" / "README.md").write_text("x")
    write(root / "train" / "cat" / ".thumbs" / "a.png")
    write(root / "train" / "cat" / "more" / "deep" / "x.bmp", 99)
    images = make(root).load("train")
    assert images.classes == ("cat", "dog")
    assert images.pixels[:, 0, 0, 0].tolist() == [10, 11, 99, 20, 21]


def test_links_are_followed_and_never_in_circles(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write(outside / "far.png", 77)
    cat = root / "train" / "cat"
    (cat / "outside").symlink_to(outside)
    (cat / "self").symlink_to(cat)
    (cat / "up").symlink_to(root / "train")
    (cat / "loop").symlink_to(cat / "loop")
    (outside / "back").symlink_to(cat)
    assert make(root).load("train").pixels[:, 0, 0, 0].tolist() == [10, 11, 77, 20, 21]


def test_pipes_are_skipped(root: Path) -> None:
    os.mkfifo(root / "train" / "cat" / "pipe.png")
    assert len(make(root).load("train")) == 4
    with pytest.raises(DataError, match="not a regular file"):
        decode(root / "train" / "cat" / "pipe.png", None, 3)


def test_val_may_lack_a_class(root: Path) -> None:
    (root / "val" / "cat" / "0.png").unlink()
    (root / "val" / "cat").rmdir()
    assert make(root).load("val").targets.tolist() == [1]


def test_class_of_val_unknown_to_train(root: Path) -> None:
    write(root / "val" / "cta" / "0.png")
    said = refusal("image_folder", "val", root=str(root))
    assert f"{root / 'val' / 'cta'}: class 'cta' is not among the 2 classes of train (cat, dog). Rename it" in said


def test_empty_class(root: Path) -> None:
    (root / "train" / "emu").mkdir()
    (root / "train" / "emu" / "notes.txt").write_text("none yet")
    assert f"{root / 'train' / 'emu'} holds no images, expected files named" in refusal("image_folder", root=str(root))


def test_too_few_classes(tmp_path: Path) -> None:
    assert f"{tmp_path} has 0 class folders, expected 2 or more" in refusal("image_folder", root=str(tmp_path))
    write(tmp_path / "cat" / "a.png")
    assert f"{tmp_path} has 1 class folders" in refusal("image_folder", root=str(tmp_path))


def test_folders_named_almost_like_a_split(root: Path) -> None:
    (root / "validation").mkdir()
    said = refusal("image_folder", root=str(root))
    assert f"{root / 'validation'} is not read: the folder must be called 'val'" in said


def test_splits_that_are_missing(root: Path) -> None:
    assert "has no folder 'test', found train, val" in refusal("image_folder", "test", root=str(root))
    (root / "train").rename(root / "elsewhere")
    assert f"{root} has val but no train: the classes are those of train" in refusal("image_folder", root=str(root))


def test_root_that_is_missing_or_a_file(root: Path) -> None:
    assert f"{root / 'no'} does not exist, expected a folder" in refusal("image_folder", root=str(root / "no"))
    file = root / "train" / "cat" / "0.png"
    assert f"{file} is not a folder" in refusal("image_folder", root=str(file))


def test_class_names_that_cannot_be_printed(root: Path) -> None:
    write(root / "train" / "two\nlines" / "a.png")
    assert "has a folder named 'two\\nlines', expected printable" in refusal("image_folder", root=str(root))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folder_without_permission(root: Path) -> None:
    (root / "train" / "cat").chmod(0)
    try:
        assert "Permission denied" in refusal("image_folder", root=str(root))
    finally:
        (root / "train" / "cat").chmod(0o755)


# Bad images


def test_unreadable_images_are_counted_and_the_first_is_named(root: Path) -> None:
    cat = root / "train" / "cat"
    (cat / "1.png").write_bytes(b"")
    (cat / "2.jpg").write_bytes(b"<!DOCTYPE html>")
    (cat / "3.png").symlink_to(root / "gone.png")
    said = refusal("image_folder", root=str(root))
    assert f"3 of 6 images unreadable, first: {cat / '1.png'}: not an image, expected PNG, JPEG" in said
    (cat / "1.png").unlink()
    (cat / "2.jpg").unlink()
    said = refusal("image_folder", root=str(root))
    assert f"1 of 4 images unreadable, first: {cat / '3.png'}: No such file or directory. Mend or remove" in said


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tif"])
def test_image_cut_short(root: Path, suffix: str) -> None:
    path = write(root / "train" / "cat" / f"z.{suffix}", pixels(1, 4, 6, 3)[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert f"1 of 5 images unreadable, first: {path}: " in refusal("image_folder", root=str(root))


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of zeros that says it is so large, and the chunks before its data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = b"".join(chunk(*one) for one in chunks)
    data = zlib.compress(bytes(min((width + 1) * height, 1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(5001, 5000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_image_that_is_too_large_is_not_decoded(root: Path, width: int, height: int) -> None:
    path = root / "train" / "dog" / "bomb.png"
    path.write_bytes(png(width, height))
    said = refusal("image_folder", root=str(root))
    assert f"{path}: more than {MAX_PIXELS:,} pixels" in said


def test_huge_text_in_a_png(root: Path) -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(100_000_000))
    path = root / "train" / "dog" / "text.png"
    path.write_bytes(png(4, 4, (b"zTXt", text)))
    assert f"{path}: " in refusal("image_folder", root=str(root))


def test_images_of_different_sizes(root: Path) -> None:
    path = write(root / "train" / "dog" / "big.png", np.zeros((9, 8, 3), np.uint8))
    said = refusal("image_folder", root=str(root))
    assert said.startswith(f"{path} is 9x8 (height x width), {root / 'train' / 'cat' / '0.png'} is 4x6: expected one")
    assert "Set size: [height, width]" in said
    images = make(root, size=(5, 7), channels=1).load("train")
    assert images.shape == (5, 7, 1)
    assert make(root, size=5).load("train").shape == (5, 5, 3)


def test_nothing_but_data_errors_from_mutated_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for suffix in ("png", "jpg", "bmp", "gif", "webp", "tif"):
        original = write(tmp_path / f"a.{suffix}", pixels(1, 9, 7, 3)[0]).read_bytes()
        for _ in range(100):
            data = bytearray(original)
            for _ in range(rng.integers(1, 6)):
                data[rng.integers(len(data))] = rng.integers(256)
            path = tmp_path / f"b.{suffix}"
            path.write_bytes(data)
            try:
                image = decode(path, (6, 5), 3)
            except DataError:
                continue
            assert (image.shape, image.dtype) == ((6, 5, 3), np.uint8)


# What pixels mean


def pixel(path: Path, channels: int = 3) -> list[int]:
    """The colour of an image that has one colour."""
    image = decode(path, None, channels)
    assert (image == image[0, 0]).all()
    values: list[int] = image[0, 0].tolist()
    return values


def flat(mode: str, colour: Any) -> Image.Image:
    return Image.new(mode, (6, 4), colour)


def palette(transparency: int | None = None) -> Image.Image:
    image = flat("P", 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def sixteen(value: int) -> Image.Image:
    return Image.fromarray(np.full((4, 6), value, np.uint16))


ZOO: dict[str, tuple[Callable[[], Image.Image], str, list[int]]] = {
    "grey": (lambda: flat("L", 77), "png", [77] * 3),
    "one bit": (lambda: flat("1", 1), "png", [255] * 3),
    "one bit tiff": (lambda: flat("1", 0), "tif", [0] * 3),
    "colour": (lambda: flat("RGB", (1, 2, 3)), "png", [1, 2, 3]),
    "palette": (palette, "png", [200, 100, 50]),
    "palette, seen through": (lambda: palette(1), "png", [255] * 3),
    "palette, transparency elsewhere": (lambda: palette(0), "png", [200, 100, 50]),
    "grey with alpha": (lambda: flat("LA", (0, 0)), "png", [255] * 3),
    "colour with alpha": (lambda: flat("RGBA", (0, 100, 200, 51)), "png", [204, 224, 244]),
    "16 bits": (lambda: sixteen(0x8000), "png", [128] * 3),
    "16 bits white": (lambda: sixteen(0xFFFF), "png", [255] * 3),
    "16 bits, little": (lambda: sixteen(257 * 3 + 100), "tif", [3] * 3),
    "inks": (lambda: flat("CMYK", (0, 255, 0, 0)), "tif", [255, 0, 255]),
}


@pytest.mark.parametrize("kind", ZOO)
def test_kinds_of_pixels(tmp_path: Path, kind: str) -> None:
    make_image, suffix, expected = ZOO[kind]
    image = make_image()
    image.save(tmp_path / f"a.{suffix}", **{key: image.info[key] for key in ("transparency",) if key in image.info})
    assert pixel(tmp_path / f"a.{suffix}") == expected


def test_grey_is_luma(tmp_path: Path) -> None:
    flat("RGB", (255, 0, 0)).save(tmp_path / "a.png")
    flat("RGBA", (0, 0, 0, 0)).save(tmp_path / "b.png")
    assert pixel(tmp_path / "a.png", 1) == [76]  # 0.299 of 255
    assert pixel(tmp_path / "b.png", 1) == [255]


@pytest.mark.parametrize(
    ("mode", "colour", "words"), [("F", 0.5, "float"), ("I", 70_000, "integer"), ("I", -1, "integer")]
)
def test_pixels_of_no_agreed_range(tmp_path: Path, mode: str, colour: Any, words: str) -> None:
    flat(mode, colour).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=f"a.tif: 32-bit {words} pixels, expected 8 or 16 bits: convert it"):
        decode(tmp_path / "a.tif", None, 3)


TURNED = {  # EXIF orientation -> what the corners (top left, top right, bottom left, bottom right) become
    1: "abcd", 2: "badc", 3: "dcba", 4: "cdab", 5: "acbd", 6: "cadb", 7: "dbca", 8: "bdac",
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    corners = np.array([[10, 20], [30, 40]], np.uint8).repeat(8, 0).repeat(8, 1)[:, :12]
    path = write(tmp_path / "a.jpg", corners, exif=exif, quality=100)
    image = decode(path, None, 1)[..., 0]
    assert image.shape == ((16, 12) if orientation < 5 else (12, 16))
    seen = [image[0, 0], image[0, -1], image[-1, 0], image[-1, -1]]
    assert "".join("abcd"[round(int(value) / 10) - 1] for value in seen) == TURNED[orientation]


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_first_frame_of_several(tmp_path: Path, suffix: str) -> None:
    frames = [flat("RGB", (255, 255, 255)), flat("RGB", (0, 0, 0))]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    assert pixel(tmp_path / f"a.{suffix}") == [255, 255, 255]


def test_resizing_antialiases(tmp_path: Path) -> None:
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = decode(write(tmp_path / "a.png", stripes), (4, 8), 3)
    assert small.shape == (4, 8, 3)
    assert np.abs(small.astype(int) - 128).max() < 8  # without antialiasing: stripes


def test_traffic_signs() -> None:
    root = SHARED / "image-folder" / "gtsrb-12"
    if not root.is_dir():
        pytest.skip(f"the traffic signs are not at {root}")
    source = make(root, size=(8, 8))
    train, val = source.load("train"), source.load("val")
    assert (len(train), len(val), len(train.classes)) == (2072, 512, 12)
    assert train.classes == val.classes
    assert not set(source.files("train")) & set(source.files("val"))

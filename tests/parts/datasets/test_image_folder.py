"""Image folders: which files and classes there are, what is ignored, and what is refused by name."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.data.recognition import recognize
from cnntrain.reading.pictures import decode
from cnntrain.reading.reader import Reader
from tests.support.datasets import SHARED, pixels, refusal
from tests.support.pictures import bomb, gif


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
    assert f"{tmp_path} has 1 class folder, expected" in refusal("image_folder", root=str(tmp_path))


def test_a_split_that_is_not_sorted_into_classes_is_refused_wherever_it_is_looked_at(root: Path) -> None:
    write(root / "test" / "1.png")
    write(root / "test" / "2.png")
    source = make(root)
    for look in (source.load, source.load_some, source.files, source.labelled_samples):
        with pytest.raises(DataError, match=f"{root / 'test'} has no folder for a class, but 2 images. .*predict RUN"):
            look("test")
    shutil.rmtree(root / "val")
    (root / "val").mkdir()
    said = refusal("image_folder", "val", root=str(root))
    assert said == f"{root / 'val'} has no folder for a class, expected those of train. Add them, or remove it"


def test_folders_named_almost_like_a_split(root: Path) -> None:
    (root / "validation").mkdir()
    said = refusal("image_folder", root=str(root))
    assert f"{root / 'validation'} is not read: the folder must be called 'val'" in said


def test_splits_that_are_missing(root: Path) -> None:
    assert "has no folder 'test', found train, val" in refusal("image_folder", "test", root=str(root))
    (root / "train").rename(root / "elsewhere")
    assert f"{root} has val but no train: the classes are those of train" in refusal("image_folder", root=str(root))


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_class_that_is_called_like_a_split_is_told(tmp_path: Path, name: str) -> None:
    for folder in ("bus", "car", name):
        write(tmp_path / folder / "a.png")
    (tmp_path / "notes").mkdir()
    told = (
        f"{tmp_path / name} is taken for a split because of its name, and has no folder for a class in it. If it is a "
        f"class, like bus, car beside it, rename it, or move all classes into {tmp_path / 'train'}"
    )
    assert refusal("image_folder", root=str(tmp_path)) == told
    whole = (
        f"or name a .npz or .csv file. If {name} is a class, like bus, car, notes beside it, rename it, or move all "
        f"classes into {tmp_path / 'train'}: because of its name it is taken for a split"
    )
    with pytest.raises(DataError, match=re.escape(whole)):
        recognize(tmp_path)
    (tmp_path / name).rename(tmp_path / "kept")
    for folder in ("bus", "car", "kept"):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / folder).rename(tmp_path / "train" / (name if folder == "kept" else folder))
    (tmp_path / "notes").rmdir()
    assert make(tmp_path).load("train").description.classes == tuple(sorted(("bus", "car", name)))


@pytest.mark.parametrize(("white", "told"), [(4095, True), (200, True), (4096, False), (65535, False)])
def test_pictures_of_12_bits_in_16_are_told(tmp_path: Path, white: int, told: bool) -> None:
    said: list[str] = []
    for name in ("cell", "none"):
        write(tmp_path / name / "a.png", np.linspace(0, white, 24).astype(np.uint16).reshape(4, 6))
        write(tmp_path / name / "dark.png", np.zeros((4, 6), np.uint16))
    make(tmp_path).load("train", Reader(warn=said.append))
    assert [line[:60] for line in said] == told * ["2 images have 16 bits and no value above 4095, so that 16 gr"]


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
    assert (
        f"1 of 4 images unreadable, first: {cat / '3.png'}: It is a link that leads nowhere. Mend or remove it" in said
    )


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tif"])
def test_image_cut_short(root: Path, suffix: str) -> None:
    path = write(root / "train" / "cat" / f"z.{suffix}", pixels(1, 4, 6, 3)[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert f"1 of 5 images unreadable, first: {path}: " in refusal("image_folder", root=str(root))


def test_image_that_is_too_large_is_not_decoded(root: Path) -> None:
    path = root / "train" / "dog" / "bomb.png"
    path.write_bytes(bomb(20_000, 20_000))
    assert f"{path}: more than 25,000,000 pixels" in refusal("image_folder", root=str(root))
    path.unlink()
    assert "0.png: more than 23 pixels" in refusal("image_folder", root=str(root), max_pixels=23)


def test_images_of_different_sizes(root: Path) -> None:
    path = write(root / "train" / "dog" / "big.png", np.zeros((9, 8, 3), np.uint8))
    said = refusal("image_folder", root=str(root))
    assert said.startswith(f"{path} is 9x8 (height x width), {root / 'train' / 'cat' / '0.png'} is 4x6: expected one")
    assert "Set size: [height, width]" in said
    images = make(root, size=(5, 7), channels=1).load("train")
    assert images.shape == (5, 7, 1)
    assert make(root, size=5).load("train").shape == (5, 5, 3)


def test_traffic_signs() -> None:
    root = SHARED / "image-folder" / "gtsrb-12"
    if not root.is_dir():
        pytest.skip(f"the traffic signs are not at {root}")
    source = make(root, size=(8, 8))
    train, val = source.load("train"), source.load("val")
    assert (len(train), len(val), len(train.classes)) == (2072, 512, 12)
    assert train.classes == val.classes
    assert not set(source.files("train")) & set(source.files("val"))


def test_moving_pictures_are_told_of_once(root: Path) -> None:
    for name in ("cat", "dog"):
        (root / "train" / name / "z.gif").write_bytes(gif(6, 4, bytes(6), 0, 1))
    said: list[str] = []
    assert len(make(root).load("train", Reader(warn=said.append))) == 6
    assert said == [
        "2 images have several frames or pages, of which the first counts (frames_folder reads such files as clips); "
        f"the first is {root / 'train' / 'cat' / 'z.gif'}"
    ]


def test_splits_that_are_spelt_otherwise_are_not_classes(tmp_path: Path) -> None:
    for split in ("Train", "Test"):
        for name in ("cat", "dog"):
            write(tmp_path / split / name / "0.png")
    said = refusal("image_folder", root=str(tmp_path))
    assert said == (
        f"{tmp_path} has the folders Test, Train, which look like splits: a split's folder must be called 'train', "
        "'val' or 'test'. Rename Train to train and Test to test"
    )
    (tmp_path / "Train").rename(tmp_path / "train")
    said = refusal("image_folder", root=str(tmp_path))
    assert said == f"{tmp_path / 'Test'} is not read: the folder must be called 'test'. Rename it"
    (tmp_path / "Test").rename(tmp_path / "test")
    assert make(tmp_path).load("test").classes == ("cat", "dog")


def warned(source: Any, split: str = "train") -> list[str]:
    said: list[str] = []
    source.load(split, Reader(warn=said.append))
    return said


def test_folders_that_lie_beside_splits_and_hold_pictures_are_told_of(root: Path) -> None:
    write(root / "unlabelled" / "0.png")
    (root / "annotations").mkdir()
    (root / "annotations" / "a.txt").write_text("none")
    assert warned(make(root)) == [f"{root / 'unlabelled'} is not read: beside train, val only splits are"]
    assert warned(make(root), "val") == []


def test_splits_below_the_classes_are_told_of(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for split in ("train", "test"):
            write(tmp_path / name / split / "0.png")
    (said,) = warned(make(tmp_path))
    assert said.startswith(f"{tmp_path / 'cat'} holds test and train, which look like splits: everything in them is")


def test_one_name_in_two_unicode_forms_is_one_class(tmp_path: Path) -> None:
    for index, form in enumerate(("NFC", "NFD")):
        write(tmp_path / "train" / unicodedata.normalize(form, "café") / f"{index}.png", index)
    write(tmp_path / "train" / "dog" / "0.png", 9)
    write(tmp_path / "val" / unicodedata.normalize("NFD", "café") / "0.png", 5)
    images = make(tmp_path).load("train")
    assert images.classes == (unicodedata.normalize("NFC", "café"), "dog")
    assert sorted(images.pixels[images.targets == 0, 0, 0, 0].tolist()) == [0, 1]
    assert make(tmp_path).load("val").targets.tolist() == [0]


def test_files_that_are_left_out_for_their_names_are_counted(root: Path) -> None:
    cat = root / "train" / "cat"
    for name in ("a.heic", "b.HEIC", "c.avif", "d.mov", "notes.txt"):
        (cat / name).write_bytes(b"x")
    write(cat / "z.jfif", format="JPEG")
    source = make(root)
    assert len(source.load("train")) == 5
    assert source.left_out("train") == {".heic": 2, ".avif": 1, ".mov": 1, ".txt": 1}
    (said,) = warned(source)
    what = "4 files are left out for their names: 2 .heic, 1 .avif, 1 .mov. Only"
    assert said.startswith(f"{root / 'train'}: {what}")
    assert warned(source, "val") == []


def test_a_folder_around_the_classes_is_named(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write(tmp_path / "dataset" / name / "0.png")
    said = refusal("image_folder", root=str(tmp_path))
    found = f"{tmp_path} has 1 class folder, expected 2 or more"
    assert said == f"{found}. Is it {tmp_path / 'dataset'}, which holds cat, dog? Name that folder"
    assert make(tmp_path / "dataset").load("train").classes == ("cat", "dog")
    (tmp_path / "archive" / "archive").mkdir(parents=True)
    (tmp_path / "dataset").rename(tmp_path / "archive" / "archive" / "dataset")
    inside = tmp_path / "archive" / "archive" / "dataset"
    assert f"Is it {inside}, which holds cat, dog?" in refusal("image_folder", root=str(tmp_path))

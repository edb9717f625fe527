"""Masks: what their pixels mean, how they are matched with pictures, and what is said of those that are wrong."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image, ImageFilter

from cnntrain.core.description import Description
from cnntrain.core.errors import DataError
from cnntrain.core.masks import IGNORED, palette
from cnntrain.core.registry import make
from cnntrain.data.recognition import recognize
from cnntrain.reading import mask_files
from cnntrain.reading.reader import Reader

MASK = np.array([[0, 1, 1, 2], [0, 0, 255, 2], [0, 0, 1, 1]], np.uint8)


def saved(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, mode).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures of 3x4 and their masks of class numbers."""
    for name in ("a", "b"):
        saved(tmp_path / "images" / f"{name}.png", np.full((3, 4, 3), 99, np.uint8))
        saved(tmp_path / "masks" / f"{name}.png", MASK)
    return tmp_path


def source(folder: Path, **fields: Any) -> Any:
    given: dict[str, Any] = {"classes": 3, "pictures": str(folder / "images"), "masks": str(folder / "masks")}
    return make("datasets", "masks", **(given | fields))


def warned(masks: Any) -> list[str]:
    """What is said while masks are read for training."""
    said: list[str] = []
    masks.load("train", Reader(warn=said.append))
    return said


def test_class_numbers_are_targets_and_255_is_ignored(folder: Path) -> None:
    images = source(folder).load("train")
    assert (images.targets == MASK).all()
    assert images.targets.dtype == np.uint8
    assert images.description == Description((3, 4, 3), ("0", "1", "2"), target="mask")
    assert source(folder, size=(3, 4)).describe() == images.description


def test_a_palette_holds_numbers_and_another_value_can_be_ignored(folder: Path) -> None:
    for name in ("a", "b"):
        image = Image.fromarray(np.where(MASK == 255, 9, MASK))
        image.putpalette(palette(256).tobytes())
        image.save(folder / "masks" / f"{name}.png")
    assert (source(folder, ignore=9).load("train").targets == MASK).all()


def in_palette(path: Path, numbers: np.ndarray, colours: np.ndarray) -> None:
    """A mask whose numbers have these colours."""
    image = Image.fromarray(numbers)
    image.putpalette(colours.astype(np.uint8).tobytes())
    image.save(path)


RED, BLUE = (255, 0, 0), (0, 0, 255)
THINGS = np.array([[0, 0, 1], [2, 2, 0], [1, 0, 0]], np.uint8)


@pytest.mark.parametrize("ending", ["png", "gif", "tif"])
def test_palettes_that_number_each_files_colours_anew_are_told(tmp_path: Path, ending: str) -> None:
    """As optimizing tools write them; `init` goes by the colours, in whichever files they differ."""
    colours = np.array([(0, 0, 0), RED, BLUE], np.uint8)
    pixels = [colours[np.minimum(THINGS, 1)], colours[np.where(THINGS, 2, 0)], colours[THINGS]]
    for name, mask in zip("abc", pixels, strict=True):
        saved(tmp_path / "images" / f"{name}.png", np.full((3, 3, 3), 99, np.uint8))
        (tmp_path / "masks").mkdir(exist_ok=True)
        used, numbers = np.unique(mask.reshape(-1, 3), axis=0, return_inverse=True)
        in_palette(tmp_path / "masks" / f"{name}.{ending}", numbers.reshape(3, 3).astype(np.uint8), used)
    (line,) = warned(source(tmp_path, ignore="none"))
    assert re.search(
        rf"[bc].{ending}: the colour \[(255, 0, 0|0, 0, 255)\] has the number \d, and \d in .*{ending}", line
    )
    assert "as where each file numbers its colours anew, so that numbers tell no classes. If so, set colours" in line
    found: Any = recognize(tmp_path)
    assert (found.classes, found.colours) == (3, ((0, 0, 0), BLUE, RED))
    targets = dataclasses.replace(found, size=None).load("train").targets
    assert (np.array([(0, 0, 0), BLUE, RED])[targets] == pixels).all()


def test_numbers_may_have_several_colours(folder: Path) -> None:
    """Palettes are padded, drawn at random, or not there; a number that is ignored is of any colour."""
    voc, drawn = palette(256), np.random.default_rng(0).integers(1, 255, (256, 3))
    padded = np.where(np.arange(256)[:, None] < 21, voc, 0)
    several = {"voc": voc, "padded": padded, "drawn": drawn, "grey": None}
    plain = np.minimum(MASK, 2)
    for first, second in itertools.combinations(several, 2):
        for mask, ignored in ((MASK, 255), (plain, "none")):
            for name, colours in (("a", several[first]), ("b", several[second])):
                path = folder / "masks" / f"{name}.png"
                saved(path, mask) if colours is None else in_palette(path, mask, colours)
            found: Any = recognize(folder)
            assert (found.classes, found.colours, found.ignore) == (3, None, ignored), (first, second)
            assert warned(dataclasses.replace(found, size=None)) == []


def test_white_that_is_a_class_in_a_palette_is_ignored_in_grey(folder: Path) -> None:
    grey = np.where(MASK == 2, 0, MASK)
    saved(folder / "masks" / "a.png", grey)
    in_palette(folder / "masks" / "b.png", (MASK == 1).astype(np.uint8), np.array([[0] * 3, [255] * 3]))
    found: Any = recognize(folder)
    assert (found.classes, found.colours, found.ignore) == (2, None, 255)
    images = dataclasses.replace(found, size=None).load("train")
    assert (images.targets == [grey, MASK == 1]).all()
    assert warned(dataclasses.replace(found, size=None)) == []


def test_a_start_looks_at_few_masks_and_at_no_pixels_where_palettes_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(120):
        saved(tmp_path / "images" / f"{number:03d}.png", np.full((3, 3, 3), 99, np.uint8))
        (tmp_path / "masks").mkdir(exist_ok=True)
        in_palette(tmp_path / "masks" / f"{number:03d}.png", np.minimum(THINGS, 1), palette(2 + number % 3))
    seen: list[Path] = []
    monkeypatch.setattr(mask_files, "_kind", lambda path, of=mask_files._kind: [of(path), seen.append(path)][0])
    monkeypatch.setattr(mask_files, "_shown", lambda _: pytest.fail("a mask was decoded"))
    assert warned(source(tmp_path, classes=2)) == []
    assert 0 < len(seen) <= 50


def test_palettes_may_differ_in_what_no_pixel_has(folder: Path) -> None:
    for name, rest in (("a", 7), ("b", 8)):
        colours = palette(256).copy()
        colours[rest] = 1
        in_palette(folder / "masks" / f"{name}.png", MASK, colours)
    assert (source(folder).load("train").targets == MASK).all()
    saved(folder / "masks" / "b.png", MASK)  # without a palette: the same numbers
    assert (source(folder).load("train").targets == MASK).all()


@pytest.mark.parametrize("other", ["1 bit", "palette"])
def test_white_of_1_bit_is_white_of_8_bits(folder: Path, other: str) -> None:
    """One is the number 1, the other 255, which is ignored unless the config says otherwise."""
    saved(folder / "masks" / "a.png", np.where(MASK == 1, 255, 0).astype(np.uint8))
    if other == "palette":
        in_palette(folder / "masks" / "b.png", (MASK == 1).astype(np.uint8), np.array([[0] * 3, [255] * 3]))
    else:
        Image.fromarray(MASK == 1).save(folder / "masks" / "b.png")
    (line,) = warned(source(folder, classes=2))
    assert re.search(r"b.png: the colour \[255, 255, 255\] has the number 1, and 255 in .*a.png", line)
    found: Any = recognize(folder)
    assert (found.classes, found.colours) == (("background", "foreground"), ((0, 0, 0), (255, 255, 255)))
    assert (dataclasses.replace(found, size=None).load("train").targets == (MASK == 1)).all()
    for name in ("a", "b"):
        Image.fromarray(MASK == 1).save(folder / "masks" / f"{name}.png")
    assert (source(folder, classes=2).load("train").targets == (MASK == 1)).all()


@pytest.mark.parametrize("ignore", [255, (224, 224, 192)])
def test_colours_of_voc(folder: Path, ignore: Any) -> None:
    for name in ("a", "b"):
        saved(folder / "masks" / f"{name}.png", palette(256)[MASK])
    assert (source(folder, colours="voc", ignore=ignore).load("train").targets == MASK).all()


def test_colours_with_a_table_of_grey_masks(folder: Path) -> None:
    for name in ("a", "b"):
        saved(folder / "masks" / f"{name}.png", np.where(MASK == 1, 255, 0).astype(np.uint8))
    found = source(folder, classes=("no", "yes"), colours=((0, 0, 0), (255, 255, 255)), ignore="none").load("train")
    assert (found.targets == (MASK == 1)).all()


def test_the_palette_is_that_of_voc() -> None:
    colours = palette(256)
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128)}
    assert {label: tuple(colours[label].tolist()) for label in known} == known
    assert tuple(colours[255].tolist()) == (224, 224, 192)
    assert len({tuple(colour) for colour in colours.tolist()}) == 256


def test_resizing_takes_the_nearest_pixel_and_a_frame_is_ignored(folder: Path) -> None:
    larger = source(folder, size=(6, 8)).load("train").targets[0]
    assert (larger == MASK.repeat(2, 0).repeat(2, 1)).all()
    framed = source(folder, size=(8, 8), fit="letterbox").load("train").targets[0]
    assert (framed[1:7] == larger).all()
    assert (framed[[0, 7]] == IGNORED).all()


def test_lists_splits_and_tables_name_the_samples(folder: Path) -> None:
    (folder / "sets").mkdir()
    (folder / "sets" / "train.txt").write_text("b\n")
    (folder / "sets" / "val.txt").write_text("a\n")
    listed = source(folder, lists=str(folder / "sets"))
    assert listed.splits() == ("train", "val")
    assert [Path(name).stem for name in listed.load("train").names] == ["b"]
    for mark in ",;\t":  # as spreadsheets divide columns
        (folder / "t.csv").write_text("mask,image\nmasks/a.png,images/b.png\n".replace(",", mark))
        tabled = make("datasets", "masks", classes=3, table=str(folder / "t.csv"))
        assert [Path(name).stem for name in tabled.load("train").names] == ["b"]
        assert len(tabled.files("train")) == 3


def test_lists_take_names_with_spaces_and_what_is_said_beside_names(folder: Path) -> None:
    for kind in ("images", "masks"):
        (folder / kind / "a.png").rename(folder / kind / "my cat 1.png")
    (folder / "sets").mkdir()
    (folder / "sets" / "train.txt").write_text("my cat 1\n\nb  1\n")
    listed = source(folder, lists=str(folder / "sets"))
    assert [Path(name).stem for name in listed.load("train").names] == ["my cat 1", "b"]


def _no_train(folder: Path) -> None:
    (folder / "images" / "test").mkdir()


def _no_mask(folder: Path) -> None:
    (folder / "masks" / "a.png").unlink()


def _unknown(folder: Path) -> None:
    (folder / "sets" / "train.txt").write_text("a\n\nc\n")


def _twice(folder: Path) -> None:
    (folder / "sets" / "train.txt").write_text("a\nb\na 1\n")


def _nothing(folder: Path) -> None:
    (folder / "sets" / "train.txt").write_text("\n")


@pytest.mark.parametrize(
    ("spoil", "fields", "message"),
    [
        (_no_train, {}, "ROOT/images has test but no train. Add it"),
        (_no_mask, {}, "ROOT/masks has no mask for a.png: expected a.png. Add it, set ending"),
        (_unknown, {"lists": "sets"}, "ROOT/sets/train.txt:3 names 'c', no file of ROOT/images. Add it"),
        (_twice, {"lists": "sets"}, "ROOT/sets/train.txt:3: 'a' is there twice, first in line 1. Remove one"),
        (_nothing, {"lists": "sets"}, "ROOT/sets/train.txt names no picture, expected one in every line. Add them"),
    ],
)
def test_messages_name_files_in_full(
    folder: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, fields: dict[str, str], message: str
) -> None:
    """Wherever the config's paths count from."""
    monkeypatch.chdir(folder)
    (folder / "sets").mkdir()
    spoil(folder)
    with pytest.raises(DataError) as raised:
        source(Path(), **fields).load("train")
    assert str(raised.value).startswith(message.replace("ROOT", str(folder)))
    with pytest.raises(DataError) as raised:
        [path for split in source(Path(), **fields).splits() for path in source(Path(), **fields).files(split)]
    assert str(raised.value).startswith(message.replace("ROOT", str(folder)))


def test_folders_of_splits(folder: Path) -> None:
    for kind in ("images", "masks"):
        for split in ("train", "test"):
            (folder / kind / split).mkdir()
            (folder / kind / f"{'a' if split == 'train' else 'b'}.png").rename(folder / kind / split / "c.png")
    assert source(folder).splits() == ("train", "test")
    assert len(source(folder).load("test")) == 1


def rename(folder: Path) -> None:
    (folder / "masks" / "b.png").rename(folder / "masks" / "c.png")


def add_mask(folder: Path) -> None:
    saved(folder / "masks" / "c.png", MASK)


def larger(folder: Path) -> None:
    saved(folder / "masks" / "b.png", np.zeros((4, 4), np.uint8))


def unknown(folder: Path) -> None:
    saved(folder / "masks" / "b.png", np.where(MASK == 2, 7, MASK).astype(np.uint8))


def coloured(folder: Path) -> None:
    saved(folder / "masks" / "b.png", np.zeros((3, 4, 3), np.uint8))


def transparent(folder: Path) -> None:
    saved(folder / "masks" / "b.png", np.dstack([np.zeros((3, 4, 3), np.uint8), MASK]))


def turned(folder: Path) -> None:
    saved(folder / "masks" / "b.png", np.ascontiguousarray(np.rot90(MASK)))


def damaged(folder: Path) -> None:
    (folder / "masks" / "b.png").write_bytes((folder / "masks" / "a.png").read_bytes()[:50])


def twice(folder: Path) -> None:
    saved(folder / "masks" / "b.bmp", MASK)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (rename, r"masks has no mask for b.png: expected b.png. Add it"),
        (add_mask, r"images has no picture for c.png. Add it, or remove the mask"),
        (turned, r"masks/b.png: 4x3 \(height x width\), its picture b.png is 3x4. The sides are exchanged, as where a"),
        (larger, r"masks/b.png: 4x4 \(height x width\), its picture b.png is 3x4. Make them the same size"),
        (
            unknown,
            r"masks/b.png: the pixel in row 0, column 3 is 7 \(2 such\), expected 0 to 2 or 255 \(ignored\). Mend",
        ),
        (coloured, r"masks/b.png: pixels are colours \(RGB\), expected class numbers. Set colours"),
        (
            transparent,
            r"masks/b.png: pixels differ in their transparency alone, expected class numbers or",
        ),
        (damaged, r"masks/b.png: damaged|masks/b.png: .*(truncated|broken|cut)"),
        (twice, r"b.png and .*b.bmp have one name, so that a mask fits either. Rename one"),
    ],
)
def test_faults_are_named_at_their_file(folder: Path, break_it: Any, message: str) -> None:
    break_it(folder)
    with pytest.raises(DataError, match=message) as caught:
        source(folder).load("train")
    assert str(folder) in str(caught.value)


def test_a_colour_that_is_no_class_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"the pixel in row 0, column 1 is the colour \[1, 1, 1\] \(4 such\)"):
        source(folder, classes=2, colours=((0, 0, 0), (2, 2, 2)), ignore=(255, 255, 255)).load("train")


def test_what_cannot_be_read_can_be_left_out_with_its_picture(folder: Path) -> None:
    damaged(folder)
    images = source(folder, on_bad_image="skip").load("train")
    assert (len(images), len(images.targets), len(images.skipped)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": 1}, "classes must be 2 to 255, got 1"),
        ({"classes": ("a", "a")}, "classes must have different names"),
        ({"colours": ((0, 0, 0),)}, "colours has 1 colour, there are 3 classes"),
        ({"ignore": (0, 0, 0)}, "ignore is a colour, and masks hold class numbers: give a number, or colours"),
        ({"masks": None}, "pictures and masks go together: give both folders, or a table"),
        ({"table": "t.csv"}, "masks takes pictures and masks, or a table: give one of them"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        source(tmp_path, **fields)


@pytest.mark.parametrize("first", ["train", "Train"])
@pytest.mark.parametrize("lists", [None, "lists"])
def test_splits_that_are_spelt_otherwise_are_refused(folder: Path, lists: str | None, first: str) -> None:
    for split in (first, "Test"):
        saved(folder / "images" / split / "a.png", MASK)
        (folder / "lists").mkdir(exist_ok=True)
        (folder / "lists" / f"{split}.txt").write_text("a\n")
    with pytest.raises(DataError, match="Rename"):
        source(folder, lists=lists and str(folder / lists)).splits()


def test_two_folders_are_recognized_by_their_names(folder: Path) -> None:
    assert recognize(folder) == source(folder, size=(32, 32), channels=3)
    for name in ("a", "b"):
        saved(folder / "masks" / f"{name}.png", np.where(MASK == 1, 255, 0).astype(np.uint8))
    found: Any = recognize(folder)
    assert (found.classes, found.colours) == (("background", "foreground"), ((0, 0, 0), (255, 255, 255)))
    assert found.load("train").targets.max() == 1


@pytest.mark.parametrize("place", ["t.csv", "t.tsv", "tables"])
def test_a_table_is_recognized_by_its_columns(folder: Path, place: str) -> None:
    """A file, or a folder with one for each split."""
    table = folder / "tables" / "train.csv" if place == "tables" else folder / place
    table.parent.mkdir(exist_ok=True)

    def written(header: str) -> None:
        rows = [header, *(f"{folder}/masks/{name}.png;{folder}/images/{name}.png;x" for name in "ab")]
        table.write_text("\n".join(rows), encoding="utf-8-sig")

    written("mask;image;note")
    found: Any = recognize(folder / place)
    assert found == make("datasets", "masks", classes=3, table=str(folder / place), size=(32, 32))
    assert (found.load("train").targets.shape, found.ignore) == ((2, 32, 32), 255)
    written("Mask;image;note")
    with pytest.raises(DataError, match=re.escape(f"{table} has a column 'Mask', expected 'mask'. Rename it")):
        recognize(folder / place)
    written("mask;image;label")
    assert recognize(folder / place).name_in_config == "csv"


@pytest.mark.parametrize(("pictures", "masks"), [("Fotos", "Segmente"), ("Original", "GT")])
def test_folders_of_other_names_are_recognized_by_what_they_hold(tmp_path: Path, pictures: str, masks: str) -> None:
    """Not classes whose pictures have the same names: then both have many levels, or both few, or other sizes."""
    rng = np.random.default_rng(0)
    for name in "abc":
        saved(tmp_path / pictures / f"{name}.png", rng.integers(0, 256, (16, 16, 3), np.uint8))
        saved(tmp_path / masks / f"{name}_mask.png", rng.integers(0, 3, (16, 16), np.uint8))
    found: Any = recognize(tmp_path)
    assert (found.name_in_config, found.classes, found.ending) == ("masks", 3, "_mask")
    assert (Path(found.pictures).name, Path(found.masks).name) == (pictures, masks)
    saved(tmp_path / masks / "c_mask.png", rng.integers(0, 3, (16, 17), np.uint8))
    assert recognize(tmp_path).name_in_config == "image_folder"
    saved(tmp_path / masks / "c_mask.png", rng.integers(0, 256, (16, 16), np.uint8))
    assert recognize(tmp_path).name_in_config == "image_folder"
    for path in [*(tmp_path / masks).iterdir(), *(tmp_path / pictures).iterdir()]:
        saved(path, rng.integers(0, 3, (16, 16), np.uint8))
    assert recognize(tmp_path).name_in_config == "image_folder"


def test_folders_are_recognized_whatever_their_capitals(folder: Path) -> None:
    (folder / "images").rename(folder / "Images")
    (folder / "masks").rename(folder / "MASKS")
    for name in ("a", "b"):
        (folder / "MASKS" / f"{name}.png").rename(folder / "MASKS" / f"{name}_mask.png")
    found: Any = recognize(folder)
    assert (found.name_in_config, found.ending, found.ignore) == ("masks", "_mask", 255)
    assert (found.load("train").targets.max(axis=(1, 2)) == 255).all()


def test_pictures_and_masks_that_do_not_fit_are_no_two_classes(folder: Path) -> None:
    """Masks of a format that blurs, masks with other names, and splits that hold the two folders."""
    for path in (folder / "masks").iterdir():
        path.rename(folder / f"{path.name}.kept")
        Image.fromarray(MASK).save(path.with_suffix(".jpg"))
    with pytest.raises(DataError, match=r"masks holds masks in a format that blurs class numbers, .* as PNG"):
        recognize(folder)
    for path in (folder / "masks").iterdir():
        path.unlink()
        (folder / f"{path.stem}.png.kept").rename(folder / "masks" / f"{path.stem} truth.png")
    with pytest.raises(DataError, match=r"no mask that is called as a picture in .*: a truth.png, and a.png. Rename"):
        recognize(folder)
    for name in ("images", "masks"):
        (folder / "train").mkdir(exist_ok=True)
        (folder / name).rename(folder / "train" / name)
    for path in (folder / "train" / "masks").iterdir():
        path.rename(path.with_name(path.name.replace(" truth", "")))
    with pytest.raises(DataError, match="move them to images/train and masks/train"):
        recognize(folder)
    for name in ("images", "masks"):
        (folder / name).mkdir()
        (folder / "train" / name).rename(folder / name / "train")
    (folder / "train").rmdir()
    assert len(recognize(folder).load("train").targets) == 2


@pytest.mark.parametrize("levels", [(64, 128, 191), range(1, 255)])
def test_soft_edges_are_no_classes(folder: Path, levels: Any) -> None:
    soft = np.repeat(np.array([[0, 255]], np.uint8), 400, axis=1)
    soft[0, : len(levels)] = levels
    for name in ("a", "b"):
        saved(folder / "masks" / f"{name}.png", soft)
    with pytest.raises(DataError, match=f"masks of 0 and 255 with {len(levels)} levels between them"):
        recognize(folder)
    for name in ("a", "b"):
        saved(folder / "masks" / f"{name}.png", np.array([[255, *range(151)]], np.uint8))  # as many classes
    assert cast(Any, recognize(folder)).classes == 151


def test_black_and_white_of_16_bits_are_background_and_foreground(folder: Path) -> None:
    for name in ("a", "b"):
        saved(folder / "masks" / f"{name}.png", np.where(MASK == 1, 65535, 0).astype(np.uint16))
    found: Any = recognize(folder)
    assert (found.classes, found.colours) == (("background", "foreground"), ((0, 0, 0), (255, 255, 255)))
    unsized = dataclasses.replace(found, size=None)
    np.testing.assert_array_equal(unsized.load("train").targets[0], MASK == 1)
    saved(folder / "masks" / "b.png", np.where(MASK == 1, 300, 0).astype(np.uint16))
    with pytest.raises(DataError, match=r"b.png: the pixel in row 0, column 1 is the colour \[300, 300, 300\] "):
        found.load("train")


@pytest.mark.parametrize("name", ["masks", "SegmentationClass"])
@pytest.mark.parametrize("pixels", [np.uint16([[0, 1, 1000]]), np.int32([[0, 1, -7]]), np.uint16([[0, 255, 65535]])])
def test_numbers_of_more_than_8_bits_are_no_classes(folder: Path, pixels: np.ndarray, name: str) -> None:
    (folder / "masks").rename(folder / name)
    (folder / name / "b.png").unlink()
    saved(folder / name / "b.tif", pixels.repeat(8, axis=0))
    wrong = next(value for value in pixels.ravel().tolist() if not 0 <= value <= 255)
    with pytest.raises(DataError, match=rf"{name}/b.tif has pixels of {wrong}, expected class numbers from 0 to 254"):
        recognize(folder)


def test_many_classes_beside_much_that_is_ignored_are_no_soft_edges(folder: Path) -> None:
    """Areas of 149 classes and wide ones of 0 and 255; a blurred or resized mask of 0 and 255 has no areas between."""
    areas = np.zeros((60, 200), np.uint8)
    areas[:20] = 255
    areas[40:, :149] = np.arange(1, 150)
    grown = areas.repeat(4, axis=0).repeat(4, axis=1)
    for name in ("a", "b"):
        saved(folder / "masks" / f"{name}.png", grown)
    found: Any = recognize(folder)
    assert (found.classes, found.ignore) == (150, 255)
    hard = Image.fromarray(np.where(np.hypot(*np.mgrid[-120:120, -400:400]) < 90, 255, 0).astype(np.uint8))
    for soft in (hard.filter(ImageFilter.GaussianBlur(9)), hard.resize((801, 237), Image.Resampling.BICUBIC)):
        for name in ("a", "b"):
            soft.save(folder / "masks" / f"{name}.png")
        with pytest.raises(DataError, match="as where edges are soft"):
            recognize(folder)


@pytest.mark.parametrize("as_colours", [True, False])
def test_names_that_tools_write_beside_masks_are_taken(folder: Path, as_colours: bool) -> None:
    numbers = np.where(MASK == 255, 0, MASK).astype(np.uint8)
    (folder / "masks").rename(folder / "SegmentationClass")
    for name in ("a", "b"):
        saved(folder / f"SegmentationClass/{name}.png", palette(256)[numbers] if as_colours else numbers)
    found: Any = recognize(folder)
    most = int(numbers.max()) + 1
    assert found.classes == most, "VOC's names are not those of everybody's palette"
    names = ("background", "bolt", "nut")[:most]
    if as_colours:
        rows = "".join(
            f"{name}:{','.join(map(str, color))}::\n" for name, color in zip(names, palette(most).tolist(), strict=True)
        )
        (folder / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + rows)
    else:
        (folder / "class_names.txt").write_text("__ignore__\n_background_\nbolt\nnut\n"[: None if most == 3 else -4])
    found = recognize(folder)
    assert found.classes == names
    assert found.load("train").targets.max() == most - 1


@pytest.mark.parametrize(
    "last", ["nut:300,0,0::", "nut:7,7::", "nut:1280,0,0::", "nut:1,2,3,4::", "nut:::", f"nut:{'9' * 5000},0,0::"]
)
def test_a_colour_beside_masks_that_is_none_names_nothing(folder: Path, last: str) -> None:
    """The masks are read as if there were no names."""
    for name in ("a", "b"):
        saved(folder / f"masks/{name}.png", palette(256)[np.where(MASK == 255, 0, MASK)])
    found: Any = recognize(folder)
    rows = [f"{name}:{','.join(map(str, color))}::" for name, color in zip("abc", palette(3).tolist(), strict=True)]
    (folder / "labelmap.txt").write_text("\n".join([*rows, last]))
    assert recognize(folder) == found

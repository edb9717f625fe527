"""Masks: pictures, and for each another picture of the same size that says which class every pixel belongs to."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np

from cnntrain.config.fields import PositiveInt, Range
from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.description import Description
from cnntrain.core.errors import DataError, printable
from cnntrain.core.masks import IGNORED, MASKS, MOST, palette
from cnntrain.core.registry import register
from cnntrain.core.spread import spread
from cnntrain.ops.windows import pair
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.labels import numbered
from cnntrain.parts.datasets.listed import tables_at
from cnntrain.parts.datasets.picture_fields import PictureFields
from cnntrain.reading.annotations import text_of
from cnntrain.reading.csv_rows import TABLES, first_rows, named_file, rows_of
from cnntrain.reading.decoded import Content, Recipe, Sample, decoded
from cnntrain.reading.folders import SPLITS, check_spelling, check_spelling_of_lists, files_below, subfolders
from cnntrain.reading.input_files import is_there, on_disk
from cnntrain.reading.mask_files import WHITE, Meaning, at_odds, colours_in, level_counts, read_mask, size_of, values_in
from cnntrain.reading.pictures import SUFFIXES, header
from cnntrain.reading.reader import ALONE, Reader
from cnntrain.reading.tables import labels_of, plain

Level = Annotated[int, Range(0, 255)]
Colour = tuple[Level, Level, Level]
VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_COLUMNS = ("image", "mask")  # of a table
_OF_PICTURES = ("images", "image", "imgs", "img", "pictures", "photos", "JPEGImages")  # folders that `init` knows
_OF_MASKS = ("masks", "mask", "labels", "label", "annotations", "SegmentationClass", "SegmentationClassPNG")
_ENDINGS = ("", "_mask", "-mask", "_label", "_labels", "_segmentation")
_LOOKED_AT = 50  # masks that tell what all are like
_FEW = 32  # levels or colours that masks of any name have, and pictures have more
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_SOFT = 128  # a level between 0 and 255 that few class numbers reach
_LONGEST = 512  # side of a picture that `init` proposes
_NAMED = 3  # files that a message lists
_MASK_SUFFIXES = frozenset([".png", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm", ".pbm"])  # none that blurs
_TURNED = "The sides are exchanged, as where a camera's EXIF orientation turns the picture: turn the mask, too"
_ADVICE = (
    "Set pictures and masks to two folders of files of the same names, or table to a CSV file with the columns image "
    "and mask"
)


@dataclass(frozen=True)
class _OfClasses(Dataset):
    """The one field that has to be given, before those of pictures."""

    classes: tuple[str, ...] | PositiveInt  # their names in the order of their numbers, or how many there are


@register("masks")
@dataclass(frozen=True)
class Masks(PictureFields, _OfClasses):
    """Pictures and their masks, for segmentation: two folders of files of the same names, or a CSV file.

    `pictures` and `masks` may hold train/, val/ and test/, or else `lists` names a folder of train.txt, val.txt and
    test.txt with a name in every line, as Pascal VOC's ImageSets/Segmentation; without either all is for training.
    `table` is a CSV file with the columns `image` and `mask`, paths relative to it, or a folder of train.csv and so on.

    A mask holds class numbers from 0 on, in grey or as a palette, the same in all masks; or colours, whose meaning
    `colours` gives, one for each class in order, or `voc` for Pascal VOC's palette. Pixels of the value or colour
    `ignore` are neither learned from nor judged. `size`, `channels`, `max_pixels` and `on_bad_image` are those of
    image_folder; a mask is resized by the nearest pixel, and what a letterbox frames is ignored.
    """

    sure: ClassVar[int] = 2
    why_size: ClassVar[str] = (
        "the pictures' own if all have one that suits a U-Net, or else that of the middle picture in multiples of "
        "32, the longer side at most 512"
    )

    pictures: str | None = None  # folder of pictures
    masks: str | None = None  # folder of masks
    table: str | None = None  # CSV file with the columns image and mask, or a folder of train.csv, val.csv and test.csv
    lists: str | None = None  # folder of train.txt, val.txt and test.txt: the names of the pictures of each split
    ending: str = ""  # what a mask's name adds to that of its picture: "_mask"
    # what stands for the classes in masks of colours: red, green, blue of each, from 0 to 255
    colours: Literal["voc"] | tuple[Colour, ...] | None = None
    # value, or colour where there are colours, of pixels that are of no class; `none` where all are of one
    ignore: Literal["none"] | Level | Colour = 255

    def __post_init__(self) -> None:
        super().__post_init__()
        names = self._names()
        if not 1 < len(names) <= MOST:
            raise ValueError(f"classes must be 2 to {MOST}, got {len(names)}")
        if len(set(names)) != len(names):
            raise ValueError("classes must have different names")
        if isinstance(self.colours, tuple) and len(self.colours) != len(names):
            raise ValueError(f"colours has {counted(len(self.colours), 'colour')}, there are {len(names)} classes")
        if isinstance(self.colours, tuple) and len(set(self.colours)) != len(self.colours):
            raise ValueError("colours must be different")
        if isinstance(self.ignore, tuple) and self.colours is None:
            raise ValueError("ignore is a colour, and masks hold class numbers: give a number, or colours")
        if (self.pictures is None) != (self.masks is None):
            raise ValueError("pictures and masks go together: give both folders, or a table")
        if (self.pictures is None) == (self.table is None):
            raise ValueError("masks takes pictures and masks, or a table: give one of them")
        if self.table is not None and self.lists is not None:
            raise ValueError("lists goes with folders, and a table has files for each split: leave it out")

    # -- what `init` sees -----------------------------------------------------------------------------------------

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """A folder with one of pictures and one of masks, by their usual names or by what they hold; or a table.

        Not VOC's, which has boxes.
        Raises DataError where these are there and the masks are no masks, or not where they are looked for.
        """
        if _is_table(path):
            tabled = cls(classes=2, table=str(path), ignore="none")
            return tabled._told([mask for _, mask in tabled._samples("train")], path.parent, voc=False)
        names = _pair_in(path)
        if names is None:
            _check_split_inside(path)
            names = _pair_alike(path)
        if names is None:
            return None
        pictures, masks = names
        ending = _ending(path / pictures, path / masks)
        if ending is None:
            _check_masks(path / pictures, path / masks)
            return None
        held = list(files_below(path / masks, _MASK_SUFFIXES))
        lists = path / "ImageSets" / "Segmentation"
        found = cls(
            classes=2,
            pictures=str(path / pictures),
            masks=str(path / masks),
            lists=str(lists) if (lists / "train.txt").is_file() else None,
            ending=ending,
            ignore="none",
        )
        return found._told(sorted(held), path, voc=masks.startswith("SegmentationClass"))

    def _told(self, held: Sequence[Path], folder: Path, voc: bool) -> Self:
        """With what some of the masks suggest, or a file of names in the folder, and a size that suits the pictures."""
        read = _Held.of(held)
        found = replace(self, **(_told_by_names(folder, read) or _told_by(read, voc)))
        heads = [head for sample in found._samples("train") if (head := header(sample[0]))]
        grey = bool(heads) and all(head.grey for head in heads)
        return replace(found, size=_size([(head.height, head.width) for head in heads]), channels=1 if grey else 3)

    def whereabouts(self) -> dict[str, Any]:
        """The two folders, or the table, and how files are matched."""
        return super().whereabouts() | {"ending": self.ending}

    # -- which files ----------------------------------------------------------------------------------------------

    def splits(self) -> tuple[str, ...]:
        """Those of train, val and test that there are; train where nothing says otherwise."""
        if self.table is not None:
            return tuple(self._tables())
        if self.lists is not None:
            folder = on_disk(self.lists, "Set lists to a folder with train.txt", folder=True)
            check_spelling_of_lists(folder)
            found = tuple(split for split in SPLITS if is_there(folder / f"{split}.txt"))
            if "train" not in found:
                raise DataError(f"{folder} has no train.txt, found {', '.join(found) or 'no list'}. Add it")
            return found
        folder = on_disk(self.pictures or "", _ADVICE, folder=True)
        inside = subfolders(folder)
        check_spelling(folder, inside)
        found = tuple(split for split in SPLITS if split in inside)
        if found and "train" not in found:
            raise DataError(f"{folder} has {', '.join(found)} but no train. Add it")
        return found or ("train",)

    def files(self, split: str) -> tuple[Path, ...]:
        """Every picture and mask of a split, and the list or table that names them."""
        named = [Path(self.lists).absolute() / f"{split}.txt"] if self.lists is not None else []
        if self.table is not None:
            named = [self._tables()[split]]
        return (*named, *(path for sample in self._samples(split) for path in sample))

    def left_out(self, split: str) -> Counter[str]:
        """Files of the two folders by suffix that are neither pictures nor masks; of a table none, as it names them."""
        others: Counter[str] = Counter()
        for place in () if self.table is not None else (self.pictures, self.masks):
            folder = on_disk(place or "", _ADVICE, folder=True)
            inner = folder / split
            list(files_below(inner if inner.is_dir() else folder, SUFFIXES | _MASK_SUFFIXES, others))
        return others

    def labelled_samples(self, split: str) -> Sequence[tuple[Sample, str | None]]:
        """Every picture with its mask; there is no class of a whole picture."""
        return [(sample, None) for sample in self._samples(split)]

    def read_sample(self, sample: Sample) -> Array:
        """One picture."""
        return self._recipe().decode(sample).values

    def _samples(self, split: str) -> list[Sample]:
        """Picture and mask of every sample of a split, in the order of their names or rows. Raises DataError."""
        if split not in self.splits():
            raise DataError(f"the masks have no split {split!r}, they have {', '.join(self.splits())}. Use one of them")
        if self.table is not None:
            return _rows(self._tables()[split])
        pictures, masks = (on_disk(place or "", _ADVICE, folder=True) for place in (self.pictures, self.masks))
        if self.lists is not None:
            return self._listed(Path(self.lists).absolute() / f"{split}.txt", pictures, masks)
        if (pictures / split).is_dir():
            pictures, masks = pictures / split, on_disk(masks / split, _ADVICE, folder=True)
        return self._matched(pictures, masks)

    def _matched(self, pictures: Path, masks: Path) -> list[Sample]:
        """The pictures and masks of two folders, matched by name."""
        mine, theirs = _by_name(pictures, SUFFIXES), _by_name(masks, _MASK_SUFFIXES)
        if not mine:
            raise DataError(f"{pictures} holds no pictures. {_ADVICE}")
        wanted = {name + self.ending: name for name in mine}
        lacking = [mine[name] for stem, name in wanted.items() if stem not in theirs]
        if lacking:
            raise DataError(
                f"{masks} has no mask for {_listed(lacking)}: expected {lacking[0].stem}{self.ending}.png. Add it, set "
                "ending to what the names of masks end with, or name what is to be read in a CSV file with the columns "
                "image and mask"
            )
        idle = [path for stem, path in theirs.items() if stem not in wanted]
        if idle:
            raise DataError(f"{pictures} has no picture for {_listed(idle)}. Add it, or remove the mask")
        return [(mine[name], theirs[stem]) for stem, name in wanted.items()]

    def _listed(self, path: Path, pictures: Path, masks: Path) -> list[Sample]:
        """The pictures and masks that a list names."""
        mine, theirs = _by_name(pictures, SUFFIXES), _by_name(masks, _MASK_SUFFIXES)
        samples: list[Sample] = []
        seen: dict[str, int] = {}
        for number, line in enumerate(text_of(path).splitlines(), 1):
            if not line.strip():
                continue
            names = (line.strip(), line.split()[0])  # with what some lists say beside each name
            name = next((name for name in names if name in mine), names[0])
            if name in seen:
                raise DataError(f"{path}:{number}: {name!r} is there twice, first in line {seen[name]}. Remove one")
            seen[name] = number
            for folder, found, stem in ((pictures, mine, name), (masks, theirs, name + self.ending)):
                if stem not in found:
                    raise DataError(f"{path}:{number} names {printable(name)[:80]!r}, no file of {folder}. Add it")
            samples.append((mine[name], theirs[name + self.ending]))
        if not samples:
            raise DataError(f"{path} names no picture, expected one in every line. Add them")
        return samples

    def _tables(self) -> dict[str, Path]:
        """The splits and their CSV files."""
        return tables_at(Path(self.table or "").absolute(), _ADVICE)

    # -- what they hold -------------------------------------------------------------------------------------------

    def describe(self) -> Description | None:
        """Shape and classes, where the size is set."""
        if self.size is None:
            return None
        return Description((*pair(self.size), self.channels), self._names(), target=MASKS)

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split: pixels, and masks uint8 (n, height, width) of class numbers or IGNORED. Raises DataError."""
        samples = self._samples(split)
        if self.colours is None and split == "train":
            self._tell_of_odds([mask for _, mask in samples], reader)
        read = decoded(samples, self._recipe(), reader)
        kept = [samples[index] for index in read.kept.tolist()]
        masks = decoded(kept, self._mask_recipe(), reader)
        targets = np.asarray(masks.values[np.arange(len(kept))])
        return Images(read.values, targets, self._names(), read.skipped, target=MASKS, names=read.names(samples))

    def _tell_of_odds(self, masks: Sequence[Path], reader: Reader) -> None:
        """Warn where one number seems to mean different things in different masks, of which some are looked at."""
        found = at_odds(_some(masks), self.ignore if isinstance(self.ignore, int) else None, reader)
        if found is not None:
            reader.warn(
                f"{found}, as where each file numbers its colours anew, so that numbers tell no classes. If so, set "
                "colours, as init does, or save all masks in grey with the number of each pixel's class"
            )

    def _recipe(self) -> Recipe:
        """Reads a picture, and looks at its mask, so that both are left out where one cannot be read."""
        recipe, meaning = self.picture_recipe(), self._meaning()

        def decode_one(sample: Sample) -> Content:
            picture, mask = sample
            found = recipe.decode(sample)
            read_mask(mask, meaning, None, self.max_pixels)
            mine, theirs = header(picture), size_of(mask)
            if mine is not None and theirs is not None and (mine.height, mine.width) != theirs:
                turned = (mine.width, mine.height) == theirs
                raise DataError(
                    f"{mask}: {theirs[0]}x{theirs[1]} (height x width), its picture {picture.name} is "
                    f"{mine.height}x{mine.width}. {_TURNED if turned else 'Make them the same size'}"
                )
            return found

        settings = {**recipe.settings, "what": "picture with mask", "meaning": meaning.document()}
        return replace(recipe, decode=decode_one, settings=settings)

    def _mask_recipe(self) -> Recipe:
        meaning = self._meaning()
        size = None if self.size is None else pair(self.size)

        def decode_one(sample: Sample) -> Content:
            return Content(read_mask(sample[1], meaning, size, self.max_pixels, self.fit))

        settings: dict[str, Any] = {"what": "mask", "size": size, "fit": self.fit, "limit": self.max_pixels}
        settings["meaning"] = meaning.document()
        return Recipe(decode_one, settings, "masks")

    def _meaning(self) -> Meaning:
        """What the pixels of a mask stand for."""
        count = len(self._names())
        ignored = None if self.ignore == "none" else self.ignore
        if self.colours is None:
            return Meaning(count, None, ignored if isinstance(ignored, int) else None)
        table = palette(256) if self.colours == "voc" else np.array(self.colours, np.uint8)
        blank = table[IGNORED] if self.colours == "voc" and ignored == IGNORED else ignored
        marks = np.array(blank, np.uint8) if isinstance(blank, tuple | np.ndarray) else None
        return Meaning(count, table[:count], None if marks is None else tuple(marks.tolist()))

    def _names(self) -> tuple[str, ...]:
        return numbered(self.classes) if isinstance(self.classes, int) else self.classes


def _by_name(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """The files of a folder by their names without suffix, sorted. Raises DataError for two of one name."""
    found: dict[str, Path] = {}
    for path in sorted(files_below(folder, suffixes)):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise DataError(f"{path} and {found[name]} have one name, so that a mask fits either. Rename one")
        found[name] = path
    return found


def _rows(table: Path) -> list[Sample]:
    """The pictures and masks that a CSV file lists."""
    rows = rows_of(table, _COLUMNS, "picture", "Name the columns image and mask", _ADVICE)
    return [
        tuple(table.parent / named_file(where, cell, one) for cell, one in zip(cells, _COLUMNS, strict=True))
        for where, cells in rows
    ]


def _is_table(path: Path) -> bool:
    """Whether a path is a table of pictures and masks and without labels, or a folder with one for each split.

    Raises DataError where its columns are not called as they have to be.
    """
    table = path / "train.csv" if path.is_dir() else path
    if table.suffix.lower() not in TABLES or not table.is_file():
        return False
    names = [name.strip() for name in next(iter(first_rows(table, 1)), [])]
    if not {*_COLUMNS} <= {plain(name) for name in names} or labels_of(names):
        return False
    for column in _COLUMNS:
        if column not in names:
            other = next(name for name in names if plain(name) == column)
            raise DataError(f"{table.absolute()} has a column {other!r}, expected {column!r}. Rename it")
    return True


def _pair_in(folder: Path) -> tuple[str, str] | None:
    """The folders of pictures and of masks in a folder, by their usual names; None without both, and in VOC's."""
    names = {name.casefold(): name for name in subfolders(folder)} if folder.is_dir() else {}
    pictures, masks = (
        next((names[name.casefold()] for name in usual if name.casefold() in names), None)
        for usual in (_OF_PICTURES, _OF_MASKS)
    )
    return None if pictures is None or masks is None or "Annotations" in names.values() else (pictures, masks)


def _pair_alike(folder: Path) -> tuple[str, str] | None:
    """The two folders in a folder whose files have the same names and sizes, where those of one alone are like masks.

    Those of classes are not: their pictures have more levels or colours, or all of them have few.
    """
    names = subfolders(folder) if folder.is_dir() else []
    for pictures, masks in (names, names[::-1]) if len(names) == 2 else ():
        mine = {file.stem: file for file in files_below(folder / pictures, SUFFIXES)}
        theirs = {file.stem: file for file in files_below(folder / masks, _MASK_SUFFIXES)}
        ending = _ending_of(mine, theirs)
        if ending is None or {f"{stem}{ending}" for stem in mine} != theirs.keys():
            continue
        pairs = [(mine[stem], theirs[f"{stem}{ending}"]) for stem in sorted(mine)]
        with contextlib.suppress(DataError):  # which loading them as classes will explain
            if all(_is_masked(*pair) for pair in spread(pairs, _LOOKED_AT)):
                return pictures, masks
    return None


def _is_masked(picture: Path, mask: Path) -> bool:
    """Whether of two files of one size the second has few levels or colours, and the first has not."""
    head = header(picture)
    same = head is not None and (head.height, head.width) == size_of(mask)
    return same and len(values_in(mask)) <= _FEW < len(values_in(picture))


def _ending(pictures: Path, masks: Path, suffixes: frozenset[str] = _MASK_SUFFIXES) -> str | None:
    """What the names of masks add to those of pictures; None where none fits."""
    stems = {file.stem for file in files_below(pictures, SUFFIXES)}
    marked = {file.stem for file in files_below(masks, suffixes)}
    return _ending_of(stems, marked)


def _ending_of(stems: Iterable[str], marked: Container[str]) -> str | None:
    """What the stems of masks add to those of pictures; None where none fits."""
    return next((end for end in _ENDINGS if any(f"{stem}{end}" in marked for stem in stems)), None)


def _check_split_inside(path: Path) -> None:
    """Raise DataError where a split has folders of pictures and of masks in it, which is the wrong way round."""
    folder = path / "train"
    names = _pair_in(folder)
    if names is not None and _ending(folder / names[0], folder / names[1]) is not None:
        raise DataError(
            f"{folder} holds {names[0]} and {names[1]}, expected train in each of these: move them to "
            f"{names[0]}/train and {names[1]}/train, and other splits likewise"
        )


def _check_masks(pictures: Path, masks: Path) -> None:
    """Raise DataError for a folder of masks none of which fits a picture; not where it holds other annotations."""
    if _ending(pictures, masks, SUFFIXES - _MASK_SUFFIXES) is not None:
        raise DataError(f"{masks} holds masks in a format that blurs class numbers, such as JPEG. Export them as PNG")
    here, there = (next(iter(sorted(files_below(place, SUFFIXES))), None) for place in (pictures, masks))
    if here is not None and there is not None:
        raise DataError(
            f"{masks} has no mask that is called as a picture in {pictures} is: {there.name}, and {here.name}. Rename "
            "them, or list both in a CSV file with the columns image and mask"
        )


@dataclass(frozen=True)
class _Held:
    """What some masks hold: numbers; or colours, where some have no numbers, or numbers that do not tell classes."""

    masks: Sequence[Path]
    values: Sequence[int] = ()
    colours: Sequence[tuple[int, ...]] = ()

    @classmethod
    def of(cls, masks: Sequence[Path]) -> Self:
        """Of these, of which some are looked at."""
        some = _some(masks)
        differ = at_odds(some, IGNORED) is not None
        seen = set() if differ else _seen(values_in, some)
        if differ or any(len(value) == 3 for value in seen):
            return cls(some, colours=sorted(_seen(colours_in, some)))
        return cls(some, values=sorted(value for (value,) in seen))


def _some(masks: Sequence[Path]) -> Sequence[Path]:
    """Masks that are looked at to tell what all are like, evenly spread."""
    return spread(masks, _LOOKED_AT)


def _seen(look: Callable[[Path], set[tuple[int, ...]]], masks: Sequence[Path]) -> set[tuple[int, ...]]:
    """What is found in masks, as far as they can be read."""
    seen: set[tuple[int, ...]] = set()
    for path in masks:
        with contextlib.suppress(DataError):  # which loading it will explain
            seen |= look(path)
    return seen


def _told_by_names(folder: Path, held: _Held) -> dict[str, Any]:
    """The settings that a file of names beside masks says: CVAT's labelmap.txt, or labelme's class_names.txt."""
    colours, values = held.colours, held.values
    if is_there(folder / "labelmap.txt"):
        rows = [
            row.split(":") for row in text_of(folder / "labelmap.txt").splitlines() if row.strip() and row[0] != "#"
        ]
        names = tuple(row[0].strip() for row in rows)
        table = tuple(_colour(row[1]) for row in rows if len(row) > 1)
    elif is_there(folder / "class_names.txt"):
        names = tuple(name for row in text_of(folder / "class_names.txt").splitlines() if (name := row.strip()))
        names = tuple(name.strip("_") for name in names if name != "__ignore__")
        table = tuple(tuple(color) for color in palette(len(names)).tolist())
    else:
        return {}
    if not 1 < len(names) <= MOST or len(set(names)) < len(names):
        return {}
    border = (IGNORED in values) or tuple(palette(IGNORED + 1)[IGNORED].tolist()) in colours
    if not colours:
        fits = max((value for value in values if value != IGNORED), default=0) < len(names)
        return {"classes": names, "ignore": IGNORED if border else "none"} if fits else {}
    marks = tuple(palette(IGNORED + 1)[IGNORED].tolist())
    fits = len(set(table)) == len(names) and all(table) and set(colours) <= {*table, marks}
    return {"classes": names, "colours": table, "ignore": marks if border else "none"} if fits else {}


def _colour(text: str) -> tuple[int, ...]:
    """A colour of a table, as in "255,0,0"; empty for what is none."""
    levels = tuple(map(int, re.findall(r"\d{1,9}", text)))
    return levels if len(levels) == 3 and max(levels) <= 255 else ()


def _told_by(held: _Held, voc: bool) -> dict[str, Any]:
    """The settings that masks suggest: classes, colours, and the value that is ignored.

    VOC's names stand for its numbers where it may be VOC's: with borders that are ignored, or with the last class.
    """
    colours, values = held.colours, held.values
    if {*values} in ({0, 255}, {0, WHITE}) or {*colours} == {_BLACK, _WHITE}:
        return {"classes": ("background", "foreground"), "colours": (_BLACK, _WHITE)}
    if colours:
        numbers = {tuple(color): number for number, color in enumerate(palette(IGNORED + 1).tolist())}
        if voc and set(colours) <= numbers.keys():
            return _of_voc([numbers[color] for color in colours]) | {"colours": "voc"}
        known = colours[:MOST]
        return {"classes": max(len(known), 2), "colours": tuple(known)} if len(known) > 1 else {}
    _check_numbers(held.masks, values)
    _check_edges(held.masks, values)
    if voc:
        return _of_voc(values)
    largest = max((value for value in values if value != IGNORED), default=1)
    return {"classes": max(largest + 1, 2), "ignore": IGNORED if IGNORED in values else "none"}


def _check_numbers(masks: Sequence[Path], values: Sequence[int]) -> None:
    """Raise DataError for a value of more than 8 bits, which is no class number."""
    wrong = next((value for value in values if not 0 <= value <= IGNORED), None)
    if wrong is None:
        return
    path = next(path for path in masks if (wrong,) in values_in(path))
    raise DataError(
        f"{path} has pixels of {wrong}, expected class numbers from 0 to {MOST - 1}, or {IGNORED} for what is ignored. "
        "Save it with the number of each pixel's class; where things are numbered one by one, with that of the thing's"
    )


def _check_edges(masks: Sequence[Path], values: Sequence[int]) -> None:
    """Raise DataError for masks of 0 and 255 whose edges are soft: the levels in between are of no class.

    Class numbers fill areas, in which most pixels are like their neighbours; along a soft edge few are.
    """
    between = [value for value in values if 0 < value < IGNORED]
    if not {0, IGNORED} <= set(values) or max(between, default=0) < _SOFT:
        return
    counts, inner = np.sum([level_counts(path) for path in masks], axis=0)
    steps = slice(1, IGNORED)
    if counts[steps].sum() < counts.sum() / 2 and inner[steps].sum() < counts[steps].sum() / 2:
        raise DataError(
            f"{masks[0].parent} has masks of 0 and 255 with {counted(len(between), 'level')} between them, as where "
            "edges are soft, and a pixel is of one class. Save them with 0 and 255 alone, resized by the nearest pixel"
        )


def _of_voc(values: Sequence[int]) -> dict[str, Any]:
    """The classes of masks in the palette of VOC that hold these numbers."""
    largest = max((value for value in values if value != IGNORED), default=1)
    if largest < len(VOC) and (IGNORED in values or largest == len(VOC) - 1):
        return {"classes": VOC, "ignore": IGNORED}
    return {"classes": max(largest + 1, 2), "ignore": IGNORED if IGNORED in values else "none"}


def _size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """The size (height, width) to bring pictures to: their own where it is one that can be halved a few times.

    Else that of the middle picture in multiples of 32, the longer side at most 512.
    """
    if not sizes:
        return None
    if len(set(sizes)) == 1 and max(sizes[0]) <= _LONGEST and not any(side % 16 for side in sizes[0]):
        return sizes[0]
    middle = np.median(np.array(sizes), axis=0)
    rows, columns = (max(round(float(side)), 1) * 32 for side in middle * min(1, _LONGEST / middle.max()) / 32)
    return rows, columns


def _listed(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return ", ".join(path.name for path in paths[:_NAMED]) + more

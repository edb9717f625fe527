"""Pascal VOC: pictures, an XML file for each with its boxes, and lists of the pictures of each split."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from cnntrain.core.errors import DataError
from cnntrain.core.registry import register
from cnntrain.parts.datasets.base import Rooted
from cnntrain.parts.datasets.boxed_pictures import BoxedPictures
from cnntrain.reading import voc
from cnntrain.reading.annotations import Page, picture_named, text_of
from cnntrain.reading.folders import check_spelling, check_spelling_of_lists, split_folders, subfolders
from cnntrain.reading.input_files import is_there, on_disk, reading
from cnntrain.reading.pictures import SUFFIXES

_ADVICE = "Set root to the folder of Annotations/, JPEGImages/ and ImageSets/Main/, or of XML files beside pictures"
_MARKS = ("Annotations", "annotations")
_PICTURES = ("JPEGImages", "images", "Images")


@register("voc")
@dataclass(frozen=True)
class Voc(BoxedPictures, Rooted):
    """Pictures with boxes as Pascal VOC has them (Everingham et al. 2010), and LabelImg and others write them.

    `Annotations/NAME.xml` belongs to the picture `JPEGImages/NAME.*`, or to one in another folder of `root`; splits are
    the lists train.txt, val.txt and test.txt in `ImageSets/Main`. Without lists, XML files lie beside their pictures,
    in the folders train, val (valid) and test, or all in `root`. Indices of pixels count from 1 and include both ends:
    a box goes from xmin - 1 to xmax; where one is not a whole number, they are taken as coordinates. Difficult things
    need not be found, and are not held against a network either. An XML file with a document type is refused.
    """

    train_set: Literal["train", "trainval"] = "train"  # the list of ImageSets/Main to train on

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """A folder with XML annotations where they belong."""
        if not path.is_dir() or not _has_marks(path):
            return None
        return cls(str(path)).boxed()

    def splits(self) -> tuple[str, ...]:
        """Those that have a list or a folder; with `trainval` there is no val."""
        return tuple(self._lists() or self._folders())

    def pages(self, split: str) -> list[Page]:
        """The pictures of a list, or of a folder, by name."""
        return [
            voc.page(mark, functools.partial(_picture, mark, [*_of_pictures(folder), mark.parent]))
            for mark, folder in self._marks(split)
        ]

    def annotation_files(self, split: str) -> tuple[Path, ...]:
        """The list, where there is one, and the XML files."""
        lists = self._lists()
        return (*([lists[split]] if split in lists else []), *(mark for mark, _ in self._marks(split)))

    def unannotated(self, split: str) -> tuple[Sequence[Path], str]:
        """Pictures in a folder without lists that have no XML file."""
        if self._lists():
            return (), ""
        folder = self._folders()[split]
        known = {mark.stem for mark, _ in self._marks(split)}
        found: list[Path] = []
        for place in _of_pictures(folder):
            with reading(place):
                found += [path for path in sorted(place.iterdir()) if path.suffix.lower() in SUFFIXES]
        return [path for path in found if path.stem not in known], "left out"

    def _root(self) -> Path:
        return on_disk(self.root, _ADVICE, folder=True)

    def _lists(self) -> dict[str, Path]:
        """Split -> its list in ImageSets/Main."""
        folder = self._root() / "ImageSets" / "Main"
        check_spelling_of_lists(folder)
        names = {"train": self.train_set, "val": "val", "test": "test"}
        if self.train_set == "trainval":
            del names["val"]
        found = {split: folder / f"{name}.txt" for split, name in names.items() if is_there(folder / f"{name}.txt")}
        if found and "train" not in found:
            raise DataError(f"{folder} has no {names['train']}.txt, found {', '.join(found)}. Add it")
        return found

    def _folders(self) -> dict[str, Path]:
        """Split -> its folder."""
        root = self._root()
        check_spelling(root, [name for name in subfolders(root) if name != "valid"])
        folders = split_folders(root)
        if "train" in folders and _has_marks(folders["train"]):
            return {split: folder for split, folder in folders.items() if _has_marks(folder)}
        return {"train": root}

    def _marks(self, split: str) -> list[tuple[Path, Path]]:
        """The XML files of a split, each with the folder of all."""
        lists = self._lists()
        if not lists:
            folders = self._folders()
            if split not in folders:
                raise DataError(f"{self._root()} has no split {split!r}, found {', '.join(folders)}. Add it")
            marks = _marks_in(folders[split])
            if not marks:
                raise DataError(f"{folders[split]} holds no XML annotation. {_ADVICE}")
            return [(mark, folders[split]) for mark in marks]
        if split not in lists:
            raise DataError(f"{self._root()} has no list of {split}, found {', '.join(lists)}. Add it")
        seen: dict[str, int] = {}
        found = []
        place = next(iter(_places(self._root(), _MARKS)))
        for line, text in enumerate(text_of(lists[split]).splitlines(), 1):
            if not text.strip():
                continue
            # lists of one class say beside each name whether its picture shows it
            names = (text.strip(), text.split()[0])
            name = next((name for name in names if is_there(place / f"{name}.xml")), names[0])
            where = f"{lists[split]}:{line}"
            if name in seen:
                raise DataError(f"{where}: {name!r} is there twice, first in line {seen[name]}. Remove one")
            seen[name] = line
            mark = place / f"{name}.xml"
            if not is_there(mark):
                raise DataError(f"{where}: {name!r} has no annotation, expected {mark}. Add it, or remove the line")
            found.append((mark, self._root()))
        return found


def _picture(mark: Path, places: Sequence[Path], told: str) -> Path:
    """The picture of an annotation: the one it names, where that is there, or that of its own name."""
    if told and "/" not in told and "\0" not in told and Path(told).suffix.lower() in SUFFIXES:
        for place in places:
            if os.path.isfile(place / told):
                return place / told
    missing = f"{mark}: no picture {mark.stem}.* in {places[0]}, expected one for each annotation. Add it"
    return picture_named(mark.stem, places, SUFFIXES, lambda: missing)


def _places(folder: Path, names: Sequence[str]) -> list[Path]:
    """The folders of those names that are there; the folder itself where none is."""
    return [folder / name for name in names if (folder / name).is_dir()] or [folder]


def _of_pictures(folder: Path) -> list[Path]:
    """Where the pictures of a folder may lie: by their usual names, or else in any beside that of the annotations."""
    usual = _places(folder, _PICTURES)
    if usual != [folder] or _places(folder, _MARKS) == [folder]:
        return usual
    return [folder, *(folder / name for name in subfolders(folder) if name not in (*_MARKS, "ImageSets"))]


def _marks_in(folder: Path) -> list[Path]:
    place = next(iter(_places(folder, _MARKS)))
    with reading(place):
        return sorted(path for path in place.iterdir() if path.suffix.lower() == ".xml" and not path.is_dir())


def _has_marks(folder: Path) -> bool:
    train = split_folders(folder).get("train")
    return bool(_marks_in(folder)) or (train is not None and bool(_marks_in(train)))

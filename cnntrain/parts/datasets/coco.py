"""COCO: pictures, and one JSON file for each split with the boxes of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cnntrain.core.errors import DataError
from cnntrain.core.registry import register
from cnntrain.parts.datasets.base import Dataset, Numbers
from cnntrain.parts.datasets.boxed_pictures import BoxedPictures
from cnntrain.reading import coco
from cnntrain.reading.annotations import Page
from cnntrain.reading.folders import SPLITS, split_folders, split_meant
from cnntrain.reading.input_files import reading

_ADVICE = "Set path to a .json file of instances, or to a folder with annotations/instances_train*.json"
_ROBOFLOW = "_annotations.coco.json"
_SURE = ("instances", "_annotations.coco", "train")  # how names begin that nothing else has
_ALONE = ("instances_default", "instances", "_annotations.coco", "annotations", "result", "coco", "labels")  # of all


@dataclass(frozen=True)
class _Listed(Dataset):
    """The one field that has to be given, before those of pictures."""

    path: str  # the file of a split, or the folder of all


@register("coco")
@dataclass(frozen=True)
class Coco(BoxedPictures, _Listed):
    """Pictures with boxes as COCO has them (Lin et al. 2014): `images`, `annotations` and `categories` in one file.

    `path` is that file, or a folder: with annotations/instances_train*.json, instances_val*.json and
    instances_test*.json; or with train/_annotations.coco.json, valid/... and test/...; or with one file for all, such
    as annotations/instances_default.json, which is called as it likes if it is the only .json there. Pictures lie in
    `images`, or in the usual folders beside the file or one above: its own, images/, and that of the split
    (train2017/). Classes are the categories of training in the order of their ids, which may have gaps; one that is the
    supercategory of others and has no box does not count. A picture without annotations is learned as showing nothing.
    A crowd need not be found.
    """

    images: str | None = None  # the folder that file names count from; by default the usual ones are looked through

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """A .json file with the three lists, or a folder with such files by their usual names."""
        if path.is_file() and path.suffix.lower() == ".json":
            return cls(str(path)).boxed()
        found = _files(path) if path.is_dir() else {}
        if not found or not (found["train"].stem.startswith(_SURE) or coco.looks_like(found["train"])):
            return None
        return cls(str(path)).boxed()

    def splits(self) -> tuple[str, ...]:
        """Those that have a file; train where path is one."""
        return tuple(self._files())

    def pages(self, split: str) -> list[Page]:
        """The images of the file of a split, in its order."""
        return self._read(split)[0]

    def found_classes(self) -> Sequence[str]:
        """The categories of training."""
        return self._read("train")[1]

    def annotation_files(self, split: str) -> tuple[Path, ...]:
        """The file of a split."""
        return (self._file(split),)

    def numbers(self) -> Numbers:
        """The ids of the pictures of all splits, and those of the categories of training."""
        read = {split: coco.numbers(self._file(split), self._beside(split)) for split in self.splits()}
        return Numbers({path: key for pictures, _ in read.values() for path, key in pictures.items()}, read["train"][1])

    def _read(self, split: str) -> tuple[list[Page], list[str]]:
        return coco.pages(self._file(split), self._beside(split))

    def _beside(self, split: str) -> list[Path]:
        """The folders in which the pictures of a split may lie."""
        return [Path(self.images).absolute()] if self.images else _folders(self._file(split), split)

    def _file(self, split: str) -> Path:
        files = self._files()
        if split not in files:
            raise DataError(f"{Path(self.path).absolute()} has no split {split!r}, found {', '.join(files)}. Add it")
        return files[split]

    def _files(self) -> dict[str, Path]:
        place = Path(self.path).absolute()
        with reading(place):
            if place.is_file():
                return {"train": place}
            found = _files(place) if place.is_dir() else {}
        if "train" not in found:
            what = "holds no file of training instances" if place.is_dir() else "does not exist"
            raise DataError(f"{place} {what}. {_ADVICE}")
        return found


def _files(folder: Path) -> dict[str, Path]:
    """Split -> its file in a folder, or in those that are usual there."""
    found: dict[str, Path] = {}
    for place in (folder / "annotations", folder):
        for path in sorted(place.glob("instances_*.json")):
            meant = split_meant(path.stem.removeprefix("instances_"))
            if meant is not None:
                found.setdefault(meant[0], path)
        for path in (place / f"{split}.json" for split in SPLITS):
            if path.is_file():
                found.setdefault(path.stem, path)
    for split, inner in split_folders(folder).items():
        if (inner / _ROBOFLOW).is_file():
            found.setdefault(split, inner / _ROBOFLOW)
    if not found:
        alone = [place / f"{name}.json" for place in (folder / "annotations", folder) for name in _ALONE]
        alone = [path for path in alone if path.is_file()]
        if not alone:
            alone = [path for place in (folder / "annotations", folder) for path in sorted(place.glob("*.json"))]
            alone = alone if len(alone) == 1 else []
        found.update(("train", path) for path in alone[:1])
    return {split: found[split] for split in SPLITS if split in found}


def _folders(file: Path, split: str) -> list[Path]:
    """Where the pictures of a file may lie."""
    own = file.stem.removeprefix("instances_")
    names = ("", own, "images", f"images/{own}", split, f"images/{split}", "JPEGImages", "data")
    return [place / name for place in (file.parent, file.parent.parent) for name in names]

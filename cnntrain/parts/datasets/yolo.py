"""YOLO: pictures, a text file for each with its boxes, and a file with the names of the classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cnntrain.config.problems import Problems
from cnntrain.config.tree import List, Map, Scalar, UnreadableError, parse, read_source
from cnntrain.core.errors import ConfigError, DataError, first_line
from cnntrain.core.registry import register
from cnntrain.parts.datasets.base import Rooted
from cnntrain.parts.datasets.boxed_pictures import BoxedPictures
from cnntrain.reading import yolo
from cnntrain.reading.annotations import Page, named, text_of
from cnntrain.reading.folders import check_spelling, files_below, looked_up, split_folders, subfolders
from cnntrain.reading.input_files import is_there, on_disk, reading
from cnntrain.reading.pictures import SUFFIXES
from cnntrain.reading.tables import is_number

_ADVICE = "Set root to the folder of images/ and labels/, with data.yaml, obj.names or classes.txt in it"
_NAMES = ("obj.names", "classes.txt", "labels/classes.txt", "obj_train_data/classes.txt")
_YAML = ("data.yaml", "data.yml", "dataset.yaml")


@register("yolo")
@dataclass(frozen=True)
class Yolo(BoxedPictures, Rooted):
    """Pictures with boxes as Darknet has them, and Ultralytics, Label Studio, CVAT and Roboflow write them.

    The picture `images/NAME.jpg` has its boxes in `labels/NAME.txt`, or in NAME.txt beside it: a row of class number,
    center x, center y, width and height for each, as shares of the picture's sides. Splits are those that `train`,
    `val` and `test` of data.yaml name: folders, or text files that list pictures, counted from its `path`. Without
    these they are images/train, images/val and images/test, or train/images, val/images (valid) and test/images; and
    else all is for training. Names of classes are those of data.yaml, obj.names or classes.txt in `root`, or `names`. A
    picture without a text file has nothing in it, is learned as such and is counted; a text file without a picture is
    an error.
    """

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """A folder with names of classes, pictures, and text files where they belong.

        Raises DataError where only the names are missing, in a folder of images/ and labels/.
        """
        if not path.is_dir():
            return None
        source = cls(str(path))
        if not any((path / name).is_file() for name in (*_YAML, *_NAMES)):
            if (path / "images").is_dir() and (path / "labels").is_dir() and source._is_marked():
                source.found_classes()
            return None
        pictures = source._pictures("train")
        marks = (mark for picture in pictures for mark in (_mark(picture), _mark(picture).with_suffix(".TXT")))
        return source.boxed() if any(map(Path.is_file, marks)) else None

    def _is_marked(self) -> bool:
        """Whether a picture has a text file with a row of five numbers."""
        marks = filter(Path.is_file, map(_mark, self._pictures("train")))
        rows = (text_of(mark).partition("\n")[0].split() for mark in marks)
        return any(len(row) == len(yolo.WORDS) and all(map(is_number, row)) for row in rows)

    def splits(self) -> tuple[str, ...]:
        """Those that have a folder; train where there are none."""
        return tuple(self._places())

    def pages(self, split: str) -> list[Page]:
        """The pictures below the folder of a split, by path."""
        called = self.names or self.found_classes()
        found = []
        for picture in self._pictures(split):
            mark = _mark(picture)
            found.append(
                yolo.page(mark, picture, called) if is_there(mark) else Page(str(picture), picture, shares=True)
            )
        if all(place.is_dir() for place in self._places()[split]):  # of those listed, others may lie beside them
            self._check_all_have_pictures(split)
        return found

    def found_classes(self) -> Sequence[str]:
        """The names in the file that has them."""
        root = self._root()
        described = self._yaml()
        if described is not None:
            return _names_of(*described)
        for name in _NAMES:
            if is_there(root / name):
                return yolo.names_in(root / name)
        raise DataError(f"{root} has no names of classes. Add data.yaml or classes.txt, or name them with 'names'")

    def annotation_files(self, split: str) -> tuple[Path, ...]:
        """The text files of its pictures."""
        return tuple(mark for mark in map(_mark, self._pictures(split)) if is_there(mark))

    def unannotated(self, split: str) -> tuple[Sequence[Path], str]:
        """Pictures without a text file."""
        return [path for path in self._pictures(split) if not is_there(_mark(path))], "learned as showing nothing"

    def left_out(self, split: str) -> Counter[str]:
        """Files by suffix that are neither pictures nor labels."""
        others: Counter[str] = Counter()
        for place in self._places()[split]:
            if place.is_dir():
                list(files_below(place, SUFFIXES, others))
        others.pop(".txt", None)
        return others

    def _root(self) -> Path:
        return on_disk(self.root, _ADVICE, folder=True)

    def _yaml(self) -> tuple[Path, Map] | None:
        """The data.yaml and what it says; None where there is none."""
        root = self._root()
        path = next((root / name for name in _YAML if is_there(root / name)), None)
        return None if path is None else (path, looked_up(("data.yaml", path), lambda: _tree(path)))

    def _places(self) -> dict[str, tuple[Path, ...]]:
        """Split -> the folders of its pictures, or the files that list them."""
        described = self._yaml()
        named = {} if described is None else _places_of(*described)
        return named if "train" in named else {split: (folder,) for split, folder in self._folders().items()}

    def _folders(self) -> dict[str, Path]:
        """Split -> the folder of its pictures, where no file says more."""
        root = self._root()
        for folder in (folder for folder in (root / "images", root) if folder.is_dir()):
            check_spelling(folder, [name for name in subfolders(folder) if name != "valid"])
        inner = split_folders(root / "images") if (root / "images").is_dir() else {}
        if "train" in inner:
            return inner
        outer = split_folders(root)
        if "train" in outer:
            return {split: _images(folder) for split, folder in outer.items()}
        return {"train": next((root / name for name in ("images", "obj_train_data") if (root / name).is_dir()), root)}

    def _pictures(self, split: str) -> list[Path]:
        places = self._places()
        if split not in places:
            raise DataError(f"{self._root()} has no split {split!r}, found {', '.join(places)}. Add it")
        found: set[Path] = set()
        for place in places[split]:
            here = set(files_below(place, SUFFIXES) if place.is_dir() else yolo.listed(place))
            if not here:
                raise DataError(f"{place} holds no picture. {_ADVICE}")
            found |= here
        return sorted(found)

    def _check_all_have_pictures(self, split: str) -> None:
        """Raise DataError for a text file that belongs to no picture."""
        pictures = self._pictures(split)
        known = set(map(_mark, pictures))
        for folder in sorted({mark.parent for mark in known if mark.parent.is_dir()}):
            for path in sorted(path for path in folder.glob("*.*") if path.suffix.lower() == ".txt"):
                if path.suffix != ".txt" and not is_there(path.with_suffix(".txt")):
                    raise DataError(f"{path} is not read, expected {path.stem}.txt. Rename it, and others likewise")
                if (
                    path.suffix == ".txt"
                    and path not in known
                    and path.name not in ("classes.txt", "train.txt", "val.txt", "test.txt")
                ):
                    raise DataError(f"{path} belongs to no picture, expected {path.stem}.jpg or the like. Add it")


def _images(folder: Path) -> Path:
    return folder / "images" if (folder / "images").is_dir() else folder


def _mark(picture: Path) -> Path:
    """The text file of a picture: in the labels/ that corresponds to its images/, or beside it."""
    parts = picture.parts
    if "images" in parts[:-1]:
        place = len(parts) - 2 - parts[:-1][::-1].index("images")
        there = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
        if there.parent.is_dir():
            return there
    return picture.with_suffix(".txt")


def _tree(path: Path) -> Map:
    """What a data.yaml says. Raises DataError."""
    problems = Problems()
    try:
        tree = parse(read_source(str(path)), problems)
        problems.check()
    except (ConfigError, UnreadableError) as error:
        raise DataError(f"{path} is not YAML that can be read ({first_line(error)}). Mend it") from error
    if not isinstance(tree, Map):
        raise DataError(f"{path} has no list of names, expected those of the classes. Add it")
    return tree


def _places_of(path: Path, tree: Map) -> dict[str, tuple[Path, ...]]:
    """Split -> what a data.yaml names for it, as Ultralytics reads it; test may be missing. Raises DataError."""
    said = tree.get("path")
    base = path.parent / _text(said, path, "path") if said is not None else path.parent
    found = {}
    for split, key in (("train", "train"), ("val", "val"), ("val", "valid"), ("test", "test")):
        value = tree.get(key)
        texts = [_text(item, path, key) for item in (value.items if isinstance(value, List) else [value])]
        places = [_there(text, (base, path.parent)) for text in texts if text]
        missing = [text for text, place in zip(filter(None, texts), places, strict=True) if place is None]
        if missing and split != "test":
            raise DataError(
                f"{path}: {key} names {(base / missing[0]).absolute()}, which is not there. Correct it, or remove "
                "train, val and test to have the usual folders taken"
            )
        if places and not missing:
            found[split] = tuple(place for place in places if place is not None)
    return found


def _there(text: str, bases: Sequence[Path]) -> Path | None:
    """The folder or file of that name in the first of some folders that has it; Roboflow begins it with a `../`."""
    for name in (text, text.removeprefix("../")):
        for base in bases:
            with reading(base / name):
                if (base / name).exists():
                    return (base / name).absolute()
    return None


def _text(item: object, path: Path, key: str) -> str:
    """The text of a value, "" where it is empty. Raises DataError for anything else."""
    if item is None or (isinstance(item, Scalar) and item.text in ("", "null", "~")):
        return ""
    if not isinstance(item, Scalar) or "\0" in item.text:
        raise DataError(f"{path}: {key} is not a path, expected that of a folder or of a list of pictures. Mend it")
    return item.text


def _names_of(path: Path, tree: Map) -> list[str]:
    """The `names` of a data.yaml: a list, or a map from numbers. Raises DataError."""
    names = tree.get("names")
    if isinstance(names, Map):
        keys = [str(number) for number in range(len(names.entries))]
        if sorted(names.entries) != sorted(keys):
            raise DataError(
                f"{path}: names are numbered {', '.join(names.entries)[:80]}, expected 0, 1, 2 and so on. Mend it"
            )
        items: Sequence[object] = [names.entries[key].value for key in keys]
    elif isinstance(names, List):
        items = names.items
    else:
        raise DataError(f"{path} has no list of names, expected those of the classes. Add it")
    texts = [item.text if isinstance(item, Scalar) else None for item in items]
    return [named(text, f"{path}: name {number}") for number, text in enumerate(texts)]

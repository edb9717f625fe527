"""Recognition tells what kind of data lies at a path: each data source checks whether the data is of its kind."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from cnntrain.core.counts import counted
from cnntrain.core.culprits import culprit, words
from cnntrain.core.errors import DataError
from cnntrain.core.registry import package_of, parts
from cnntrain.parts.datasets.base import Dataset
from cnntrain.reading import pictures, sounds
from cnntrain.reading.csv_rows import first_rows, tables_in
from cnntrain.reading.folders import SPLITS, first_split_in, subfolders
from cnntrain.reading.input_files import opened, reading

_LOOKED_AT = 50  # files of a folder
_NAMED = 8  # folders that a message lists
_PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".7z", ".rar")  # folders
_UNPACK = (*_PACKED, ".gz", ".xz", ".bz2")


def recognize(path: Path, targets: Sequence[str] = ()) -> Dataset:
    """The source that reads what lies at a path, with the settings its files suggest.

    `targets` are the columns of a table that are to be predicted, where that is known. Raises DataError where there is
    nothing, or where no source knows what it is.
    """
    with reading(path):
        there = path.exists()
    if not there:
        raise DataError(
            f"{path.absolute()} does not exist, expected a folder or file of data. Relative paths count from the "
            "working directory"
        )
    kinds = [cast(type[Dataset], part) for part in parts("datasets").values()]
    failed: DataError | None = None  # of one that knows the data and finds it faulty, unless it is another's
    least = 0  # how sure another has to be then
    for kind in sorted(kinds, key=lambda kind: -kind.sure):
        if failed is not None and kind.sure < least:
            raise failed
        try:
            source = kind.aimed(path, targets) if targets else kind.at(path)
        except DataError as error:
            failed, least = failed or error, max(least, kind.sure)
            continue
        except Exception as error:
            _pass_over(kind, error)
            continue
        if source is not None:
            return source
    if failed is not None:
        raise failed
    if targets:
        raise DataError(f"{path.absolute()} {_no_table(path, targets)}")
    raise DataError(f"{path.absolute()} {_instead(path)}")


def _pass_over(kind: type[Dataset], error: Exception) -> None:
    """Go on without a source of another package that fails, for the data need not be its own. Raises what ours do."""
    package = package_of(kind)
    if package is None:
        raise error
    said = culprit(error) or f"the dataset {kind.name_in_config!r} of {package} failed: {words(error)}"
    warnings.warn(f"{said}. It is passed over in telling what the data is; mend or uninstall it", stacklevel=3)


def _no_table(path: Path, targets: Sequence[str]) -> str:
    """What to do about columns of what is no table: in a folder, the first that has them may be meant."""
    found, tables = "is no table, and has no columns to choose among", tables_in(path) if path.is_dir() else []
    if not tables:
        return f"{found}. Leave --target out"
    meant = next((table for table in tables if {*targets} <= _columns(table)), tables[0])
    return f"{found}: do you mean the table {meant.absolute()}? Name that in place of the folder"


def _columns(table: Path) -> set[str]:
    """The names of its columns; none where it cannot be read, which is told when it is asked for."""
    try:
        return {name.strip() for name in next(iter(first_rows(table, 1)), [])}
    except DataError:
        return set()


def _instead(path: Path) -> str:
    """What it is instead of data, and what to do about it."""
    if path.is_dir():
        with reading(path):
            names = [name for name in os.listdir(path) if not name.startswith(".")]
        folders = sum((path / name).is_dir() for name in names)
        held = f"holds {counted(folders, 'folder')} and {counted(len(names) - folders, 'file')}"
        if any(_is_labelme(path / name) for name in sorted(names)[:_LOOKED_AT]):
            return f"{held}, annotations of labelme among them. Export these as Pascal VOC, COCO or masks"
        if any(name.lower().endswith(_PACKED) for name in names):
            return f"{held}, archives among them. Unpack these, and name the folder"
        stems = {Path(name).stem for name in names}
        if any(f"{stem}_mask" in stems for stem in stems):
            return f"{held}, pictures and masks together. Move the pictures to a folder images, the masks to one masks"
        for kind, suffixes in (("image_folder", pictures.SUFFIXES), ("audio_folder", sounds.SUFFIXES)):
            ours = sum(Path(name).suffix.lower() in suffixes for name in names)
            if 2 * ours > len(names):  # most of them: there may be a Thumbs.db
                return (
                    f"{held}, none in a folder of its class. Sort them into one folder for each class; or, if their "
                    f"names say the class, write a config with {{type: {kind}, root: ..., label: PATTERN}}"
                )
        return (
            f"{held}, none of which is data of a known kind. Expected a folder of images or sounds for each class, "
            "boxes as in Pascal VOC, COCO or YOLO, pictures with masks in folders images and masks, the files of MNIST "
            f"or CIFAR (binary version), or name a .npz or .csv file{_called_like_a_split(path)}"
        )
    if path.name.lower().endswith(_UNPACK):
        return "is an archive. Unpack it, and name the folder"
    return "is not data of a known kind. Expected a .npz or .csv file, or a folder"


def _called_like_a_split(path: Path) -> str:
    """What to say of a folder that may be a class, and is taken for a split because of its name; or nothing."""
    inside = subfolders(path)
    split = first_split_in(path).name
    beside = [name for name in inside if name not in SPLITS]
    if split not in inside or not beside or subfolders(path / split):
        return ""
    others = ", ".join(beside[:_NAMED]) + (", ..." if len(beside) > _NAMED else "")
    return (
        f". If {split} is a class, like {others} beside it, rename it, or move all classes into "
        f"{path.absolute() / 'train'}: because of its name it is taken for a split"
    )


def _is_labelme(path: Path) -> bool:
    """Whether a file is labelme's: one picture's shapes as JSON."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with reading(path), opened(path) as file:
        head = file.read(2**16)
    return b'"shapes"' in head and (b'"imagePath"' in head or b'"flags"' in head)

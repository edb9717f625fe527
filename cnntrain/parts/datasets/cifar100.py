"""CIFAR-100 in its binary version: 32x32 colour photographs of a hundred kinds of things, in twenty groups.

A file is a series of records of 3,074 bytes: a coarse label (the group), a fine label (the kind), then 1,024 red, 1,024
green and 1,024 blue values (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images").
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from cnntrain.core.arrays import Shape
from cnntrain.core.description import Description
from cnntrain.core.errors import DataError
from cnntrain.core.registry import register
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.reading.folders import has_any
from cnntrain.reading.input_files import is_there, on_disk
from cnntrain.reading.reader import ALONE, Reader
from cnntrain.reading.records import Records
from cnntrain.reading.well_known import how_to_fetch

_SHAPE: Shape = (32, 32, 3)
_COARSE = (
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices "
    "household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes "
    "large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees "
    "vehicles_1 vehicles_2"
)
_FINE = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
    "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
    "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster "
    "man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck "
    "pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk "
    "skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television "
    "tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)
# In the order of the two bytes of a record; each list as the archive's *_label_names.txt has it.
_NAMES = {"coarse": tuple(_COARSE.split()), "fine": tuple(_FINE.split())}
_FILES = {"train": "train.bin", "test": "test.bin"}
_ADVICE = "Set root to the unpacked folder cifar-100-binary of the binary version (cifar-100-binary.tar.gz)"
_RECORDS = Records(
    "CIFAR-100",
    tuple((f"{kind} label", len(names)) for kind, names in _NAMES.items()),
    _SHAPE,
    ("CIFAR-10", 3073),
    _ADVICE,
)


@register("cifar100")
@dataclass(frozen=True)
class Cifar100(Dataset):
    """CIFAR-100, binary version: a folder with train.bin and test.bin.

    `labels` are the 100 fine classes or the 20 coarse ones. A file may hold any number of whole records, so part of the
    data set is read, too.
    """

    root: str  # the folder
    labels: Literal["fine", "coarse"] = "fine"  # the 100 fine classes, or the 20 coarse ones

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """Where the folder, or the one the archive unpacks to in it, holds a file of the binary version.

        Raises DataError for the Python version.
        """
        folders = [folder for folder in (path, path / "cifar-100-binary") if has_any(folder, _FILES.values())]
        for folder in () if folders else (path, path / "cifar-100-python"):
            if (folder / "train").is_file() and (folder / "meta").is_file():
                raise DataError(f"{folder} holds no CIFAR-100 files that are read. {_hint(folder)}")
        return cls(str(folders[0])) if folders else None

    def splits(self) -> tuple[str, ...]:
        """Those of train and test that have a file. Raises DataError where there is none."""
        root = on_disk(self.root, _advice(self.root), folder=True)
        found = tuple(split for split, name in _FILES.items() if (root / name).is_file())
        if not found:
            raise DataError(f"{root} holds no CIFAR-100 files. {_hint(Path(self.root))}")
        return found

    def describe(self) -> Description:
        """32x32x3 and the classes of the chosen labels."""
        return Description(_SHAPE, _NAMES[self.labels])

    def files(self, split: str) -> tuple[Path, ...]:
        """The file of the split. Raises DataError where it is missing."""
        root = on_disk(self.root, _advice(self.root), folder=True)
        if split not in _FILES:
            raise DataError(f"{root}: CIFAR-100 has the splits train and test, not {split!r}")
        path = root / _FILES[split]
        if not is_there(path):
            raise DataError(f"{path} does not exist. {_hint(Path(self.root))}")
        return (path,)

    def load(self, split: str, reader: Reader = ALONE) -> Images:  # noqa: ARG002  (one file, or none)
        """Read a split: uint8 pixels, channels last, and labels."""
        labels, pixels = _RECORDS.read(self.files(split))
        return Images(pixels, labels[:, list(_NAMES).index(self.labels)], _NAMES[self.labels])


def _advice(root: str | Path) -> str:
    """What to do where files are missing."""
    return f"{_ADVICE}; {how_to_fetch(root, 'cifar100')}"


def _hint(root: Path) -> str:
    """What a folder without the right files probably is."""
    if any((root / name).exists() for name in ("data_batch_1.bin", "data_batch_1")):
        return f"This looks like CIFAR-10. {_ADVICE}"
    if (root / "train").is_file() or (root / "meta").is_file():
        return f"This is the Python (pickled) version: use the binary version. {_ADVICE}"
    inner = root / "cifar-100-binary"
    return f"Did you mean {inner}?" if inner.is_dir() else _advice(root)

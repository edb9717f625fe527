"""A dataset gives the samples of a split: images, labels or targets, and the names of the classes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeGuard, cast

import numpy as np

from cnntrain.config.fields import Pair, Range, check_fields
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.boxes import BOXES, Boxes, packed
from cnntrain.core.description import CLASSES, Description
from cnntrain.core.errors import DataError
from cnntrain.core.random import stream
from cnntrain.core.registry import Part
from cnntrain.reading.annotations import Mended, Page, settled
from cnntrain.reading.decoded import Content, Decoded, Recipe, Sample, decoded
from cnntrain.reading.folders import (
    SPLITS,
    class_name,
    files_below,
    listed,
    looked_up,
    media,
    mistaken,
    sorted_files_below,
    splits_within,
    subfolders,
)
from cnntrain.reading.input_files import on_disk
from cnntrain.reading.name_patterns import NamePattern, shown
from cnntrain.reading.pictures import LARGEST, MAX_PIXELS, VERSIONS, Fit, are_mixed, common_size, decode, fitted, header
from cnntrain.reading.reader import ALONE, Reader
from cnntrain.reading.stored import Stored

MAX_CLASSES = 65_536  # labels beyond are a sign of the wrong array, and each would become a class
_LOOKED_AT = 1_000  # files whose headers say what all are like
_MOVES = "have several frames or pages, of which the first counts (frames_folder reads such files as clips)"


class Rows:
    """Rows of arrays that may be larger than memory, looked up when they are asked for.

    Indexed along its first axis like an array, by a slice or by integers (n,), it gives a new array.
    """

    def __init__(self, parts: Sequence[Pixels], chosen: Array | None = None) -> None:
        """The rows of all `parts`, which agree in shape and dtype, one after the other; of these, the `chosen`."""
        self._parts = tuple(parts)
        self._starts = np.cumsum([0, *map(len, parts)])
        self._chosen = np.arange(self._starts[-1]) if chosen is None else chosen
        self.shape: Shape = (len(self._chosen), *parts[0].shape[1:])
        self.dtype: np.dtype[Any] = parts[0].dtype

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: Any) -> Array:
        wanted = self._chosen[index]
        found = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for part, start, stop in zip(self._parts, self._starts, self._starts[1:], strict=False):
            here = (wanted >= start) & (wanted < stop)
            if here.any():
                found[here] = part[wanted[here] - start]
        return found


Pixels = Array | Rows | Stored  # what a row or many can be taken from


def joined(parts: Sequence[Pixels]) -> Pixels:
    """The rows of all parts, in memory if all parts are."""
    arrays = [part for part in parts if _in_memory(part)]
    return np.concatenate(arrays) if len(arrays) == len(parts) else Rows(parts)


def _in_memory(pixels: Pixels) -> TypeGuard[Array]:
    return not isinstance(pixels, Rows | Stored)


@dataclass(frozen=True)
class Images:
    """The samples of one split.

    pixels    (n, height, width, channels), in memory or looked up on disk: uint8, or float32 already in [0, 1] or
              whatever range the source has
    targets   (n,) int64 labels, or (n, k) float32 values for regression or several labels; or what a task of its own
              takes (tasks/base.py)
    classes   the names of the classes in label order; empty where targets name none
    skipped   files that were left out because they cannot be read, each with the reason
    target    what targets are (Description.target), where that is neither labels nor values
    names     the file of each sample, where samples are files of their own; else empty
    kin       the group of each sample ("george"), of which none may stand on both sides of a split; empty without such
    """

    pixels: Pixels
    targets: Array
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    target: str = ""
    names: tuple[str, ...] = ()
    kin: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> Shape:
        """Shape of one sample: (height, width, channels)."""
        return tuple(self.pixels.shape[1:])

    @property
    def description(self) -> Description:
        """What a network has to know about them."""
        extents = () if self.target else self.targets.shape[1:]
        return Description(self.shape, self.classes, math.prod(extents) if extents else 0, self.target)

    @property
    def groups(self) -> dict[int, tuple[str, Array]]:
        """What to draw from evenly: for each label the class, in words, and its samples; without labels, 0 for all."""
        if self.description.target != CLASSES:
            return {0: ("the source", np.arange(len(self)))}
        labels = np.unique(self.targets).tolist()
        return {label: (f"class {self.classes[label]!r}", np.flatnonzero(self.targets == label)) for label in labels}

    def take(self, indices: Array) -> Images:
        """The samples at these indices: copied where they are in memory."""
        pixels = self.pixels[indices] if _in_memory(self.pixels) else Rows([self.pixels], indices)
        names, kin = (tuple(each[i] for i in indices.tolist()) if each else () for each in (self.names, self.kin))
        return replace(self, pixels=pixels, targets=self.targets[indices], names=names, kin=kin)


@dataclass(frozen=True)
class Dataset(Part):
    """Base of every dataset. Relative paths count from the working directory."""

    kind: ClassVar[str] = "datasets"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ()  # settings that load without any file, if there are such
    unmistakable: ClassVar[bool] = False  # whether what `at` knows it by is so much its own that it is asked first

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def at(cls, path: Path) -> Self | None:  # noqa: ARG003  (for those that lie somewhere)
        """This source for what lies at a path, with settings read off the files; None where it is something else."""
        return None

    @classmethod
    def aimed(cls, path: Path, targets: Sequence[str]) -> Self | None:  # noqa: ARG003  (for those that have columns)
        """As `at`, predicting the columns that are named; None where it is something that has none."""
        return None

    def giving(self, shape: Shape) -> Self:
        """This source with its samples brought to a shape, where it has a setting for that; otherwise unchanged."""
        return self

    def widened(self) -> Self:
        """This source with limits that admit every file it has, within reason; as it is where there are no limits."""
        return self

    def splits(self) -> tuple[str, ...]:
        """Which of "train", "val" and "test" this source has. Looks for files, reads none."""
        raise NotImplementedError

    def labelled_samples(self, split: str) -> Sequence[tuple[Sample, str | None]] | None:
        """Every sample's files and class, in the order of `load`; None where samples are not files of their own."""
        return None

    def read_sample(self, sample: Sample) -> Array:
        """One sample (height, width, channels) from its files. Raises DataError."""
        raise NotImplementedError

    def extent(self, path: Path) -> tuple[int, ...] | None:
        """The size of what a file holds, according to its header; None where that is not known."""
        return None

    def windows(self, path: Path, every: float) -> Iterator[tuple[Array, Array]] | None:
        """Samples along what a file holds, for files that last: their starts in seconds (n,), and they, in chunks.

        None where files do not last.
        """
        return None

    def left_out(self, split: str) -> Counter[str]:
        """How many files that lie among those of a split are not read for their names, by suffix in lower case."""
        return Counter()

    def grouped(self, by: str) -> Dataset | None:
        """This source with its samples in groups by a pattern or a column; None where it cannot tell groups itself.

        Raises ValueError where it has groups already.
        """
        return None

    def target_names(self) -> tuple[str, ...]:
        """What the target values of a sample are called, in their order; empty where they have no names."""
        origins = self.origins()
        return origins[0].target_names() if origins and origins[0] is not self else ()

    def origins(self) -> tuple[Dataset, ...]:
        """The sources that read files: this one, or those whose samples it chooses among."""
        return (self,)

    def describe(self) -> Description | None:
        """Shape and classes as far as the config alone tells (`check --no-data`); None where it does not tell."""
        return None

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split. Raises DataError naming the file, what was found, what was expected and what to do."""
        raise NotImplementedError

    def load_some(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split that need not have every class a network knows: as `load`, and one class will do."""
        return self.load(split, reader)

    def unlabelled(self) -> tuple[str, Pixels] | None:
        """A split's name and its samples without what is known of them; None where a source has them together alone."""
        return None

    def place_of_target(self, split: str, sample: int, column: int, value: float) -> str | None:
        """Where this target value of a sample stands, for messages; None where the source cannot tell."""
        return None

    def files(self, split: str) -> tuple[Path, ...]:
        """The files a split is read from, for the manifest; empty where there are none."""
        return ()


@dataclass(frozen=True)
class SplitNames:
    """Which files validate and test, where no folder says so: those in whose name the regular expression is found."""

    val: str | None = None  # of the files to validate on
    test: str | None = None  # of the files to test on

    def __post_init__(self) -> None:
        if not self.patterns:
            raise ValueError("split needs 'val', 'test' or both: regular expressions for the names of their files")

    @property
    def patterns(self) -> dict[str, NamePattern]:
        """Split -> its pattern."""
        given = {"val": self.val, "test": self.test}
        return {split: NamePattern(f"split.{split}", text, 0) for split, text in given.items() if text is not None}


@dataclass(frozen=True)
class ClassFolders(Dataset):
    """Base of the datasets that are a folder of files for each class, as ImageFolder describes it."""

    suffixes: ClassVar[frozenset[str]]  # of the files that are read, in lower case
    noun: ClassVar[str]  # what the files are called in messages

    root: str  # the folder
    # regular expression whose one group is the class, in a file's name: "^(\\d)_"; by default the folder names it
    label: str | None = None
    # regular expressions for the names of the files that validate and test; by default folders say so
    split: SplitNames | None = None
    # regular expression whose one group says, in a file's name, with which others it belongs: a speaker, a scene
    group: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for pattern in (self._label, self._group):
            assert pattern is None or pattern.text  # which its making has checked

    @property
    def _label(self) -> NamePattern | None:
        return None if self.label is None else NamePattern("label", self.label)

    @property
    def _group(self) -> NamePattern | None:
        return None if self.group is None else NamePattern("group", self.group)

    def grouped(self, by: str) -> Self:
        """This source with a `group`. Raises ValueError where it has one, or for a pattern that will not do."""
        if self.group is not None:
            raise ValueError(f"the source has the group {self.group!r} already. Leave one of the two out")
        return replace(self, group=by)

    def called(self, sample: Sample) -> str:
        """The name of a sample, in which `label`, `split` and `group` are looked for: its file's, in Unicode's NFC."""
        return class_name(sample[0].name)

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """Where a class folder, or one in train/, holds a file of the right name."""
        if not path.is_dir():
            return None
        folder = path / "train" if (path / "train").is_dir() else path
        if not any(True for name in subfolders(folder) for _ in files_below(folder / name, cls.suffixes)):
            return None
        return cls(root=str(path)).measured()

    def measured(self) -> Self:
        """With the settings that suit the files, as far as the headers of some of them show."""
        return self

    def sample_of_files(self) -> list[Path]:
        """Some training files, evenly spread: enough to tell what kind of files they are."""
        paths = self.files("train")
        return list(paths[:: -(-len(paths) // _LOOKED_AT)])

    def splits(self) -> tuple[str, ...]:
        """Those of train, val and test that have a folder, or a pattern; train where there is neither."""
        return tuple(self._split_folders())

    def files(self, split: str) -> tuple[Path, ...]:
        """Every file of a split, class by class, sorted by code point."""
        return tuple(path for samples in self._classes(split).values() for sample in samples for path in sample)

    def left_out(self, split: str) -> Counter[str]:
        """How many files of a split are not read for their names, by suffix."""
        others: Counter[str] = Counter()
        self._classes(split, others)
        return others

    def labelled_samples(self, split: str) -> list[tuple[Sample, str]]:
        """Every sample's files with its class, in the order of `load`."""
        return [(sample, name) for name, samples in self._classes(split).items() for sample in samples]

    def read_sample(self, sample: Sample) -> Array:
        """What these files hold."""
        return self._recipe().decode(sample).values

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split: pixels and labels."""
        self._require_classes()
        return self.load_some(split, reader)

    def load_some(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split that need not have every class a network knows: pixels and labels."""
        others: Counter[str] = Counter()
        found = self._classes(split, others)
        self._tell_of_others(split, others, reader)
        names = tuple(found if split == "train" else self._classes("train"))
        unknown = [name for name in found if name not in names]
        if unknown:
            raise DataError(
                f"{self._split_folders()[split] / unknown[0]}: class {unknown[0]!r} is not among the {len(names)} "
                f"classes of train ({_listed(names)}). Rename it, or add it to train"
            )
        kin = self._kin(split, found)
        place = {name: label for label, name in enumerate(names)}
        labels = np.array([place[name] for name, samples in found.items() for _ in samples], np.int64)
        files = [sample for samples in found.values() for sample in samples]
        read = decoded(files, self._recipe(), reader)
        if split == "train":
            check_none_is_empty(labels[read.kept], names, self._split_folders()["train"], read)
        kept = tuple(kin[index] for index in read.kept.tolist()) if kin else ()
        return Images(read.values, labels[read.kept], names, read.skipped, names=read.names(files), kin=kept)

    def _kin(self, split: str, found: Mapping[str, Sequence[Sample]]) -> list[str]:
        """The group of each sample of a split; empty without `group`. Raises DataError where two splits share one."""
        if self._group is None:
            return []
        kin = {split: self._groups_in(found)}
        for other in self._split_folders():
            if other == split:
                continue
            kin[other] = self._groups_in(self._classes(other))
            for name in sorted({*kin[split]} & {*kin[other]}):
                raise DataError(
                    f"{Path(self.root).absolute()}: the group {name!r} stands in {split} ({kin[split].count(name):,} "
                    f"{self.noun}) and in {other} ({kin[other].count(name):,}), expected each group in one split. Mend "
                    "'group' or the splits, or leave 'group' out"
                )
        return kin[split]

    def _groups_in(self, found: Mapping[str, Sequence[Sample]]) -> list[str]:
        return self._read(cast(NamePattern, self._group), [one for samples in found.values() for one in samples])

    def _read(self, pattern: NamePattern, samples: Sequence[Sample]) -> list[str]:
        """What a pattern finds in each sample's name. Raises DataError where that is not one thing."""
        try:
            return pattern.read(map(self.called, samples))
        except ValueError as error:
            raise DataError(f"{Path(self.root).absolute()}: {error}") from error

    def _split_folders(self) -> dict[str, Path]:
        """Split -> its folder, the root of all where patterns tell them apart.

        Raises DataError where folders are named almost like a split.
        """
        root = on_disk(self.root, self._advice(), folder=True)
        names = subfolders(root)
        folders = {split: root / split for split in SPLITS if split in names}
        if self.split is not None:
            if folders:
                raise DataError(
                    f"{root} has the folders {', '.join(folders)}, and 'split' tells splits apart by names: expected "
                    "one of them. Leave 'split' out, or move the files into one folder"
                )
            return {split: root for split in SPLITS if split == "train" or split in self.split.patterns}
        wrong = mistaken(names)
        if folders and wrong:
            name, split = next(iter(wrong.items()))
            raise DataError(f"{root / name} is not read: the folder must be called {split!r}. Rename it")
        if wrong:
            raise DataError(
                f"{root} has the folders {_listed([*wrong])}, which look like splits: a split's folder must be called "
                f"'train', 'val' or 'test'. Rename {' and '.join(f'{name} to {wrong[name]}' for name in _apart(wrong))}"
            )
        if not folders:
            return {"train": root}
        if "train" not in folders:
            raise DataError(
                f"{root} has {', '.join(folders)} but no train: the classes are those of train. Add it, or set root to "
                "the folder that holds the classes"
            )
        return folders

    def _tell_of_others(self, split: str, others: Mapping[str, int], reader: Reader) -> None:
        """Say which files and folders lie there and are not read, where they look as if they should be."""
        folders = self._split_folders()
        if unread := media(others):
            count, known = sum(unread.values()), ", ".join(sorted(self.suffixes))
            reader.warn(
                f"{folders[split]}: {count:,} files are left out for their names: {listed(unread)}. Read are {known}: "
                "convert the others, or move them away"
            )
        if split != "train" or self.label is not None:
            return
        if folders["train"].name == "train":
            root = folders["train"].parent
            beside = [name for name in subfolders(root) if name not in folders]
            for name in (name for name in beside if any(True for _ in files_below(root / name, self.suffixes))):
                reader.warn(f"{root / name} is not read: beside {', '.join(folders)} only splits are")
        for name in subfolders(folders["train"]):
            inner = splits_within(folders["train"] / name)
            if inner:
                reader.warn(
                    f"{folders['train'] / name} holds {' and '.join(inner)}, which look like splits: all that is in "
                    "them is learned from. Splits are folders above those of the classes: train/CLASS, test/CLASS"
                )
                break

    def _classes(self, split: str, others: Counter[str] | None = None) -> dict[str, list[Sample]]:
        """Class name -> its samples, sorted by name; folders whose names differ in Unicode's form alone are one class.

        Counts in `others` what is not read. Raises DataError for an empty class.
        """
        found, counted = looked_up((self, split), lambda: self._listed(split))
        if others is not None:
            others.update(counted)
        return found

    def _listed(self, split: str) -> tuple[dict[str, list[Sample]], Counter[str]]:
        """The samples of each class, and what is not read."""
        others: Counter[str] = Counter()
        folders = self._split_folders()
        if split not in folders:
            raise DataError(f"{Path(self.root).absolute()} has no folder {split!r}, found {', '.join(folders)}. Add it")
        classes = self._all_classes(folders[split], others)
        chosen = classes if self.split is None else self._chosen(classes, split, self.split.patterns)
        return chosen, others

    def _chosen(
        self, classes: Mapping[str, Sequence[Sample]], split: str, patterns: Mapping[str, NamePattern]
    ) -> dict[str, list[Sample]]:
        """The samples whose names say that they are of a split; those that say nothing are for training.

        Raises DataError for a name that says two things, and for a split of which no name says that it is of it.
        """
        root, counts = Path(self.root).absolute(), Counter[str]()
        chosen: dict[str, list[Sample]] = {}
        for name, samples in classes.items():
            for sample in samples:
                called = self.called(sample)
                try:
                    meant = [split for split, pattern in patterns.items() if pattern.find(called)] or ["train"]
                except ValueError as error:
                    raise DataError(f"{root}: {error}") from error
                if len(meant) > 1:
                    raise DataError(f"{root}: split.val and split.test are both found in {called!r}. Mend one of them")
                counts[meant[0]] += 1
                if meant[0] == split:
                    chosen.setdefault(name, []).append(sample)
        for key in ("train", *patterns):
            if not counts[key]:
                names = shown([self.called(sample) for samples in classes.values() for sample in samples])
                found = f"split.{key} {patterns[key].text!r} is found in" if key in patterns else "split leaves"
                raise DataError(f"{root}: {found} none of {counts.total():,} names, such as {names}. Mend the pattern")
        return chosen

    def _all_classes(self, folder: Path, others: Counter[str] | None) -> dict[str, list[Sample]]:
        """Class name -> all its samples in a folder, whichever split they are of."""
        classes: dict[str, list[Sample]] = {}
        if self._label is not None:
            samples = self.samples_in(folder, others)
            if not samples:
                raise DataError(
                    f"{folder} holds no {self.noun}, expected files named {', '.join(sorted(self.suffixes))}. "
                    "Set root to the folder that holds them"
                )
            for name, sample in zip(self._read(self._label, samples), samples, strict=True):
                classes.setdefault(name, []).append(sample)
            return dict(sorted(classes.items()))
        for name in sorted(subfolders(folder), key=class_name):
            classes.setdefault(class_name(name), []).extend(self.samples_in(folder / name, others))
        for name, samples in classes.items():
            if not samples:
                raise DataError(
                    f"{folder / name} holds no {self.noun}, expected files named "
                    f"{', '.join(sorted(self.suffixes))}. Add {self.noun}, or remove the folder"
                )
        return classes

    def _require_classes(self) -> None:
        """Raise DataError for fewer than two classes."""
        folder = self._split_folders()["train"]
        if self._label is not None:
            named = [*self._classes("train")]
            if len(named) < 2:
                raise DataError(
                    f"{folder}: label {self.label!r} finds the one class {named[0]!r}, expected 2 or more. Mend the "
                    "pattern"
                )
            return
        names = subfolders(folder)
        if len({class_name(name) for name in names}) > 1:
            return
        inner = subfolders(folder / names[0]) if names else []
        hint = f"The folders {_listed(inner)} are in {folder / names[0]}: is that what is meant? " if inner[1:] else ""
        found = f"{len(names)} class folder{'s' * (len(names) != 1)}"
        raise DataError(f"{folder} has {found}, expected 2 or more. {hint}{self._advice()}")

    def samples_in(self, folder: Path, others: Counter[str] | None = None) -> list[Sample]:
        """The samples of a folder: one for each file, unless a subclass sees more; counts in `others` what is none."""
        return [(path,) for path in sorted_files_below(folder, self.suffixes, others)]

    def _recipe(self) -> Recipe:
        """How samples become pixels (height, width, channels)."""
        raise NotImplementedError

    def _advice(self) -> str:
        return (
            f"Set root to a folder with a folder of {self.noun} for each class, or with such folders in train/, val/ "
            "and test/"
        )


@dataclass(frozen=True)
class PictureFields:
    """The fields of the datasets that read picture files, which mean the same in all of them."""

    # size to resize to: one number, or [height, width]; without it all pictures must have one size
    size: Pair | None = None
    # how: stretch each side by itself; letterbox, all of it in a grey frame; cover the size with its middle
    fit: Fit = "stretch"
    channels: Literal[1, 3] = 3  # 3 for colour, 1 for grey
    # a picture with more pixels is refused before it is decoded
    max_pixels: Annotated[int, Range(1, LARGEST)] = MAX_PIXELS
    # what to do with a picture that cannot be read: stop, or leave it out and list it
    on_bad_image: Literal["error", "skip"] = "error"

    def of_pictures(self, paths: Sequence[Path]) -> Self:
        """`size` as their sides suggest, at most 64 of the shorter one unless all are alike; grey where all are.

        Where proportions are mixed, stretching would show things in different shapes: then `fit` is letterbox.
        """
        heads = [head for path in paths if (head := header(path))]
        if not heads:
            return self  # nothing there can be read: loading it will say so
        sides = [(head.height, head.width) for head in heads]
        fit: Fit = "letterbox" if are_mixed(sides) else self.fit
        return replace(self, size=common_size(sides), fit=fit, channels=1 if all(head.grey for head in heads) else 3)

    def giving(self, shape: Shape) -> Self:
        """Resized, and made grey or coloured, as the shape (height, width, channels) says."""
        channels: Any = shape[2] if shape[2] in (1, 3) else self.channels
        return replace(self, size=(shape[0], shape[1]), channels=channels)

    def widened(self) -> Self:
        """With as many pixels allowed as the largest picture has that can be opened."""
        source = cast(Dataset, self)
        listed = (source.labelled_samples(split) or () for split in source.splits())
        heads = [header(path) for samples in listed for sample, _ in samples for path in sample]
        largest = max((head.height * head.width for head in heads if head), default=0)
        return replace(self, max_pixels=largest) if self.max_pixels < largest else self

    def extent(self, path: Path) -> tuple[int, ...] | None:
        """Height and width of a picture."""
        head = header(path)
        return head and (head.height, head.width)

    def picture_recipe(self) -> Recipe:
        """Reads a picture file's pixels, or finds that it cannot be read."""
        size = (self.size, self.size) if isinstance(self.size, int) else self.size

        def decode_one(sample: Sample) -> Content:
            picture = decode(sample[0], size, self.channels, self.max_pixels, self.fit)
            return Content(picture.pixels, _MOVES * picture.moves)

        settings = {
            "what": "picture",
            "size": size,
            "fit": self.fit,
            "channels": self.channels,
            "limit": self.max_pixels,
            **VERSIONS,
        }
        return Recipe(decode_one, settings, "images", skip=self.on_bad_image == "skip")


@dataclass(frozen=True)
class BoxedPictures(PictureFields):
    """Base of the datasets that are pictures with boxes in them, as a file of some format has them.

    What is plainly a slip is mended and counted, or an error (`on_bad_box`; reading/annotations.py has the rules).
    """

    unmistakable: ClassVar[bool] = True

    # how: letterbox, all of it in a grey frame; stretch each side by itself; cover the size with its middle
    fit: Fit = "letterbox"
    names: tuple[str, ...] | None = None  # the classes in the order of their numbers; by default the data's
    on_bad_box: Literal["mend", "error"] = "mend"  # what to do with a box that cannot be as it is

    def __post_init__(self) -> None:
        check_fields(self)
        if self.names is not None and len(set(self.names)) != max(len(self.names), 1):
            raise ValueError(f"names must be one or more different names, got {list(self.names)}")

    def describe(self) -> Description | None:
        """What size, channels and names say, where all are given."""
        if self.size is None or self.names is None:
            return None
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        return Description((*size, self.channels), self.names, target=BOXES)

    def pages(self, split: str) -> list[Page]:
        """What is known of each picture of a split. Raises DataError."""
        raise NotImplementedError

    def found_classes(self) -> Sequence[str]:
        """The names of the classes, in order, as the training data has them."""
        return sorted({box.label for page in self.pages("train") for box in page.boxes})

    def annotation_files(self, split: str) -> tuple[Path, ...]:
        """The files that the pages of a split are read from."""
        raise NotImplementedError

    def unannotated(self, split: str) -> tuple[Sequence[Path], str]:
        """Pictures of a split of which no annotation is there, and what becomes of them."""
        return (), ""

    def files(self, split: str) -> tuple[Path, ...]:
        """The annotations of a split, and its pictures."""
        return (*self.annotation_files(split), *(page.picture for page in self.pages(split)))

    def labelled_samples(self, split: str) -> list[tuple[Sample, str | None]]:
        """Every picture; what is in it is no class of it."""
        return [((page.picture,), None) for page in self.pages(split)]

    def read_sample(self, sample: Sample) -> Array:
        """One picture."""
        return self.picture_recipe().decode(sample).values

    def boxed(self) -> Self:
        """With a size that suits finding things: proportions kept, the longer side at most 320, multiples of 32."""
        heads = [head for page in self.pages("train")[:_LOOKED_AT] if (head := header(page.picture))]
        if not heads:
            return self
        height, width = (int(np.median(sides)) for sides in zip(*((h.height, h.width) for h in heads), strict=True))
        scale = min(1, 320 / max(height, width))
        rows, columns = (max(math.ceil(round(side * scale, 6) / 32), 1) * 32 for side in (height, width))
        return replace(self, size=(rows, columns), channels=1 if all(head.grey for head in heads) else 3)

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Read a split: pixels, and records of boxes."""
        called = tuple(self.names or self.found_classes())
        if not 1 <= len(called) <= MAX_CLASSES:
            raise DataError(
                f"{self.annotation_files('train')[0]}: no box in the training data, expected some. Add them"
            )
        pages = self.pages(split)
        if not pages:
            raise DataError(f"{self.annotation_files(split)[0].parent}: no picture in {split}, expected some. Add them")
        boxes = self._settled(split, pages, {name: place for place, name in enumerate(called)}, reader)
        files: list[Sample] = [(page.picture,) for page in pages]
        read = decoded(files, self.picture_recipe(), reader)
        shape = read.values.shape[1], read.values.shape[2]
        kept = [boxes[index] for index in read.kept.tolist()]
        frames = np.array([fitted(one.size, shape, self.fit).frame for one in kept], np.float32)
        records = packed(kept, frames, shape)
        lost = sum(map(len, kept)) - int((records["labels"] >= 0).sum())
        if lost:
            reader.warn(f"{split}: {lost:,} box{'es' * (lost > 1)} beside what fit: {self.fit} shows, left out")
        return Images(read.values, records, called, read.skipped, BOXES, read.names(files))

    def _settled(self, split: str, pages: Sequence[Page], places: Mapping[str, int], reader: Reader) -> list[Boxes]:
        """The boxes of every picture, after telling what was mended; none of a picture that cannot be read."""
        mended = Mended() if self.on_bad_box == "mend" else None
        found = []
        for page, head in zip(pages, reader.map(lambda page: header(page.picture), pages), strict=True):
            size = (1, 1) if head is None else (head.height, head.width)  # decoding will say why
            found.append(Boxes(size) if head is None else settled(page, size, places, mended))
        for line in mended.lines() if mended else ():
            reader.warn(f"{split}: {line}")
        without, fate = self.unannotated(split)
        if without:
            count = f"{len(without):,} picture{'s' * (len(without) > 1)} without an annotation"
            reader.warn(f"{split}: {count}, {fate}; {without[0]} is the first")
        return found


def checked_labels(labels: Array, classes: int, where: str) -> Array:
    """Integer labels as int64. Raises DataError for the first outside [0, classes), by index and value."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        first = int(wrong[0])
        raise DataError(
            f"{where}: label {int(labels[first])} at index {first:,} ({len(wrong):,} such), expected 0 to "
            f"{classes - 1} for {classes} classes. Mend the labels, or declare the classes they belong to"
        )
    return labels.astype(np.int64)


def check_none_is_empty(labels: Array, classes: Sequence[str], where: Path, read: Decoded) -> None:
    """Raise DataError for the first class of which no file could be read, so that all were skipped."""
    for label in np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0).tolist():
        raise DataError(
            f"{where}: of the class {classes[label]!r} nothing can be read; skipped first: {read.skipped[0]}. "
            "Mend its files, or remove the class"
        )


def places_among(names: Sequence[str], classes: Sequence[str]) -> Array:
    """The place of each name among `classes`, whichever Unicode form either has, int64 (n,).

    Raises ValueError listing the names that are not among them.
    """
    places = {class_name(name): place for place, name in enumerate(classes)}
    unknown = [name for name in names if class_name(name) not in places]
    if unknown:
        more = f" and {len(unknown) - 8:,} more" if len(unknown) > 8 else ""
        raise ValueError(", ".join(map(repr, unknown[:8])) + more)
    return np.array([places[class_name(name)] for name in names], np.int64)


def count_classes(labels: Array, where: str, least: int = 2) -> int:
    """How many classes labels from 0 on make: the largest plus one. Raises DataError for too few or far too many."""
    classes = int(labels.max()) + 1 if len(labels) else 0
    if classes < least:
        raise DataError(f"{where}: {classes} class{'es' * (classes != 1)} found, expected 2 or more. Check the labels")
    if classes > MAX_CLASSES:
        index = int(labels.argmax())
        raise DataError(
            f"{where}: label {classes - 1:,} at index {index:,} would make {classes:,} classes, expected at most "
            f"{MAX_CLASSES:,}. Check that these are labels"
        )
    return classes


def shuffled(images: Images, seed: int, purpose: str) -> list[tuple[str, Array]]:
    """The groups of `Images.groups`, in words, and the indices of their samples in random order."""
    return [
        (words, stream(seed, purpose, label).permutation(indices)) for label, (words, indices) in images.groups.items()
    ]


def numbered(classes: int) -> tuple[str, ...]:
    """Names for classes that have none: "0", "1", ..."""
    return tuple(map(str, range(classes)))


def has_any(folder: Path, names: Iterable[str]) -> bool:
    """Whether a folder holds a file of one of these names."""
    return any((folder / name).is_file() for name in names)


def _apart(meant: Mapping[str, str]) -> list[str]:
    """Of names that mean splits, the first for each split, in the order of splits."""
    firsts = {split: name for name, split in reversed([*meant.items()])}
    return [firsts[split] for split in SPLITS if split in firsts]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")

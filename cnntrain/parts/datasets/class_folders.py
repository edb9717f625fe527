"""Class folders hold the files of one class each; the splits are folders above them, or patterns of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self, cast

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.errors import DataError
from cnntrain.core.spread import spread
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.groups import check_apart, with_group
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.labels import check_none_is_empty
from cnntrain.reading.csv_rows import tables_in
from cnntrain.reading.decoded import Recipe, Sample, decoded
from cnntrain.reading.folders import (
    SPLITS,
    check_spelling,
    class_name,
    files_below,
    first_split_in,
    listed,
    looked_up,
    media,
    sorted_files_below,
    splits_within,
    subfolders,
)
from cnntrain.reading.input_files import on_disk
from cnntrain.reading.name_patterns import NamePattern, shown
from cnntrain.reading.reader import ALONE, Reader

_ALONE = 4  # folders that each hold but one, as archives do, in which classes are looked for to name them
_LOOKED_AT = 1_000  # files whose headers say what all are like


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
    # regular expression whose one group says, in a file's name, what it belongs to: a speaker, a scene
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

    def samples_at(self, folder: Path) -> list[Sample]:
        """The samples of a folder that need not be a class's, at any depth, sorted by code point."""
        return self.samples_in(folder)

    def grouped(self, by: str) -> Self:
        """This source with a `group`. Raises ValueError where it has one, or for a pattern that will not do."""
        return with_group(self, by)

    def elsewhere(self, folder: Path) -> Self:
        """This source for another folder: its samples need no groups, nor splits that its pattern does not find."""
        there = replace(self, root=str(folder), group=None)
        if there.split is not None:
            try:
                for split in there.splits():
                    there.files(split)
            except DataError:
                return replace(there, split=None)
        return there

    def called(self, sample: Sample) -> str:
        """The name of a sample, in which `label`, `split` and `group` are looked for: its file's, in Unicode's NFC."""
        return class_name(sample[0].name)

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """Where a class folder, or one in the first split, holds a file of the right name."""
        if not path.is_dir():
            return None
        folder = first_split_in(path)
        if not any(True for name in subfolders(folder) for _ in files_below(folder / name, cls.suffixes)):
            return None
        return cls(root=str(path)).measured()

    def measured(self) -> Self:
        """With the settings that suit the files, as far as the headers of some of them show."""
        return self

    def sample_of_files(self) -> list[Path]:
        """Some files of the first split, evenly spread: enough to tell what kind of files they are."""
        paths = self.files(self.splits()[0])
        return list(spread(paths, _LOOKED_AT))

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
        """Read a split that need not have every class a network knows, where there may be none for training."""
        others: Counter[str] = Counter()
        found = self._classes(split, others)
        self._tell_of_others(split, others, reader)
        folders = self._split_folders()
        names = tuple(found if split == "train" or "train" not in folders else self._classes("train"))
        unknown = [name for name in found if name not in names]
        if unknown:
            raise DataError(
                f"{folders[split] / unknown[0]}: class {unknown[0]!r} is not among the {len(names)} "
                f"classes of train ({_listed(names)}). Rename it, or add it to train"
            )
        kin = self._kin(split, found)
        place = {name: label for label, name in enumerate(names)}
        labels = np.array([place[name] for name, samples in found.items() for _ in samples], np.int64)
        files = [sample for samples in found.values() for sample in samples]
        read = decoded(files, self._recipe(), reader)
        if split == "train":
            check_none_is_empty(labels[read.kept], names, folders["train"], read)
        kept = tuple(kin[index] for index in read.kept.tolist()) if kin else ()
        called = tuple(self.place(files[index]) for index in read.kept.tolist())
        return Images(read.values, labels[read.kept], names, read.skipped, names=called, kin=kept)

    def _kin(self, split: str, found: Mapping[str, Sequence[Sample]]) -> list[str]:
        """The group of each sample of a split; empty without `group`. Raises DataError where two splits share one."""
        if self._group is None:
            return []
        kin = {split: self._groups_in(found)}
        for other in self._split_folders():
            if other == split:
                continue
            kin[other] = self._groups_in(self._classes(other))
            check_apart(kin, split, other, Path(self.root).absolute(), self.noun)
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
        check_spelling(root, names)
        return folders or {"train": root}

    def _folder(self, split: str) -> Path:
        """The folder of a split. Raises DataError where there is none."""
        folders = self._split_folders()
        if split in folders:
            return folders[split]
        root, found = Path(self.root).absolute(), ", ".join(folders)
        if split != "train":
            raise DataError(f"{root} has no folder {split!r}, found {found}. Add it")
        for name in folders:
            self._check_no_class(name)
        raise DataError(
            f"{root} has {found} but no train: the classes are those of train. Add it, or name the folder that holds "
            "the classes"
        )

    def _check_no_class(self, split: str) -> None:
        """Raise DataError where the folder of a split seems to be a class: files lie in it, and in others beside it."""
        root = on_disk(self.root, self._advice(), folder=True)
        if self._label is not None or subfolders(root / split) or not self._has_files(root / split):
            return
        beside = [name for name in subfolders(root) if name not in SPLITS and self._has_files(root / name)]
        if beside:
            raise DataError(
                f"{root / split} is taken for a split because of its name, and has no folder for a class in it. If it "
                f"is a class, like {_listed(beside)} beside it, rename it, or move all classes into {root / 'train'}"
            )

    def _has_files(self, folder: Path) -> bool:
        return any(True for _ in files_below(folder, self.suffixes))

    def _tell_of_others(self, split: str, others: Mapping[str, int], reader: Reader) -> None:
        """Say which files and folders lie there and are not read, where they look as if they should be."""
        folders = self._split_folders()
        if unread := media(others):
            count, known = sum(unread.values()), ", ".join(sorted(self.suffixes))
            what = "1 file is left out for its name" if count == 1 else f"{count:,} files are left out for their names"
            reader.warn(
                f"{folders[split]}: {what}: {listed(unread)}. "
                f"Only {known} are read: convert the others, or move them away"
            )
        if split != "train" or self.label is not None:
            return
        if folders["train"].name == "train":
            root = folders["train"].parent
            beside = [name for name in subfolders(root) if name not in folders]
            for name in filter(lambda name: self._has_files(root / name), beside):
                reader.warn(f"{root / name} is not read: beside {', '.join(folders)} only splits are")
        for name in subfolders(folders["train"]):
            inner = splits_within(folders["train"] / name)
            if inner:
                reader.warn(
                    f"{folders['train'] / name} holds {' and '.join(inner)}, which look like splits: everything in "
                    "them is used for training. Splits are folders above those of the classes: train/CLASS, test/CLASS"
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
        folder = self._folder(split)
        found = self._all_classes(folder, others)
        if not found:
            self._refuse_unsorted(folder, split)
        chosen = found if self.split is None else self._chosen(found, split, self.split.patterns)
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

    def _refuse_unsorted(self, folder: Path, split: str) -> None:
        """Raise DataError for the folder of a split that has none of a class, whatever else is in it."""
        if split == "train":
            self._require_classes()  # which says more
        self._check_no_class(split)
        loose = self.samples_at(folder)
        if not loose:
            raise DataError(f"{folder} has no folder for a class, expected those of train. Add them, or remove it")
        one = self.noun.removesuffix("s")
        raise DataError(
            f"{folder} has no folder for a class, but {counted(len(loose), one)}. Sort them into folders named as in "
            "train, or move it away: `cnntrain predict RUN FOLDER` answers what has no labels"
        )

    def _require_classes(self) -> None:
        """Raise DataError for fewer than two classes."""
        folder = self._folder("train")
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
        if folder.name == "train":
            self._check_no_class("train")
        place, inner = folder, names
        for _ in range(_ALONE):
            if len(inner) == 1:
                place /= inner[0]
                inner = subfolders(place)
        found = f"{folder} has {counted(len(names), 'class folder')}, expected 2 or more"
        if inner[1:]:  # of what kind it is would be a guess
            raise DataError(f"{found}. Is it {place}, which holds {_listed(inner)}? Name that folder")
        table = next(iter(tables_in(folder)), None)
        hint = "" if table is None else f"{table.name} lies there: do you mean the table {table}? "
        raise DataError(f"{found}. {hint}{self._advice()}")

    def samples_in(self, folder: Path, others: Counter[str] | None = None) -> list[Sample]:
        """The samples of a folder: one for each file, unless a subclass sees more; counts in `others` what is none."""
        return [(path,) for path in sorted_files_below(folder, self.suffixes, others)]

    def _recipe(self) -> Recipe:
        """How samples become pixels (height, width, channels)."""
        raise NotImplementedError

    def _advice(self) -> str:
        return (
            f"Name a folder with a folder of {self.noun} for each class, or with such folders in train/, val/ and test/"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")

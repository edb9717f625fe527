"""A dataset gives the samples of a split: images, labels or targets, and the names of the classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from cnntrain.config.fields import check_fields
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.description import Description
from cnntrain.core.registry import Part
from cnntrain.parts.datasets.images import Images, Pixels
from cnntrain.reading.decoded import Sample
from cnntrain.reading.folders import SPECIAL
from cnntrain.reading.reader import ALONE, Reader

# the fields of sources and transforms that say where files lie
PLACES = ("root", "path", "pictures", "masks", "table", "images", "lists", "folder")


@dataclass(frozen=True)
class Numbers:
    """The numbers that annotation files give: of pictures by path, and of classes by name."""

    pictures: Mapping[Path, int]
    classes: Mapping[str, int]


@dataclass(frozen=True)
class Dataset(Part):
    """Base of every dataset. Relative paths count from the working directory."""

    kind: ClassVar[str] = "datasets"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ()  # settings that load without any file, if there are such
    clips: ClassVar[bool] = False  # whether its samples are clips (moments, height, width, channels)
    sure: ClassVar[int] = 0  # how surely `at` knows what is its own: the surest is asked first

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

    def whereabouts(self) -> dict[str, Any]:
        """The settings that say where its files lie: those of another of its kind make it read the other's files."""
        return {key: getattr(self, key) for key in PLACES if key in self.__dataclass_fields__}

    def giving(self, shape: Shape) -> Self:
        """This source with its samples brought to a shape, where it has a setting for that; otherwise unchanged."""
        return self

    def widened(self) -> Self:
        """This source with limits that admit every file it has, within reason; as it is where there are no limits."""
        return self

    def splits(self) -> tuple[str, ...]:
        """Which of "train", "val" and "test" this source has. Looks for files, reads none.

        Raises DataError, which names the place in full, where it does not exist (`on_disk` of reading/input_files.py);
        so do `load` and `files`.
        """
        raise NotImplementedError

    def labelled_samples(self, split: str) -> Sequence[tuple[Sample, str | None]] | None:
        """Every sample's files and class, in the order of `load`; None where samples are not files of their own."""
        return None

    def read_sample(self, sample: Sample) -> Array:
        """One sample from its files: (height, width, channels), or a clip. Raises DataError."""
        raise NotImplementedError

    def place(self, sample: Sample) -> str:
        """What a sample is called in messages and answers: the path of its file, the first where it has several."""
        return str(sample[0])

    def extent(self, path: Path) -> tuple[float, ...] | None:
        """The sides of what a file holds, or its seconds, according to its header; None where that is not known."""
        return None

    def prepared(self) -> str:
        """How files become samples, in words, for those who have an exported network alone; "" where it says so."""
        return ""

    def windows(self, path: Path, every: float) -> Iterator[tuple[Array, Array]] | None:
        """Samples along what a file holds, for files that last: chunks of starts in seconds (n,) and of samples.

        None where files do not last.
        """
        return None

    def left_out(self, split: str) -> Counter[str]:
        """How many files that lie among those of a split are not read for their names, by suffix in lower case."""
        return Counter()

    def tell_of_special(self, split: str, reader: Reader) -> None:
        """Warn where pipes, sockets or devices lie among the files of a split and are named like them."""
        count = sum(source.left_out(split)[SPECIAL] for source in self.origins() if split in source.splits())
        if count:
            reader.warn(f"{count:,} of the files of {split} left out as {SPECIAL}: only regular files are read")

    def grouped(self, by: str) -> Dataset | None:
        """This source with its samples in groups by a pattern or a column; None where it cannot tell groups itself.

        Raises ValueError where it has groups already.
        """
        return None

    def target_names(self) -> tuple[str, ...]:
        """What the target values of a sample are called, in their order; empty where they have no names."""
        origins = self.origins()
        return origins[0].target_names() if origins and origins[0] is not self else ()

    def numbers(self) -> Numbers | None:
        """The numbers by which its files know pictures and classes, for results; None where they give none."""
        return None

    def origins(self) -> tuple[Dataset, ...]:
        """The sources that read files: this one, or those whose samples it chooses among."""
        return (self,)

    def behind(self, split: str) -> tuple[tuple[Dataset, str], ...]:
        """The `origins` of the samples of a split, each with the split of its own that they are in."""
        return ((self, split),)

    def chooses_validation(self) -> bool:
        """Whether its own settings choose what validates, as those of k_fold do."""
        return False

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
        """A split's name and its samples without their targets; None where a source has them only together."""
        return None

    def place_of_target(self, split: str, sample: int, column: int, value: float) -> str | None:
        """Where this target value of a sample is, for messages; None where the source cannot tell."""
        return None

    @property
    def skips_unreadable(self) -> bool:
        """Whether samples that cannot be read are left out (`on_bad_image: skip`)."""
        return getattr(self, "on_bad_image", "error") == "skip"

    def files(self, split: str) -> tuple[Path, ...]:
        """The files a split is read from, for the manifest; empty where there are none."""
        return ()


@dataclass(frozen=True)
class Rooted(Dataset):
    """Base of the datasets that are a folder; its field comes before those of pictures."""

    root: str  # the folder

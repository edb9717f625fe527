"""A survey reads every file of an experiment's data once, and tells, file by file, what is wrong with it.

Files count as equal when their bytes are; samples that lie in one large file, when their pixels and shape are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnntrain.config.load import Loaded
from cnntrain.core.arrays import Array
from cnntrain.core.bar import Bar
from cnntrain.core.errors import DataError
from cnntrain.data import build_data, likeness
from cnntrain.data.loader import as_floats
from cnntrain.data.manifest import FileFacts, Manifest, facts_with_digest, normal, splits_read
from cnntrain.engine.pool import Pool
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.tasks.base import recognized
from cnntrain.reading.decoded import Sample
from cnntrain.reading.input_files import advised, told_of, without_name

CHUNK = 1024  # samples looked at at a time


@dataclass(frozen=True)
class SurveyedSample:
    """One sample: what it is called, where it belongs, its class where it has one, and the digest of its content."""

    name: str
    split: str
    label: str | None
    digest: str


@dataclass
class Survey:
    """What was found. `unreadable` has (file, reason), and `skipped` those that the config says to leave out."""

    samples: list[SurveyedSample] = field(default_factory=list)
    looks: list[Array | None] = field(default_factory=list)  # the likeness of each sample, as far as they are kept
    files: dict[str, FileFacts] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    asked: int = 0  # samples that were to be read
    skipped: list[tuple[str, str]] = field(default_factory=list)
    extents: list[tuple[float, ...]] = field(default_factory=list)  # height and width, or of sounds seconds
    left_out: Counter[str] = field(default_factory=Counter)  # files that are not read for their names, by suffix
    moments: Array | None = None  # of the training pixels' channels: (3, c) of count, sum, sum of squares

    @property
    def manifest(self) -> Manifest:
        """The files with their digests."""
        return Manifest(self.files)

    def validating(self, indices: Iterable[int]) -> Survey:
        """The survey with the training samples at these places counted as the validation split."""
        training = [place for place, sample in enumerate(self.samples) if sample.split == "train"]
        samples = list(self.samples)
        for index in indices:
            samples[training[index]] = dataclasses.replace(samples[training[index]], split="val")
        return dataclasses.replace(self, samples=samples)

    def document(self) -> dict[str, Any]:
        """What `check --json` prints of it: figures, and the names of all that is wrong."""
        mean, std = self.normalization()
        return {
            "files": len(self.files),
            "bytes": sum(facts.size for facts in self.files.values()),
            "left_out": dict(self.left_out),
            "extents": _span(self.extents),
            "mean": mean,
            "std": std,
            "unreadable": [{"file": name, "reason": reason} for name, reason in self.unreadable],
            "skipped": [{"file": name, "reason": reason} for name, reason in self.skipped],
            **self.repeated(),
            "alike": self.alike(),
        }

    def normalization(self) -> tuple[list[float] | None, list[float] | None]:
        """Mean and standard deviation of each channel over the training pixels as stored, bytes in [0, 1]."""
        if self.moments is None:
            return None, None
        count, total, squares = self.moments
        mean = total / count
        return mean.tolist(), np.sqrt(np.maximum(squares / count - mean * mean, 0)).tolist()

    def alike(self) -> list[list[str]]:
        """Pairs [training sample, sample of another split] that look alike, without those of equal content."""
        here = [place for place, look in enumerate(self.looks) if look is not None]
        train = [place for place in here if self.samples[place].split == "train"]
        others = [place for place in here if self.samples[place].split != "train"]
        if not train or not others:
            return []
        rows = [np.stack([cast(Array, self.looks[place]) for place in places]) for places in (train, others)]
        pairs = [(self.samples[train[one]], self.samples[others[other]]) for one, other in likeness.alike(*rows)]
        known = {self.samples[place].digest for place in train}
        return [[one.name, other.name] for one, other in pairs if other.digest not in known]

    def repeated(self) -> dict[str, list[list[str]]]:
        """Groups of samples with one content, by what is wrong with that; a group may be in several.

        `mislabelled`: in two classes. `leaked`: in training and in another split. `duplicates`: twice in one split.
        """
        groups: dict[str, list[SurveyedSample]] = defaultdict(list)
        for sample in self.samples:
            groups[sample.digest].append(sample)
        found: dict[str, list[list[str]]] = {"mislabelled": [], "leaked": [], "duplicates": []}
        for group in groups.values():
            splits = {sample.split for sample in group}
            kinds = {
                "mislabelled": len({sample.label for sample in group}) > 1,
                "leaked": "train" in splits and len(splits) > 1,
                "duplicates": len(group) > len(splits),
            }
            for kind in (kind for kind, holds in kinds.items() if holds):
                found[kind].append([sample.name for sample in group])
        return found


def doubts(document: Mapping[str, Any]) -> dict[str, str]:
    """What to warn of in what a survey found (`Survey.document`): code of the warning -> one line."""
    changed = "saved again or made louder" if of_sounds(document) else "saved again, resized or brightened"
    said = {
        "leaked": "in training and in another split, so that scores on that split are too good",
        "mislabelled": "in two classes, one of which is wrong",
        "alike": f"like one in training, as if {changed}, so that scores on it are too good",
    }
    counts = {code: len(document[code]) for code in said}
    return {
        code: f"{count:,} sample{' is' if count == 1 else 's are'} {said[code]}"
        for code, count in counts.items()
        if count
    }


def of_sounds(document: Mapping[str, Any]) -> bool:
    """Whether the files of a survey (`Survey.document`) are sounds: one figure, how long each lasts."""
    return document["extents"] is not None and len(document["extents"]["min"]) == 1


def _span(extents: list[tuple[float, ...]]) -> dict[str, list[float]] | None:
    """Smallest, median and largest of each figure in the headers; None where they have none."""
    if not extents:
        return None
    sides = np.array(extents)
    figures = {"min": sides.min(axis=0), "median": np.median(sides, axis=0), "max": sides.max(axis=0)}
    return {name: values.tolist() for name, values in figures.items()}


def survey(loaded: Loaded, pool: Pool) -> Survey:
    """Read everything the experiment may read, every split; all threads take part.

    Raises DataError for what is wrong with a whole split, such as a class that training does not have.
    """
    found = Survey()
    for split, source, inner in splits_read(loaded.experiment):
        found.left_out += source.left_out(inner)
        if source.labelled_samples(inner) is not None:
            _read_samples(source, split, inner, pool, found)
        else:
            _read_arrays(source, split, inner, pool, found)
    return found


def _read_samples(source: Dataset, split: str, inner: str, pool: Pool, found: Survey) -> None:
    """Samples that are files of their own: digest, header and pixels of each."""
    labelled = source.labelled_samples(inner) or ()
    found.asked += len(labelled)
    known = {label for _, label in source.labelled_samples("train") or ()}
    unknown = [(sample, label) for sample, label in labelled if label not in known]
    if unknown:
        sample, label = unknown[0]
        raise DataError(
            f"{sample[0].parent}: class {label!r} is not among the {len(known)} classes of train. Rename it, or add it "
            "to train"
        )
    seen: list[_Seen | None] = [None] * len(labelled)
    lock = threading.Lock()
    with Bar(f"reading {split}", len(labelled), " files") as bar:

        def look(_worker: int, index: int) -> None:
            seen[index] = _look(source, labelled[index][0], split == "train")
            with lock:
                bar.advance()

        pool.run(len(labelled), look)
    for (sample, label), one in zip(labelled, cast(list[_Seen], seen), strict=True):
        name = _shown(Path(source.place(sample)))
        found.files |= dict(zip(normal(one.files), one.files.values(), strict=True))
        skipped = one.reason is not None and source.skips_unreadable
        if len(one.files) == len(sample) and not skipped:
            found.samples.append(SurveyedSample(name, split, label, one.digest))
            found.looks.append(one.look if len(found.samples) <= likeness.MOST else None)
        if one.reason is not None:
            problem = (name, without_name(one.reason, sample[0]))
            (found.skipped if skipped else found.unreadable).append(problem)
        if one.extent is not None:
            found.extents.append(one.extent)
    theirs = {file for sample, _ in labelled for file in sample}
    others = [path for path in source.files(inner) if path not in theirs]
    found.files |= {
        name: facts_with_digest(Path(name)) for name in normal(others)
    }  # a list of the samples, such as CSV
    _add_moments(found, [one.moments for one in cast(list[_Seen], seen)])


@dataclass(frozen=True)
class _Seen:
    """The properties of one sample's files; `reason` says why they cannot be read."""

    files: dict[Path, FileFacts]
    extent: tuple[float, ...] | None = None
    moments: Array | None = None
    look: Array | None = None
    reason: str | None = None

    @property
    def digest(self) -> str:
        """Of all files together; of a single file, its own."""
        digests = [facts.sha256 or "" for facts in self.files.values()]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _look(source: Dataset, files: Sample, measure: bool) -> _Seen:
    facts: dict[Path, FileFacts] = {}
    try:
        for path in files:
            facts[path] = facts_with_digest(path)
        pixels = source.read_sample(files)
        look = likeness.likenesses(pixels[None])[0]
        return _Seen(facts, source.extent(files[0]), _moments(pixels[None]) if measure else None, look)
    except DataError as error:
        return _Seen(facts, reason=str(error))


def _shown(path: Path) -> str:
    """A path as people would type it: relative where it lies below the working directory."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _read_arrays(source: Dataset, split: str, inner: str, pool: Pool, found: Survey) -> None:
    """Samples that lie together in large files: the digest of each one's pixels."""
    paths = source.files(inner)
    for path in paths:
        found.files.setdefault(normal([path])[0], facts_with_digest(path))
    images = source.load(inner)
    digests = [""] * len(images)
    starts = range(0, len(images), CHUNK)
    moments: list[Array | None] = [None] * len(starts)
    looks: list[Array | None] = [None] * len(images)

    def look(_worker: int, number: int) -> None:
        chosen = np.arange(starts[number], min(starts[number] + CHUNK, len(images)))
        pixels = images.pixels[chosen]
        for index, image in zip(chosen, pixels, strict=True):
            digests[index] = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).hexdigest()
        moments[number] = _moments(pixels) if split == "train" else None
        if len(found.samples) + len(images) <= likeness.MOST:
            looks[chosen[0] : chosen[-1] + 1] = likeness.likenesses(pixels)

    pool.run(len(starts), look)
    task = recognized(images.targets, images.description)
    labels = task.names(images.targets, images.description)
    found.samples += [
        SurveyedSample(f"{split}[{index}]", split, label, digest)
        for index, (label, digest) in enumerate(zip(labels, digests, strict=True))
    ]
    found.looks += looks
    found.extents.append(images.shape[-3:-1])
    _add_moments(found, moments)


def _moments(images: Array) -> Array:
    """Count, sum and sum of squares of each channel of images (n, h, w, c), float64 (3, c)."""
    pixels = as_floats(images).reshape(-1, images.shape[-1]).astype(np.float64)
    return np.stack([np.full(pixels.shape[1], len(pixels)), pixels.sum(axis=0), np.square(pixels).sum(axis=0)])


def _add_moments(found: Survey, moments: Iterable[Array | None]) -> None:
    """Add up the measured moments, in order, where all have the same channels."""
    for one in moments:
        if one is not None and (found.moments is None or found.moments.shape == one.shape):
            found.moments = one if found.moments is None else found.moments + one


def validation_indices(loaded: Loaded, data: build_data.Data) -> list[int]:
    """The training samples, in the order of a survey, that validate; none where validation is a split of its own."""
    plain = len(cast(Dataset, loaded.experiment.data.source).origins()) == 1
    return data.val_indices.tolist() if plain and data.val is data.train else []


def unreadable(found: Survey) -> DataError:
    """The error that ends a check of data that cannot all be read."""
    name, reason = found.unreadable[0]
    return DataError(
        advised(f"{len(found.unreadable):,} of {found.asked:,} files cannot be read, first: {told_of(name, reason)}")
    )

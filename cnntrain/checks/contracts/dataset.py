"""The contract of datasets: what is loaded is what was described, the same each time, and the caller's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cnntrain.checks.contracts.base import hold
from cnntrain.core.errors import DataError
from cnntrain.parts.datasets.base import PLACES, Dataset

SPLITS = ("train", "val", "test")


def place_field(cls: type[Dataset]) -> str | None:
    """The field that says where its files are; None where it has none."""
    return next((field.name for field in dataclasses.fields(cls) if field.name in PLACES), None)


def loads_what_it_describes(source: Dataset) -> None:
    """Pixels, targets and classes of the types that a network is given, and as `describe` says beforehand."""
    described = source.describe()
    hold({*source.splits()} <= {*SPLITS}, f"its splits are {source.splits()}, expected some of {SPLITS}")
    for split in source.splits():
        images = source.load(split)
        kind = images.pixels.dtype
        hold(kind in (np.uint8, np.float32), f"its pixels are {kind}, expected uint8 or float32")
        hold(len(images.shape) in (3, 4), f"a sample is of the shape {images.shape}, expected (h, w, c), or a clip's")
        counts = len(images.pixels), len(images.targets)
        hold(counts[0] == counts[1] > 0, f"{split} has {counts[0]} samples and {counts[1]} targets")
        if isinstance(images.pixels, np.ndarray):
            hold(images.pixels.flags.c_contiguous, "its pixels are not contiguous")
        if images.targets.shape == counts[1:] and not images.targets.dtype.fields:  # one number for each: labels
            hold(images.targets.dtype == np.int64, f"its labels are {images.targets.dtype}, expected int64")
            inside = images.targets.min() >= 0 and images.targets.max() < len(images.classes)
            hold(inside, f"{split} has labels beyond its {len(images.classes)} classes")
        agrees = described is None or images.description == described
        hold(agrees, f"`describe` says {described}, and {split} is {images.description}")


def loads_the_same_again(source: Dataset) -> None:
    """To the bit, whatever was done to what was loaded before."""
    for split in source.splits():
        first = source.load(split)
        before = [array[:].tobytes() for array in (first.pixels, first.targets)]
        for array in (first.pixels, first.targets):
            if isinstance(array, np.ndarray) and array.flags.writeable:
                array[...] = array[-1]
        again = source.load(split)
        for what, kept, after in zip(("pixels", "targets"), before, (again.pixels, again.targets), strict=True):
            hold(after[:].tobytes() == kept, f"loaded again, the {what} of {split} differ")


CHECKS = (
    loads_what_it_describes,
    loads_the_same_again,
)


def names_a_place_that_does_not_exist(cls: type[Dataset]) -> None:
    """In full, in a DataError, whatever it is asked for first: where its files should be is what a user gets wrong."""
    field = place_field(cls)
    needed = {one.name for one in dataclasses.fields(cls) if one.default is one.default_factory}
    if field is None or needed - {field}:
        return
    source = cls(**{field: "no/such"})
    asked: dict[str, Callable[[], object]] = {
        "splits": source.splits,
        "load": lambda: source.load("train"),
        "files": lambda: source.files("train"),
    }
    for name, ask in asked.items():
        try:
            ask()
        except DataError as error:
            hold(str(Path("no/such").absolute()) in str(error), f"{name} does not say where it looked: {error}")
            continue
        raise AssertionError(f"{name} takes a {field} that does not exist: use on_disk of cnntrain.reading.input_files")


OF_CLASS = (names_a_place_that_does_not_exist,)

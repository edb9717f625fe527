"""Images are the samples of a split: pixels, in memory or on disk, with their labels or targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.description import CLASSES, Description
from cnntrain.core.random import stream
from cnntrain.reading.stored import Stored


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

    pixels    (n, height, width, channels), or clips (n, moments, height, width, channels), in memory or looked up on
              disk: uint8, or float32 already in [0, 1] or whatever range the source has
    targets   (n,) int64 labels, or (n, k) float32 values for regression or several labels; or what a task of its own
              takes (tasks/base.py)
    classes   the names of the classes in label order; empty where targets name none
    skipped   files that were left out because they cannot be read, each with the reason
    target    what targets are (Description.target), where that is neither labels nor values
    names     the file of each sample, where samples are files of their own; else empty
    kin       the group of each sample ("george"), of which none may be on both sides of a split; empty without groups
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
        """Shape of one sample: (height, width, channels), for a clip with its moments before."""
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


def shuffled(images: Images, seed: int, purpose: str) -> list[tuple[str, Array]]:
    """The groups of `Images.groups`, in words, and the indices of their samples in random order."""
    return [
        (words, stream(seed, purpose, label).permutation(indices)) for label, (words, indices) in images.groups.items()
    ]

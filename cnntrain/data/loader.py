"""The loader hands out batches: which samples in which order, preprocessed by the worker that asks.

Nothing here has state. The order of an epoch is a function of (seed, epoch), an augmentation of (seed, epoch,
sample), a mixture of (seed, epoch, batch); training, validation, `eval` and `predict` share this one path from pixels
to the network's input.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.moves import Move
from cnntrain.core.random import Draws, stream
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.orders.base import Order
from cnntrain.parts.tasks.base import following
from cnntrain.parts.transforms.base import CLIP, Joining, Mixing, Transform

Mixable = Callable[[Array], Array]  # targets -> the same in a form that weighted sums can be taken of

FIT_CHUNK = 1024  # samples a transform is shown at a time while it measures the training split


class Waiting:
    """How long the workers of this process wait for stored samples: for memory, cache or disk to hand out pixels."""

    def __init__(self) -> None:
        self._lock, self._seconds = threading.Lock(), 0.0

    def add(self, seconds: float) -> None:
        """Count the wait of one worker."""
        with self._lock:
            self._seconds += seconds

    def take(self) -> float:
        """The seconds of all workers together since the last call."""
        with self._lock:
            seconds, self._seconds = self._seconds, 0.0
        return seconds


class Samples:
    """Some samples of a split in some order: what the engine asks for images, targets and weights."""

    def __init__(
        self,
        images: Images,
        indices: Array,
        transforms: Sequence[Transform],
        seed: int = 0,
        epoch: int = 0,
        waiting: Waiting | None = None,
        mixable: Mixable | None = None,
    ) -> None:
        """`indices` into the split say which samples, and are their identity for random draws.

        The second time an epoch has a sample, its index is raised by n, the number of samples in the split, the third
        time by 2 n: the same sample is seen, with other random draws. `mixable` is needed where a transform mixes
        samples.
        """
        self._images, self._indices, self._waiting = images, indices, waiting
        self._transforms, self._seed, self._epoch, self._mixable = transforms, seed, epoch, mixable
        self._following = following(images.description)

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def views(self) -> int:
        """How many samples each one is seen as."""
        return math.prod(transform.views for transform in self._transforms)

    @property
    def numbers(self) -> Array:
        """The numbers of the samples in their split."""
        numbers: Array = self._indices % len(self._images)
        return numbers

    def answers(self, start: int, stop: int) -> tuple[Array, Array]:
        """Targets and weights of samples start to stop, where no transform changes targets."""
        rows = self.numbers[start:stop]
        return self._images.targets[rows], np.ones(len(rows), np.float32)

    def fill(self, start: int, stop: int, x: Array) -> tuple[Array, Array]:
        """Write samples start to stop, preprocessed, into x (n, h, w, c); return their targets and weights (n,)."""
        earlier = sum(transform.earlier for transform in self._transforms)  # that many before the first take part
        samples = self._indices[np.arange(start - earlier, stop) % len(self)]
        rows = samples % len(self._images)
        pixels, targets = self._stored(rows), self._images.targets[rows]
        if any(isinstance(transform, Mixing) for transform in self._transforms):
            assert self._mixable is not None
            targets = self._mixable(targets)
        for position, transform in enumerate(self._transforms):
            if isinstance(transform, Mixing):
                rng = stream(self._seed, "mix", self._epoch, position, int(self._indices[0]))  # the batch's own
                pixels, targets = transform.mix(as_floats(pixels), targets, rng)
                samples = samples[1:]
            elif isinstance(transform, Joining):
                samples = samples[transform.earlier :]
                draws = _draws(position, samples, self._seed, self._epoch)
                targets = self._joined(targets, transform.tiles(pixels.shape[1:], draws))
                pixels = transform.join(as_floats(pixels), _draws(position, samples, self._seed, self._epoch))
            else:
                if transform.looks and self._following is not None:
                    things = self._following.things(targets)
                    transform = transform if things is None else transform.looking(things)
                targets = self._moved(targets, pixels.shape[1:], transform, position, samples)
                pixels = _changed(pixels, transform, position, samples, self._seed, self._epoch)
                samples = np.repeat(samples, transform.views) if transform.views > 1 else samples
        x[...] = as_floats(pixels)
        return targets, np.ones(len(targets), x.dtype)

    def seen(self, count: int, shape: Shape) -> tuple[Array, Array]:
        """The first samples (count, *shape) as the network sees them, of several views the middle one, and their
        targets.

        Float32, contiguous; `shape` is that of the network's input.
        """
        x = np.empty((count * self.views, *shape), np.float32)
        targets, _ = self.fill(0, count, x)
        return np.ascontiguousarray(x[self.views // 2 :: self.views]), targets

    def _joined(self, targets: Array, tiles: Sequence[Move]) -> Array:
        """The targets of pictures put together from tiles: of the last ones and, tile by tile, of those before."""
        n, last = len(tiles[0].maps), len(targets)
        if self._following is None:
            return targets[last - n :]  # only to be looked at: networks are refused such a list
        parts = [self._following.moved(targets[last - n - k : last - k], move) for k, move in enumerate(tiles)]
        joined = self._following.joined(parts)
        assert joined is not None
        return joined

    def _moved(self, targets: Array, shape: Shape, transform: Transform, position: int, samples: Array) -> Array:
        """The targets, having followed what the transform at one position of the list does to images of this shape."""
        if self._following is None:
            return targets
        move = transform.follow(shape, _draws(position, samples, self._seed, self._epoch))
        return targets if move is None else self._following.moved(targets, move)

    def _stored(self, rows: Array) -> Array:
        """Pixels as they are stored; the time that takes is counted."""
        began = time.perf_counter()
        pixels: Array = self._images.pixels[rows]
        if self._waiting:
            self._waiting.add(time.perf_counter() - began)
        return pixels


def preprocess(pixels: Array, transforms: Sequence[Transform], samples: Array, seed: int = 0, epoch: int = 0) -> Array:
    """Images (n, h, w, c) after every transform, none of which mixes them: float32, or float64 where they came so."""
    for position, transform in enumerate(transforms):
        pixels = _changed(pixels, transform, position, samples, seed, epoch)
        samples = np.repeat(samples, transform.views)
    return as_floats(pixels)


def _changed(pixels: Array, transform: Transform, position: int, samples: Array, seed: int, epoch: int) -> Array:
    """Images after the transform at one position of the list.

    Transforms that only move pixels run on uint8 as it is stored; before the first that computes, uint8 becomes
    float32 in [0, 1].
    """
    if not transform.moves_pixels_only:
        pixels = as_floats(pixels)
    return transform.applied(pixels, lambda times: _draws(position, np.repeat(samples, times), seed, epoch))


def _draws(position: int, samples: Array, seed: int, epoch: int) -> Draws:
    """The random numbers of these samples for the transform at one position of the list, from the first on."""
    return Draws(seed, "transform", (epoch, position), samples)


def as_floats(pixels: Array) -> Array:
    """Pixels as floats: uint8 is divided by 255, floats stay what they are."""
    return np.divide(pixels, 255, dtype=np.float32) if pixels.dtype == np.uint8 else pixels


def followed(images: Images, indices: Array, transforms: Sequence[Transform]) -> Array:
    """The targets of these samples, having followed those of the transforms that are not random; no pixel is read."""
    task, targets, shape = following(images.description), images.targets[indices], images.description.shape
    for position, transform in enumerate(transforms):
        if task is not None and not transform.random:
            move = transform.follow(shape, _draws(position, indices, 0, 0))
            targets = targets if move is None else task.moved(targets, move)
        shape = transform.shape_after(shape)
    return targets


Fitted = dict[tuple[Transform, int], Transform]  # (one that measures, how many alike come before it) -> it, measured


def fit(
    transforms: Sequence[Transform], images: Images, indices: Array, known: Fitted | None = None
) -> tuple[Transform, ...]:
    """The transforms, with what they measure measured on these samples after the steady transforms before them.

    Of random ones, those that give images another shape take part, such as a crop to a size: each sample is measured
    as drawn for epoch 0 of seed 0, whatever the run's seed.

    What the list for training has measured, `known` keeps for the list for evaluation: the network has learned from
    pictures in those units, on those axes, and must see no others, whatever else the two lists do. A transform measures
    again only where images have another shape, which what was measured does not fit.
    """
    known = {} if known is None else known
    fitted, before = list[Transform](), list[Transform]()
    shape: Shape = tuple(images.pixels.shape[1:])
    for position, transform in enumerate(transforms):
        if transform.needs_fit():
            key = transform, transforms[:position].count(transform)
            if key not in known or not _takes(known[key], shape):
                known[key] = transform.fit(_chunks(before, images, indices))
            transform = known[key]
        after = transform.shape_after(shape)
        if not transform.random or after != shape:
            before.append(transform)
        fitted.append(transform)
        shape = after
    return tuple(fitted)


def _takes(measured: Transform, shape: Shape) -> bool:
    """Whether what was measured fits images of this shape."""
    try:
        measured.shape_after(shape)
    except ValueError:
        return False
    shape = shape[1:] if len(shape) == CLIP else shape
    return {name: array.shape for name, array in measured.arrays().items()} == measured.array_shapes(shape)


def arrays_of(transforms: Sequence[Transform]) -> dict[str, Array]:
    """What the transforms measured besides their fields, as a checkpoint names it: `transform/0/matrix`."""
    return {
        f"transform/{index}/{name}": array
        for index, transform in enumerate(transforms)
        for name, array in transform.arrays().items()
    }


def array_shapes(transforms: Sequence[Transform], shape: Shape) -> dict[str, Shape]:
    """The shapes of those arrays for images of this shape."""
    shapes: dict[str, Shape] = {}
    for index, transform in enumerate(transforms):
        seen = shape[1:] if len(shape) == CLIP else shape
        shapes |= {f"transform/{index}/{name}": array for name, array in transform.array_shapes(seen).items()}
        shape = transform.shape_after(shape)
    return shapes


def with_arrays(transforms: Sequence[Transform], arrays: Mapping[str, Array]) -> tuple[Transform, ...]:
    """The transforms with those arrays."""
    held: list[dict[str, Array]] = [{} for _ in transforms]
    for name, array in arrays.items():
        _, index, own = name.split("/", 2)
        held[int(index)][own] = array
    return tuple(
        transform.with_arrays(own) if own else transform for transform, own in zip(transforms, held, strict=True)
    )


def _chunks(transforms: Sequence[Transform], images: Images, indices: Array) -> Iterator[Array]:
    for start in range(0, len(indices), FIT_CHUNK):
        chosen = indices[start : start + FIT_CHUNK]
        seen = preprocess(images.pixels[chosen], transforms, chosen)
        yield seen.reshape(-1, *seen.shape[2:]) if seen.ndim == 1 + CLIP else seen


def split_validation(targets: Array, share: float, seed: int, stratified: bool) -> tuple[Array, Array]:
    """Indices (training, validation) of a seeded split, both ascending.

    Stratified: that share of every class, rounded by largest remainder so that the whole share is met; a class with
    two samples or more keeps at least one for training.
    """
    groups = (
        [np.flatnonzero(targets == label) for label in np.unique(targets)] if stratified else [np.arange(len(targets))]
    )
    exact = np.array([len(group) * share for group in groups])
    counts = np.floor(exact).astype(np.int64)
    missing = round(float(exact.sum())) - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    counts = np.minimum(counts, [max(len(group) - 1, 0) for group in groups])
    rng = stream(seed, "split")
    chosen = [rng.permutation(group)[:count] for group, count in zip(groups, counts, strict=True)]
    validation = np.sort(np.concatenate(chosen))
    training = np.setdiff1d(np.arange(len(targets)), validation, assume_unique=True)
    return training, validation


def split_groups(kin: Sequence[str], share: float, seed: int) -> tuple[Array, Array]:
    """Indices (training, validation) of a seeded split that leaves every group whole, both ascending.

    Groups are taken in random order, each if validation then comes nearer to the share; at least one, never all.
    """
    names, groups, counts = np.unique(kin, return_inverse=True, return_counts=True)
    wanted, taken = share * len(groups), 0
    chosen: list[int] = []
    order = stream(seed, "split").permutation(len(names)).tolist()
    for group in order:
        if abs(taken + counts[group] - wanted) < abs(taken - wanted) and len(chosen) < len(names) - 1:
            chosen.append(group)
            taken += int(counts[group])
    if not chosen and len(names) > 1:
        chosen = [min(order, key=lambda group: counts[group])]
    validates = np.isin(groups, chosen)
    return np.flatnonzero(~validates), np.flatnonzero(validates)


def times_before(values: Array) -> Array:
    """How many times each value of (n,) has come before its place: int64 (n,)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # where each value's run begins
    run = np.cumsum(np.r_[0, ordered[1:] != ordered[:-1]])
    times = np.empty(len(values), np.int64)
    times[order] = np.arange(len(values)) - first[run]
    return times


class Loader:
    """The batches of training: `accumulate` batches of `batch_size` make one step, every sample once an epoch."""

    def __init__(
        self,
        images: Images,
        indices: Array,
        transforms: Sequence[Transform],
        *,
        batch_size: int,
        accumulate: int,
        order: Order,
        seed: int,
        labels: Array | None = None,
        mixable: Mixable | None = None,
    ) -> None:
        """`labels` are the classes of all images of the split, where they have classes, for orders that need them.

        `mixable` makes targets such that transforms can mix them.
        """
        self.images, self.indices, self.transforms = images, indices, tuple(transforms)
        self.batch_size, self._accumulate = batch_size, accumulate
        self._order, self._seed, self._mixable = order, seed, mixable
        self.waiting = Waiting()
        self._labels = np.zeros(len(indices), np.int64) if labels is None else labels[indices]
        self._current: tuple[int, Array] = (-1, indices)  # the epoch last asked for and its order

    @property
    def steps_per_epoch(self) -> int:
        """Steps that see every sample once; the last may be shorter."""
        return -(-len(self.indices) // (self.batch_size * self._accumulate))

    def order(self, epoch: int) -> Array:
        """The samples in the order of an epoch, a function of seed and epoch; as Samples wants them."""
        if self._current[0] != epoch:
            chosen = self._order(self.indices, self._labels, self._seed, epoch)
            self._current = (epoch, chosen + len(self.images) * times_before(chosen))
        return self._current[1]

    def step(self, step: int) -> list[Samples]:
        """The batches of a step, counted from 0 over all epochs."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = self.order(epoch)
        size = self.batch_size
        first = position * size * self._accumulate
        last = min(first + size * self._accumulate, len(order))
        return [
            Samples(
                self.images,
                order[start : min(start + size, last)],
                self.transforms,
                self._seed,
                epoch,
                self.waiting,
                self._mixable,
            )
            for start in range(first, last, size)
        ]

    def samples_before(self, step: int) -> int:
        """How many samples the steps before this one have seen."""
        epoch, position = divmod(step, self.steps_per_epoch)
        return epoch * len(self.indices) + min(position * self.batch_size * self._accumulate, len(self.indices))

"""Random detections beside random truths, of every kind that an evaluation has to get right."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from cnntrain.core.arrays import Array, to_file
from cnntrain.core.boxes import COUNTED, CROWD, DIFFICULT
from cnntrain.ops.average_precision import Found, Truth

SETS = 600


@dataclass(frozen=True)
class RandomSet:
    """The pictures of one split, and how many classes there are."""

    found: list[Found]
    truth: list[Truth]
    classes: int


def random_set(seed: int) -> RandomSet:
    """The set of this seed.

    Boxes are whole numbers in half of the sets, scores are often equal, areas are now and then others than the boxes',
    some boxes have no area, some pictures and classes nothing at all. Every third set has crowds, every seventh
    difficult boxes, every fiftieth more detections of a class than are counted.
    """
    rng = np.random.default_rng(seed)
    classes, pictures = int(rng.integers(1, 4)), int(rng.integers(0, 6))
    roles = [COUNTED, CROWD if seed % 3 == 0 else DIFFICULT if seed % 7 == 0 else COUNTED]
    found, truth = [], []
    for _ in range(pictures):
        n, m = int(rng.integers(0, 9)), int(rng.integers(0, 16)) + 330 * (seed % 50 == 0)
        corners = _boxes(n, rng, whole=seed % 2 == 0)
        labels = rng.integers(0, classes, n)
        areas = (corners[:, 2:] - corners[:, :2]).prod(axis=1) * np.where(rng.random(n) < 0.2, 0.6, 1)
        truth.append(Truth(corners, labels, rng.choice(roles, n).astype(np.uint8), areas))
        boxes, guesses = _boxes(m, rng, whole=seed % 2 == 0), rng.integers(0, classes, m)
        for i in range(m if n else 0):
            if rng.random() < 0.7:  # near a true one
                k = int(rng.integers(0, n))
                moved = corners[k] + rng.normal(0, rng.choice([0, 1, 4, 12]), 4)
                boxes[i] = np.r_[np.minimum(moved[:2], moved[2:]), np.maximum(moved[:2], moved[2:])]
                guesses[i] = labels[k]
        boxes = np.round(boxes) if seed % 2 == 0 else boxes
        found.append(Found(boxes, np.round(rng.random(m), int(rng.integers(1, 4))), guesses))
    return RandomSet(found, truth, classes)


def _boxes(n: int, rng: np.random.Generator, whole: bool) -> Array:
    start, size = rng.uniform(0, 120, (n, 2)), rng.uniform(0, 1, (n, 2)) * rng.choice([10, 40, 150], (n, 1))
    boxes = np.concatenate([start, start + size], axis=1)
    return np.round(boxes) if whole else boxes


def digest(one: RandomSet) -> str:
    """What a set is recognized by: generators of random numbers may change between versions of NumPy."""
    sha = hashlib.sha256()
    for part in (*one.found, *one.truth):
        for array in vars(part).values():
            sha.update(to_file(array).data)
    return sha.hexdigest()[:16]

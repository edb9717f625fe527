"""A policy draws one of fourteen operations and its magnitude: what RandAugment and TrivialAugment share.

Images are floats (n, h, w, c) in [0, 1] with one channel or three; each has an operation and a magnitude of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.ops import tones
from cnntrain.ops.sampling import affine_maps, mapped, warp

ImageOperation = Callable[[Array, Array], Array]
Maps = Callable[[Array, tuple[int, int]], Array]  # amounts (n,), (height, width) -> maps (n, 2, 3) for `warp`


def _shear(slopes: Array, axis: int) -> Array:
    """About the upper left corner: torchvision's, which follows the paper's code."""
    none, angles = np.zeros(len(slopes)), np.rad2deg(np.arctan(slopes))
    return affine_maps((0, 0), none, (none, none), none + 1, (angles, none) if axis == 0 else (none, angles))


def _translate(pixels: Array, axis: int) -> Array:
    none, whole = np.zeros(len(pixels)), np.trunc(pixels)
    return affine_maps((0, 0), none, (whole, none) if axis == 0 else (none, whole), none + 1, (none, none))


def _rotate(degrees: Array, size: tuple[int, int]) -> Array:
    none = np.zeros(len(degrees))
    return affine_maps((size[1] / 2, size[0] / 2), -degrees, (none, none), none + 1, (none, none))


MOVING: dict[str, Maps] = {  # the operations that move what an image shows
    "shear_x": lambda by, _: _shear(by, 0),
    "shear_y": lambda by, _: _shear(by, 1),
    "translate_x": lambda by, _: _translate(by, 0),
    "translate_y": lambda by, _: _translate(by, 1),
    "rotate": _rotate,
}


def _warped(name: str) -> ImageOperation:
    return lambda images, by: warp(images, MOVING[name](by, images.shape[1:3]), "nearest")


OPERATIONS: dict[str, ImageOperation] = {
    "identity": lambda images, _: images,
    **{name: _warped(name) for name in MOVING},
    "brightness": lambda images, by: tones.brightness(images, 1 + by),
    "color": lambda images, by: tones.saturation(images, 1 + by),
    "contrast": lambda images, by: tones.contrast(images, 1 + by),
    "sharpness": lambda images, by: tones.sharpness(images, 1 + by),
    "posterize": tones.posterize,
    "solarize": tones.solarize,
    "autocontrast": lambda images, _: tones.autocontrast(images),
    "equalize": lambda images, _: tones.equalize(images),
}
SIGNED = frozenset(  # whose magnitude is negative half of the time
    ("shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast", "sharpness")
)


def augment(images: Array, which: Array, strength: Array, negative: Array, magnitudes: dict[str, Array]) -> Array:
    """Apply operation `which` (n,), an index into OPERATIONS, to each image, in place.

    `magnitudes` has for each operation its magnitude at every strength (n,) from 0 on; where `negative` (n,) says so
    and the operation is signed, it counts the other way.
    """
    for name, chosen, amount in _assigned(which, strength, negative, magnitudes):
        images[chosen] = OPERATIONS[name](images[chosen], amount)
    return images


def carry(
    xy: Array, size: tuple[int, int], which: Array, strength: Array, negative: Array, magnitudes: dict[str, Array]
) -> Array:
    """Where `augment` takes points (n, k, 2) of images of that (height, width): a new array."""
    moved = xy.astype(np.float64)
    for name, chosen, amount in _assigned(which, strength, negative, magnitudes):
        if name in MOVING:
            moved[chosen] = mapped(MOVING[name](amount, size), moved[chosen])
    return moved


def _assigned(
    which: Array, strength: Array, negative: Array, magnitudes: dict[str, Array]
) -> Iterator[tuple[str, Array, Array]]:
    """Each operation that was drawn, the images it was drawn for, and how much of it each of them gets."""
    for index, name in enumerate(OPERATIONS):
        chosen = np.flatnonzero(which == index)
        if len(chosen) and name != "identity":
            amount = magnitudes[name][strength[chosen]]
            yield name, chosen, np.where(negative[chosen], -amount, amount) if name in SIGNED else amount

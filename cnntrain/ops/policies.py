"""A policy draws one of fourteen operations and its magnitude: what RandAugment and TrivialAugment share.

Images are floats (n, h, w, c) in [0, 1] with one channel or three; each has an operation and a magnitude of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.ops import tones
from cnntrain.ops.sampling import affine_maps, warp

ImageOperation = Callable[[Array, Array], Array]


def _shear(images: Array, slopes: Array, axis: int) -> Array:
    """About the upper left corner: torchvision's, which follows the paper's code."""
    none, angles = np.zeros(len(slopes)), np.rad2deg(np.arctan(slopes))
    shear = (angles, none) if axis == 0 else (none, angles)
    return warp(images, affine_maps((0, 0), none, (none, none), none + 1, shear), "nearest")


def _translate(images: Array, pixels: Array, axis: int) -> Array:
    none, whole = np.zeros(len(pixels)), np.trunc(pixels)
    by = (whole, none) if axis == 0 else (none, whole)
    return warp(images, affine_maps((0, 0), none, by, none + 1, (none, none)), "nearest")


def _rotate(images: Array, degrees: Array) -> Array:
    none, center = np.zeros(len(degrees)), (images.shape[2] / 2, images.shape[1] / 2)
    return warp(images, affine_maps(center, -degrees, (none, none), none + 1, (none, none)), "nearest")


OPERATIONS: dict[str, ImageOperation] = {
    "identity": lambda images, _: images,
    "shear_x": lambda images, by: _shear(images, by, 0),
    "shear_y": lambda images, by: _shear(images, by, 1),
    "translate_x": lambda images, by: _translate(images, by, 0),
    "translate_y": lambda images, by: _translate(images, by, 1),
    "rotate": _rotate,
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
    for index, (name, operation) in enumerate(OPERATIONS.items()):
        chosen = np.flatnonzero(which == index)
        if len(chosen) and name != "identity":
            amount = magnitudes[name][strength[chosen]]
            if name in SIGNED:
                amount = np.where(negative[chosen], -amount, amount)
            images[chosen] = operation(images[chosen], amount)
    return images

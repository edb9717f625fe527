"""Tones are what happens to the values of pixels and not to their places: brightness, contrast, hue and the like.

Images are floats (n, h, w, c) in [0, 1] with one channel or three (red, green, blue); factors are (n,), one for each
image. Pillow's and torchvision's formulas; what they do to bytes is done to the nearest bytes. All give new arrays.
"""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601: how bright red, green and blue look


def each(values: Array, images: Array) -> Array:
    """One number for each image as an array that broadcasts against images, in their dtype."""
    return values.astype(images.dtype).reshape(-1, 1, 1, 1)


def gray(images: Array) -> Array:
    """Brightness (n, h, w, 1)."""
    if images.shape[-1] == 1:
        return images
    red, green, blue = LUMA
    return images[..., :1] * red + images[..., 1:2] * green + images[..., 2:3] * blue


def blend(other: Array, images: Array, factors: Array) -> Array:
    """From `other` (0) over the images (1) to beyond them, clipped to [0, 1]."""
    share = each(factors, images)
    mixed: Array = np.clip(images * share + other * (1 - share), 0, 1)
    return mixed


def brightness(images: Array, factors: Array) -> Array:
    """Factor 0 gives black."""
    return blend(np.zeros((1, 1, 1, 1), images.dtype), images, factors)


def contrast(images: Array, factors: Array) -> Array:
    """Factor 0 gives the image's mean brightness everywhere."""
    means = np.array([brightness_of.mean() for brightness_of in gray(images)])
    return blend(each(means, images), images, factors)


def saturation(images: Array, factors: Array) -> Array:
    """Factor 0 gives the grey image."""
    return blend(gray(images), images, factors)


def sharpness(images: Array, factors: Array) -> Array:
    """Factor 0 gives the image smoothed by [1 1 1; 1 5 1; 1 1 1] / 13, all but its outermost pixels."""
    smooth = images.copy()
    height, width = images.shape[1:3]
    if min(height, width) > 2:
        inner = images[:, 1:-1, 1:-1] * 4
        for i in range(3):
            for j in range(3):
                inner += images[:, i : height - 2 + i, j : width - 2 + j]
        smooth[:, 1:-1, 1:-1] = inner / 13
    return blend(smooth, images, factors)


def hue(images: Array, turns: Array) -> Array:
    """Hues turned round the colour wheel by `turns`.

    With v = max, m = v - min and the hue t in sixths of a turn (0 red, 2 green, 4 blue), channel o = 5, 3, 1 of the
    turned colour is v - m clip(min(k, 4 - k), 0, 1), k = (o + t) mod 6 (Smith 1978, in closed form).
    """
    red, green, blue = np.moveaxis(images, -1, 0)
    high = np.maximum(np.maximum(red, green), blue)
    range_ = high - np.minimum(np.minimum(red, green), blue)
    unit = np.where(range_ > 0, range_, 1)
    sixths = np.where(
        high == red,
        (green - blue) / unit,
        np.where(high == green, 2 + (blue - red) / unit, 4 + (red - green) / unit),
    )
    sixths += each(turns * 6, images)[..., 0]
    turned = np.empty_like(images)
    for channel, offset in enumerate((5, 3, 1)):
        k = (offset + sixths) % 6
        turned[..., channel] = high - range_ * np.clip(np.minimum(k, 4 - k), 0, 1)
    return np.clip(turned, 0, 1, out=turned)


def as_bytes(images: Array) -> Array:
    """The nearest bytes: uint8."""
    nearest: Array = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    return nearest


def from_bytes(values: Array, images: Array) -> Array:
    """Bytes as floats of the images' dtype."""
    return values.astype(images.dtype) / 255


def posterize(images: Array, bits: Array) -> Array:
    """Only the `bits` highest bits of every byte."""
    masks = (256 - 2 ** (8 - bits.astype(np.int64))).astype(np.uint8)
    return from_bytes(as_bytes(images) & masks[:, None, None, None], images)


def solarize(images: Array, thresholds: Array) -> Array:
    """Values from the threshold on inverted."""
    bright = images >= each(thresholds, images)
    solarized: Array = 1 - images
    solarized *= bright
    solarized += images * np.logical_not(bright)  # one of the two is 0
    return solarized


def autocontrast(images: Array) -> Array:
    """Each channel of each image stretched to [0, 1]; a flat one stays as it is."""
    n, _, width, channels = images.shape
    rows = images.reshape(n, -1, width * channels)  # lines are long, and channels few
    low, high = (of(axis=1).reshape(n, width, channels) for of in (rows.min, rows.max))
    low, high = low.min(axis=1), high.max(axis=1)
    flat = low == high
    start, range_ = np.where(flat, 0, low), np.where(flat, 1, high - low)
    stretched: Array = rows - np.tile(start, width)[:, None]
    stretched /= np.tile(range_, width)[:, None]
    return stretched.reshape(images.shape)


def equalize(images: Array) -> Array:
    """Each channel of each image with its values spread evenly: Pillow's equalize on the nearest bytes.

    With step the 255th part of the pixels that are not of the largest value, value v becomes
    (step // 2 + pixels below v) // step; a channel whose step is 0 stays as it is.
    """
    n, height, width, channels = images.shape
    rows = np.moveaxis(as_bytes(images), 3, 1).reshape(n * channels, height * width)
    cells = rows + np.arange(len(rows))[:, None] * 256
    counts = np.bincount(cells.ravel(), minlength=len(rows) * 256).reshape(-1, 256)
    last = np.take_along_axis(counts, rows.max(axis=1)[:, None].astype(np.int64), axis=1)[:, 0]
    step = (height * width - last)[:, None] // 255
    below = np.cumsum(counts, axis=1) - counts
    table = np.minimum((step // 2 + below) // np.maximum(step, 1), 255)
    table = np.where(step > 0, table, np.arange(256)).astype(np.uint8)
    spread = table.ravel()[cells].reshape(n, channels, height, width)
    return np.ascontiguousarray(from_bytes(np.moveaxis(spread, 1, 3), images))


def check_channels(channels: int) -> None:
    """Raise ValueError unless colours mean something: one channel or three."""
    if channels not in (1, 3):
        raise ValueError(f"needs grey or colour images, of 1 or 3 channels, got {channels}")

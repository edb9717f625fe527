"""Sampling reads an image between and beyond its pixels: resizing boxes of it, and mapping it by affine maps.

Pillow's conventions: pixel i covers [i, i + 1) and has its value at i + 1/2. Every image of an array may have its own
box or map; none depends on its neighbours in the array.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from cnntrain.core.arrays import Array

Interpolation = Literal["bilinear", "nearest"]


def resampling(
    start: Array, length: Array, size: int, out: int, interpolation: Interpolation, cut: bool = False
) -> Array:
    """Weights (n, out, size) that make `out` pixels of those from start (n,) on, length (n,) many, of `size`.

    Bilinear is the triangle filter of Pillow: its half width is one pixel of input or of output, whichever is
    larger, so that shrinking averages all that is there (antialiasing); it ends at the image and sums to 1. Nearest
    is the pixel under the output's centre, of two the one that begins there. With `cut` the pixels, which are whole
    ones then, are as if cut out first: nothing beside them is read.
    """
    scale = (length / out)[:, None, None]
    center = start[:, None, None] + (np.arange(out)[:, None] + 0.5) * length[:, None, None] / out
    pixel = np.arange(size)
    if interpolation == "nearest":
        chosen: Array = (pixel == np.floor(center)).astype(np.float64)
        return chosen
    weights = np.maximum(1 - np.abs(pixel + 0.5 - center) / np.maximum(scale, 1), 0)
    if cut:
        first = start[:, None, None]
        weights *= (pixel >= first) & (pixel < first + length[:, None, None])
    weights /= weights.sum(axis=2, keepdims=True)
    return weights


def resample(images: Array, down: Array, across: Array) -> Array:
    """Images (n, h, w, c) with weights (n or 1, rows, h) and (n or 1, columns, w): (n, rows, columns, c).

    One product of equal shape for each image, so that its bits do not depend on how many there are.
    """
    n, height, width, channels = images.shape
    rows = np.matmul(down.astype(images.dtype), images.reshape(n, height, width * channels))
    result: Array = np.matmul(across.astype(images.dtype)[:, None], rows.reshape(n, -1, width, channels))
    return result


def warp(images: Array, maps: Array, interpolation: Interpolation) -> Array:
    """Images (n, h, w, c) seen through affine maps (n, 2, 3); zero where a map leaves the image. A new array.

    Row 0 of a map gives the x in the input for (x, y, 1) in the output, row 1 the y. Bilinear reads, beyond the
    centres of the outermost pixels, those pixels again.
    """
    n, height, width, channels = images.shape
    y, x = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    from_x, from_y = (
        maps[:, axis, 0, None, None] * x + maps[:, axis, 1, None, None] * y + maps[:, axis, 2, None, None]
        for axis in (0, 1)
    )
    inside = (from_x >= 0) & (from_x < width) & (from_y >= 0) & (from_y < height)
    pixels = images.reshape(n * height * width, channels)
    first = np.arange(n)[:, None, None] * (height * width)

    def read(rows: Array, columns: Array) -> Array:
        columns = np.clip(columns, 0, width - 1).astype(np.int64)
        rows = np.clip(rows, 0, height - 1).astype(np.int64)
        taken: Array = pixels.take(first + rows * width + columns, axis=0)
        return taken

    if interpolation == "nearest":
        result = read(np.floor(from_y), np.floor(from_x))
    else:
        left, top = np.floor(from_x - 0.5), np.floor(from_y - 0.5)
        right_share = (from_x - 0.5 - left)[..., None].astype(images.dtype)
        bottom_share = (from_y - 0.5 - top)[..., None].astype(images.dtype)
        above = read(top, left) * (1 - right_share) + read(top, left + 1) * right_share
        below = read(top + 1, left) * (1 - right_share) + read(top + 1, left + 1) * right_share
        result = above * (1 - bottom_share) + below * bottom_share
    result *= inside[..., None].astype(images.dtype)
    return result


def mapped(maps: Array, xy: Array) -> Array:
    """Points (n, k, 2) of inputs, where `warp` through these maps (n, 2, 3) takes them: float64 (n, k, 2)."""
    (a, b, right), (c, d, down) = np.moveaxis(maps, 0, -1)[..., None]
    x, y, scale = xy[..., 0] - right, xy[..., 1] - down, a * d - b * c
    moved: Array = np.stack([d * x - b * y, a * y - c * x], axis=-1) / scale[..., None]
    return moved


def blur(images: Array, weights: Array) -> Array:
    """Images (n, h, w, c) averaged along height and width by weights (n or 1, taps), taps odd; a new array.

    Beyond the border the image is mirrored without its outermost pixels.
    """
    half = weights.shape[1] // 2
    for axis in (1, 2):
        size = images.shape[axis]
        frame = [(0, 0)] * 4
        frame[axis] = (half, half)
        padded = np.moveaxis(np.pad(images, frame, "reflect"), axis, 0)
        taps = weights.T[:, :, None, None]
        total = padded[:size] * taps[0]
        for tap in range(1, len(taps)):
            total += padded[tap : tap + size] * taps[tap]
        images = np.moveaxis(total, 0, axis)
    return np.ascontiguousarray(images)


def affine_maps(
    center: tuple[float, float],
    angle: Array,
    translate: tuple[Array, Array],
    scale: Array,
    shear: tuple[Array, Array],
) -> Array:
    """Maps (n, 2, 3) from output to input for `warp`; center (x, y) in pixels, angles in degrees clockwise, all (n,).

    An input point p goes to T C R S C^-1 p: the center moved to the origin, sheared and scaled and turned (R S),
    moved back (C) and translated (T). With r the angle and u, v the shears along x and y, torchvision's
    R S = scale [[a, b], [c, d]] has a = cos(r - v) / cos v, b = -a tan u - sin r, c = sin(r - v) / cos v and
    d = -c tan u + cos r; its determinant is scale^2, so the inverse is [[d, -b], [-c, a]] / scale.
    """
    turn, u, v = np.deg2rad(angle), np.deg2rad(shear[0]), np.deg2rad(shear[1])
    a, c = np.cos(turn - v) / np.cos(v), np.sin(turn - v) / np.cos(v)
    b, d = -a * np.tan(u) - np.sin(turn), -c * np.tan(u) + np.cos(turn)
    inverse = np.array([[d, -b], [-c, a]]) / scale  # (2, 2, n)
    x, y = center
    from_x, from_y = x + translate[0], y + translate[1]
    maps = np.empty((len(turn), 2, 3))
    maps[:, :, :2] = np.moveaxis(inverse, 2, 0)
    maps[:, 0, 2] = x - inverse[0, 0] * from_x - inverse[0, 1] * from_y
    maps[:, 1, 2] = y - inverse[1, 0] * from_x - inverse[1, 1] * from_y
    return np.round(maps, 12)  # a turn by 90 degrees then meets the pixels' edges exactly

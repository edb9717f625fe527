"""Boxes compared with each other: how far two overlap, and which of many that overlap are kept.

A box is (x1, y1, x2, y2), continuous, x1 <= x2 and y1 <= y2 (core/boxes.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntrain.core.arrays import Array

_EPS = 1e-7  # of areas


def areas(boxes: Array) -> Array:
    """The areas (...) of boxes (..., 4)."""
    found: Array = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return found


def intersections(a: Array, b: Array) -> Array:
    """The areas that boxes a (..., 4) and b (..., 4) have in common, broadcast against each other."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    found: Array = np.maximum(high - low, 0).prod(axis=-1)
    return found


def overlaps(a: Array, b: Array) -> Array:
    """Intersection over union, (n, m), of boxes a (n, 4) and b (m, 4); 0 where neither has an area."""
    common = intersections(a[:, None], b[None])
    return _quotient(common, areas(a)[:, None] + areas(b)[None] - common)


def shares(a: Array, b: Array) -> Array:
    """What share of each box a (n, 4) lies in each box b (m, 4): (n, m). COCO's overlap with a crowd."""
    common = intersections(a[:, None], b[None])
    return _quotient(common, np.broadcast_to(areas(a)[:, None], common.shape))


def _quotient(above: Array, below: Array) -> Array:
    quotient: Array = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return quotient


def generalized(a: Array, b: Array, slopes: bool = False) -> tuple[Array, Any]:
    """The generalized IoU (n,) of box a[i] with b[i], both (n, 4), and if wanted its derivative (n, 4) in a.

    With the intersection I, the union U = A + B - I and the smallest box around both, of area C,

        GIoU = I / (U + eps) - (C - U) / (C + eps)       (Rezatofighi et al. 2019; eps = 1e-7 as in torchvision)

    in [-1, 1], and dGIoU = dI / (U + eps) - I dU / (U + eps)^2 + dU / (C + eps) - (U + eps) dC / (C + eps)^2.
    """
    (common, union, around), slope = _pieces(a, b, slopes)
    u, c = union + _EPS, around + _EPS
    value = common / u - (around - union) / c
    if slope is None:
        return value, None
    d_common, d_union, d_around = slope
    slides = d_common / u[:, None] - (common / u**2)[:, None] * d_union
    return value, slides + d_union / c[:, None] - (u / c**2)[:, None] * d_around


def log_overlap(a: Array, b: Array, slopes: bool = False) -> tuple[Array, Any]:
    """log(I / U) (n,) of box a[i] with b[i], both (n, 4), and if wanted its derivative in a: dI / I - dU / U.

    The IoU loss of Yu et al. (2016, UnitBox) is its negative. -infinity where they have nothing in common.
    """
    (common, union, _), slope = _pieces(a, b, slopes)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log(common / union)
        if slope is None:
            return value, None
        return value, slope[0] / common[:, None] - slope[1] / union[:, None]


def _pieces(a: Array, b: Array, slopes: bool) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array] | None]:
    """I, U and C (n,), and if wanted their derivatives (n, 4) in a.

    I depends on a side of a where that side bounds the intersection, C where it bounds the box around; dU = dA - dI.
    """
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    inner, own = np.maximum(high - low, 0), a[:, 2:] - a[:, :2]
    outer = np.maximum(a[:, 2:], b[:, 2:]) - np.minimum(a[:, :2], b[:, :2])
    common = inner.prod(axis=1)
    found = common, own.prod(axis=1) + areas(b) - common, outer.prod(axis=1)
    if not slopes:
        return found, None
    there = (inner > 0).all(axis=1)[:, None]
    every = np.ones_like(own, bool)
    d_common = _sides(inner, (a[:, :2] >= b[:, :2]) & there, (a[:, 2:] <= b[:, 2:]) & there)
    d_around = _sides(outer, a[:, :2] <= b[:, :2], a[:, 2:] >= b[:, 2:])
    return found, (d_common, _sides(own, every, every) - d_common, d_around)


def _sides(extents: Array, starts: Array, ends: Array) -> Array:
    """The derivative (n, 4) of width * height in x1, y1, x2, y2, for those sides (n, 2) each that move it."""
    other = extents[:, ::-1]
    return np.concatenate([-other * starts, other * ends], axis=1)


def suppressed(boxes: Array, scores: Array, most: float) -> Array:
    """Which boxes (n, 4) are kept by non-maximum suppression: indices, by score from the highest; ties in order.

    From the highest score on, a box is kept unless it overlaps one that was kept by more than `most` (the IoU, in the
    boxes' own type; equal is not more). As torchvision.ops.nms, ties and rounding included.
    """
    order = np.argsort(-scores, kind="stable")
    sorted_boxes, own = boxes[order], areas(boxes[order])
    alive = np.ones(len(order), bool)
    for i in range(len(order)):
        if not alive[i]:
            continue
        common = intersections(sorted_boxes[i], sorted_boxes[i + 1 :])
        with np.errstate(divide="ignore", invalid="ignore"):  # two boxes without an area overlap by NaN: not by more
            overlap = common / (own[i] + own[i + 1 :] - common)
        alive[i + 1 :] &= ~(overlap.astype(np.float64) > most)
    return order[alive]


def suppressed_by_class(boxes: Array, scores: Array, labels: Array, most: float) -> Array:
    """`suppressed` within each class: indices of the boxes that are kept, by score from the highest; ties in order."""
    kept = np.zeros(len(boxes), bool)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        kept[own[suppressed(boxes[own], scores[own], most)]] = True
    chosen = np.flatnonzero(kept)
    return chosen[np.argsort(-scores[chosen], kind="stable")]


def highest(scores: Array, least: float, most: int) -> Array:
    """The indices of the `most` highest of scores (n,) that are above `least`, from the highest; ties in order.

    NaN is above nothing.
    """
    above = np.flatnonzero(scores > least)
    return above[np.argsort(-scores[above], kind="stable")[:most]]

"""Boxes of a picture: how many a sample has varies, so they are padded to the most that a sample of the split has.

A box is (x1, y1, x2, y2) in pixels, continuous coordinates: 0 is the left or upper edge of the first pixel, the width
of the picture the right edge of its last one, so that a box over all of a picture of w by h pixels is (0, 0, w, h).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.moves import Move

BOXES = "boxes"  # Description.target of samples whose targets are records of this kind
COUNTED, DIFFICULT, CROWD = 0, 1, 2  # what an evaluation makes of a box: to be found; need not be; stands for many
LEAST_SHOWN = 0.1  # a box is dropped if less than this share of it is left in the picture (as in YOLOv5)
LEAST_SIDE = 1.0  # pixels of the network's picture: what a random move leaves of a box is dropped if narrower


@dataclass(frozen=True)
class Boxes:
    """The boxes of one picture in its own pixels, as an annotation file has them.

    size      (height, width) of the picture
    corners   float32 (m, 4): x1, y1, x2, y2
    labels    int64 (m,): the class of each
    roles     uint8 (m,): COUNTED, DIFFICULT or CROWD
    areas     float32 (m,): decides whether an object is small or large; the box's own unless a file says more
    """

    size: tuple[int, int]
    corners: Array = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    labels: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    roles: Array | None = None
    areas: Array | None = None

    def __len__(self) -> int:
        return len(self.corners)


def record(most: int) -> np.dtype[Any]:
    """The type of a sample's target, for at most this many boxes.

    corners   those of the boxes in pixels of the picture as the network gets it: moved with it by every transform
    labels    the class of each; -1 where there is no box: a padded place, or a box that a transform cut away
    roles     COUNTED, DIFFICULT or CROWD
    areas     in pixels of the original picture
    shown     the share of each box that is still in the picture: 1 until a transform cuts something off
    size      (height, width) of the original picture
    frame     (scale x, scale y, offset x, offset y) that took a point of the original picture to one of the network's:
              x of the network = scale x * x + offset x; random moves are not part of it
    """
    fields = [
        ("corners", np.float32, (most, 4)),
        ("labels", np.int32, (most,)),
        ("roles", np.uint8, (most,)),
        ("areas", np.float32, (most,)),
        ("shown", np.float32, (most,)),
        ("size", np.int32, (2,)),
        ("frame", np.float32, (4,)),
    ]
    return np.dtype(fields)


def packed(pictures: Sequence[Boxes], frames: Array, size: tuple[int, int] | None = None) -> Array:
    """The records (n,) of n pictures, brought into the network's pixels by `frames` (n, 4).

    With the `size` (height, width) of the network's pictures, boxes are cut off at their borders as by a transform.
    """
    records = np.zeros(len(pictures), record(max((len(boxes) for boxes in pictures), default=0) or 1))
    records["labels"] = -1
    records["frame"] = frames
    for row, boxes in zip(records, pictures, strict=True):
        m = len(boxes)
        sizes = boxes.corners[:, 2:] - boxes.corners[:, :2]
        row["size"] = boxes.size
        row["corners"][:m] = placed(boxes.corners, row["frame"])
        row["labels"][:m] = boxes.labels
        row["roles"][:m] = 0 if boxes.roles is None else boxes.roles
        row["areas"][:m] = sizes.prod(axis=1) if boxes.areas is None else boxes.areas
        row["shown"][:m] = 1
    if size is not None:
        _cut(records, np.array([[0, 0, size[1], size[0]]]))
    return records


def moved(records: Array, move: Move) -> Array:
    """The records (n,) after their pictures were moved: a new array.

    A box becomes the smallest upright one around the places of its corners, cut off at the borders of the picture. It
    is dropped if less than the share LEAST_SHOWN of its area has stayed, over all transforms so far, or if the move is
    random and the rest has a side shorter than LEAST_SIDE. A box that is small without a random move stays: an
    evaluation asks for it.
    """
    records = records.copy()
    x, y = records["corners"][..., [0, 2, 2, 0]], records["corners"][..., [1, 1, 3, 3]]
    n, most, _ = x.shape
    points = move.points(np.stack([x, y], axis=-1).reshape(n, most * 4, 2)).reshape(n, most, 4, 2)
    records["corners"] = np.concatenate([points.min(axis=2), points.max(axis=2)], axis=-1)
    if not move.random:
        scale, shift = move.maps[:, [0, 1], [0, 1]], move.maps[:, :, 2]
        frame = records["frame"]
        records["frame"] = np.concatenate([frame[:, :2] * scale, frame[:, 2:] * scale + shift], axis=1)
    _cut(records, move.bounds, LEAST_SIDE if move.random else 0)
    return records


def joined(parts: Sequence[Array]) -> Array:
    """Records (n,) of pictures that were put together: the boxes of all parts, and all else from the first."""
    first = parts[0]
    whole = np.zeros(len(first), record(sum(part["labels"].shape[1] for part in parts)))
    for name in ("corners", "labels", "roles", "areas", "shown"):
        whole[name] = np.concatenate([part[name] for part in parts], axis=1)
    whole["size"], whole["frame"] = first["size"], first["frame"]
    return whole


def stacked(parts: Sequence[Array]) -> Array:
    """Targets of several sources one after the other; records are padded to the most boxes that any has."""
    if len({part.dtype for part in parts}) == 1:
        return np.concatenate(parts)
    whole = np.zeros(sum(map(len, parts)), record(max(part["labels"].shape[1] for part in parts)))
    whole["labels"] = -1
    start = 0
    for part in parts:
        rows, most = whole[start : start + len(part)], part["labels"].shape[1]
        for name in ("corners", "labels", "roles", "areas", "shown"):
            rows[name][:, :most] = part[name]
        rows["size"], rows["frame"] = part["size"], part["frame"]
        start += len(part)
    return whole


def things(records: Array) -> Array:
    """Where the objects in each picture are: corners (n, most, 4), NaN where there is none."""
    found: Array = np.where(records["labels"][..., None] >= 0, records["corners"], np.float32(np.nan))
    return found


def _cut(records: Array, bounds: Array, least_side: float = 0) -> None:
    """Cut boxes off at the borders of pictures, (n or 1, 4), and drop those of which too little is left."""
    whole = records["corners"]
    low, high = (bounds[:, None, ends].astype(np.float32) for ends in ([0, 1, 0, 1], [2, 3, 2, 3]))
    rest = np.clip(whole, low, high)
    sides = rest[..., 2:] - rest[..., :2]
    area = (whole[..., 2:] - whole[..., :2]).prod(axis=-1)
    shown = records["shown"] * np.divide(sides.prod(axis=-1), area, out=np.zeros_like(area), where=area > 0)
    gone = (shown < LEAST_SHOWN) | (sides.min(axis=-1) < least_side)
    records["corners"] = np.where(gone[..., None], 0, rest)
    records["shown"] = np.where(gone, 0, shown)
    records["labels"][gone] = -1


def placed(corners: Array, frame: Array) -> Array:
    """Boxes (..., 4) of an original picture in the network's pixels."""
    return corners * frame[..., [0, 1, 0, 1]] + frame[..., [2, 3, 2, 3]]


def original(corners: Array, frame: Array) -> Array:
    """Boxes (..., 4) in the network's pixels where they lie in the original picture: the inverse of `placed`."""
    return (corners - frame[..., [2, 3, 2, 3]]) / frame[..., [0, 1, 0, 1]]

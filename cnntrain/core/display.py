"""What is to be shown, without saying how: the answers for a sample, and the sections of an evaluation.

Tasks return these; the command line and the report render them, and neither asks what the task is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.letters import columns

_IN_A_STRIP = 6  # moments of a clip that are shown
_HALF = 460  # pixels of half a page


@dataclass(frozen=True)
class Answer:
    """What a network says about one sample, in the forms that `predict` prints.

    text       for people, one line; names from right to left may be isolated in it (core/letters.py)
    document   for `--json`, besides the path
    columns    for `--csv`: the names of the cells of every row, the same for all samples
    rows       for `--csv`: one or more rows of cells, or none
    """

    text: str
    document: dict[str, Any]
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Annotation:
    """What a network says about one sample, in the forms that annotation tools and official evaluations read.

    rows     lines of a YOLO text file: class number, then center x, center y, width and height as shares of the picture
    results  of a COCO results file, without image_id; category_id is the number of the class, from 0
    """

    rows: tuple[str, ...]
    results: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Rendering:
    """A picture of an answer, for a PNG file named after the sample.

    suffix   what follows the sample's name: "" for the picture to look at, else a word such as "mask"
    pixels   uint8 (h, w, 3); or (h, w), where they are numbers of colours
    colours  of those numbers, uint8 (k, 3)
    """

    suffix: str
    pixels: Array
    colours: Array | None = None


@dataclass(frozen=True)
class Percentage:
    """A cell of a table that is a share in [0, 1]; None where it is a share of nothing."""

    value: float | None


@dataclass(frozen=True)
class Table:
    """Rows of cells: text, or a `Percentage`; columns in `right` are flush right; one with a `title` is folded away."""

    header: Sequence[str]
    rows: Sequence[Sequence[str | Percentage]]
    right: Collection[int] = ()
    title: str = ""


@dataclass(frozen=True)
class Line:
    """Points (n,) joined; a reference line is what others are compared with; lines with names differ in colour."""

    x: Array
    y: Array
    marked: bool = False
    reference: bool = False
    name: str = ""


@dataclass(frozen=True)
class Bars:
    """Bars that begin at `left` (n,), of one width or of one each (n,)."""

    left: Array
    heights: Array
    width: float | Array


@dataclass(frozen=True)
class Plot:
    """Lines and bars over two axes, and the same in numbers, for readers who want them or cannot see the chart."""

    name: str  # of its PNG file
    title: str
    labels: tuple[str, str]  # of x and y
    limits: tuple[tuple[float, float], tuple[float, float]]  # of x and y
    marks: Sequence[Line | Bars]
    numbers: Table | None = None
    ticks: Sequence[tuple[float, str]] | None = None  # of x, where they are not just its numbers


@dataclass(frozen=True)
class Matrix:
    """Counts (k, k) by true class (rows) and predicted class (columns)."""

    name: str  # of its PNG file
    title: str
    counts: Array
    names: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    """Samples, by their positions (n,) in the split, each with lines under it; the first line is the answer.

    `nothing` is the text shown where there are none; a gallery without such a text is then left out. `windows` (n, 4)
    are the parts to be shown, x1, y1, x2, y2 in pixels of the stored pictures, where not all of each. The `key` names
    colours, red, green and blue, that stand for something in the pictures.
    """

    name: str  # of its PNG file
    title: str
    positions: Array
    captions: Sequence[tuple[str, ...]]
    nothing: str = ""
    windows: Array | None = None
    key: Sequence[tuple[str, tuple[int, int, int]]] = ()


@dataclass(frozen=True)
class Section:
    """A part of a report under a heading, with a sentence that says how to read it; `half` fits half a page."""

    title: str
    content: Sequence[Table | Plot | Matrix | Gallery]
    note: str = ""
    half: bool = False


def strip(clip: Array) -> Array:
    """A clip (moments, h, w, c) as one image: some of its moments, evenly spaced, from left to right."""
    shown = clip[np.linspace(0, len(clip) - 1, min(len(clip), _IN_A_STRIP)).round().astype(int)]
    image: Array = shown.transpose(1, 0, 2, 3).reshape(clip.shape[1], -1, clip.shape[3])
    return image


def cut(picture: Array, window: Array | None) -> tuple[Array, tuple[int, int]]:
    """The part of a picture (h, w, c) within x1, y1, x2, y2, all of it without them; and the x, y it begins at."""
    if window is None:
        return picture, (0, 0)
    height, width = picture.shape[:2]
    x1, y1 = (int(max(0, at)) for at in window[:2])
    x2, y2 = (int(min(side, np.ceil(at))) for side, at in zip((width, height), window[2:], strict=True))
    return picture[y1:y2, x1:x2], (x1, y1)


def to_bytes(image: Array) -> Array:
    """An image (h, w, c), or the strip of a clip, as uint8 (h, w) or (h, w, 3): grey unless it has three channels.

    Floats outside [0, 1] are stretched to it, since what they mean is not known.
    """
    image = strip(image) if image.ndim == 4 else image
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        if low < 0 or high > 1:
            image = (image - low) / (high - low or 1)
        image = np.rint(image * 255).astype(np.uint8)
    if image.shape[-1] == 3:
        return image
    gray: Array = image[..., 0] if image.shape[-1] == 1 else image.mean(axis=-1).astype(np.uint8)
    return gray


def coloured(image: Array) -> Array:
    """The same as uint8 (h, w, 3), grey where it has no colours."""
    shown = to_bytes(image)
    return shown if shown.ndim == 3 else np.stack([shown] * 3, axis=-1)


def narrow(names: Sequence[str]) -> bool:
    """Whether a table fits into half a page: names beside a column for each of them."""
    return 8 * max(map(columns, names)) + 40 * len(names) <= _HALF


def percent(share: float) -> str:
    """A share of samples for people; a dash where there is none."""
    return f"{100 * share:.1f} %" if abs(share) < float("inf") else "–"

"""A gallery shows samples as they are stored, each with lines under it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.display import Gallery, to_bytes
from cnntrain.core.letters import plain, shortened, wrapped
from cnntrain.results.report import sounds
from cnntrain.results.report.html import Markup, element
from cnntrain.results.report.judged import Judged
from cnntrain.results.report.page import named_colours
from cnntrain.results.report.paper import Painting, name_colours
from cnntrain.results.report.pictures import caption, resized

_IN_A_ROW, _ROWS = 5, 3  # samples in a chart
_FONT, _LINE, _LONGEST = 5.5, 0.15, 19  # there, points of a caption, its line in sides of a picture, and its columns
_INCHES, _HEAD, _KEY = 0.68, 0.45, 0.2  # there, a picture's side, and the height of the title and of a row of the key
SIDE = 96  # pixels of the longer side, at most: smaller images are enlarged by a whole factor
_WIDE = 2.8  # times as wide as high: too wide for two in a row
_HEIGHT = 320  # pixels of pictures on which an answer is shown, at most, enlarged likewise


def thumbnail(image: Array, side: int = SIDE) -> Array:
    """A stored image as bytes, at a size at which it can be looked at."""
    shown = to_bytes(image)
    side = side if image.ndim < 4 else side * shown.shape[1] // max(image.shape[1:3])  # each moment of a clip
    longest = max(shown.shape[:2])
    if longest <= side:
        return shown.repeat(side // longest, 0).repeat(side // longest, 1)
    height, width = (max(1, round(extent * side / longest)) for extent in shown.shape[:2])
    return resized(shown, (height, width), smooth=True)


def markup(shown: Gallery, judged: Judged) -> Markup:
    """The samples as thumbnails; where there are none, what the gallery says then."""
    if not len(shown.positions):
        return element("p", shown.nothing) if shown.nothing else Markup()
    if judged.trained.network.task.renders:
        return _compared(shown, judged)
    names = judged.names(shown.positions)
    shown_at = zip(
        judged.pictures(shown.positions, shown.windows), shown.captions, names, shown.positions.tolist(), strict=True
    )
    if judged.heard is None:
        figures = [caption(thumbnail(image), name, *lines, file=name) for image, lines, name, _ in shown_at]
    else:
        figures = [
            caption(thumbnail(sounds.picture(image)), name, *lines, file=name, below=sounds.player(judged, place))
            for image, lines, name, place in shown_at
        ]
    return element("div", *figures, class_="thumbs")


def _compared(shown: Gallery, judged: Judged) -> Markup:
    """Pictures of truth and answer side by side, larger."""
    figures, pictures = [], judged.pictures(shown.positions, shown.windows)
    wide = all(image.shape[1] > _WIDE * image.shape[0] for image in pictures)
    for image, lines, name in zip(pictures, shown.captions, judged.names(shown.positions), strict=True):
        side = round(_HEIGHT * max(1, image.shape[1] / image.shape[0]))
        figures.append(caption(thumbnail(image, side), name, *lines, file=name, photograph=True))
    pairs = element("div", *figures, class_=f"thumbs compared{' rows' * wide}")
    return Markup(_key(shown) + pairs)


def _key(shown: Gallery) -> Markup:
    """What the colours in the pictures stand for."""
    entries = [(name, f"rgb({red} {green} {blue})") for name, (red, green, blue) in shown.key]
    return named_colours(entries, patches=True) if entries else Markup()


def chart(shown: Gallery, judged: Judged) -> Painting | None:
    """The first of them for a paper, with their captions; None where there are none."""
    positions, captions = shown.positions[: _IN_A_ROW * _ROWS], shown.captions[: _IN_A_ROW * _ROWS]
    if not len(positions):
        return None
    names = [Path(name).name for name in judged.names(positions)]
    images = judged.pictures(positions, None if shown.windows is None else shown.windows[: len(positions)])
    pictures = [_squared(to_bytes(image if judged.heard is None else sounds.picture(image))) for image in images]

    texts = [_told(lines, name) for lines, name in zip(captions, names, strict=True)]
    step = 1.15 + _LINE * max(map(len, texts))
    bottom = step * -(-len(pictures) // _IN_A_ROW)

    def render(axes: Any) -> None:
        axes.axis("off")
        for i, (image, lines) in enumerate(zip(pictures, texts, strict=True)):
            left, top = i % _IN_A_ROW * 1.25, -(i // _IN_A_ROW) * step
            axes.imshow(image, extent=(left, left + 1, top - 1, top), cmap="gray", vmin=0, vmax=255)
            axes.text(left, top - 1.06, "\n".join(lines), va="top", fontsize=_FONT)
        axes.set_xlim(0, _IN_A_ROW * 1.25)
        axes.set_ylim(-bottom, 0)
        name_colours(axes, shown.key, -bottom)

    return Painting(shown.name, shown.title, render, height=_HEAD + bottom * _INCHES + _KEY * -(-len(shown.key) // 3))


def _told(lines: Sequence[str], name: str) -> list[str]:
    """A caption in lines as wide as a picture, each name in it in three at most; then the name of the file."""
    said = [part for line in lines for part in plain(line).split(" · ")]
    found = [row for part in said for row in wrapped(shortened(part, 3 * _LONGEST), _LONGEST)]
    return [*found, shortened(name, _LONGEST)]


def _squared(image: Array) -> Array:
    """A picture within a white square, so that none is stretched."""
    side = max(image.shape[:2])
    square = np.full((side, side, *image.shape[2:]), 255, np.uint8)
    top, left = ((side - extent) // 2 for extent in image.shape[:2])
    square[top : top + image.shape[0], left : left + image.shape[1]] = image
    return square

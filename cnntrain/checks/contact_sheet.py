"""A contact sheet shows samples as the network gets them: preprocessed, augmented, each with its label.

Normalization is undone for the eye, by one linear map for each channel of the whole sheet, so that colours and
contrasts can be compared from picture to picture; more than three channels are shown side by side, in grey.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from PIL import Image, ImageDraw

from cnntrain.core import letters
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.display import strip as in_a_row
from cnntrain.core.spread import spread
from cnntrain.data.build_data import Data
from cnntrain.data.loader import Loader, Samples
from cnntrain.reading.fonts import Lettering, beside_pillows

MOST = 32  # samples of each kind
_COLUMNS = 8
_CELL = 96  # pixels of a picture's longer side, at least
_CAPTION = 14  # height of a line of text, in pixels
_GAP = 4
_BACKGROUND, _INK = (255, 255, 255), (0, 0, 0)
_FRAME = (255, 230, 0)
_LETTERS = 15  # of a label, as many as a cell has room for in a line
_LINES = 3  # of a label


@dataclass(frozen=True)
class Strip:
    """Samples (n, h, w, c) under one heading, with their labels and what is drawn on them.

    things   boxes (n, most, 4) of the things in them
    tints    uint8 (n, h, w, 4), colours and opacity to lay over them
    """

    heading: str
    pixels: Array
    labels: Sequence[str]
    things: Array | None = None
    tints: Array | None = None


def contact_sheet(name: str, loader: Loader, data: Data, shape: Shape, warn: Callable[[str], None]) -> bytes:
    """A PNG of the first training samples of epoch 0, augmented, and validation samples, evenly spread.

    `shape` is that of the network's input. Letters that no font has are written as numbers; `warn` is told which.
    """
    strips = [_strip("training: the first step, augmented", loader.step(0)[0], shape, data)]
    if data.val is not None:
        some = spread(data.val_indices, MOST)
        samples = Samples(data.val, some, data.eval_transforms)
        strips.append(_strip("validation", samples, shape, data))
    writing = beside_pillows()
    sheet = render(f"{name}: what the network sees", strips, writing)
    if writing.numbers:
        warn(writing.missing("the contact sheet"))
    return sheet


def _strip(heading: str, samples: Samples, shape: Shape, data: Data) -> Strip:
    pixels, targets = samples.seen(min(len(samples), MOST), shape)
    if len(shape) == 4:
        pixels = np.stack([in_a_row(clip) for clip in pixels])
    labels = [data.task.told(target, data.description) for target in targets]
    return Strip(heading, pixels, labels, data.task.things(targets), data.task.tinted(targets))


def render(title: str, strips: Sequence[Strip], written: Lettering | None = None) -> bytes:
    """The sheet as a PNG."""
    written = written or beside_pillows()
    low, high = _limits([strip.pixels for strip in strips])
    tiles = [[_tile(image, low, high) for image in strip.pixels] for strip in strips]
    for strip, row in zip(strips, tiles, strict=True):
        for picture, image, boxes in zip(row, strip.pixels, () if strip.things is None else strip.things, strict=False):
            _frame(picture, boxes * (picture.width / image.shape[1]))
        for picture, tint in zip(row, () if strip.tints is None else strip.tints, strict=False):
            over = Image.fromarray(tint).resize(picture.size, Image.Resampling.NEAREST)
            picture.paste(over.convert("RGB"), mask=over.getchannel("A"))
    width, height = tiles[0][0].size
    columns = min(_COLUMNS, max(map(len, tiles)))
    rows = [math.ceil(len(row) / columns) for row in tiles]
    room = max(_LETTERS * width // _CELL, 3)
    captions = [[_lines(words, room) for words in strip.labels] for strip in strips]
    step = (width + _GAP, height + _CAPTION * max(map(len, chain(*captions))) + _GAP)
    size = (_GAP + columns * step[0], _CAPTION + _GAP + sum(_CAPTION + _GAP + n * step[1] for n in rows))
    sheet = Image.new("RGB", size, _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    written.write(pen, (_GAP, 1), title, _INK)
    top = _CAPTION + _GAP
    for strip, pictures, told, count in zip(strips, tiles, captions, rows, strict=True):
        written.write(pen, (_GAP, top), strip.heading, _INK)
        top += _CAPTION + _GAP
        for place, (picture, lines) in enumerate(zip(pictures, told, strict=True)):
            x, y = _GAP + place % columns * step[0], top + place // columns * step[1]
            sheet.paste(picture, (x, y))
            for number, line in enumerate(lines):
                written.write(pen, (x, y + height + _CAPTION * number), line, _INK)
        top += count * step[1]
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def _lines(words: str, room: int) -> list[str]:
    """A label in lines of so many columns; one that takes more of them is cut off."""
    found = letters.wrapped(words, room)
    if len(found) <= _LINES:
        return found
    rest = found[_LINES - 1]
    return [*found[: _LINES - 1], letters.cut(rest, room - 2) + ".."]


def _limits(arrays: Sequence[Array]) -> tuple[Array, Array]:
    """The values of each channel to be shown as black and as white: all but the outermost thousandth."""
    rows = np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays])
    low, high = np.quantile(rows, (0.001, 0.999), axis=0)
    return low, np.where(high > low, high, low + 1)


def _tile(image: Array, low: Array, high: Array) -> Image.Image:
    """One sample as a picture, enlarged by a whole factor."""
    shown = (np.clip((image - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)
    if shown.shape[2] not in (1, 3):
        shown = _side_by_side(shown)
    picture = Image.fromarray(shown[:, :, 0] if shown.shape[2] == 1 else shown).convert("RGB")
    factor = math.ceil(_CELL / max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def _frame(picture: Image.Image, boxes: Array) -> None:
    """Draw boxes (m, 4) into a picture, in its pixels: two lines, so that they show on bright and dark."""
    pen = ImageDraw.Draw(picture)
    for x1, y1, x2, y2 in boxes[~np.isnan(boxes).any(axis=1)].tolist():
        right, lower = max(x2 - 1, x1), max(y2 - 1, y1)  # the last pixel inside
        pen.rectangle((x1, y1, right, lower), outline=_FRAME)
        if min(right - x1, lower - y1) > 4:
            pen.rectangle((x1 + 1, y1 + 1, right - 1, lower - 1), outline=_INK)


def _side_by_side(image: Array) -> Array:
    """Channels (h, w, c) as grey pictures in a grid, (rows * h, columns * w, 1)."""
    height, width, channels = image.shape
    columns = math.ceil(math.sqrt(channels))
    rows = math.ceil(channels / columns)
    grid = np.zeros((rows * columns, height, width), image.dtype)
    grid[:channels] = image.transpose(2, 0, 1)
    return grid.reshape(rows, columns, height, width).transpose(0, 2, 1, 3).reshape(rows * height, columns * width, 1)

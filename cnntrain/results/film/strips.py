"""A strip holds a picture for each moment, one below the other; the page shows that of the chosen moment."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from cnntrain.core.arrays import Array
from cnntrain.core.display import coloured
from cnntrain.results.report.html import Markup, element

_WIDTH = 700  # approximate width on the page of a strip of small pictures, in pixels
_MOST = 3  # pixels on the page for each of theirs, at most
_TILE = 20  # pixels of a small picture's shorter side, at least, so that the lines between pictures are thin
_GAP = 3  # pixels between first filters
_SQUARE = 8  # side of a feature's square, in pixels
_SURE = 0.995  # share of the values below the full colour
_RED, _BLUE, _LINE = (226, 58, 66), (62, 124, 246), (128, 128, 128)
_FAINT, _PLAIN = 70, 150  # opacity of the lines between pictures, and between first filters
_STEPS = 127  # shades of a colour


def filters(weights: Array, alt: str) -> Markup:
    """First filters (moments, h, w, channels, count): three channels as colours, others by their mean."""
    largest = np.abs(weights).max(axis=(0, 1, 2, 3), initial=1e-30)
    tiles = np.moveaxis(weights / largest, -1, 1)  # (moments, count, h, w, channels)
    if tiles.shape[-1] == 3:
        return _strip([_colours(moment) for moment in tiles], alt)
    means = tiles.mean(axis=-1)
    means /= np.abs(means).max(axis=(0, 2, 3), keepdims=True, initial=1e-30)
    columns = _columns(means.shape[1])
    return _strip([_laid(_shades(moment), columns, gap=_GAP) for moment in means], alt, _PLAIN)


def outputs(values: Array, alt: str) -> Markup:
    """A layer's outputs (moments, samples, h, w, channels) or (moments, samples, features)."""
    largest = float(np.quantile(np.abs(values), _SURE)) or float(np.abs(values).max()) or 1.0
    shades = _shades(values / largest)
    if values.ndim == 3:
        return _strip([_laid(moment.reshape(-1, 1, 1), values.shape[2], _SQUARE) for moment in shades], alt)
    tiles = np.moveaxis(shades, -1, 2)  # (moments, samples, channels, h, w)
    return _strip([_laid(moment.reshape(-1, *moment.shape[2:]), values.shape[-1]) for moment in tiles], alt)


def photographs(moments: Sequence[Array], alt: str) -> Markup:
    """Pictures of one size, uint8 (h, w) or (h, w, 3)."""
    file, whole = io.BytesIO(), np.concatenate([coloured(one if one.ndim == 3 else one[..., None]) for one in moments])
    Image.fromarray(whole).save(file, "JPEG", quality=82)
    height, width = moments[0].shape[:2]
    return _shown("jpeg", file.getvalue(), (height, width), len(moments), alt, 1)


def _columns(count: int) -> int:
    return min(count, max(8, math.ceil(math.sqrt(2 * count))))


def _shades(values: Array) -> Array:
    """Values as uint8 numbers of the palette: 127 is 0, 254 the full red, 0 the full blue."""
    shades: Array = (np.rint(np.clip(values, -1, 1) * _STEPS) + _STEPS).astype(np.uint8)
    return shades


def _laid(tiles: Array, columns: int, least: int = _TILE, gap: int = 1) -> Array:
    """Tiles enlarged to a side of `least` and laid in rows: (n, h, w) with lines around them, (n, h, w, 4) without."""
    times = max(1, -(-least // min(tiles.shape[1:3])))
    tiles = tiles.repeat(times, 1).repeat(times, 2)
    count, height, width = tiles.shape[:3]
    rows = -(-count // columns)
    lined = tiles.ndim == 3
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, *tiles.shape[3:])
    whole = np.full(shape, _STEPS if lined else 0, np.uint8)  # clear
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + gap) + gap, i % columns * (width + gap) + gap
        if lined:
            whole[top - gap : top + height + gap, left - gap : left + width + gap] = 255
        whole[top : top + height, left : left + width] = tile
    return whole


def _colours(moment: Array) -> Array:
    """Filters (count, h, w, 3) in [-1, 1] as colours around grey, without lines, which would look like weights of 0."""
    colours = np.rint((moment + 1) * 127.5).astype(np.uint8)
    opaque = np.full((*colours.shape[:3], 1), 255, np.uint8)
    return _laid(np.concatenate([colours, opaque], axis=-1), _columns(len(moment)), gap=_GAP)


def _strip(moments: Sequence[Array], alt: str, line: int = _FAINT) -> Markup:
    """The strip as PNG, its lines so opaque; 0 is transparent, so that the page shows through, be it light or dark."""
    image, file = Image.fromarray(np.concatenate(moments)), io.BytesIO()
    if moments[0].ndim == 2:
        strength = np.abs(np.arange(255) - _STEPS) * 255 // _STEPS
        image.putpalette([part for i in range(255) for part in (_RED if i > _STEPS else _BLUE)] + [*_LINE])
        image.save(file, "PNG", optimize=True, transparency=bytes([*strength.tolist(), line]))
    else:
        image.save(file, "PNG", optimize=True)
    height, width = moments[0].shape[:2]
    return _shown("png", file.getvalue(), (height, width), len(moments), alt, max(1, min(_MOST, _WIDTH // width)))


def _shown(kind: str, data: bytes, size: tuple[int, int], count: int, alt: str, scale: int) -> Markup:
    """A window as high as one picture, behind which the page moves the strip."""
    height, width = size
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    image = element("img", src=source, alt=alt, style=f"--n:{count}", width=width, height=height * count)
    sharp = " sharp" if scale > 1 or kind == "png" else ""
    return element("div", image, class_=f"strip{sharp}", style=f"width:{width * scale}px;aspect-ratio:{width}/{height}")

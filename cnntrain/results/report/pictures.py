"""A picture is an array as bytes that a page can hold: PNG, without a time or a name in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cnntrain.core.arrays import Array
from cnntrain.results.report.html import Markup, element


def png(image: Array) -> bytes:
    """The PNG file of uint8 (h, w) or (h, w, 3)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", optimize=True)
    return file.getvalue()


def signed(values: Array, largest: float) -> Array:
    """Values of any shape as colours, uint8 (..., 3): white is 0, red above it and blue below, full at `largest`."""
    strength = np.minimum(np.abs(values) / (largest or 1.0), 1)[..., None]
    full = np.where(values[..., None] > 0, (200, 30, 45), (30, 80, 200))
    colours: Array = np.rint(255 * (1 - strength) + full * strength).astype(np.uint8)
    return colours


def resized(image: Array, size: tuple[int, int], smooth: bool = False) -> Array:
    """uint8 (h, w, ...) at another (height, width): bilinear, or with its pixels left as squares."""
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(image).resize(size[::-1], method))


def jpeg(image: Array) -> bytes:
    """The JPEG file of uint8 (h, w) or (h, w, 3), its colours at full resolution."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=85, subsampling=0)
    return file.getvalue()


def embedded(image: Array, alt: str, photograph: bool = False) -> Markup:
    """An <img> that holds its own bytes; a photograph may be a JPEG, where that is smaller."""
    data, kind = min([(png(image), "png"), *([(jpeg(image), "jpeg")] if photograph else [])], key=lambda d: len(d[0]))
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return element("img", src=source, alt=alt, width=image.shape[1], height=image.shape[0])


def caption(
    image: Array, alt: str, *lines: str, below: Markup | None = None, photograph: bool = False, file: str = ""
) -> Markup:
    """A picture with lines under it, the first in bold, the name of its file, and something below them."""
    text = [element("b" if i == 0 else "span", line) for i, line in enumerate(lines)]
    if file:
        text.append(element("small", element("bdi", Path(file).name), title=file))
    return element("figure", embedded(image, alt, photograph), element("figcaption", *text), below or "")


def opaque(image: Array) -> Array:
    """A picture (h, w, 3) as uint8 (h, w, 4), for a sheet that is 0, and so transparent, between its pictures."""
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


def sheet(images: Sequence[Array], columns: int, scale: int, gap: int = 1, background: int = 128) -> Array:
    """Pictures of one size (h, w), (h, w, 3) or (h, w, 4) side by side in rows, each pixel `scale` wide."""
    first = images[0]
    height, width = (extent * scale for extent in first.shape[:2])
    rows = -(-len(images) // columns)
    shape = (rows * (height + gap) - gap, min(columns, len(images)) * (width + gap) - gap, *first.shape[2:])
    whole = np.full(shape, background, np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        whole[top : top + height, left : left + width] = image.repeat(scale, 0).repeat(scale, 1)
    return whole

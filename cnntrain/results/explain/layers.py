"""Every layer's output and its gradient, as small pictures."""

from __future__ import annotations

import math

import numpy as np

from cnntrain.config import catalogue
from cnntrain.core.arrays import Array
from cnntrain.core.description import size_text
from cnntrain.results.explain.passage import Passage
from cnntrain.results.report.html import Markup, element, section
from cnntrain.results.report.pictures import embedded, opaque, sheet, signed

MOST = 48  # channels shown of a layer, and layers shown
_WIDTH = 440  # approximate width of a sheet, in pixels
_OF_CLIPS = 4  # dimensions of a clip: moments, height, width, channels
_SQUARE = 12  # side of a feature's square, in pixels


def of(passed: Passage) -> Markup:
    """Each layer with its output and the gradient that comes back to it."""
    shown = [_layer(passed, number) for number in range(min(len(passed.nodes), MOST))]
    more = len(passed.nodes) - len(shown)
    note = (
        "Red is above 0, blue below; 0 is white, or black on a dark page. The strongest colour is the largest value of "
        "its picture. First comes a layer's output, channel by channel, then its gradient: "
        f"red where a larger value would raise {passed.of}."
    )
    if any(len(node.shape) == _OF_CLIPS for node in passed.nodes):
        note += " Of a clip, the moment in the middle is shown."
    if more > 0:
        note += f" The first {MOST} of {len(passed.nodes)} layers are shown."
    return section("Forward and back, layer by layer", *shown, note=note)


def _layer(passed: Passage, number: int) -> Markup:
    node, frame = passed.nodes[number], passed.frames[number]
    kind = node.layer.name_in_config
    meaning = catalogue.entry(type(node.layer))["meaning"].replace("`", "")
    reads = ", ".join("input" if source < 0 else passed.nodes[source].name for source in node.inputs)
    pictures = [_sheet(_middle(frame.y), "output", f"output of {node.name}")]
    if number in passed.back:
        pictures.append(_sheet(_middle(frame.dy), "gradient", f"gradient of {node.name}"))
    return element(
        "div",
        element("h3", f"{number + 1}. {node.name}"),
        element(
            "p",
            f"{kind} of {reads}: {size_text(node.shape)}. {meaning}",
        ),
        element("div", *pictures, class_="two signed"),
        class_="layer",
    )


def _middle(values: Array) -> Array:
    """The one sample of a batch; of a clip, the moment in the middle. Layers of images have its moments as a batch."""
    one: Array = values[len(values) // 2]
    return one[len(one) // 2] if one.ndim == _OF_CLIPS else one


def _sheet(values: Array, what: str, alt: str) -> Markup:
    """Channels of an image side by side, or features as rows of squares, with the range of the values."""
    low, high = float(values.min()), float(values.max())
    largest = max(abs(low), abs(high))
    if values.ndim == 3:
        count = min(values.shape[-1], MOST)
        columns = min(count, 8)
        scale = max(1, min(24, _WIDTH // columns // values.shape[1]))
        tiles = [opaque(signed(values[..., channel], largest)) for channel in range(count)]
        picture = sheet(tiles, columns, scale, gap=2, background=0)
    else:
        flat = values.reshape(-1)
        columns = min(len(flat), _WIDTH // (_SQUARE + 1))
        rows = math.ceil(len(flat) / columns)
        padded = np.zeros(rows * columns)
        padded[: len(flat)] = flat
        picture = signed(padded.reshape(rows, columns), largest).repeat(_SQUARE, 0).repeat(_SQUARE, 1)
    return element(
        "figure", embedded(picture, alt), element("figcaption", element("span", f"{what}: {low:.4g} to {high:.4g}"))
    )

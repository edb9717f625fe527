"""First-layer filters can be shown as images, since they are multiplied with one."""

from __future__ import annotations

import math

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.network.first_layer import first
from cnntrain.results.report.html import Markup, element, section
from cnntrain.results.report.pictures import embedded, opaque, sheet, signed
from cnntrain.trained.inference import Trained

MOST = 256
_SHEET = 900  # width of the sheet of all of them, in pixels


def picture(weights: Array) -> Array:
    """One filter (h, w, channels) as bytes: three channels as colours around grey, others as blue to red by their mean.

    Grey, or white, is 0; the value of largest magnitude has the full colour.
    """
    if weights.shape[-1] != 3:
        means = weights.mean(axis=-1)
        return signed(means, float(np.abs(means).max()))
    scaled = weights / (float(np.abs(weights).max()) or 1.0)
    return np.rint((scaled + 1) * 127.5).astype(np.uint8)


def rendered(weights: Array, clear: bool = False) -> Array:
    """The first filters of a layer (h, w, channels, filters), on one sheet: white between them, or clear."""
    count = min(weights.shape[-1], MOST)
    columns = min(count, max(8, math.ceil(math.sqrt(2 * count))))
    scale = max(1, min(14, _SHEET // columns // weights.shape[1]))
    pictures = [picture(weights[..., i]) for i in range(count)]
    if clear:
        return sheet([*map(opaque, pictures)], columns, scale, gap=scale, background=0)
    return sheet(pictures, columns, scale, gap=scale, background=255)


def markup(weights: Array, alt: str) -> Markup:
    """The sheet as a page has it; where white is 0, a dark page shows it black."""
    kind = "filters sharp" if weights.shape[2] == 3 else "filters sharp signed"
    return element("div", embedded(rendered(weights, clear=True), alt), class_=kind)


def weights_of(trained: Trained) -> tuple[str, Array] | None:
    """The first layer of a network that weighs pixels, and its weights; None without one."""
    graph = trained.network.graph
    return first(graph, graph.layout.views(trained.engine.params))


def of(trained: Trained) -> Markup:
    """The filters of the first layer, on one sheet."""
    found = weights_of(trained)
    if found is None:
        return Markup()
    name, weights = found
    count = min(weights.shape[-1], MOST)
    more = f" The first {MOST} of {weights.shape[-1]} are shown." if count < weights.shape[-1] else ""
    meaning = "in colour, where grey is 0" if weights.shape[2] == 3 else "red where they add, blue where they subtract"
    note = f"The weights of {name}, {meaning}.{more}"
    alt = f"{counted(count, 'filter')} of {weights.shape[0]} by {weights.shape[1]}"
    return section("First layer", markup(weights, alt), note=note)

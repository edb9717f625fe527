"""Grad-CAM shows where in an image the network saw what it predicts (Selvaraju et al. 2017)."""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.display import strip
from cnntrain.engine.walk import Walk
from cnntrain.network.graph import Graph
from cnntrain.results.report.gallery import thumbnail
from cnntrain.results.report.html import Markup, element, section
from cnntrain.results.report.judged import Judged
from cnntrain.results.report.pictures import caption, resized

_RIGHT, _WRONG = 6, 6  # images shown
_HEAT = np.array([(20, 11, 52), (132, 32, 107), (229, 92, 48), (246, 215, 70)], np.float64)  # dark to bright


def layer(graph: Graph) -> int | None:
    """The node to look at: the last whose output has the size of the last convolution's; None where none has an extent.

    What follows a convolution without changing its size (normalization, activation, the end of a residual block)
    belongs to it; pooling does not, and would blur.
    """
    last = None
    for i, node in enumerate(graph.nodes):
        if len(node.shape) not in (3, 4) or max(node.shape[-3:-1]) == 1:
            continue
        convolves = "weight" in node.params and len(node.params["weight"].shape) in (4, 5)
        if convolves or (last == i - 1 and node.shape[:-1] == graph.shape(last)[:-1]):
            last = i
    return last


def heat(walk: Walk, at: int, x: Array, outputs: Array) -> Array:
    """Grad-CAM of an output of each image in node `at`, (n, h, w) in [0, 1]: relu(sum_c alpha_c A_c) over its maximum.

    A are the activations, alpha_c the mean over pixels of the gradient of that output with respect to A_c. For clips,
    (n, t, h, w), mean and maximum are over all moments, so that the map also shows when it was seen.
    """
    nodes = list(walk.forward([x]))
    dy = np.zeros_like(nodes[-1][0].y)
    dy[np.arange(len(x)), outputs] = 1
    (gradient,) = walk.gradient(nodes, [dy], at)
    pixels = tuple(range(1, gradient.ndim - 1))
    alpha = gradient.mean(axis=pixels, keepdims=True)
    found = np.maximum((alpha * nodes[at][0].y.reshape(gradient.shape)).sum(axis=-1), 0)
    largest = found.max(axis=pixels, keepdims=True)
    shares: Array = found / np.where(largest > 0, largest, 1)
    return shares


def over_time(shares: Array, moments: int) -> Array:
    """The map (t, h, w) of a clip as the strip (h, w * frames) that shows its moments, each from the nearest of t."""
    places = np.arange(moments) * len(shares) // moments
    return strip(shares[places][..., None])[..., 0]


def overlaid(image: Array, shares: Array) -> Array:
    """A thumbnail (h, w[, 3]) with a heat map (h', w') in [0, 1] over it: the brighter, the more it counted."""
    size = image.shape[:2]
    smooth = resized(np.rint(255 * shares).astype(np.uint8), size, smooth=True) / 255
    place = smooth * (len(_HEAT) - 1)
    low = np.minimum(place.astype(np.int64), len(_HEAT) - 2)
    colours = _HEAT[low] + (_HEAT[low + 1] - _HEAT[low]) * (place - low)[..., None]
    gray: Array = image if image.ndim == 2 else image.mean(axis=-1)
    mixed: Array = np.rint(0.45 * gray[..., None] + 0.55 * colours).astype(np.uint8)
    return mixed


def of(judged: Judged) -> Markup:
    """Some images, each beside its map."""
    graph = judged.trained.network.graph
    at = layer(graph)
    if at is None or len(graph.output_shape) != 1:
        return Markup()
    chosen = judged.trained.network.task.explained(judged.evaluation, _RIGHT, _WRONG)
    if chosen is None or not len(chosen.positions):
        return Markup()
    walk, inputs = Walk(graph, judged.trained.engine.params), judged.inputs(chosen.positions)
    maps = heat(walk, at, inputs, chosen.outputs)
    figures = []
    for image, shares, lines in zip(inputs, maps, chosen.captions, strict=True):
        small = thumbnail(image)
        colours = small if small.ndim == 3 else np.stack([small] * 3, axis=-1)
        shown = shares if shares.ndim == 2 else over_time(shares, len(image))
        pair = np.concatenate([colours, overlaid(small, shown)], axis=1 if shares.ndim == 2 else 0)
        pair = pair if judged.heard is None else pair[::-1]  # low frequencies at the bottom
        figures.append(caption(pair, f"Grad-CAM: {' '.join(lines)}", *lines))
    note = (
        "Images as the network reads them; the brighter a place, the more it counted towards the class in bold. "
        f"Grad-CAM, measured in {graph.nodes[at].name}."
    )
    if not maps.reshape(len(maps), -1).any(axis=1).all():
        note += " Where a picture stays dark, no place spoke for it: the class was left when others were ruled out."
    return section("Where it looked", element("div", *figures, class_="thumbs pairs"), note=note)

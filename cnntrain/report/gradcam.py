"""Grad-CAM shows where in an image the network saw what it says (Selvaraju et al. 2017)."""

from __future__ import annotations

import numpy as np

from cnntrain.arrays import Array
from cnntrain.engine.walk import Walk
from cnntrain.graph import Graph
from cnntrain.report.html import Markup, element, section
from cnntrain.report.judged import Judged
from cnntrain.report.mistakes import thumbnail, told, worst
from cnntrain.report.pictures import caption, resized

_RIGHT, _WRONG = 6, 6  # images shown
_HEAT = np.array([(20, 11, 52), (132, 32, 107), (229, 92, 48), (246, 215, 70)], np.float64)  # dark to bright


def layer(graph: Graph) -> int | None:
    """The node to look at: the last of the size of the last convolution's output; None where none has an extent.

    What follows a convolution without changing its size (normalization, activation, the end of a residual block)
    belongs to it; pooling does not, and would blur.
    """
    last = None
    for i, node in enumerate(graph.nodes):
        if len(node.shape) != 3 or max(node.shape[:2]) == 1:
            continue
        convolves = "weight" in node.params and len(node.params["weight"].shape) == 4
        if convolves or (last == i - 1 and node.shape[:2] == graph.shape(last)[:2]):
            last = i
    return last


def heat(walk: Walk, at: int, x: Array, classes: Array) -> Array:
    """Grad-CAM of each image's class in node `at`, (n, h, w) in [0, 1] each: relu(sum_c alpha_c A_c) by its maximum.

    A are the activations, alpha_c the mean over pixels of the gradient of the class's score in A_c.
    """
    nodes = list(walk.forward([x]))
    dy = np.zeros_like(nodes[-1][0].y)
    dy[np.arange(len(x)), classes] = 1
    (gradient,) = walk.gradient(nodes, [dy], at)
    alpha = gradient.mean(axis=(1, 2), keepdims=True)
    found = np.maximum((alpha * nodes[at][0].y).sum(axis=-1), 0)
    largest = found.max(axis=(1, 2), keepdims=True)
    shares: Array = found / np.where(largest > 0, largest, 1)
    return shares


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


def chosen(judged: Judged) -> Array:
    """The images to show: of different classes the surest right ones, then the worst wrong ones."""
    right = np.flatnonzero(judged.predicted == judged.targets)
    surest = right[np.argsort(-judged.probabilities[right].max(axis=1), kind="stable")]
    _, firsts = np.unique(judged.targets[surest], return_index=True)
    spread = (
        firsts[np.linspace(0, len(firsts) - 1, min(_RIGHT, len(firsts))).round().astype(int)] if len(firsts) else []
    )
    return np.concatenate([surest[spread], worst(judged, _WRONG)]).astype(np.int64)


def of(judged: Judged) -> Markup:
    """Some images, each beside its map."""
    graph = judged.trained.network.graph
    at = layer(graph)
    positions = chosen(judged) if judged.classes and at is not None and len(graph.output_shape) == 1 else np.empty(0)
    if at is None or not len(positions):
        return Markup()
    walk, inputs = Walk(graph, judged.trained.engine.params), judged.inputs(positions)
    maps = heat(walk, at, inputs, judged.predicted[positions])
    figures = []
    for image, shares, position in zip(inputs, maps, positions.tolist(), strict=True):
        small = thumbnail(image)
        colours = small if small.ndim == 3 else np.stack([small] * 3, axis=-1)
        pair = np.concatenate([colours, overlaid(small, shares)], axis=1)
        figures.append(caption(pair, f"Grad-CAM: {' '.join(told(judged, position))}", *told(judged, position)))
    note = (
        "Images as the network reads them; the brighter a place, the more it spoke for the class in bold. "
        f"Grad-CAM, measured in {graph.nodes[at].name}."
    )
    return section("Where it looked", element("div", *figures, class_="thumbs pairs"), note=note)

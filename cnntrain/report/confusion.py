"""The confusion matrix as a picture: which classes the network takes for which."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntrain.arrays import Array
from cnntrain.report.charts import QUIET, Chart
from cnntrain.report.html import Markup, element, folded, section, table
from cnntrain.report.judged import Judged, percent
from cnntrain.report.pictures import embedded, sheet

_HALF = 460  # pixels of half a page
_LARGEST_TABLE = 24  # classes; beyond, a cell is a few pixels
_PAIRS = 12  # of classes most often confused
_STRONGEST = 0.6  # opacity of a whole row in one cell, so that the number on it can be read


def of(judged: Judged) -> Markup:
    """The matrix, and the pairs most often confused."""
    if not judged.classes:
        return Markup()
    matrix = judged.confusion
    drawn = _table(matrix, judged.classes) if len(matrix) <= _LARGEST_TABLE else _picture(matrix)
    pairs = _pairs(matrix, judged.classes)
    note = (
        "A row holds the samples of one class, in the columns they were taken for; a right answer is on the diagonal."
    )
    return section("Confusion", drawn, folded("Most often confused", pairs), note=note, half=narrow(judged.classes))


def chart(judged: Judged) -> Chart | None:
    """The matrix for a paper; None for target values."""
    if not judged.classes:
        return None
    matrix, classes = judged.confusion, judged.classes
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)

    def draw(axes: Any) -> None:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        axes.set_xlabel("taken for")
        axes.set_ylabel("true")
        if len(classes) > _LARGEST_TABLE:
            return
        axes.set_xticks(range(len(classes)), classes, rotation=90 if max(map(len, classes)) > 2 else 0)
        axes.set_yticks(range(len(classes)), classes)
        for (i, j), count in np.ndenumerate(matrix):
            color = "white" if shares[i, j] > 0.5 else QUIET
            axes.text(j, i, f"{count:,}" if count else "", ha="center", va="center", color=color, fontsize=7)

    return Chart("confusion", "confusion", draw, square=True)


def narrow(classes: tuple[str, ...]) -> bool:
    """Whether tables of these classes fit into half a page: names beside a column for each class."""
    return 8 * max(map(len, classes)) + 40 * len(classes) <= _HALF


def _table(matrix: Array, classes: tuple[str, ...]) -> Markup:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    upright = max(map(len, classes)) > 4
    head = [element("th", element("span", name), class_="up" if upright else "n") for name in classes]
    rows = [
        element("tr", element("th", name), *(_cell(matrix[i, j], shares[i, j], i == j) for j in range(len(classes))))
        for i, name in enumerate(classes)
    ]
    whole = element(
        "table", element("thead", element("tr", element("th"), *head)), element("tbody", *rows), class_="matrix"
    )
    return element("div", whole, class_="wide")


def _cell(count: int, share: float, right: bool) -> Markup:
    kind = "hit" if right else "miss"
    style = f"--p:{_STRONGEST * share ** (1 if right else 0.5):.3f}" if count else None
    return element("td", f"{count:,}" if count else "·", class_=kind if count else "zero", style=style)


def _picture(matrix: Array) -> Markup:
    """One square for each cell, the darker the larger its share of the row."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    gray = np.rint(255 * (1 - np.sqrt(shares))).astype(np.uint8)
    scale = max(1, 600 // len(matrix))
    return element("div", embedded(sheet([gray], 1, scale), f"confusion of {len(matrix)} classes"), class_="wide sharp")


def _pairs(matrix: Array, classes: tuple[str, ...]) -> Markup:
    off = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    order = np.argsort(-off, axis=None, kind="stable")[:_PAIRS]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    rows = [
        [classes[i], classes[j], f"{off[i, j]:,}", percent(off[i, j] / matrix[i].sum())] for i, j in pairs if off[i, j]
    ]
    return table(["true", "taken for", "samples", "of the class"], rows, right={2, 3})

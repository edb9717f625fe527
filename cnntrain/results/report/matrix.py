"""The confusion matrix: counts by true and predicted class, as a table, a picture or a chart."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.display import Matrix
from cnntrain.core.letters import columns
from cnntrain.results.report.charts import QUIET
from cnntrain.results.report.html import Markup, element
from cnntrain.results.report.paper import Painting
from cnntrain.results.report.pictures import embedded, sheet

_LARGEST_TABLE = 24  # rows; beyond, a cell is a few pixels
_NUMBERED = 10  # classes of a table that has room for its numbers on a phone; a larger one has them under the pointer
_STRONGEST = 0.6  # opacity of a cell that holds its whole row, so that its number can be read


def markup(shown: Matrix) -> Markup:
    """The matrix as a table, or where it is too large as a picture."""
    matrix = shown.counts
    return _table(matrix, shown.names) if len(matrix) <= _LARGEST_TABLE else _picture(matrix, shown.title)


def chart(shown: Matrix) -> Painting:
    """The matrix for a paper."""
    matrix, names = shown.counts, shown.names
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)

    def render(axes: Any) -> None:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        axes.set_xlabel("taken for")
        axes.set_ylabel("true")
        if len(names) > _LARGEST_TABLE:
            return
        axes.set_xticks(range(len(names)), names, rotation=90 if max(map(columns, names)) > 2 else 0)
        axes.set_yticks(range(len(names)), names)
        for (i, j), count in np.ndenumerate(matrix):
            color = "white" if shares[i, j] > 0.5 else QUIET
            axes.text(j, i, f"{count:,}" if count else "", ha="center", va="center", color=color, fontsize=7)

    return Painting(shown.name, shown.title, render, square=True)


def _table(matrix: Array, names: tuple[str, ...]) -> Markup:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    upright = max(map(columns, names)) > 4
    head = [element("th", element("span", name), class_="up" if upright else "n") for name in names]
    rows = [
        element("tr", element("th", name), *(_cell(matrix[i, j], shares[i, j], i == j) for j in range(len(names))))
        for i, name in enumerate(names)
    ]
    kind = "matrix large" if len(names) > _NUMBERED else "matrix"
    whole = element(
        "table", element("thead", element("tr", element("th"), *head)), element("tbody", *rows), class_=kind
    )
    return element("div", whole, class_="wide")


def _cell(count: int, share: float, right: bool) -> Markup:
    kind = "hit" if right else "miss"
    style = f"--p:{_STRONGEST * share ** (1 if right else 0.5):.3f}" if count else None
    return element("td", f"{count:,}" if count else "·", class_=kind if count else "zero", style=style)


def _picture(matrix: Array, title: str) -> Markup:
    """One square for each cell, the darker the larger its share of the row."""
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    gray = np.rint(255 * (1 - np.sqrt(shares))).astype(np.uint8)
    scale = max(1, 600 // len(matrix))
    return element(
        "div", embedded(sheet([gray], 1, scale), f"{title} of {len(matrix)} classes"), class_="wide sharp signed"
    )

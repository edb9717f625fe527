"""The confusion matrix: counts by true and predicted class, as a table, a picture or a chart."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.display import Matrix
from cnntrain.core.letters import columns, shortened
from cnntrain.results.report.charts import QUIET
from cnntrain.results.report.html import Markup, element
from cnntrain.results.report.paper import WIDTH, Painting
from cnntrain.results.report.pictures import embedded, sheet

_LARGEST_TABLE = 24  # rows; beyond, a cell is a few pixels
_NUMBERED = 10  # classes of a table that has room for its numbers on a phone; a larger one has them under the pointer
_FONT, _ROOM, _NAME = 9, 150, 150  # points, for a paper: of names at most, of all their rows, about a name's length
_CELLS = 300  # points of a number in it, times the digits of a row
_STRONGEST = 0.6  # opacity of a cell that holds its whole row, so that its number can be read


def markup(shown: Matrix) -> Markup:
    """The matrix as a table, or where it is too large as a picture."""
    matrix = shown.counts
    return _table(matrix, shown.names) if len(matrix) <= _LARGEST_TABLE else _picture(matrix, shown.title)


def chart(shown: Matrix) -> Painting:
    """The matrix for a paper."""
    matrix, names = shown.counts, shown.names
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)

    size = min(_FONT, _ROOM / len(matrix))
    longest = int(_NAME / size)
    short = [shortened(name, longest) for name in names]

    def render(axes: Any) -> None:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        axes.set_xlabel("taken for")
        axes.set_ylabel("true")
        if len(names) > _LARGEST_TABLE:
            return
        upright = max(map(columns, short)) > 2
        axes.set_xticks(range(len(names)), short, rotation=90 if upright else 0, fontsize=size)
        axes.set_yticks(range(len(names)), short, fontsize=size)
        widest = max(len(f"{count:,}") for count in matrix.flat)
        for (i, j), count in np.ndenumerate(matrix):
            color = "white" if shares[i, j] > 0.5 else QUIET
            said = f"{count:,}" if count else ""
            axes.text(j, i, said, ha="center", va="center", color=color, fontsize=min(7, _CELLS / len(names) / widest))

    return Painting(shown.name, shown.title, render, height=WIDTH)


def _table(matrix: Array, names: tuple[str, ...]) -> Markup:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    upright = max(map(columns, names)) > 4
    head = [element("th", element("span", name), class_="up" if upright else "n") for name in names]
    rows = [
        element(
            "tr",
            element("th", element("span", name)),
            *(_cell(matrix[i, j], shares[i, j], i == j) for j in range(len(names))),
        )
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

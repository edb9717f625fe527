"""Mistakes are shown as they are: the samples of which the network was surest and wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntrain.arrays import Array
from cnntrain.report.charts import Chart
from cnntrain.report.html import Markup, element, section
from cnntrain.report.judged import Judged, percent
from cnntrain.report.pictures import caption, resized, to_bytes

SHOWN = 24
_IN_A_ROW, _ROWS = 5, 3  # of those in a chart
SIDE = 96  # pixels of the longer side, at most by enlarging whole pixels


def worst(judged: Judged, count: int) -> Array:
    """Positions of the wrongly judged samples, the worst first; of target values, of all samples."""
    order = np.argsort(-judged.losses(), kind="stable")
    if judged.classes:
        order = order[judged.predicted[order] != judged.targets[order]]
    return order[:count]


def thumbnail(image: Array) -> Array:
    """An image as it is stored, brought to bytes and to a size at which it can be looked at."""
    shown = to_bytes(image)
    longest = max(shown.shape[:2])
    if longest <= SIDE:
        return shown.repeat(SIDE // longest, 0).repeat(SIDE // longest, 1)
    height, width = (max(1, round(extent * SIDE / longest)) for extent in shown.shape[:2])
    return resized(shown, (height, width), smooth=True)


def told(judged: Judged, position: int) -> tuple[str, str, str]:
    """What a sample is, what it was taken for and how surely; of values the first few, true and predicted."""
    if not judged.classes:
        values = (np.ravel(row[position])[:3] for row in (judged.targets, judged.outputs))
        true_values, said_values = map(_values, values)
        return f"sample {judged.indices[position]}", f"is {true_values}", f"said {said_values}"
    said, true = int(judged.predicted[position]), int(judged.targets[position])
    shares = judged.probabilities[position]
    names = judged.classes
    if said == true:
        return f"{names[said]} · {percent(shares[said])}", "right", ""
    return f"{names[said]} · {percent(shares[said])}", f"is {names[true]} · {percent(shares[true])}", ""


def _values(values: Array) -> str:
    return ", ".join(f"{value:.4g}" for value in values.tolist())


def chart(judged: Judged) -> Chart | None:
    """The worst of them for a paper, with their captions; None where there are none."""
    positions = worst(judged, _IN_A_ROW * _ROWS).tolist()
    if not positions:
        return None
    pictures = [_squared(to_bytes(image)) for image in judged.pixels(np.array(positions))]

    def draw(axes: Any) -> None:
        axes.axis("off")
        for i, (image, position) in enumerate(zip(pictures, positions, strict=True)):
            left, top = i % _IN_A_ROW * 1.25, -(i // _IN_A_ROW) * 1.75
            axes.imshow(image, extent=(left, left + 1, top - 1, top), cmap="gray", vmin=0, vmax=255)
            said = "\n".join(told(judged, position)).replace(" · ", "\n")
            axes.text(left, top - 1.06, said, va="top", fontsize=5.5)
        axes.set_xlim(0, _IN_A_ROW * 1.25 - 0.25)
        axes.set_ylim(-1.75 * _ROWS, 0)

    return Chart("mistakes", "worst mistakes", draw, square=True)


def _squared(image: Array) -> Array:
    """A picture within a white square, so that none is stretched."""
    side = max(image.shape[:2])
    square = np.full((side, side, *image.shape[2:]), 255, np.uint8)
    top, left = ((side - extent) // 2 for extent in image.shape[:2])
    square[top : top + image.shape[0], left : left + image.shape[1]] = image
    return square


def of(judged: Judged) -> Markup:
    """The worst mistakes as thumbnails."""
    chosen = worst(judged, SHOWN)
    figures = [
        caption(thumbnail(image), " ".join(told(judged, position)), *told(judged, position))
        for image, position in zip(judged.pixels(chosen), chosen.tolist(), strict=True)
    ]
    if not figures and judged.classes:
        return section("Worst mistakes", element("p", f"None: every sample of {judged.split} was judged rightly."))
    note = (
        "In bold what each was taken for and how surely; below what it is, and how likely the network thought that."
        if judged.classes
        else "The samples with the largest squared errors."
    )
    return section("Worst mistakes", element("div", *figures, class_="thumbs"), note=note)

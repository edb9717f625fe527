"""Calibration: of the samples the network is 80 % sure of, are 80 % right?"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnntrain.arrays import Array
from cnntrain.report.charts import LINE, QUIET, SERIES, Chart, grid
from cnntrain.report.html import Markup, folded, section, table
from cnntrain.report.judged import Judged, percent

BINS = 15  # as many as the metric calibration_error has by default


def bins(judged: Judged) -> Array:
    """Of each bin of confidence the samples, their mean confidence and their accuracy: (3, BINS), 0 where empty.

    A boundary belongs to the bin below, as in the metric calibration_error.
    """
    confidence = judged.probabilities.max(axis=1)
    place = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)
    right = judged.predicted == judged.targets
    counts, sure, hits = (np.bincount(place, what, minlength=BINS) for what in (None, confidence, right))
    return np.stack([counts, sure / np.maximum(counts, 1), hits / np.maximum(counts, 1)])


def chart(judged: Judged) -> Chart | None:
    """The reliability diagram; None for target values."""
    if not judged.classes:
        return None
    counts, sure, hits = bins(judged)
    there = counts > 0

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (3, 3)))
        edges = np.arange(BINS) / BINS
        axes.bar(edges[there], hits[there], 1 / BINS, align="edge", color=SERIES[0], edgecolor=LINE, alpha=0.55)
        axes.plot(sure[there], hits[there], color=SERIES[0], marker="o", markersize=4, linewidth=1.2)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("confidence")
        axes.set_ylabel("accuracy")

    return Chart("calibration", "confidence and accuracy", draw)


def of(judged: Judged) -> Markup:
    """The diagram, and its numbers."""
    drawn = chart(judged)
    if drawn is None:
        return Markup()
    counts, sure, hits = bins(judged)
    rows = [
        [f"{percent(i / BINS)} to {percent((i + 1) / BINS)}", f"{int(counts[i]):,}", f"{sure[i]:.4f}", f"{hits[i]:.4f}"]
        for i in range(BINS)
        if counts[i]
    ]
    numbers = table(["confidence", "samples", "mean confidence", "accuracy"], rows, right={1, 2, 3})
    picture = grid([drawn])
    note = "Where accuracy lies below the diagonal, the network is surer of itself than it should be."
    return section("Calibration", picture, folded("Numbers", numbers) if picture else numbers, note=note, half=True)

"""A plot's lines and bars, as a chart."""

from __future__ import annotations

from typing import Any

from cnntrain.core.display import Bars, Plot
from cnntrain.results.report.charts import LINE, QUIET, SERIES, Chart


def chart(plot: Plot) -> Chart:
    """The plot as Matplotlib renders it; a reference line is quiet and broken."""

    def render(axes: Any) -> None:
        for what in plot.marks:
            if isinstance(what, Bars):
                look = {"align": "edge", "color": SERIES[0], "edgecolor": LINE, "alpha": 0.55}
                axes.bar(what.left, what.heights, what.width, **look)
            elif what.reference:
                axes.plot(what.x, what.y, color=QUIET, linewidth=1, linestyle=(0, (3, 3)))
            else:
                marks = {"marker": "o", "markersize": 4} if what.marked else {}
                axes.plot(what.x, what.y, color=SERIES[0], linewidth=1.2, **marks)
        axes.set_xlim(*plot.limits[0])
        axes.set_ylim(*plot.limits[1])
        axes.set_xlabel(plot.labels[0])
        axes.set_ylabel(plot.labels[1])

    return Chart(plot.name, plot.title, render)

"""A plot's lines and bars, as a chart."""

from __future__ import annotations

from cnntrain.core.display import Bars, Line, Plot
from cnntrain.results.report.charts import QUIET, Chart, ChartAxis, ChartItem, Curve


def chart(plot: Plot) -> Chart:
    """The plot as charts have it; a reference line is quiet and broken."""
    x, y = (ChartAxis(label, *ends) for label, ends in zip(plot.labels, plot.limits, strict=True))
    return Chart(plot.name, plot.title, [_content(what) for what in plot.marks], x, y)


def _content(what: Line | Bars) -> ChartItem:
    if isinstance(what, Bars):
        return what
    points = what.x.tolist(), what.y.tolist()
    if what.reference:
        return Curve(*points, color=QUIET, dashed=True, width=1.0, marked=False)
    return Curve(*points, width=1.2, marked=what.marked)

"""A plot's lines and bars, as a chart."""

from __future__ import annotations

from cnntrain.core.display import Bars, Line, Plot
from cnntrain.results.report.charts import QUIET, SERIES, Chart, ChartAxis, ChartItem, Curve


def chart(plot: Plot) -> Chart:
    """The plot as a chart; a reference line is muted and dashed, an unnamed line among named ones muted."""
    (across, x), (up, y) = zip(plot.labels, plot.limits, strict=True)
    names = [what.name for what in plot.marks if isinstance(what, Line) and what.name]
    content = [_content(what, names) for what in plot.marks]
    return Chart(plot.name, plot.title, content, ChartAxis(across, *x, ticks=plot.ticks), ChartAxis(up, *y))


def _content(what: Line | Bars, names: list[str]) -> ChartItem:
    """One mark; the colour of a line follows from its place among the names."""
    if isinstance(what, Bars):
        return what
    points = what.x.tolist(), what.y.tolist()
    if what.reference:
        return Curve(*points, color=QUIET, dashed=True, width=1.0, marked=False)
    if names and not what.name:
        return Curve(*points, color=QUIET, width=1.0, opacity=0.4, marked=False)
    color = SERIES[names.index(what.name) % len(SERIES)] if names else SERIES[0]
    return Curve(*points, color, what.name, width=1.2, marked=what.marked)

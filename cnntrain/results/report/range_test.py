"""A learning-rate range test as a chart: the loss of each step over its rate, smoothed too, and the suggestion."""

from __future__ import annotations

from cnntrain.checks.lr_find import RangeTest
from cnntrain.results.report.charts import QUIET, SERIES, Chart, ChartAxis, ChartItem, Curve, Upright


def chart(test: RangeTest) -> Chart:
    """The chart; its loss axis ends below the explosion, which would hide what came before."""
    found: list[ChartItem] = [
        Curve(test.rates, test.losses, QUIET, "each step", width=0.8, opacity=0.6),
        Curve(test.rates, test.smoothed, SERIES[0], "smoothed"),
    ]
    if test.suggestion is not None:
        found.append(Upright(test.suggestion, SERIES[3], f"suggested: {test.suggestion:g}"))
    low, high = min(test.losses), min(max(test.losses), test.ceiling)
    x = ChartAxis("learning rate", scale="log")
    y = ChartAxis("training loss", low - 0.05 * (high - low), high)
    return Chart("lr-find", "Learning-rate range test", found, x, y)

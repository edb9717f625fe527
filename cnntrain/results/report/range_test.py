"""A learning-rate range test as a chart: the loss of each step over its rate, smoothed too, and the suggestion."""

from __future__ import annotations

from typing import Any

from cnntrain.checks.lr_find import RangeTest
from cnntrain.results.report.charts import QUIET, SERIES, Chart


def chart(test: RangeTest) -> Chart:
    """The chart; its losses end where the explosion hides what came before."""

    def render(axes: Any) -> None:
        axes.plot(test.rates, test.losses, color=QUIET, linewidth=0.8, alpha=0.6, label="each step")
        axes.plot(test.rates, test.smoothed, color=SERIES[0], label="smoothed")
        if test.suggestion is not None:
            axes.axvline(test.suggestion, color=SERIES[3], linewidth=1.2, label=f"suggested: {test.suggestion:g}")
        axes.set_xscale("log")
        low, high = min(test.losses), min(max(test.losses), test.ceiling)
        axes.set_ylim(low - 0.05 * (high - low), high)
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        axes.legend()

    return Chart("lr-find", "Learning-rate range test", render)

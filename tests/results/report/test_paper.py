"""Charts for a paper: what stands on a border is whole, and every axis has numbers."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageColor

from cnntrain.results.report import paper
from cnntrain.results.report.charts import SERIES, Chart, ChartAxis, Curve

pytest.importorskip("matplotlib")


def where(chart: Chart | paper.Painting, color: str) -> tuple[int, int]:
    """Width and height of what has this colour, in dots."""
    with Image.open(io.BytesIO(paper.png(chart))) as image:
        near = np.abs(np.asarray(image.convert("RGB"), np.int64) - ImageColor.getrgb(color)).sum(axis=2) < 30
    rows, columns = np.nonzero(near)
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


@pytest.mark.parametrize("border", [(4.0, 0.5), (0.0, 0.5), (2.0, 0.0), (2.0, 1.0)])
@pytest.mark.parametrize("best", [True, False], ids=["best", "few points"])
def test_a_dot_on_the_border_is_whole(border, best):
    curve = Curve([border[0]], [border[1]], SERIES[3], best=border if best else None)
    wide, high = where(Chart("a", "t", [curve], ChartAxis(low=0.0, high=4.0), ChartAxis(low=0.0, high=1.0)), SERIES[3])
    assert abs(wide - high) <= 3, "but for the axis across it"
    assert wide > 10


def test_a_gallery_has_a_legend_of_its_colours():
    def render(axes):
        axes.axis("off")
        axes.set_ylim(-1, 0)
        paper.name_colours(axes, [("disc", (200, 30, 45))], -0.5)

    wide, high = where(paper.Painting("a", "t", render), "#c81e2d")
    assert wide > high > 10

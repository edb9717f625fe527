"""Charts for a paper: what stands on a border is whole, and every axis has numbers."""

from __future__ import annotations

import io
import os
import subprocess
import sys

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


DRAWN = """
import os
from cnntrain.results.report import charts, paper
paper.png(charts.Chart("a", "b", [], charts.ChartAxis(low=0, high=1), charts.ChartAxis(low=0, high=1)))
import matplotlib
print(os.environ.get("MPLBACKEND"), dict.get(matplotlib.rcParams, "backend"))
"""


@pytest.mark.parametrize("chosen", ["svg", "module://planted", "nonsense", None])
def test_a_notebook_keeps_its_backend_and_hands_it_on(chosen):
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    environment |= {"MPLBACKEND": chosen} if chosen else {}
    done = subprocess.run([sys.executable, "-c", DRAWN], env=environment, text=True, capture_output=True, check=True)
    told, used = done.stdout.split(maxsplit=1)
    assert told == str(chosen)
    assert used.strip() != "agg"
    assert (used.strip() == chosen) == (chosen in {"svg", "module://planted"})

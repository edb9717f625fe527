"""Charts for a paper: what stands on a border is whole, and every axis has numbers."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageColor

from cnntrain.core.display import Matrix
from cnntrain.results.report import matrix, paper
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


def drawn(monkeypatch, chart):
    """The chart's figure, as it was laid out."""
    from matplotlib.figure import Figure

    kept, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (kept.append(figure), save(figure, *a, **k)))
    paper.png(chart)
    (figure,) = kept
    return figure


def outside(figure):
    """The texts that do not lie within the figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    FigureCanvasAgg(figure).draw()
    whole, renderer = figure.bbox, figure.canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    return [text for text, box in boxes if box.x0 < whole.x0 - 2 or box.x1 > whole.x1 + 2 or box.y0 < whole.y0 - 2]


LONG = "learning_rate_experiment_number_"
LONGEST = "optimizer.lr=0.0125, model.layers.drop.rate=0.35, train.epochs="


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("name", [LONG, "lr=", "W" * 14, LONGEST])
def test_a_legend_fits_and_large_numbers_have_no_factor_above_them(monkeypatch, count, name):
    lines = [Curve([1, 2], [2e9, 2e9 + i], SERIES[i], f"{name}{i}") for i in range(count)]
    figure = drawn(monkeypatch, Chart("a", "t", lines, ChartAxis("epoch", low=0.0, high=2.0, whole=True), legend=False))
    assert outside(figure) == []
    (axes,) = figure.axes
    assert axes.yaxis.get_offset_text().get_text() == ""
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2"]
    assert axes.get_window_extent().width > 0.6 * figure.bbox.width


@pytest.mark.parametrize("count", [2, 10, 24])
@pytest.mark.parametrize("name", ["a", "Tomato___Tomato_Yellow_Leaf_Curl_Virus_" * 3])
def test_names_beside_a_matrix_neither_overlap_nor_take_its_room(monkeypatch, count, name):
    counts = np.eye(count, dtype=int) * 12
    figure = drawn(monkeypatch, matrix.chart(Matrix("a", "t", counts, tuple(f"{name}{i}" for i in range(count)))))
    assert outside(figure) == []
    (axes,) = figure.axes
    heights = [label.get_window_extent().height for label in axes.get_yticklabels()]
    assert max(heights) <= axes.get_window_extent().height / count * 1.3
    assert axes.get_window_extent().width > 0.45 * figure.bbox.width

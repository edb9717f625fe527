"""A report is one HTML file about one run or several: how training went, what was learned, what it gets wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cnntrain
from cnntrain.core import files
from cnntrain.core.console import Console
from cnntrain.core.directories import make_directory
from cnntrain.core.display import Section
from cnntrain.core.errors import CheckpointError, DataError, OutOfMemoryError
from cnntrain.core.extras import install
from cnntrain.results.report import (
    charts,
    curves,
    evaluation,
    filters,
    gradcam,
    overview,
    search,
    sections,
    settings,
)
from cnntrain.results.report.charts import Chart
from cnntrain.results.report.html import Markup, element, section
from cnntrain.results.report.judged import Judged, judging
from cnntrain.results.report.page import page, spread, warning
from cnntrain.results.report.pictures import png
from cnntrain.rundir.history import Record, read_all
from cnntrain.rundir.json_files import Row

FILE = "report.html"
_UNJUDGED = (CheckpointError, DataError, OutOfMemoryError)  # what leaves a report without an evaluation


@dataclass(frozen=True)
class Wish:
    """What a report is to be made of: the split to judge on, where data lies now, and how."""

    split: str | None = None  # by default val, else test, else train
    sets: tuple[str, ...] = ()
    threads: int | None = None
    png: bool = False  # every chart as a PNG beside it as well


def write(paths: Sequence[Path], output: Path | None = None, wish: Wish | None = None) -> dict[str, Any]:
    """Write the report of some runs and return what `report --json` prints.

    It goes to report.html in the run directory, or for several runs in the working directory. What cannot be judged,
    since its data or checkpoint is gone, is told in the report and under "warnings". Raises UsageError where there is
    no run, MissingExtraError for PNG without Matplotlib, StorageError.
    """
    wish = wish or Wish()
    if wish.png:
        charts.require()
    left_out: list[str] = []
    records = read_all(paths, left_out.append)
    output = output or (records[0].path if len(records) == 1 else Path()) / FILE
    told = _Told(records, wish, search.searches(paths))
    text = told.page()
    make_directory(output.absolute().parent)
    files.write_atomic(output, text.encode())
    pictures = {chart.name: charts.png(chart) for chart in told.charts} | told.pictures if wish.png else {}
    for name, data in pictures.items():
        files.write_atomic(output.with_name(f"{name}.png"), data)
    return {
        "report": str(output),
        "runs": [str(record.path) for record in records],
        "png": [str(output.with_name(f"{name}.png")) for name in pictures],
        "warnings": left_out + told.warnings,
    }


def page_of(paths: Sequence[Path], wish: Wish | None = None) -> str:
    """The HTML of the report of some runs. Raises UsageError where there is no run."""
    return _Told(read_all(paths, Console("none").warn), wish or Wish(), search.searches(paths)).page()


class _Told:
    """A report while it is put together; what could not be told, and every chart of it, are kept."""

    def __init__(self, records: Sequence[Record], wish: Wish, searches: Sequence[Row] = ()) -> None:
        self.records, self.wish, self.searches = records, wish, searches
        self.warnings: list[str] = []
        self.charts: list[Chart] = curves.charts(records)
        self.curves = [*self.charts]  # of training
        self.charts += [chart for one in searches for chart in search.charts_of(one)]
        self.pictures: dict[str, bytes] = {}  # PNG files beside those of the charts, by name
        if not charts.available():
            self.warnings.append(f"charts are left out: they need {install('report')}")

    def page(self) -> str:
        training = section("Training", charts.grid(self.curves), note=self._legend())
        if len(self.records) == 1:
            (record,) = self.records
            title, body = str(record.config["name"]), [overview.of_one(record), training, *self._details(record)]
        else:
            title, body = f"{len(self.records)} runs", [overview.of_several(self.records), training]
            body += [
                element(
                    "details", element("summary", record.name), spread(overview.of_one(record), *self._details(record))
                )
                for record in self.records
            ]
        paths = ", ".join(str(record.path) for record in self.records)
        told = [warning(text) for text in self.warnings]
        found = [part for one in self.searches for part in search.markup(one)]
        return page(title, paths, *told, *found, *body, footer=f"cnntrain {cnntrain.__version__}")

    def _legend(self) -> str:
        if len(self.records) == 1:
            return "A dot marks the best epoch, whose weights are kept."
        return "Solid lines are validation, dashed ones training. A dot marks a run's best epoch."

    def _keep(self, judged: Judged, told: Sequence[Section]) -> None:
        """Keep what a single run's PNG files are made of beside its curves."""
        self.charts += sections.charts(told, judged)
        first_layer = filters.weights_of(judged.trained)
        if first_layer is not None:
            self.pictures["filters"] = png(filters.rendered(first_layer[1]))

    def _details(self, record: Record) -> list[Markup]:
        """What is said about each run alone."""
        return [*self._judged(record), settings.of(record)]

    def _judged(self, record: Record) -> Iterator[Markup]:
        """The sections that need the network and its data."""
        wish = self.wish
        try:
            with judging(record, wish.split, wish.sets, wish.threads) as judged:
                yield evaluation.of(judged)
                told = judged.trained.network.task.report(judged.evaluation)
                yield from (sections.markup(part, judged) for part in told)
                yield gradcam.of(judged)
                yield filters.of(judged.trained)
                if wish.png and len(self.records) == 1:
                    self._keep(judged, told)
        except _UNJUDGED as error:
            if wish.split:  # a split that is named is wanted, or the reason why it is missing
                raise
            first = str(error).splitlines()[0]
            self.warnings.append(f"{record.name} is not judged: {first}")

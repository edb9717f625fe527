"""The page of a film: a slider over moments of a network's training."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

import cnntrain
from cnntrain.core.arrays import Array
from cnntrain.core.description import size_text
from cnntrain.core.display import Matrix
from cnntrain.core.errors import CheckpointError, UsageError
from cnntrain.core.machine import threads as usable
from cnntrain.core.output import PAGE, Output
from cnntrain.engine.pool import Pool
from cnntrain.results.film import strips
from cnntrain.results.report import matrix
from cnntrain.results.report.gallery import thumbnail
from cnntrain.results.report.html import Markup, element, section
from cnntrain.results.report.page import document
from cnntrain.results.report.pictures import embedded
from cnntrain.rundir import film_files
from cnntrain.rundir.checkpoint import Checkpoint
from cnntrain.rundir.film_files import FilmFiles
from cnntrain.rundir.history import find_runs
from cnntrain.trained.inference import Trained

FILE = "film.html"
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src"
_SIDE, _LARGE = 160, 300  # pixels of the longer side of a sample, and of one into which the answer is drawn
_GOOD = ("accuracy", "mean_iou", "dice", "auc", "f1")  # what the bars show, if it was measured; else the loss


def write(paths: Sequence[Path], output: Path | None = None, threads: int | None = None) -> dict[str, Any]:
    """Write the page of a run's film, by default to film.html in its directory; return what `report --json` prints.

    Raises UsageError for several runs, CheckpointError where there is no film or it is damaged, StorageError.
    """
    told: list[str] = []
    runs = find_runs(paths, told.append)
    if len(runs) != 1:
        raise UsageError(f"--film shows one run, but here are {len(runs)}. Name one of them")
    (run,) = runs
    place = Output(output or run / FILE, PAGE, ours=output is None)
    film = film_files.read(run)
    with Pool(usable(threads)) as pool:
        text = _Page(Trained(run, pool, warn=told.append), film).text(run)
    place.write(text)
    return {"report": str(place.path), "runs": [str(run)], "png": [], "warnings": told}


class _Page:
    """A page in the making, from the moments of a film, which may come from a stranger."""

    def __init__(self, trained: Trained, film: FilmFiles) -> None:
        self.trained, self.samples, self.moments = trained, film.samples, film.moments
        self.task, self.data = trained.network.task, trained.description
        last = {name: array.shape for name, array in self.moments[-1].arrays.items()}
        for moment in self.moments:
            if {name: array.shape for name, array in moment.arrays.items()} != last:
                raise _damaged(moment, "its arrays are not those of the film's last moment")

    def text(self, run: Path) -> str:
        """The file."""
        code = _file("film.js")
        policy = f"{_POLICY} 'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
        name = str(self.trained.loaded.experiment.name or "network")
        parts = [self._bar(), self._said(), self._filters(), self._layers(), self._confusion()]
        return document(
            f"{name}: a film of its training",
            str(run),
            *parts,
            Markup(f"<script>{code}</script>"),
            footer=f"cnntrain {cnntrain.__version__}",
            style=_file("film.css") + f":root{{--k:{len(self.moments) - 1}}}",
            policy=policy,
        )

    # -- the slider ------------------------------------------------------------------------------------------------

    def _bar(self) -> Markup:
        """The controls that choose a moment: a slider, and under it a bar for each moment."""
        last, told = len(self.moments) - 1, [self._told(moment) for moment in self.moments]
        name, heights = self._heights()
        bars = [element("i", style=f"--h:{height:.3f}", data_k=k) for k, height in enumerate(heights)]
        slider = Markup(
            f'<input id="at" type="range" min="0" max="{last}" value="{last}" step="1" aria-label="moment of training">'
        )
        button = Markup('<button id="play" type="button">Play</button>')
        texts = self._each(told, "span")
        split, judged = self.samples.meta["split"], _count(self.moments[-1], "judged")
        whose = "validation" if split == "val" else "training"
        note = (
            f"The bars show the {'logarithm of the loss' if name == 'loss' else name} on {judged:,} {whose} samples. "
            "Play, drag, or press the arrow keys. Moments are closer together at the beginning, where most is learned."
        )
        return element(
            "div",
            element("div", button, slider, class_="at"),
            element("div", *bars, class_="bars", aria_hidden="true"),
            element("p", *texts, class_="told", id="told"),
            element("p", note, class_="note"),
            class_="moment",
        )

    def _told(self, moment: Checkpoint) -> str:
        found = _values(moment)
        values = [f"{name} {value:.4g}" for name, value in found.items() if name != "error" or "accuracy" not in found]
        step, epoch = _count(moment, "step"), moment.meta["epoch"]
        return " · ".join([f"step {step:,}", f"epoch {epoch:.2f}", *values[:4]])

    def _heights(self) -> tuple[str, list[float]]:
        """The name of a value, and how high it stands at each moment, in [0, 1]: the loss by its logarithm."""
        found = [_values(moment) for moment in self.moments]
        name = next((name for name in _GOOD if all(name in values for values in found)), "loss")
        heights = np.array([values.get(name, 0.0) for values in found])
        if name != "loss":
            return name, np.clip(heights, 0, 1).tolist()
        logs = np.log(np.maximum(heights, 1e-30))
        return name, ((logs - logs.min()) / max(float(np.ptp(logs)), 1e-12)).tolist()

    def _each(self, contents: Sequence[str], tag: str = "div") -> list[Markup]:
        """An element for each moment, all hidden but the one that is shown; at first that is the last."""
        last = len(contents) - 1
        return [
            element(tag, content, data_at=k, **({} if k == last else {"hidden": ""}))
            for k, content in enumerate(contents)
        ]

    # -- what is shown ---------------------------------------------------------------------------------------------

    def _said(self) -> Markup:
        """The film's samples, with what the network says of each at the moment shown."""
        pixels = self.samples.arrays.get("film/pixels")
        told = [str(text) for text in self.samples.meta["told"]]
        if pixels is None or pixels.shape[1:] != self.data.shape or len(pixels) != len(told) or not len(told):
            raise _damaged(self.samples, "its samples are not those of this network")
        outputs = self._all("film/outputs")
        if outputs is None:
            figures = [
                element("figure", embedded(thumbnail(one, _SIDE), text)) for one, text in zip(pixels, told, strict=True)
            ]
            note = "The network has too many outputs to be kept in a film, so its answers are not shown."
            return section("Samples", element("div", *figures, class_="samples"), note=note)
        if outputs.shape[1:] != (len(pixels), *self.trained.network.graph.output_shape):
            raise _damaged(self.moments[-1], "its outputs are not those of this network")
        figures = [
            self._figure(one, outputs[:, i], text) for i, (one, text) in enumerate(zip(pixels, told, strict=True))
        ]
        return section(
            "What it says",
            element("div", *figures, class_="samples large" if self.task.renders else "samples"),
            note="Below each picture are the answer and the truth.",
        )

    def _figure(self, image: Array, outputs: Array, truth: str) -> Markup:
        """A sample and its answer at each moment, drawn into the picture where the task does so."""
        answers = [self.trained.answer("", image, row, 1).text for row in outputs]
        if self.task.renders:
            pictures = [thumbnail(self.trained.rendered("", image, row)[0].pixels, _LARGE) for row in outputs]
            picture = strips.photographs(pictures, truth)
        else:
            picture = embedded(thumbnail(image, _SIDE), truth)
        text = element("b", *self._each(answers, "span"))
        return element("figure", picture, element("figcaption", text, element("span", f"is {truth}")))

    def _filters(self) -> Markup:
        filters = self._all("film/filters")
        name = str(self.moments[-1].meta.get("filters", ""))
        if filters is None or filters.ndim != 5:
            return section("First filters", element("p", "The weights of the first layer cannot be "
                           "shown as pictures.", class_="note"))  # fmt: skip
        colours = filters.shape[3] == 3
        meaning = "in colour, where grey is 0" if colours else "red where they add, blue where they subtract"
        note = f"The weights of {name}, {meaning}. The strongest colour of a filter is its largest weight in the film."
        picture = strips.filters(filters, f"filters of {name}")
        return section("First filters", picture, note=note)

    def _layers(self) -> Markup:
        """The layers' outputs: a row for each sample, a column for each channel."""
        listed, shown = self.moments[-1].meta["layers"], []
        for number, about in enumerate(listed):
            outputs = self._all(f"film/layer/{number}")
            if outputs is None or outputs.ndim not in (3, 5) or not isinstance(about, dict):
                continue
            name, shape = str(about.get("name", "")), about.get("shape")
            size = size_text(tuple(shape)) if isinstance(shape, list) and all(type(n) is int for n in shape) else ""
            title = f"{name}: {size}"
            shown.append(element("div", element("h3", title), strips.outputs(outputs, title), class_="layer"))
        note = (
            "Each row is one of the samples above, with a small picture for each of the first channels or, without "
            "an extent, a square for each of the first features. Red is above 0, blue below; the strongest colour is a "
            "layer's largest value in the film."
        )
        if len(self.data.shape) == 4:
            note += " For clips, this is the moment in the middle."
        return section("Layer by layer", *shown, note=note)

    def _confusion(self) -> Markup:
        counts = self._all("film/confusion")
        names = self.data.classes
        if counts is None or counts.shape[1:] != (len(names),) * 2:
            text = f"The task {self.task.name_in_config} has no confusion matrix of this size to show."
            return section("Confusion", element("p", text, class_="note"))
        tables = [matrix.markup(Matrix("confusion", "confusion", one, names)) for one in counts]
        note = "A row for each class, in the columns of what it was taken for."
        return section("Confusion", *self._each(tables), note=note)

    def _all(self, name: str) -> Array | None:
        """An array of every moment, (moments, ...); None where the film has none of that name."""
        if name not in self.moments[-1].arrays:
            return None
        found: Array = np.nan_to_num(np.stack([moment.arrays[name] for moment in self.moments]), posinf=0.0, neginf=0.0)
        return found


def _values(moment: Checkpoint) -> dict[str, float]:
    """The values of a moment, loss first."""
    given = moment.meta["values"]
    return {str(name)[:40]: value for name, value in given.items() if isinstance(value, float)}


def _count(moment: Checkpoint, key: str) -> int:
    found: int = moment.meta[key]
    return found


def _damaged(file: Checkpoint, what: str) -> CheckpointError:
    return CheckpointError(f"{file.path} is damaged: {what}. Restore it from a copy")


def _file(name: str) -> str:
    return (resources.files("cnntrain.results") / "film" / name).read_text("utf-8")

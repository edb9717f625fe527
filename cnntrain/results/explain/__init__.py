"""An explanation is one HTML file about one sample: its way through a network and back, in pictures and in numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

import cnntrain
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError, UsageError
from cnntrain.core.output import PAGE, Output
from cnntrain.engine.walk import Walk
from cnntrain.results.explain import layers, updates, worked
from cnntrain.results.explain.passage import Passage, passage
from cnntrain.results.report import gradcam
from cnntrain.results.report.gallery import thumbnail
from cnntrain.results.report.html import Markup, element, section
from cnntrain.results.report.page import page
from cnntrain.results.report.pictures import caption
from cnntrain.trained.inference import Trained

_SIDE = 224  # pixels of the longer side of the picture at the top


def write(trained: Trained, path: Path, output: Path, truth: str | None = None) -> dict[str, Any]:
    """Write the page about what a network makes of one file, and return what `explain --json` prints.

    `truth` names the true class, against which the loss is taken; by default what the task supposes. Raises
    DataError where the file cannot be read, UsageError for an unknown class, StorageError.
    """
    place = Output(output, PAGE)
    stored = _stored(trained, path)
    passed = passage(trained, stored, truth)
    text = _page(trained, path, stored, passed)
    place.write(text)
    return {"page": str(output), "checkpoint": str(trained.path), "weights": trained.weights, "path": str(path)}


def _stored(trained: Trained, path: Path) -> Array:
    """The one sample (1, h, w, c) of a file, as training samples are stored. Raises DataError."""
    failures: list[tuple[str, str]] = []
    found = [pixels for _, pixels in trained.unseen.samples([path], trained.engine.pool, failures)]
    if failures:
        raise DataError(trained.unseen.refusal(failures, 1))
    count = sum(map(len, found))
    if count != 1:
        raise UsageError(f"explain shows one sample, but {path} holds {count:,}. Name a file with one")
    return found[0]


def _page(trained: Trained, path: Path, stored: Array, passed: Passage) -> str:
    answer = trained.answer(str(path), stored[0], passed.answered[0], top=3)
    top = element(
        "div",
        caption(thumbnail(stored[0], _SIDE), path.name, path.name, re.sub(" {2,}", " · ", answer.text)),
        *_looked(trained, passed),
        class_="thumbs pairs",
    )
    note = (
        f"Gradients are those of {passed.of} for this one sample, with the network in evaluation mode. {passed.truth}"
    ).rstrip()
    if trained.views > 1:
        note += f" The answer is the mean over {trained.views} views, of which the page shows the middle one."
    parts = [
        section("The answer", top, note=note),
        layers.of(passed),
        worked.convolution(passed),
        worked.pooling(passed),
        worked.dense(passed),
        updates.of(passed),
    ]
    name = str(trained.loaded.experiment.name or "network")
    return page(f"{name}: {path.name}", str(trained.path), *parts, footer=f"cnntrain {cnntrain.__version__}")


def _looked(trained: Trained, passed: Passage) -> list[Markup]:
    """Grad-CAM of the largest output, where there is a convolution to look at."""
    at = gradcam.layer(trained.network.graph)
    if at is None or passed.outputs.ndim != 2:
        return []
    walk = Walk(trained.network.graph, trained.engine.params)
    (shares,) = gradcam.heat(walk, at, passed.x, np.argmax(passed.answered, axis=1))
    told = "the brighter a place, the more it counted towards the answer"
    where = f"Grad-CAM in {trained.network.graph.nodes[at].name}"
    image = passed.x[0]
    shown = gradcam.overlaid(thumbnail(image, _SIDE), gradcam.flat(shares, image))
    return [caption(shown, where, where, told)]

"""A film shows a network at some moments of its training, from the first step to the last, and is small enough to keep.

Each moment has the first filters, the outputs of some layers and the network's answers for a few samples of the
validation split, and the confusion matrix of some more. All of it follows from the weights of that moment, in
evaluation, so a resumed run films the same moments to the bit; and none of it is written into anything that training
reads.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.data.loader import Samples
from cnntrain.engine.walk import Walk
from cnntrain.network.first_layer import first
from cnntrain.network.graph import CLIP, Graph
from cnntrain.rundir import film_files
from cnntrain.rundir.journal import Journal
from cnntrain.trained.gathered import Gathered
from cnntrain.training import confusion
from cnntrain.training.job import Job
from cnntrain.training.state import State
from cnntrain.training.stepper import Stepper

SAMPLES, JUDGED = 4, 256  # to look at, and to count in the confusion matrix, at most
_LAYERS, _CHANNELS, _SIDE, _UNITS = 8, 8, 28, 64  # at most: layers; in each, channels, pixels of a side, features
_FILTERS = 64
_LARGEST = 2**18  # outputs of all samples that are kept
_HEADS = 6_000  # bytes of a file besides its arrays, about


def moments(total: int, count: int) -> list[int]:
    """The steps after which a film of `count` moments has one: total (k / (count - 1))^2, k = 0 ... count - 1.

    They lie closer together early on, where most is learned; those that would fall on one step take the next ones. So
    there are fewer than `count` only where training has fewer steps.
    """
    steps: list[int] = []
    for k in range(count):
        steps.append(max(total * k**2 // (count - 1) ** 2, steps[-1] + 1 if steps else 0))
    return [step for step in steps if step <= total]


def layers(graph: Graph) -> list[int]:
    """The nodes whose outputs are shown: after each layer with weights, the last of its shape; evenly chosen."""
    found: list[int] = []
    for i, node in enumerate(graph.nodes):
        if len(node.shape) not in (1, 3, CLIP):
            continue
        if any(param.role == "weight" for param in node.params.values()):
            found.append(i)
        elif found and node.shape == graph.nodes[found[-1]].shape and not node.layer.random:
            found[-1] = i
    chosen = np.linspace(0, len(found) - 1, min(_LAYERS, len(found))).round().astype(int)
    return [found[i] for i in chosen]


def looked_at(y: Array) -> Array:
    """What is kept of a layer's outputs (n, ...): some channels of each image, with fewer pixels, or some features.

    Of a clip, the middle moment is kept.
    """
    if y.ndim == CLIP + 1:
        y = y[:, y.shape[1] // 2]
    if y.ndim == CLIP:
        step = -(-max(y.shape[1:3]) // _SIDE)
        return y[:, ::step, ::step, :_CHANNELS]
    return y[:, :_UNITS]


def shown(available: int, output: Shape) -> int:
    """How many samples are looked at: fewer where the outputs for one are many."""
    return max(1, min(SAMPLES, available, _LARGEST // math.prod(output)))


def size(job: Job) -> tuple[int, int]:
    """How many moments the film of a training has, and the bytes of all its files, about."""
    count = job.loaded.experiment.checkpoint.film
    if not count:
        return 0, 0
    graph, data = job.network.graph, job.data
    n = shown(len(data.train_indices if data.val is None else data.val_indices), graph.output_shape)
    kept = sum(looked_at(np.broadcast_to(np.float32(0), (n, *graph.nodes[i].shape))).size for i in layers(graph))
    kept += n * math.prod(graph.output_shape) * (math.prod(graph.output_shape) <= _LARGEST)
    nothing = {name: np.broadcast_to(np.float32(0), entry.param.shape) for name, entry in graph.layout.entries.items()}
    found = first(graph, nothing)
    kept += found[1][..., :_FILTERS].size if found else 0
    classes = len(data.description.classes)
    kept += 2 * classes**2 * (classes <= confusion.MOST)
    frames = len(moments(job.horizon.total_steps, count))
    pixels = n * math.prod(data.description.shape) * np.dtype(data.train.pixels.dtype).itemsize
    return frames, frames * (4 * kept + _HEADS) + pixels + _HEADS


class Film:
    """The film of one training."""

    def __init__(self, job: Job, stepper: Stepper, state: State, run: Journal) -> None:
        data = job.data
        self._job, self._stepper, self._state, self._run = job, stepper, state, run
        self._split = "train" if data.val is None else "val"
        self._images = data.train if data.val is None else data.val
        self._indices = data.train_indices if data.val is None else data.val_indices
        self._moments = frozenset(moments(stepper.horizon.total_steps, job.loaded.experiment.checkpoint.film))
        self._layers = layers(job.network.graph)
        self._last = -1  # the step of the moment taken last

    def prepare(self) -> None:
        """Keep the samples that are looked at, unless that has been done. Raises StorageError."""
        if os.path.lexists(self._run.path / film_files.FOLDER / film_files.SAMPLES):
            return
        data, chosen = self._job.data.description, self._spread(self._count)
        targets = self._images.targets[chosen]
        pixels = np.asarray(self._images.pixels[chosen])
        meta = {
            "split": self._split,
            "numbers": chosen.tolist(),
            "told": [self._job.data.task.told(target, data) for target in targets],
        }
        pixels = pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)
        self._run.write_film(film_files.SAMPLES, meta, {"film/pixels": pixels})

    def step(self) -> None:
        """Keep the moment after the last step, if it is one of the film. Raises StorageError."""
        if self._state.step in self._moments:
            self._take()

    def end(self) -> None:
        """Keep the moment at which training ended, where it ended early. Raises StorageError."""
        if self._state.step != self._last:
            self._take()

    @property
    def _count(self) -> int:
        return shown(len(self._indices), self._job.network.graph.output_shape)

    def _spread(self, count: int) -> Array:
        """The numbers of this many samples of the split, evenly spaced."""
        places = np.linspace(0, len(self._indices) - 1, min(count, len(self._indices))).round().astype(int)
        chosen: Array = self._indices[places]
        return chosen

    def _take(self) -> None:
        state, loader = self._state, self._job.loader
        judged, values, arrays = self._judge()
        meta: dict[str, Any] = {
            "step": state.step,
            "epoch": state.step / loader.steps_per_epoch,
            "judged": judged,
            "values": values,
            "layers": [self._named(i) for i in self._layers],
        }
        found = first(self._job.network.graph, self._job.network.graph.layout.views(self._stepper.engine.params))
        if found is not None:
            meta["filters"] = found[0]
            arrays["film/filters"] = found[1][..., :_FILTERS]
        self._run.write_film(film_files.name(state.step), meta, arrays | self._look())
        self._last = state.step

    def _named(self, i: int) -> dict[str, Any]:
        node = self._job.network.graph.nodes[i]
        return {"name": node.name, "type": node.layer.name_in_config, "shape": list(node.shape)}

    def _samples(self, count: int) -> Samples:
        return Samples(self._images, self._spread(count), self._job.data.eval_transforms)

    def _judge(self) -> tuple[int, dict[str, float], dict[str, Array]]:
        """How many samples were judged, loss and metrics over them, and how often which class was taken for which."""
        engine, asked, data = self._stepper.engine, self._job.data.task, self._job.data.description
        samples = self._samples(JUDGED)
        rows = Gathered(asked.judged, len(samples))
        values = engine.tally.values(engine.evaluate(samples, rows.add))
        counts = confusion.matrix(asked, engine.share(rows.rows, samples.views), data)
        numbers = {name: value for name, value in values.items() if isinstance(value, float)}
        return len(samples), numbers, {} if counts is None else {"film/confusion": counts}

    def _look(self) -> dict[str, Array]:
        """The outputs of layers, and of the network, for the samples that are looked at."""
        graph, samples = self._job.network.graph, self._samples(self._count)
        count, views = len(samples), samples.views
        x = np.empty((count * views, *graph.input_shape), np.float32)
        samples.fill(0, count, x)
        arrays, y = dict[str, Array](), x
        for i, (frame,) in enumerate(Walk(graph, self._stepper.engine.params).forward([x])):
            y = frame.y.reshape(count, views, *graph.nodes[i].shape)
            if i in self._layers:
                arrays[f"film/layer/{self._layers.index(i)}"] = looked_at(y[:, views // 2]).copy()
        if math.prod(graph.output_shape) <= _LARGEST:
            arrays["film/outputs"] = y.mean(axis=1) if views > 1 else y[:, 0].copy()
        return arrays

"""The live file holds what a run's journal does not: the last batch as the network saw it, first filters, pace.

`cnntrain watch` shows it. It is replaced every few seconds, and never so often that it takes more than a two-hundredth
of the time.
"""

from __future__ import annotations

import base64
import time
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.display import to_bytes
from cnntrain.data.loader import Samples
from cnntrain.network.first_layer import first
from cnntrain.rundir.directory import RunDirectory
from cnntrain.rundir.follower import Follower
from cnntrain.training import confusion
from cnntrain.training.job import Job
from cnntrain.training.state import State
from cnntrain.training.stepper import Stepper
from cnntrain.training.timekeeper import Timekeeper

_EVERY = 2.0  # seconds, at least
_SHARE = 200  # the time until the next one is at least this many times what one takes
_PICTURES = 12  # of a batch
_SIDE = 96  # pixels of a picture's longer side, at most, by leaving out rows and columns
_FILTERS = 64


class Live:
    """Writes the live file of one training in this session."""

    def __init__(
        self, job: Job, stepper: Stepper, state: State, timekeeper: Timekeeper, run: RunDirectory | Follower
    ) -> None:
        self._job, self._stepper, self._state, self._timekeeper, self._run = job, stepper, state, timekeeper, run
        self._next = 0.0  # when the file is due
        self._soonest = 0.0  # when it may be written at the earliest, if there is news
        self._confusion: list[list[int]] | None = None

    def step(self) -> None:
        """Write the file if it is time to. Raises StorageError."""
        if time.monotonic() >= self._next:
            self.write()

    def judged(self, rows: Array) -> None:
        """Take in what a validation keeps about each sample."""
        found = confusion.matrix(self._job.data.task, rows, self._job.data.description)
        self._confusion = None if found is None else found.tolist()
        if found is not None:
            self._next = self._soonest

    def write(self) -> None:
        """Write the file. Raises StorageError."""
        began = time.monotonic()
        rate, left = self._timekeeper.pace()
        epoch = (self._state.step - 1) // self._job.loader.steps_per_epoch + 1
        document: dict[str, Any] = {
            "written": time.time(),
            "step": self._state.step,
            "epoch": epoch,
            "images_per_second": rate,
            "seconds_left": left,
            "batch": self._batch(),
            "filters": self._filters(),
            "confusion": self._confusion,
        }
        self._run.write_live(document)
        now = time.monotonic()
        self._soonest = now + _SHARE * (now - began)
        self._next = max(now + _EVERY, self._soonest)

    def _batch(self) -> dict[str, Any] | None:
        """Some pictures of the last batch as the network saw them, with what their targets say."""
        batch = self._stepper.source(max(self._state.step - 1, 0))[0]
        if not isinstance(batch, Samples) or len(self._job.network.graph.input_shape) != 3:
            return None
        n = min(len(batch), _PICTURES)
        x = np.empty((n, *self._job.network.graph.input_shape), np.float32)
        targets, _ = batch.fill(0, n, x)
        step = -(-max(x.shape[1:3]) // _SIDE)
        pictures = [to_bytes(image) for image in x[:, ::step, ::step]]
        task, data = self._job.data.task, self._job.data.description
        return _packed(np.stack(pictures)) | {"captions": [task.told(target, data) for target in targets]}

    def _filters(self) -> dict[str, Any] | None:
        """The first filters, if the first layer has some."""
        graph = self._job.network.graph
        found = first(graph, graph.layout.views(self._stepper.engine.params))
        if found is None:
            return None
        name, weights = found
        return _packed(weights[..., :_FILTERS].astype("<f4")) | {"name": name, "count": weights.shape[-1]}


def _packed(array: Array) -> dict[str, Any]:
    """An array in a JSON object."""
    return {
        "shape": list(array.shape),
        "type": array.dtype.str,
        "data": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(),
    }

"""A model is a trained network from a checkpoint: it measures, predicts and exports, as the commands do."""

from __future__ import annotations

import reprlib
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from cnntrain.api.arguments import Paths, Set, data_of, is_path, overrides, path_of, paths_of
from cnntrain.api.training import Told, as_python_does
from cnntrain.core import bounds, machine
from cnntrain.core.arrays import Array
from cnntrain.core.culprits import noting
from cnntrain.core.errors import UsageError
from cnntrain.engine.pool import Pool
from cnntrain.network.counterparts import Names
from cnntrain.reading.array_files import finite
from cnntrain.results.export.files import export
from cnntrain.trained.along_time import along
from cnntrain.trained.inference import Trained


class Model:
    """The network of a checkpoint, ready to be used, with worker threads of its own.

    `with cnntrain.load(...) as model:` ends the threads at once; otherwise they end when the model is collected.
    Callers in several threads take turns; a process forked from the one that loaded it computes without these threads.
    """

    @noting
    def __init__(
        self,
        source: Paths,
        *,
        threads: int | None = None,
        set: Set = None,
        score: float | None = None,
        warn: Told = as_python_does,
    ) -> None:
        """Read a checkpoint, or a run directory's best one, else its last.

        `set` says where the data lies now: {"data.source.root": "elsewhere"}; of boxes, those below `score` are left
        out of every answer. `warn` is told of what is odd about data; with None that is printed. Raises
        CheckpointError, UsageError.
        """
        score = bounds.SCORE.optional("score", score)
        pool = Pool(machine.threads(bounds.THREADS.optional("threads", threads)))
        self.close = weakref.finalize(self, pool.close)
        try:
            self.trained = Trained(path_of(source), pool, overrides(set), score, warn)
        except BaseException:
            self.close()
            raise

    @property
    def path(self) -> Path:
        """The checkpoint file."""
        return self.trained.path

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the outputs; none where the targets are numbers."""
        return self.trained.network.classes

    @property
    def step(self) -> int:
        """How many steps it has been trained for."""
        return self.trained.step

    @noting
    def evaluate(self, split: str | None = None, data: Paths | None = None) -> dict[str, Any]:
        """Return loss and metrics on a split of its data, or on other data: what `cnntrain eval --json` prints.

        `split` is "train", "val" or "test", by default test; "train" is what it was trained on, without what validated.
        Raises DataError.
        """
        return self.trained.evaluate(split, None if data is None else data_of(data))

    @noting
    def predict(
        self, images: Any, top: int = 1, *, every: float | None = None
    ) -> list[dict[str, Any]] | dict[str, Any]:
        """What the network makes of pictures: what `cnntrain predict --json` lists under "predictions".

        `images` is a path, or several, or an array (n, h, w, c) or (h, w, c) of pixels as the training data has them:
        uint8 from 0 to 255, or float32. One path of a file or one picture gives one answer, everything else a list.
        Recordings are answered along time, with an answer for each window, where `every` says how many seconds lie
        between the starts of two. Raises DataError for files that cannot be read and pixels that are not finite, and
        UsageError for arrays of another shape, and for several answers (`top`) where the task has only one.
        """
        top, images = bounds.SOME.number("top", top), _listed(images)
        if every is not None:
            every = bounds.APART.number("every", every)
            return [window.document for window in along(self.trained, paths_of(images), every, top)]
        if is_path(images):
            place = path_of(images)
            answers = self.trained.predict([place], top)
            return answers[0] if place.is_file() and len(answers) == 1 else answers
        if isinstance(images, list) and any(map(is_path, images)):
            return self.trained.predict(paths_of(images), top)
        pixels, one = self._pixels(images, "predict", "Name files instead, which are resized")
        answers = [answer.document for answer in self.trained.answers_to(pixels, top)]
        return answers[0] if one else answers

    @noting
    def outputs(self, images: Any) -> Array:
        """The network's outputs (n, *shape) for an array of pictures (n, h, w, c), before any softmax.

        Raises DataError for pixels that are not finite, and UsageError for anything but pictures of the network's size.
        """
        pixels, _ = self._pixels(_listed(images), "outputs", "predict reads and resizes files")
        return self.trained.outputs(pixels)

    @noting
    def export(
        self,
        format: str,
        output: Paths | None = None,
        *,
        fold: bool = False,
        overwrite: bool = False,
        names: Names | None = None,
    ) -> dict[str, Any]:
        """Write it for other programs ("page", "numpy", "onnx", "safetensors"); return what `export --json` prints.

        `output` is by default the experiment's name, in the working directory; `names` says whose names the tensors of
        safetensors have ("cnntrain", "torchvision", "timm").
        """
        return export(self.trained, format, None if output is None else path_of(output), fold, overwrite, names)

    def _pixels(self, images: Any, caller: str, advice: str) -> tuple[Array, bool]:
        """Pictures as an array (n, *shape), and whether there was only one."""
        shape = self.trained.network.image_shape
        try:
            pixels = np.asarray(images)
        except ValueError:  # a list of pictures of different sizes
            pixels = np.empty(0, object)
        one = pixels.shape == shape
        if one:
            pixels = pixels[np.newaxis]
        if pixels.dtype.kind not in "buif" or pixels.shape[1:] != shape or not len(pixels):
            numbers = pixels.dtype.kind in "buif"
            got = f"an array of shape {pixels.shape}" if numbers else f"no array of numbers but {reprlib.repr(images)}"
            raise UsageError(
                f"{caller}: got {got}, expected (n, {', '.join(map(str, shape))}): pictures of the size the network "
                f"was trained on. {advice}"
            )
        return pixels if pixels.dtype == np.uint8 else finite(pixels, "the input"), one

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Model({str(self.path)!r}, step {self.step})"


def load(
    source: Paths,
    *,
    threads: int | None = None,
    set: Set = None,
    score: float | None = None,
    warn: Told = as_python_does,
) -> Model:
    """The trained network of a checkpoint file, or of a run directory's best one, else its last; see `Model`."""
    return Model(source, threads=threads, set=set, score=score, warn=warn)


def _listed(images: Any) -> Any:
    """What is asked about, where it is a collection of any kind: as a list. Paths and arrays stay as they are."""
    if is_path(images) or isinstance(images, bytes | Mapping) or not isinstance(images, Iterable):
        return images
    if hasattr(images, "__array__"):
        array = np.asarray(images)
        return array.tolist() if array.dtype.kind in "UO" else array
    return [*images]

"""Inference: a trained network from its checkpoint, ready to be evaluated and to predict.

Preprocessing is the checkpoint's own, through the loader that validation used while training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnntrain.core import blas, machine, scale
from cnntrain.core.arrays import Array
from cnntrain.core.console import Console
from cnntrain.core.description import Description
from cnntrain.core.display import Annotation, Answer, Rendering, coloured
from cnntrain.core.errors import CheckpointError, DataError, UsageError
from cnntrain.core.moves import Move
from cnntrain.core.random import Draws
from cnntrain.core.registry import Part, make
from cnntrain.data import build_data
from cnntrain.data.build_data import Data
from cnntrain.data.loader import Samples
from cnntrain.engine import memory
from cnntrain.engine.engine import Engine
from cnntrain.engine.pool import Pool
from cnntrain.network import build
from cnntrain.network.build import Network
from cnntrain.network.tally import Tally
from cnntrain.parts.datasets.base import Dataset, Numbers
from cnntrain.parts.datasets.images import Images, Pixels, joined
from cnntrain.parts.metrics.confusion import Confusion
from cnntrain.parts.tasks.base import Task, told
from cnntrain.reading.pictures import fitted
from cnntrain.reading.reader import CACHE, Reader, once
from cnntrain.rundir.checkpoint import find, read
from cnntrain.trained import saved
from cnntrain.trained.gathered import Gathered
from cnntrain.trained.own import Own
from cnntrain.trained.per_value import PerValue
from cnntrain.trained.unseen import Unseen, usual_split

_HELD = 2**26  # outputs that are in memory at a time, 256 MB


def _from_score(task: Task, least: float) -> Task:
    try:
        return task.from_score(least)
    except ValueError as error:
        raise UsageError(f"--score: {error}. Leave it out") from error


class Trained:
    """A network with the parameters, class names and preprocessing of a checkpoint.

    Where training averaged the weights (`train.average`), and the average had begun, the averaged weights are used.
    """

    def __init__(
        self,
        path: Path,
        pool: Pool,
        sets: Sequence[str] = (),
        score: float | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """Read a checkpoint, or a run directory's best one, else its last.

        `sets` may change where the data lies (`check_override`) and nothing else. What has less than `score` is left
        out of answers. `warn` is told of what is odd about data; None prints it. Raises CheckpointError, and
        UsageError where answers have no score.
        """
        blas.pin()
        for override in sets:
            check_override(override)
        self.path = find(path)
        checkpoint = saved.moved(read(self.path))
        self.loaded, self.description = saved.experiment(checkpoint, sets, fitted=True)
        self.network = build.network(self.loaded, self.description)
        asked = saved.operating(checkpoint, self.network.task)
        self.network = replace(self.network, task=asked if score is None else _from_score(asked, score))
        layout = self.network.graph.layout
        self.scale = scale.read(checkpoint.meta.get("pixels"))  # None for older checkpoints: nothing is claimed
        self.averaged = saved.averaged(checkpoint)
        source = "average" if self.averaged else "param"
        params = {name: array for name, array in checkpoint.arrays.items() if name.startswith(f"{source}/")}
        replace(checkpoint, arrays=params).expect(
            {f"{source}/{name}": (entry.param.shape, np.float32) for name, entry in layout.entries.items()}
        )
        data_source = cast(Dataset, self.loaded.experiment.data.source)
        self.description = self.description.named(data_source.target_names())
        self.tally = _full_tally(self.network, self.description)
        needed = memory.needed(
            self.network.graph, pool.threads, self.network.graph.shard, 0, training=False, tally=self.tally.size
        )
        if needed > machine.available():
            raise CheckpointError(
                f"{self.path} describes a network that needs {machine.human(needed)} of memory, this machine has "
                f"{machine.human(machine.available())}. Use a machine with more"
            )
        warn = warn or Console("none").warn
        for line in saved.warnings(checkpoint):
            warn(line)
        self.own = Own(checkpoint, self.loaded, warn)
        told = {override.partition("=")[0].rpartition(".")[2] for override in sets}
        images = "images" in told and "path" not in told  # else they are those of that path
        self.unseen = Unseen(self.path, data_source, self.description, self.network.task, images)
        self.engine = Engine(self.network.graph, self.tally, pool, seed=self.loaded.experiment.seed)
        for name, view in layout.views(self.engine.params).items():
            view[...] = checkpoint.arrays[f"{source}/{name}"]
        self.engine.settle()
        self._reader = Reader(pool.threads, CACHE, machine.available(), warn=once(warn))
        self.transforms = saved.transforms(checkpoint, self.loaded, self.description.shape)
        self.step: int = checkpoint.meta["position"]["step"]

    def evaluate(self, split: str | None = None, place: Path | None = None) -> dict[str, Any]:
        """The document of `eval --json`: loss and metrics on a split, and per class.

        The split is one of the config's data source, by default test; or of what lies at `place`, by default the first
        of test, val and train that it has, with classes matched by name. Raises DataError.
        """
        if place is None:
            chosen = split or "test"
            images, indices = self.samples(chosen)
        else:
            source = self.unseen.source(place)
            chosen = split or usual_split(source)
            images = self._load(source, chosen, some=True)
            indices = np.arange(len(images))
            self._check(images.description, chosen, source)
            build_data.check_split(self.loaded, chosen, images, indices, source)
            images = self.unseen.by_name(images, f"the {chosen} split")
            self.check_scale(images.pixels, f"the {chosen} split")
        told = build_data.cut_away(self.network.task, chosen, images, indices, self.transforms)
        if told:
            self._reader.warn(told)
        judged = Gathered(self.network.task.judged, len(indices))
        vector = self.engine.evaluate(Samples(images, indices, self.transforms), judged.add)
        values = self.tally.values(vector)
        where = {"checkpoint": str(self.path), "weights": self.weights} | (
            {} if place is None else {"data": str(place)}
        )
        asked = self.network.task
        further = asked.measured(judged.rows, self.description) | asked.breakdown(judged.rows, self.description)
        return where | {"split": chosen, "samples": len(indices)} | values | further

    def _split(self, split: str) -> tuple[Images, Array]:
        """The samples of a split of the config's data, and the indices of those that belong to it."""
        data = self.loaded.experiment.data
        saved.require_data(data.source, "data.source", self.path)
        if split == "train" and data.share is not None:  # the rest of it validates
            read = self._read()
            return read.train, read.train_indices
        if split == "val":
            if isinstance(data.val, Part):
                saved.require_data(data.val, "data.val", self.path)
            read = self._read()
            if read.val is None:
                others = " or ".join(f"--split {name}" for name in cast(Dataset, data.source).splits())
                raise DataError(f"{self.path} was trained without a validation split. Use {others}")
            return read.val, read.val_indices
        carved = ["val"] if data.val is not None and "val" not in cast(Dataset, data.source).splits() else []
        images = self._load(cast(Dataset, data.source), split, carved)
        return images, np.arange(len(images))

    def _read(self) -> Data:
        """All samples to train and validate on, as the config draws them today."""
        return build_data.read_data(self.loaded, self._reader)

    def _everything(self) -> Images:
        """All training and validation samples of the sources, including those that folds and subsets leave out."""
        data, found = self.loaded.experiment.data, []
        for source in (data.source, data.val):
            for origin in source.origins() if isinstance(source, Dataset) else ():
                splits = [split for split in ("train", "val") if split in origin.splits()]
                found += [self.unseen.known(self._load(origin, split, some=True)) for split in splits]
        pixels = joined([images.pixels for images in found])
        return replace(found[0], pixels=pixels, targets=np.concatenate([each.targets for each in found]), names=())

    def _load(self, source: Dataset, split: str, further: Sequence[str] = (), some: bool = False) -> Images:
        """A split of a source. Raises DataError where it has none of that name, or samples of another kind.

        `further` are splits that can be measured although the source itself has none of that name.
        """
        found = source.splits()
        if split not in found:
            raise DataError(
                f"the {source.name_in_config} data has no split {split!r}, it has {', '.join(found) or 'none'}. "
                f"Use {' or '.join(f'--split {name}' for name in (*further, *found))}"
            )
        described = source.describe()
        if described is not None:
            self._check(described, split)  # before what may be immense is read
        return build_data.load(self.loaded, source, split, self._reader, some)

    def _check(self, mine: Description, split: str, source: Dataset | None = None) -> None:
        """Raise DataError where the samples are not of the kind the network was trained on."""
        wanted = self.description
        if (mine.shape, mine.target, mine.values) != (wanted.shape, wanted.target, wanted.values):
            raise DataError(
                f"the {split} split is {told(mine)}, {self.path} was trained on {told(wanted)}"
                f"{self.unseen.advice(mine, source)}"
            )

    @property
    def weights(self) -> str:
        """Which weights of the checkpoint these are: "averaged" or "trained"."""
        return "averaged" if self.averaged else "trained"

    @property
    def pixels(self) -> str:
        """The pixels that the network takes, in words."""
        if self.scale is None:
            return "pixels as in training"
        return "pixels in [0, 1] as in training" if self.scale.unit else f"pixels as {self.scale} as in training"

    def check_scale(self, pixels: Pixels, what: str) -> None:
        """Raise DataError for pixels of a type or range that the network has not been trained on."""
        if self.scale is None:
            return
        found = scale.of(pixels)
        if not self.scale.takes(found, len(pixels)):
            raise DataError(scale.mismatch(what, found, str(self.path), self.scale))

    def predict(
        self, paths: Sequence[Path], top: int = 1, failures: list[tuple[str, str]] | None = None
    ) -> list[dict[str, Any]]:
        """The network's answer for each sample: the files named, those in the folders named, the rows of a .npz.

        A file is read as training files were: an image of another size is resized as in training (bilinear,
        antialiased, by the source's `fit`), colours become grey or grey colours as the network needs.
        Each row has "path" and what the task answers: for classes "class", the likeliest as "top" and "probabilities"
        of all; for other targets "values", which for tags are the probabilities of yes, and "by_name" where they have
        names.
        What cannot be read is added to `failures`, path and message; without such a list it raises DataError.
        """
        return [{"path": name} | answer.document for name, answer in self.answers(paths, top, failures)]

    def answers(
        self,
        paths: Sequence[Path],
        top: int = 1,
        failures: list[tuple[str, str]] | None = None,
        show: Callable[[str, Sequence[Rendering]], None] | None = None,
        annotate: Sequence[Callable[[str, Annotation], None]] = (),
    ) -> list[tuple[str, Answer]]:
        """The samples of `predict`, by name, each with the task's answer in all its forms.

        `show` is given the renderings of each, by name, and all of `annotate` its annotation. Raises UsageError where
        more than one answer is asked for (`top`) and the task has only one.
        """
        self._check_top(top)
        answers: list[tuple[str, Answer]] = []
        found = [] if failures is None else failures
        for names, pixels in self.unseen.samples(paths, self.engine.pool, found):
            for start in range(0, len(pixels), self._most):
                part = slice(start, start + self._most)
                for name, image, outputs in zip(names[part], pixels[part], self.outputs(pixels[part]), strict=True):
                    answers.append((name, self.answer(name, image, outputs, top)))
                    if show is not None:
                        show(name, self.rendered(name, image, outputs))
                    for add in annotate:
                        add(name, self.annotation(name, image, outputs))
        if failures is None and found:
            raise DataError(self.unseen.refusal(found, len(answers) + len(found)))
        return answers

    def _check_top(self, top: int) -> None:
        task = self.network.task
        if top > 1 and not task.ranks:
            raise UsageError(
                "--top is for classes of which one is the answer, and the task of this network is "
                f"{task.name_in_config}. Leave it out"
            )

    @property
    def _most(self) -> int:
        """How many samples' outputs are held at a time."""
        return max(1, _HELD // math.prod(self.network.graph.output_shape))

    def answer(self, name: str, image: Array, outputs: Array, top: int) -> Answer:
        """The task's answer for the picture file of this name, or else for the image as stored."""
        led = self.led(self.unseen.size(Path(name)) or image.shape[-3:-1])
        return self.network.task.answer(self.network.task.situated(outputs, led), self.description, top)

    def annotation(self, name: str, image: Array, outputs: Array) -> Annotation:
        """The task's answer as an annotation of the picture file of this name, or else of the image as stored."""
        size = self.unseen.size(Path(name)) or (image.shape[0], image.shape[1])
        outputs = self.network.task.situated(outputs, self.led(size))
        return self.network.task.annotation(outputs, size, self.description)

    def numbers(self) -> Numbers | None:
        """The ids of pictures and classes in the data's annotations; None where they give none. Raises DataError."""
        source = cast(Dataset, self.loaded.experiment.data.source)
        origins = source.origins()
        try:
            return origins[0].numbers() if len(origins) == 1 else None
        except DataError:
            saved.require_data(source, "data.source", self.path)  # says more where the data has moved
            raise

    def rendered(self, name: str, image: Array, outputs: Array) -> tuple[Rendering, ...]:
        """The task's renderings of its outputs on the picture file of this name, or else on the image as stored."""
        original = self.unseen.original(Path(name))
        picture = coloured(image) if original is None else original
        return self.network.task.rendered(picture, outputs, self.led(picture.shape[:2]), self.description)

    def answers_to(self, pixels: Array, top: int = 1) -> list[Answer]:
        """The task's answers for images (n, h, w, c) as they are stored. Raises UsageError as `answers` does."""
        self._check_top(top)
        return [self.answer("", image, row, top) for image, row in zip(pixels, self.outputs(pixels), strict=True)]

    def outputs(self, pixels: Array) -> Array:
        """The network's outputs (n, *shape) for images (n, h, w, c) as they are stored."""
        return self.engine.outputs(self._samples(pixels))

    def prepared(self, pixels: Array) -> Array:
        """Images (n, h, w, c) as they are stored, as the network reads them, of several views the middle one.

        Float32 (n, *input shape).
        """
        return self._samples(pixels).seen(len(pixels), self.network.graph.input_shape)[0]

    @property
    def views(self) -> int:
        """How many times it sees a sample, to give the mean of the outputs."""
        return math.prod(transform.views for transform in self.transforms)

    def led(self, size: tuple[int, int]) -> Move:
        """Where the network sees the places of a picture (height, width): resized as files are, then transformed."""
        shape = self.description.shape
        height, width = shape[-3:-1]
        right, down, x, y = fitted(size, (height, width), self.unseen.fit).frame
        move = Move(np.array([[[right, 0, x], [0, down, y]]]), size, (height, width))
        for position, transform in enumerate(self.transforms):
            step = transform.follow(shape[-3:], Draws(0, "transform", (0, position), np.zeros(1, np.int64)))
            move = move if step is None else move.then(step)
            shape = transform.shape_after(shape)
        return move

    def _samples(self, pixels: Array) -> Samples:
        """Images without targets, as the engine wants them."""
        self.check_scale(pixels, "the input")
        targets = self.network.task.blank(len(pixels), self.description)
        images = Images(pixels, targets, self.network.classes, target=self.description.target)
        return Samples(images, np.arange(len(pixels)), self.transforms)

    def samples(self, split: str) -> tuple[Images, Array]:
        """The samples of a split of the config's data, and the indices of those that belong to it. Raises DataError.

        Classes added to the data since then do not keep it from finding the run's own samples.
        """
        images, indices = self._split(split)
        self._check(images.description, split)
        source = cast(Dataset, self.loaded.experiment.data.source)
        build_data.check_split(self.loaded, split, images, indices, source)
        own = self.own.knows(split)
        if not own or self.unseen.knows(images):
            images = self.unseen.by_name(images, f"the {split} split")
        self.check_scale(images.pixels, f"the {split} split")
        images, indices = self.own.found(images, indices, split, self._read, self._everything)
        if own and not self.unseen.knows(images):
            images = self.unseen.known(images.take(indices))
            indices = np.arange(len(images))
        return self.unseen.by_name(images, f"the {split} split"), indices


def check_override(override: str) -> None:
    """Raise UsageError for an override of anything but where the data or a teacher lies."""
    key = override.partition("=")[0]
    if key != "data.source" and not key.startswith(("data.source.", "data.val.")) and not saved.is_place(key):
        raise UsageError(
            f"--set {override}: a trained network cannot be changed; only where its data lies, or its teacher, can "
            "be set, such as data.source.root=PATH"
        )


def _full_tally(network: Network, data: Description) -> Tally:
    """The metrics of training and of every evaluation of the task, but for the confusion matrix of its breakdown."""
    metrics = {metric.label(): metric for metric in network.tally.metrics if not isinstance(metric, Confusion)}
    for metric in (make("metrics", name) for name in network.task.evaluated(data)):
        metrics.setdefault(metric.label(), metric)
    each = PerValue(network.task, data)
    if each.counts:
        metrics[each.label()] = each
    return Tally(network.loss, list(metrics.values()), network.tally.outputs)

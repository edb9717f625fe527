"""Inference: a trained network from its checkpoint, ready to be measured and to classify.

Preprocessing is the checkpoint's own, through the loader that validation used while training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnntrain import blas, build, resources
from cnntrain.arrays import Array
from cnntrain.build import Network
from cnntrain.checkpoint import find, read
from cnntrain.config.load import load_plain
from cnntrain.datasets.base import Dataset, Description, Images
from cnntrain.datasets.image_folder import decode
from cnntrain.engine.engine import Engine
from cnntrain.engine.pool import Pool
from cnntrain.engine.tally import Tally
from cnntrain.errors import CheckpointError, ConfigError, DataError, UsageError
from cnntrain.loader import Samples
from cnntrain.registry import make

# isort: split
import numpy as np


class Trained:
    """A network with the parameters, class names and preprocessing of a checkpoint.

    Where training averaged the weights (`train.average`), and the average had begun, it is what counts.
    """

    def __init__(self, path: Path, pool: Pool, sets: Sequence[str] = ()) -> None:
        """Read a checkpoint, or a run directory's best one, else its last.

        `sets` may change where the data lies (data.source.*) and nothing else. Raises CheckpointError.
        """
        blas.pin()
        for override in sets:
            if not override.startswith("data.source."):
                raise UsageError(f"--set {override}: only data.source.* can be changed for a trained network")
        self.path = find(path)
        checkpoint = read(self.path)
        meta = checkpoint.meta
        config = dict(meta["config"])
        config["data"] = config["data"] | {"eval_transforms": meta["eval_transforms"]}
        config["loss"] = meta.get("loss", config["loss"])  # class weights as they were counted
        description = Description(tuple(meta["image_shape"]), tuple(meta["classes"]), meta["values"])
        self.loaded = load_plain(config, str(self.path), sets)
        try:
            self.network = build.network(self.loaded, description)
        except ConfigError as error:
            raise CheckpointError(f"{self.path} describes no network: {error.problems[0].message}") from error
        layout = self.network.graph.layout
        self.averaged = bool((meta.get("average") or {}).get("count"))
        source = "average" if self.averaged else "param"
        params = {name: array for name, array in checkpoint.arrays.items() if name.startswith(f"{source}/")}
        replace(checkpoint, arrays=params).expect(
            {f"{source}/{name}": (entry.param.shape, np.float32) for name, entry in layout.entries.items()}
        )
        needed = resources.needed(self.network.graph, pool.threads, self.network.graph.shard, 0, training=False)
        if needed > resources.available():
            raise CheckpointError(f"{self.path} describes a network that needs {resources.human(needed)} of memory")
        self.tally = _full_tally(self.network)
        self.engine = Engine(self.network.graph, self.tally, pool, seed=self.loaded.experiment.seed)
        for name, view in layout.views(self.engine.params).items():
            view[...] = checkpoint.arrays[f"{source}/{name}"]
        self.transforms = build.transforms(self.loaded.experiment.data.eval_transforms)
        self.step = meta["position"]["step"]

    def evaluate(self, split: str) -> dict[str, Any]:
        """What `eval --json` prints: loss and metrics on a split of the config's data source, and per class."""
        images, indices = self._split(split)
        self._check(images)
        values = self.tally.values(self.engine.evaluate(Samples(images, indices, self.transforms)))
        document = {"checkpoint": str(self.path), "split": split, "samples": len(indices)} | values
        if self.network.classes:
            document["per_class"] = _per_class(self.network.classes, values["confusion"])
        return document

    def _split(self, split: str) -> tuple[Images, Array]:
        if split == "val":
            data = build.read_data(self.loaded)
            if data.val is None:
                raise DataError("this run has no validation split. Use --split train or --split test")
            return data.val, data.val_indices
        source = self.loaded.experiment.data.source
        assert isinstance(source, Dataset)
        if split not in source.splits():
            raise DataError(
                f"{source.name_in_config} has no split {split!r} here; it has {', '.join(source.splits()) or 'none'}"
            )
        images = source.load(split)
        return images, np.arange(len(images))

    def _check(self, images: Images) -> None:
        network = self.network
        if images.shape != network.image_shape or images.classes != network.classes:
            raise DataError(
                f"the data is {images.shape} of {len(images.classes)} classes, "
                f"{self.path} was trained on {network.image_shape} of {len(network.classes)}, or their names differ"
            )

    def predict(self, paths: Sequence[Path], top: int) -> list[dict[str, Any]]:
        """The likeliest classes of each image file, the first being the prediction."""
        height, width, channels = self.network.image_shape
        pixels = np.stack([decode(path, (height, width), channels) for path in paths])
        results = []
        for path, row in zip(paths, self.probabilities(pixels), strict=True):
            order = np.argsort(-row, kind="stable")[:top]
            guesses = [{"class": self.network.classes[i], "probability": float(row[i])} for i in order]
            results.append({"path": str(path), "class": guesses[0]["class"], "top": guesses})
        return results

    def probabilities(self, pixels: Array) -> Array:
        """Class probabilities (n, classes) of images (n, h, w, c) as they are stored; the softmax of the outputs."""
        images = Images(pixels, np.zeros(len(pixels), np.int64), self.network.classes)
        logits = self.engine.outputs(Samples(images, np.arange(len(pixels)), self.transforms)).astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Array = powers / powers.sum(axis=1, keepdims=True)
        return shares


def _full_tally(network: Network) -> Tally:
    """The metrics of training, and what an evaluation always tells: accuracy, error, top 5, confusion."""
    metrics = {metric.label(): metric for metric in network.tally.metrics}
    if network.classes:
        wanted = ["accuracy", "error", *(["top_k"] if len(network.classes) > 5 else []), "confusion"]
        for metric in (make("metrics", name) for name in wanted):
            metrics.setdefault(metric.label(), metric)
    return Tally(network.loss, list(metrics.values()), len(network.classes))


def _per_class(classes: Sequence[str], confusion: list[list[float]]) -> list[dict[str, Any]]:
    """Of each class: samples, how many of them were found (recall), how many found were of it (precision)."""
    matrix = np.array(confusion)
    return [
        {
            "class": name,
            "samples": int(matrix[i].sum()),
            "recall": _share(matrix[i, i], matrix[i].sum()),
            "precision": _share(matrix[i, i], matrix[:, i].sum()),
        }
        for i, name in enumerate(classes)
    ]


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None

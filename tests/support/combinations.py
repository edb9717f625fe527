"""Experiments that combine parts as nobody planned: a plain one of some task, changed again and again at random."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cnntrain.config.dump import to_yaml
from cnntrain.config.fields import keys_of
from cnntrain.config.load import load_text
from cnntrain.config.schema import CheckpointConfig, Experiment, InitConfig, TrainConfig
from cnntrain.core.console import Console
from cnntrain.core.errors import CnntrainError
from cnntrain.training.job import make_job
from cnntrain.training.warm_start import warm_start
from tests.support.generated import Generator

Config = dict[str, Any]

_CONVOLUTION = "{type: conv2d, filters: 4, kernel_size: 3, padding: same}"
_HEAD = "global_avg_pool, {type: dense, units: auto}"
_LAYERS = f"[{_CONVOLUTION}, batch_norm, relu, {_HEAD}]"
_DETECTOR = "{type: fcos_small, width: 2, depth: 1, strides: [8]}"
_SHAPES, _SOUNDS = "type: shapes, samples: 16", "type: vowels, sample_rate: 4000, duration: 0.1, samples: 23"
_BASES = {  # source, model and more; samples that take no time; FOLDER is where `make_arrays` has been
    "classes": ("{type: synthetic, size: 8, channels: 3, classes: 3, samples: 23}", f"layers: {_LAYERS}", ""),
    "labels": ("{type: npz, path: FOLDER/classes.npz}", f"layers: {_LAYERS}", ""),
    "tags": ("{type: npz, path: FOLDER/tags.npz}", f"layers: {_LAYERS}", "loss: binary_cross_entropy"),
    "values": ("{type: npz, path: FOLDER/values.npz}", f"layers: {_LAYERS}", "loss: mse"),
    "boxes": (f"{{{_SHAPES}, size: 32, things: [0, 3]}}", f"preset: {_DETECTOR}", "task: detect"),
    "masks": (
        f"{{{_SHAPES}, size: 16, target: mask}}",
        f"layers: [{_CONVOLUTION}, relu, {{type: conv2d, filters: auto, kernel_size: 1}}]",
        "",
    ),
    "clips": (
        "{type: motion, frames: 4, moving: 2, size: 6, samples: 13}",
        f"layers: [{_CONVOLUTION}, relu, {{type: conv3d, filters: 3, kernel_size: 2}}, {_HEAD}]",
        "",
    ),
    "sounds": (f"{{{_SOUNDS}, features: log_mel, bands: 8}}", f"layers: {_LAYERS}", ""),
}
_SECTIONS = {"train": TrainConfig, "checkpoint": CheckpointConfig, "init": InitConfig, "": Experiment}
_LENGTHS = ("epochs", "steps", "samples")
_LEFT_ALONE = {*_LENGTHS, "name", "data", "model", "task", "train", "checkpoint", "init", "warnings"}


def make_arrays(folder: Path) -> None:
    """What the bases read: pictures with labels, several labels and values, with splits of their own or without."""
    rng = np.random.default_rng(0)
    targets: dict[str, Callable[[int], Any]] = {
        "classes": lambda n: np.minimum(np.arange(n) % 6 // 2, 2),
        "tags": lambda n: rng.integers(0, 2, (n, 3)).astype(np.float32),
        "values": lambda n: rng.normal(2, 3, (n, 2)),
    }
    for name, make in targets.items():
        splits = {"train": 17, "test": 5} | ({} if name == "values" else {"val": 7})
        pixels = {f"x_{split}": rng.integers(0, 256, (n, 7, 6, 3), np.uint8) for split, n in splits.items()}
        np.savez(folder / f"{name}.npz", **pixels, **{f"y_{split}": make(n) for split, n in splits.items()})


class Combinations:
    """Draws configs that `check` takes, from one source of random numbers."""

    def __init__(self, rng: random.Random, folder: Path) -> None:
        """`folder` is where `make_arrays` has been."""
        self.rng, self._folder, self._parts = rng, folder, Generator(rng, tame=True)

    def experiment(self, changes: int) -> tuple[str, list[str]]:
        """The text of a config that was changed up to so many times, and of those that were refused on the way."""
        source, model, more = _BASES[self.rng.choice([*_BASES])]
        base = f"data: {{source: {source}}}\nmodel: {{{model}}}\n{more}".replace("FOLDER", str(self._folder))
        config: Config = yaml.safe_load(base) | {"seed": self.rng.randrange(100)}
        if "npz" not in source or self.rng.random() < 0.5:  # where it has a split of its own, too
            config["data"]["val"] = 0.3
        config["train"] = {
            "epochs": self.rng.choice([1, 2, 3]),
            "batch_size": self.rng.choice([3, 4, 8]),
            "log_every": 2,
        }
        if self.rng.random() < 0.3:
            config["checkpoint"] = {"film": 3, "keep": 2, "every": "2st"}
        how = [self._key, self._key, self._transform, self._layer, self._wrapped, self._option, self._samples]
        refused = []
        for _ in range(changes):
            changed = copy.deepcopy(config)
            self.rng.choice(how)(changed)
            text = to_yaml(changed)
            if accepted(text):
                config = changed
            else:
                refused.append(text)
        return to_yaml(config), refused

    def _key(self, config: Config) -> None:
        """Another value of one key, of whatever the schema allows there."""
        section = self.rng.choice([*_SECTIONS])
        keys = {key: kind for key, (_, kind) in keys_of(_SECTIONS[section]).items() if key not in _LEFT_ALONE}
        key = self.rng.choice([*keys])
        place = config.setdefault(section, {}) if section else config
        place[key] = self._parts.value(keys[key])

    def _transform(self, config: Config) -> None:
        """One more transform, in training, in evaluation or in both."""
        transform = self._parts.part("transforms")
        if "zca_whiten" in str(transform):  # whose matrix takes half a minute for the pictures with boxes
            return
        for name in self.rng.choice([("train",), ("eval",), ("train", "eval"), ("train", "eval")]):
            chain = config["data"].setdefault(f"{name}_transforms", [])
            chain.insert(self.rng.randint(0, len(chain)), transform)

    def _layer(self, config: Config) -> None:
        """One more layer or structure before the last one."""
        if layers := config["model"].get("layers"):
            layers.insert(self.rng.randrange(len(layers)), self._parts.part("layers", "structures"))

    def _wrapped(self, config: Config) -> None:
        """Some layers in a row within a structure."""
        if layers := config["model"].get("layers"):
            start = self.rng.randrange(len(layers) - 1)
            stop = self.rng.randint(start + 1, len(layers) - 1)
            body = layers[start:stop]
            how: list[Config] = [
                {"type": "residual", "body": body},
                {"type": "repeat", "n": 2, "body": body},
                {"type": "parallel", "branches": [body, ["identity"]]},
            ]
            layers[start:stop] = [self.rng.choice(how)]

    def _option(self, config: Config) -> None:
        """Something that one layer alone has."""
        if layers := config["model"].get("layers"):
            at = self.rng.randrange(len(layers))
            layer = layers[at] if isinstance(layers[at], dict) else {"type": layers[at]}
            key, value = self.rng.choice([("freeze", True), ("lr_mult", 0.5), ("lr_mult", 0), ("name", "mine")])
            layers[at] = layer | {key: value}

    def _samples(self, config: Config) -> None:
        """Some of the samples, or other ones to validate on, or another length of training."""
        source, train = config["data"]["source"], config["train"]
        what = self.rng.choice(["fold", "subset", "twice", "no val", "length"])
        if what == "fold":
            config["data"] |= {"source": {"type": "k_fold", "source": source, "folds": 3, "fold": 1}, "val": None}
        elif what == "subset":
            config["data"]["source"] = {"type": "subset", "source": source, "fraction": 0.7}
        elif what == "twice":
            config["data"]["source"] = {"type": "concat", "sources": [source, source]}
        elif what == "no val":
            config["data"]["val"] = None
        else:
            for key in _LENGTHS:
                train.pop(key, None)
            train |= self.rng.choice([{"steps": 5}, {"samples": 31}, {"epochs": 2}])


def accepted(text: str) -> bool:
    """Whether `fit` would begin to train; anything but an error of cnntrain's is raised."""
    try:
        loaded = load_text(text, "config.yaml")
        warm_start(loaded, make_job(loaded, 1, Console("none", quiet=True, warned=lambda _: None)).network)
    except CnntrainError:
        return False
    return True

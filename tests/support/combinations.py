"""Experiments that combine parts as nobody planned: a plain one of some task, changed again and again at random.

Every registered part is placed somewhere, or stands in LEFT_OUT with the reason.
"""

from __future__ import annotations

import copy
import fnmatch
import random
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import yaml

import cnntrain
from cnntrain.config.dump import to_yaml
from cnntrain.config.fields import keys_of
from cnntrain.config.load import load_text
from cnntrain.config.schema import CheckpointConfig, Experiment, InitConfig, TrainConfig
from cnntrain.core import registry
from cnntrain.core.console import Console
from cnntrain.core.errors import CnntrainError
from cnntrain.training.job import make_job
from cnntrain.training.warm_start import warm_start
from tests.support.generated import Generator
from tests.support.samples import RATE, VIDEOS

Config = dict[str, Any]


class Drawn(NamedTuple):
    """A config, those that were refused on the way to it, and what its network can be asked about."""

    text: str
    refused: list[str]
    file: str  # by its name in the folder of samples
    part: str  # that it began with: "layers conv2d"


class _Base(NamedTuple):
    """A kind of samples: where they come from, networks for them, what a config needs besides, a file of that kind."""

    sources: tuple[str, ...]
    models: tuple[str, ...]
    more: str = ""
    file: str = "a.png"


_CONVOLUTION = "{type: conv2d, filters: 4, kernel_size: 3, padding: same}"
_HEAD = "global_avg_pool, {type: dense, units: auto}"
_LAYERS = f"layers: [{_CONVOLUTION}, batch_norm, relu, {_HEAD}]"
_OF_CLIPS = f"layers: [{_CONVOLUTION}, relu, {{type: conv3d, filters: 3, kernel_size: 2}}, {_HEAD}]"
_OF_WAVES = f"layers: [{{type: conv1d, filters: 4, kernel_size: 9, stride: 8}}, batch_norm, relu, {_HEAD}]"
_TO_MASKS = f"layers: [{_CONVOLUTION}, relu, {{type: conv2d, filters: auto, kernel_size: 1}}]"
_SHAPES, _MOTION = "type: shapes, samples: 16", "type: motion, frames: 4, moving: 2, samples: 13"
_SOUNDS = f"sample_rate: {RATE}, duration: 0.1"
_ROWS = f"{_SOUNDS}, features: log_mel, bands: 8"
_RECORDINGS = ("type: vowels, samples: 23", "type: audio_folder, root: FOLDER/sounds")
_LISTED = "type: audio_csv, path: FOLDER/sounds/all.csv"
_BASES = {  # samples that take no time; FOLDER is where `make_samples` has been
    "classes": _Base(
        (
            "{type: synthetic, size: [7, 6], channels: 3, classes: 3, samples: 23}",
            "{type: npz, path: FOLDER/classes.npz}",
            "{type: image_folder, root: FOLDER/pictures}",
            r"{type: image_folder, root: FOLDER/pictures, group: '_(\w+)\.', size: 9, channels: 1}",
            "{type: csv, path: FOLDER/table/all.csv}",
            "{type: csv, path: FOLDER/table/all.csv, group: person, size: [7, 6]}",
            "{type: idx, root: FOLDER/mnist}",
        ),
        (_LAYERS,),
    ),
    "records": _Base(
        ("{type: cifar10, root: FOLDER/cifar10}", "{type: cifar100, root: FOLDER/cifar100, labels: coarse}"), (_LAYERS,)
    ),
    "tags": _Base(
        ("{type: npz, path: FOLDER/tags.npz}", "{type: csv, path: FOLDER/table/all.csv, targets: [t1, t2, t3]}"),
        (_LAYERS,),
        "loss: binary_cross_entropy",
    ),
    "values": _Base(
        ("{type: npz, path: FOLDER/values.npz}", "{type: csv, path: FOLDER/table/all.csv, targets: [u, v]}"),
        (_LAYERS,),
        "loss: mse",
    ),
    "boxes": _Base(
        (
            f"{{{_SHAPES}, size: 32, things: [0, 3]}}",
            "{type: boxes_csv, path: FOLDER/boxes/all.csv}",
            "{type: coco, path: FOLDER/boxes/coco}",
            "{type: voc, root: FOLDER/boxes/voc}",
            "{type: yolo, root: FOLDER/boxes/yolo}",
        ),
        ("preset: {type: fcos_small, width: 2, depth: 1, strides: [8]}",),
        "task: detect",
    ),
    "masks": _Base(
        (
            f"{{{_SHAPES}, size: 16, target: mask}}",
            "{type: masks, classes: 3, pictures: FOLDER/masks/pictures, masks: FOLDER/masks/masks}",
        ),
        (_TO_MASKS,),
    ),
    "clips": _Base(
        (
            f"{{{_MOTION}, size: 6}}",
            "{type: frames_folder, root: FOLDER/clips, frames: 4}",
            *(["{type: video_folder, root: FOLDER/videos, frames: 4, size: 8}"] if VIDEOS else []),
        ),
        (_OF_CLIPS, _LAYERS),
        file="clip",
    ),
    "sounds": _Base(
        (*(f"{{{what}, {_ROWS}}}" for what in _RECORDINGS), f"{{{_LISTED}, {_ROWS}}}"), (_LAYERS,), file="a.wav"
    ),
    "waves": _Base(
        tuple(f"{{{what}, {_SOUNDS}, features: waveform}}" for what in (*_RECORDINGS, _LISTED)),
        (_OF_WAVES, _LAYERS),
        file="a.wav",
    ),
}
_READY = {  # what makes a ready model small; the others are as small as they can be
    "mlp": {"hidden": [5]},
    "wide_resnet": {"depth": 10, "widen": 1},
    "mobilenet_v1": {"width": 0.1, "stem_stride": 1},
    "mobilenet_v2": {"width": 0.1, "stem_stride": 1},
    "densenet_bc": {"depth": 10, "growth": 4},
    "alexnet_small": {"hidden": 8},
    "squeezenet": {"stem_stride": 1},
    "unet": {"width": 2, "depth": 1},
    "fcos_small": {"width": 2, "depth": 1, "strides": [8, 16]},
}
_SUITED = {  # by a pattern for names of parts, the samples that they are for; all others are tried on any
    "*3d temporal_* time_reversal conv2plus1d frames_as_channels": "clips",
    "*1d log_mel mfcc power_spectrogram noise_from speed sound_* gain time_shift": "waves",
    "spec_augment": "sounds",
    "c3d_small r2plus1d_small tsm_resnet20": "moving",
    "mosaic random_iou_crop fcos fcos_small detect": "boxes",
    "unet": "masks",
    "zca_whiten": "classes",
    "tag": "tags",
    "regress r2": "values",
}
_LARGER = {  # samples for the ready models
    "moving": _Base((f"{{{_MOTION}, size: 8}}",), (_OF_CLIPS,), file="clip"),
    "large": _Base(("{type: synthetic, size: 16, channels: 3, classes: 3, samples: 9}",), (_LAYERS,)),
}
_WITHIN = {("layers", "box_levels"): ("models", "fcos_small")}  # what has its place in another part alone
_MILLIONS = "has 5 to 24 million weights, and no layer that smaller ones do not have"
LEFT_OUT = {
    **{("models", name): _MILLIONS for name in ("resnet18", "resnet34", "resnet50", "preact_resnet18")},
    **{("models", name): _MILLIONS for name in ("convnext_femto", "vgg11", "vgg13", "vgg16", "vgg19")},
    **{("models", name): "is resnet20 with more blocks" for name in ("resnet44", "resnet56", "resnet110")},
    **({} if VIDEOS else {("datasets", "video_folder"): "needs the extra `video`, which is not installed"}),
}
_PLACES = {  # of kinds that have a key, or several of which one is drawn: its section, if any, and the key
    "initializers": (("init", "weights"), ("init", "biases"), ("init", "rules")),
    "losses": (("", "loss"),),
    "optimizers": (("", "optimizer"),),
    "schedules": (("", "schedule"), ("", "momentum_schedule")),
    "regularizers": (("train", "regularize"),),
    "averages": (("train", "average"),),
    "orders": (("train", "order"),),
    "metrics": (("train", "metrics"),),
    "tasks": (("", "task"),),
}
_CUT_SOUNDS = {  # smaller samples in training need as small ones in evaluation
    "train": {"type": "sound_crop", "seconds": 0.05, "sample_rate": RATE},
    "eval": {"type": "sound_views", "seconds": 0.05, "sample_rate": RATE, "windows": 2},
}
_CUT_CLIPS = {
    "train": {"type": "temporal_crop", "frames": 3},
    "eval": {"type": "temporal_views", "frames": 3, "clips": 2},
}
_CUTS = {"sound_crop": _CUT_SOUNDS, "sound_views": _CUT_SOUNDS} | {
    "temporal_crop": _CUT_CLIPS,
    "temporal_views": _CUT_CLIPS,
}
_FITTING = {"reshape": {"type": "reshape", "shape": [4]}}  # what numbers drawn at random hardly ever are
_SLOW = ("transforms", "zca_whiten")  # the matrix of larger pictures takes half a minute
_WORDS = {  # keys whose values mean something: a text drawn at random would be refused
    "match": ("*", "conv*", "dense_1", "conv2d_1", "batch_norm*"),
    "monitor": ("train/loss", "val/loss", "val/accuracy"),
    "metric": ("train/loss", "val/loss"),
    "folder": ("FOLDER/sounds",),
    "sample_rate": (RATE,),
}
_SECTIONS = {"train": TrainConfig, "checkpoint": CheckpointConfig, "init": InitConfig, "": Experiment}
_LENGTHS = ("epochs", "steps", "samples")
_LEFT_ALONE = {*_LENGTHS, "name", "data", "model", "task", "train", "checkpoint", "init", "warnings"}
_TRIES = 200  # to place a part
STEEP = 0.05  # how often a learning rate is drawn with which most trainings diverge


def every_part() -> list[tuple[str, str]]:
    """Kind and name of each part of ours that is not left out."""
    found = [(kind, name) for kind in registry.KINDS for name in registry.own(kind)]
    return [part for part in found if part not in LEFT_OUT]


class Combinations:
    """Draws configs that `check` takes, from one source of random numbers."""

    def __init__(self, rng: random.Random, folder: Path) -> None:
        """`folder` is where `make_samples` has been."""
        self.rng, self._folder, self._parts = rng, folder, Generator(rng, tame=True)
        self._waiting: list[tuple[str, str]] = []

    def experiment(self, changes: int) -> Drawn:
        """A config with the next part of all in turn, changed up to so many times."""
        if not self._waiting:
            self._waiting = every_part()
            self.rng.shuffle(self._waiting)
        kind, name = self._waiting.pop()
        base, config = self.with_part(kind, name)
        refused = []
        how = [self._key, self._key, self._transform, self._layer, self._wrapped, self._option, self._samples]
        how += [self._part, self._part, self._taught, self._frozen, self._mixed]
        for _ in range(changes):
            changed = copy.deepcopy(config)
            self.rng.choice(how)(changed)
            text = to_yaml(changed)
            if accepted(text):
                config = changed
            else:
                refused.append(text)
        if self.rng.random() < STEEP and accepted(text := to_yaml(_steep(config))):
            return Drawn(text, refused, base.file, f"{kind} {name}")
        return Drawn(to_yaml(config), refused, base.file, f"{kind} {name}")

    def with_part(self, kind: str, name: str) -> tuple[_Base, Config]:
        """A plain config with some part where it makes sense. Raises AssertionError where it finds no place for it."""
        kind, name = _WITHIN.get((kind, name), (kind, name))
        for _ in range(_TRIES):
            base = self._base(kind, name)
            config = self._plain(base, name if kind == "datasets" else "")
            self._place(config, kind, name)
            if name in texts(config) and accepted(to_yaml(config)):  # a ready model takes no layer
                return base, config
        raise AssertionError(f"no config has a place for {kind} {name}, or LEFT_OUT does not say why")

    def _base(self, kind: str, name: str) -> _Base:
        """The samples that a part is for."""
        if kind == "datasets":
            bases = [base for base in _BASES.values() if any(f"type: {name}," in source for source in base.sources)]
            return self.rng.choice(bases or [*_BASES.values()])
        suited = [base for words, base in _SUITED.items() for word in words.split() if fnmatch.fnmatch(name, word)]
        if not suited and kind == "models":
            suited = ["large"]
        return (_BASES | _LARGER)[suited[0] if suited else self.rng.choice([*_BASES])]

    def _plain(self, base: _Base, source: str = "") -> Config:
        """A config of a base, with a source of some type, if it has one of it."""
        sources = [text for text in base.sources if f"type: {source}," in text] or base.sources
        text = f"data: {{source: {self.rng.choice(sources)}}}\nmodel: {{{self.rng.choice(base.models)}}}\n{base.more}"
        config: Config = yaml.safe_load(text.replace("FOLDER", str(self._folder))) | {"seed": self.rng.randrange(100)}
        own = any(word in text for word in ("npz", "_folder", "voc", "yolo"))
        if not own or self.rng.random() < 0.5:  # where it has a split of its own, too
            config["data"]["val"] = 0.3
        config["train"] = {
            "epochs": self.rng.choice([1, 2, 3]),
            "batch_size": self.rng.choice([3, 4, 8]),
            "log_every": 2,
        }
        if self.rng.random() < 0.3:
            config["checkpoint"] = {"film": 3, "keep": 2, "every": "2st"}
        return config

    def _place(self, config: Config, kind: str, name: str) -> None:
        """Put a part of a kind into a config, with whatever keys."""
        if kind == "datasets":
            self._choose(config, name)
        elif kind == "models":
            config["model"] = {"preset": {"type": name} | _READY.get(name, {})}
        elif name in ("add", "concat", "multiply"):
            self._join(config, name)
        elif kind in ("layers", "structures"):
            self._layer(config, name)
        elif kind == "transforms":
            self._transform(config, name)
        else:
            part = self._sensible(self._parts.part(kind, name=name), config)
            section, key = self.rng.choice(_PLACES[kind])
            place = config.setdefault(section, {}) if section else config
            if key == "rules":
                part = {"match": "*", self.rng.choice(["weights", "biases"]): part}
            place[key] = [part] if key in ("rules", "regularize", "metrics") else part

    def _sensible(self, value: Any, config: Config) -> Any:
        """A value drawn at random whose texts say something: what there is for a key that names it."""
        if isinstance(value, list):
            return [self._sensible(item, config) for item in value]
        if not isinstance(value, dict):
            return value
        found = {key: self._sensible(item, config) for key, item in value.items()}
        for key in [key for key in found if key in _WORDS]:  # in an order that a seed repeats
            word = self.rng.choice(_WORDS[key])
            found[key] = word.replace("FOLDER", str(self._folder)) if isinstance(word, str) else word
        if "teacher" in found:
            found["teacher"] = self._run_of(config)
        return found

    def _run_of(self, config: Config) -> str:
        """A run of a network like that of a config, on the same samples; trained when it is first asked for."""
        short = {key: copy.deepcopy(config[key]) for key in ("data", "model", "task") if key in config}
        short["model"].pop("init_from", None)
        if "teacher" not in str(config.get("loss")):
            short["loss"] = config.get("loss", "cross_entropy")
        text = to_yaml(short | {"train": {"steps": 1, "batch_size": 4}})
        run = self._folder / f"runs/{zlib.crc32(text.encode())}"
        if not run.exists() and accepted(text):
            cnntrain.fit(yaml.safe_load(text), run_dir=run, threads=1, warn=lambda _: None)
        return str(run)

    def _key(self, config: Config) -> None:
        """Another value of one key, of whatever the schema allows there."""
        section = self.rng.choice([*_SECTIONS])
        keys = {key: kind for key, (_, kind) in keys_of(_SECTIONS[section]).items() if key not in _LEFT_ALONE}
        key = self.rng.choice([*keys])
        place = config.setdefault(section, {}) if section else config
        place |= self._sensible({key: self._parts.value(keys[key])}, config)

    def _part(self, config: Config) -> None:
        """Any part but a source or a ready model."""
        kinds = {*_PLACES, "transforms", "layers", "structures"}
        self._place(config, *self.rng.choice([part for part in every_part() if part[0] in kinds and part != _SLOW]))

    def _transform(self, config: Config, name: str | None = None) -> None:
        """One more transform, in training, in evaluation or in both."""
        name = name or self.rng.choice([name for name in registry.own("transforms") if name not in _SLOW])
        drawn = self._sensible(self._parts.part("transforms", name=name), config)
        if "sample_rate" in keys_of(registry.lookup("transforms", name)):
            drawn = (drawn if isinstance(drawn, dict) else {"type": name}) | {"sample_rate": RATE}
        splits = self.rng.choice([("train",), ("eval",), ("train", "eval"), ("train", "eval")])
        chosen = _CUTS.get(name) or dict.fromkeys(splits, drawn)
        for split, transform in chosen.items():
            chain = config["data"].setdefault(f"{split}_transforms", [])
            chain.insert(self.rng.randint(0, len(chain)), transform)

    def _layer(self, config: Config, name: str | None = None) -> None:
        """One more layer or structure before the last one, or another one in place of one."""
        if layers := config["model"].get("layers"):
            at = self.rng.randrange(len(layers))
            part = _FITTING.get(name) or self._parts.part("layers", "structures", name=name)
            layers[at : at + self.rng.choice([0, 0, 1])] = [part]

    def _join(self, config: Config, name: str) -> None:
        """A layer of two inputs: some layer, and the one before it or the same again."""
        if layers := config["model"].get("layers"):
            at = self.rng.randrange(1, len(layers))
            first, second = self.rng.randrange(at), at - 1
            for index, called in ((first, "one"), (second, "two")):
                layer = layers[index] if isinstance(layers[index], dict) else {"type": layers[index]}
                layers[index] = layer if "name" in layer else layer | {"name": called}
            layers.insert(at, {"type": name, "from": [layers[first]["name"], layers[second]["name"]]})

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

    def _taught(self, config: Config) -> None:
        """Another run's weights to begin with, those that come with the program, or another run's answers to learn."""
        model, run = config["model"], self._run_of(config)
        if self.rng.random() < 0.4:
            config["loss"] = {"type": "distillation", "teacher": run, "alpha": self.rng.choice([0.5, 1.0])}
        elif "tiny32" in str(model.get("preset")) and self.rng.random() < 0.5:
            model["init_from"] = {"checkpoint": "builtin", "ignore": ["head"]}
        else:
            model["init_from"] = {"checkpoint": run, "strict": self.rng.random() < 0.5}
            if self.rng.random() < 0.3:
                model["init_from"]["ignore"] = [self.rng.choice(_WORDS["match"])]

    def _frozen(self, config: Config) -> None:
        """Layers that stay as they are: for good, until a time, or from one on."""
        when = self.rng.choice([{}, {"until": "1ep"}, {"until": "3st"}, {"until": "50%"}, {"after": "2st"}])
        rule = {"match": self.rng.choice(_WORDS["match"])} | when
        config["train"]["freeze"] = [*config["train"].get("freeze", []), rule]

    def _mixed(self, config: Config) -> None:
        """Samples of several sources, a source of its own to validate on, or a share of whole groups."""
        data = config["data"]
        other = self._plain(self.rng.choice([*_BASES.values()]))["data"]["source"]
        what = self.rng.choice(["concat", "val", "group"])
        if what == "concat":
            data["source"] = {"type": "concat", "sources": [data["source"], self.rng.choice([other, data["source"]])]}
        elif what == "val":
            data["val"] = self.rng.choice([other, data["source"]])
        else:
            data["val"] = {"share": 0.4, "group": self.rng.choice(["person", r"_(\w+)\.", r"(\d)\.png"])}

    def _samples(self, config: Config) -> None:
        """Some of the samples, more of them, other ones to validate on, or another length of training."""
        what = self.rng.choice(["k_fold", "subset", "concat", "no val", "length"])
        if what == "no val":
            config["data"]["val"] = None
        elif what == "length":
            for key in _LENGTHS:
                config["train"].pop(key, None)
            config["train"] |= self.rng.choice([{"steps": 5}, {"samples": 31}, {"epochs": 2}])
        else:
            self._choose(config, what)

    def _choose(self, config: Config, how: str) -> None:
        """A fold of the samples, a part of them, or all of them twice; the samples as they are for any other word."""
        source = config["data"]["source"]
        chosen: dict[str, Config] = {
            "k_fold": {"type": "k_fold", "source": source, "folds": 3, "fold": 1},
            "subset": {"type": "subset", "source": source, "fraction": 0.7},
            "concat": {"type": "concat", "sources": [source, source]},
        }
        config["data"]["source"] = chosen.get(how, source)
        if how == "k_fold":
            config["data"]["val"] = None


def _steep(config: Config) -> Config:
    """The config with a learning rate that hardly any training bears."""
    optimizer = config.get("optimizer") or "sgd"
    return config | {"optimizer": ({"type": optimizer} if isinstance(optimizer, str) else optimizer) | {"lr": 1e12}}


def texts(value: Any) -> set[str]:
    """All texts in a plain config, the names of its parts among them."""
    if isinstance(value, dict | list):
        return {text for item in (value.values() if isinstance(value, dict) else value) for text in texts(item)}
    return {value} if isinstance(value, str) else set()


def accepted(text: str) -> bool:
    """Whether `fit` would begin to train; anything but an error of cnntrain's is raised."""
    try:
        loaded = load_text(text, "config.yaml")
        warm_start(loaded, make_job(loaded, 1, Console("none", quiet=True, warned=lambda _: None)).network)
    except CnntrainError:
        return False
    return True

"""A proposal is a first config for the user's data: it trains at once, and says why each line is as it is.

The network is a stack of 3x3 convolutions in the manner of VGG (Simonyan and Zisserman 2015) with batch norm, as deep
as the images are large and as wide as there are samples to learn from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnntrain.config.dump import plain, to_line
from cnntrain.config.fields import key_of
from cnntrain.config.load import load_text, run_name
from cnntrain.config.schema import InitConfig
from cnntrain.core import collector, shell
from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted, foremost
from cnntrain.core.description import Description, size_text
from cnntrain.core.errors import DataError, DivergedError, UsageError
from cnntrain.core.figures import measure
from cnntrain.core.registry import Part, make
from cnntrain.data.loader import Samples, fit, split_validation
from cnntrain.data.recognition import recognize
from cnntrain.engine.engine import Engine
from cnntrain.engine.pool import Pool
from cnntrain.network import build, counterparts, torch_layout
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.datasets.labelled_rows import LabelledRows
from cnntrain.parts.datasets.picture_fields import PictureFields
from cnntrain.parts.models.tiny import Tiny32
from cnntrain.parts.tasks.base import Start, Task, recognized
from cnntrain.reading.reader import ALONE, Reader
from cnntrain.training.data_advice import names_alike, of_one_sample, without_samples

MEASURED = 10_000  # samples that mean and deviation are taken over, evenly spread
FEW = 1_000  # samples up to which a pretrained or a narrower network and a larger validation split are proposed
UNBALANCED = 5  # times as many samples in the largest class as in the smallest
STEPS = 12_000  # of a training, as long as that makes neither too few epochs nor too many
MINUTES = 30  # that a training may take, unless told otherwise
FEWEST = 10  # epochs: pictures are made smaller before there are fewer
JUDGES = 20  # validation samples: fewer do not choose the best epoch
LEARNED = 30  # epochs at most for a network that begins trained
_TIMED = 4  # steps that are timed to predict the duration; the quickest counts
_COARSE = 48  # side from which the first layer takes every other pixel
_SIDES = (64, 48, 32)  # sides to which pictures are reduced where time is short
_PRETRAINED = (32, 96)  # sides of pictures that suit the network that comes with the program
_MIRRORED = {"cifar10", "cifar100"}  # known to mean the same in a mirror
_FLAT = ("conv2d", "max_pool2d", "5", "2")  # layers of images, and the kernel and stride of a first one
_PICTURES = {"image_folder", "idx", "cifar10", "cifar100", "csv"}


@dataclass(frozen=True)
class Preferences:
    """What the user asks of a proposal.

    size        the shorter side of pictures
    minutes     how long training may take on this machine
    pretrained  whether to start from the network that comes with the program; None to let the data decide
    weights     a .safetensors file of torchvision or timm to start from
    """

    size: int | None = None
    minutes: float | None = None
    pretrained: bool | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Beginning:
    """A trained network to start from: what the config says of it, and how its input is normalized.

    why    lines of a comment above
    lines  the keys of `model`
    """

    why: tuple[str, ...]
    lines: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    called: str


@dataclass(frozen=True)
class Proposal:
    """A config as text, and what it was made from; `seconds` is how long training will take."""

    text: str
    source: Dataset
    description: Description
    amount: str  # what a sample's target is, in words
    columns: tuple[str, ...]  # of a table, those to be predicted
    left_columns: tuple[str, ...]  # and those of numbers that were left out, unless the user chose
    samples: int
    parameters: int
    seconds: float = 0.0
    pretrained: bool = False

    def document(self) -> dict[str, Any]:
        """What `init --json` prints beside the config's path."""
        return {
            "source": self.source.name_in_config,
            "samples": self.samples,
            "shape": list(self.description.shape),
            "classes": list(self.description.classes),
            "values": self.description.values,
            "amount": self.amount,
            "columns": list(self.columns),
            "left_columns": list(self.left_columns),
            "parameters": self.parameters,
            "pretrained": self.pretrained,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class _Findings:
    """The findings that decide on a proposal."""

    source: Dataset
    images: Images
    task: Task
    moments: dict[str, list[float]]  # mean and std of each channel
    validates: bool  # whether the data comes with a validation split
    beginning: Beginning | None = None  # a trained network to start from
    most: int = 60  # epochs, as time allows
    time: str = ""  # what training takes, in words
    why_size: str = ""  # of the pictures
    columns: tuple[str, ...] = ()  # of a table, those to be predicted
    left_columns: tuple[str, ...] = ()  # and those of numbers that are left out
    why_scratch: tuple[str, ...] = ()  # lines of a comment, where one could expect a beginning

    @property
    def type(self) -> str:
        """The kind of source."""
        return self.source.name_in_config

    @property
    def side(self) -> int:
        """The shorter side of an image, or of a clip's frames."""
        return min(self.images.shape[-3:-1])

    @property
    def frames(self) -> int:
        """Moments of a clip; 0 where samples are images."""
        return self.images.shape[0] if len(self.images.shape) == 4 else 0

    @property
    def start(self) -> Start:
        """What the task adds to the proposal."""
        return self.task.start(self.batch)

    @property
    def unbalanced(self) -> bool:
        """Whether the largest class has many times the samples of the smallest."""
        counts = self.task.counts(self.images.targets, self.images.description) or [1]
        return max(counts) >= UNBALANCED * max(min(counts), 1)

    @property
    def share(self) -> float:
        """The share of the training samples that validate: 0 where it would be none of them."""
        share = 0 if self.validates else 0.2 if len(self.images) <= FEW else 0.1
        return share if len(self._split(share)[1]) else 0

    @property
    def trained_on(self) -> int:
        """How many samples train: those that validate are set aside."""
        return len(self._split(self.share)[0])

    def _split(self, share: float) -> tuple[Array, Array]:
        """Training and validation samples, set aside as training does it."""
        labels = self.task.labels(self.images.targets, self.images.description)
        by = self.images.targets if labels is None else labels
        return split_validation(by, share, 0, stratified=labels is not None)

    @property
    def batch(self) -> int:
        """Samples in a batch: 64, or fewer where an epoch would have less than ten steps; 8 or all of few."""
        suited = next(size for size in (64, 32, 16, 8) if len(self.images) >= 10 * size or size == 8)
        return min(suited, self.trained_on) if suited == 8 else suited

    @property
    def epochs(self) -> int:
        """As many as make about STEPS steps, from 10 to 60 (LEARNED if it begins trained), and as time allows."""
        steps = math.ceil(len(self.images) * (1 - self.share) / self.batch)
        return min(max(round(STEPS / steps), 10), LEARNED if self.beginning else 60, self.most)


@collector.resting()
def propose(
    path: Path,
    config: Path,
    reader: Reader = ALONE,
    targets: Sequence[str] = (),
    preferences: Preferences | None = None,
) -> Proposal:
    """A config, to be written to `config`, for what lies at `path`. Raises DataError where that cannot be read.

    `targets` are the columns of a table that are to be predicted, where that is known. Raises UsageError for a
    preference that the data does not allow.
    """
    preferences = preferences or Preferences()
    for named in filter(None, (path, preferences.weights)):
        _check_name(named)
    found = _found(recognize(path, targets), path, reader, preferences)
    found, seconds = _in_time(found, path, config, reader, preferences)
    counts = found.task.occurrences(found.images.targets, found.images.description)
    of_counts = (rule(found.task, found.images.description, counts or ()) for rule in (without_samples, of_one_sample))
    if found.images.skipped:
        reader.warn(
            "the config leaves out what cannot be read (on_bad_image: skip). Go on without it; or mend or remove it, "
            f"and run init again with --overwrite. To have it named: cnntrain check {shell.word(config)}"
        )
    for said in filter(None, (*of_counts, names_alike(found.images.description.classes))):
        reader.warn(said)
    text, network = _written(found, path, config)
    images = found.images
    amount = found.task.amount(images.description, each=True)
    size = network.graph.parameter_count()
    left = () if targets else found.left_columns
    begins, columns = found.beginning is not None, found.columns
    return Proposal(text, found.source, images.description, amount, columns, left, len(images), size, seconds, begins)


def _check_name(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise DataError(f"{path} has a name that is not UTF-8, which no config can hold. Rename it") from None


def _found(source: Dataset, path: Path, reader: Reader, preferences: Preferences, side: int | None = None) -> _Findings:
    """The data of a source, with pictures of a side if one is given, and what suits it."""
    own = source
    side = side or preferences.size
    if side is not None:
        source = _sized(source, side)
    source, images = _loaded(source, reader)
    _check_splits(source)
    try:
        task = recognized(images.targets, images.description)
    except ValueError as error:
        raise DataError(f"{path.absolute()}: {error}") from error
    beginning = _beginning(source, images, task, preferences)
    if beginning and preferences.weights is None and side is None and min(images.shape[:2]) > _PRETRAINED[0]:
        smaller = _found(own, path, reader, preferences, _PRETRAINED[0])
        return dataclasses.replace(smaller, why_size="that of the pictures the network was trained on")
    if beginning and images.shape[2] == 1:  # a network for coloured pictures takes grey ones as coloured
        source, images = _loaded(source.giving((*images.shape[:2], 3)), reader)
    moments = {"mean": [*beginning.mean], "std": [*beginning.std]} if beginning else _moments(images)
    why = "as you asked" if preferences.size else "" if side is None else "smaller than they could be, to save time"
    if not why and getattr(own, "size", None) is not None:
        why = cast(PictureFields, own).why_size
    scratch = () if beginning else _why_scratch(source, images, task, preferences)
    validates = "val" in source.splits()
    found = _Findings(source, images, task, moments, validates, beginning, why_size=why, why_scratch=scratch)
    if isinstance(source, LabelledRows):
        return dataclasses.replace(found, columns=source.columns[1:], left_columns=source.left_columns())
    return found


def _loaded(source: Dataset, reader: Reader) -> tuple[Dataset, Images]:
    """Its training samples, with its limits widened where they are too narrow, and without those that are damaged."""
    try:
        images = source.load("train", reader)
        source.tell_of_special("train", reader)
        return source, images
    except DataError as error:
        wider = source.widened()
        return _without_damaged(source, reader, error) if wider == source else _loaded(wider, reader)


def _without_damaged(source: Dataset, reader: Reader, error: DataError) -> tuple[Dataset, Images]:
    """Its training samples without those that cannot be read. Raises the error where that is no way, or most cannot."""
    if not isinstance(source, PictureFields) or source.skips_unreadable:
        raise error
    skipping = source.skipping()
    told: list[str] = []
    try:
        images = skipping.load("train", dataclasses.replace(reader, warn=told.append))
    except DataError:
        raise error from None
    if len(images.skipped) > len(images):  # what is wrong is something else
        raise error
    for line in told:
        reader.warn(line)
    skipping.tell_of_special("train", reader)
    return skipping, images


def _check_splits(source: Dataset) -> None:
    """Raise DataError where the files of a split cannot be listed, as training and measuring will have to."""
    for split in source.splits():
        source.files(split)


def _sized(source: Dataset, side: int) -> Dataset:
    """The source with a shorter side of `side` pixels, its proportions kept."""
    size = getattr(source, "size", None)
    if size is None:
        raise UsageError(f"--size is for files of pictures, and the data is {source.name_in_config}. Leave it out")
    height, width = (size, size) if isinstance(size, int) else size
    factor, multiple = side / min(height, width), cast(PictureFields, source).multiple
    if multiple > PictureFields.multiple and side % multiple:
        raise UsageError(f"--size must be a multiple of {multiple} for {source.name_in_config}, got {side}. Change it")
    shape = [max(round(value * factor / multiple), 1) * multiple for value in (height, width)]
    shape[shape.index(min(shape))] = side
    shape = [side, side] if height == width else shape
    moments = (cast(int, source.frames),) if hasattr(source, "frames") else ()
    return source.giving((*moments, *shape, cast(int, getattr(source, "channels", 3))))


def _beginning(source: Dataset, images: Images, task: Task, preferences: Preferences) -> Beginning | None:
    """The trained network to start from: the one asked for, or the small one where there are few pictures."""
    if preferences.weights is not None:
        return _of_library(preferences.weights, source, images, task)
    suits = _are_pictures_in_classes(source, images, task)
    if preferences.pretrained and not suits:
        raise UsageError("--pretrained is for files of pictures in classes, which this data is not. Leave it out")
    few = _are_few_photographs(images) and _sides_suit(images, preferences)
    if preferences.pretrained is False or not suits or not (preferences.pretrained or few):
        return None
    preset = cast(Tiny32, make("models", "tiny32"))
    what = f"{len(images):,} training samples are few" if len(images) <= FEW else "as you asked"
    why = (
        f"{what}: a network trained on CIFAR-10's photographs knows edges, colours and",
        "textures already, and need not learn them from these",
    )
    lines = (
        "preset: tiny32",
        "init_from: {checkpoint: builtin, ignore: [head]} # comes with cnntrain; the head, one score a class, is new",
    )
    return Beginning(why, lines, preset.mean, preset.std, "CIFAR-10's")


def _why_scratch(source: Dataset, images: Images, task: Task, preferences: Preferences) -> tuple[str, ...]:
    """Why few photographs, which others would help, do not begin with the small network: their sides alone."""
    few = _are_few_photographs(images) and _are_pictures_in_classes(source, images, task)
    if preferences.pretrained is False or not few:
        return ()
    low, high = _PRETRAINED
    return (
        "from scratch, although there are few: the network that comes with cnntrain has learned from photographs of",
        f"{low} pixels and suits sides of {low} to {high}; --pretrained begins with it all the same",
    )


def _are_pictures_in_classes(source: Dataset, images: Images, task: Task) -> bool:
    return task.start(1).head_alone and hasattr(source, "channels") and images.shape[2] in (1, 3)


def _are_few_photographs(images: Images) -> bool:
    return len(images) <= FEW and images.shape[2] == 3


def _sides_suit(images: Images, preferences: Preferences) -> bool:
    """Whether sides, as they will be resized, are those of pictures that suit the small network."""
    low, high = _PRETRAINED
    side = min(images.shape[:2])
    return low <= side and max(images.shape[:2]) * (1 if preferences.size else low / side) <= high


def _of_library(file: Path, source: Dataset, images: Images, task: Task) -> Beginning:
    """A network of torchvision or timm, by the names of the tensors in a file."""
    found = counterparts.recognized(torch_layout.tensors_of(file, torch_layout.read_bytes(file)))
    if found is None or not hasattr(source, "channels"):
        reason = "fits no preset" if found is None else f"is for files of pictures, and this is {source.name_in_config}"
        raise UsageError(f"--weights {file} {reason}. Choose a file of {', '.join(counterparts.known())}")
    if not task.within_reach(images.targets):
        raise UsageError(
            f"--weights {file} are those of a whole network, whose last layer answers with numbers about 1, and the "
            f"data's values are far from 0 or close together: {_reach(images)}. Bring them to about -1 to 1 in the "
            "data, or leave --weights out"
        )
    preset, library, counterpart = found
    keys = _given(preset)
    shape = "x".join(map(str, images.shape[:2]))
    why = (
        f"the weights are those of {library}'s {counterpart.name}, which saw pictures of {counterpart.size} pixels,",
        f"normalized as here; these have {shape} (--size {counterpart.size} would be slower, and closer to that)",
    )
    start = {"checkpoint": str(file), "names": library, "ignore": [counterparts.last_layer(preset, counterpart.size)]}
    named = to_line({"type": preset.name_in_config} | keys) if keys else preset.name_in_config
    lines = (f"preset: {named}", f"init_from: {to_line(start)} # all but the last layer: one {task.start(1).unit}")
    return Beginning(why, lines, counterpart.mean, counterpart.std, f"{library}'s")


def _reach(images: Images) -> str:
    """From where to where values go, in words."""
    values = images.targets[np.isfinite(images.targets)]
    return f"{measure(float(values.min()))} to {measure(float(values.max()))}"


def _in_time(
    found: _Findings, path: Path, config: Path, reader: Reader, preferences: Preferences
) -> tuple[_Findings, float]:
    """The findings with as large pictures and as many epochs as the time allows, and the seconds that training takes.

    Steps are taken on this machine to measure it. Pictures are made smaller before there are fewer than 10 epochs.
    """
    budget = 60 * (preferences.minutes or MINUTES)
    an_epoch = _epoch_seconds(found, path, config, reader.threads)
    for side in _SIDES:
        if preferences.size or FEWEST * an_epoch <= budget or side >= found.side or not _suits(found.source, side):
            continue
        found = _found(found.source, path, reader, preferences, side)
        an_epoch = _epoch_seconds(found, path, config, reader.threads)
    found = dataclasses.replace(found, most=max(int(budget / an_epoch), 1))
    if found.epochs < FEWEST:
        reader.warn(
            f"in {budget / 60:g} minute{'s' * (budget != 60)} this machine manages {counted(found.epochs, 'epoch')}, "
            "which may be too few: allow more with --minutes, or take smaller pictures with --size"
        )
    seconds = found.epochs * an_epoch
    return dataclasses.replace(found, time=f"{_in_words(seconds)} on this machine"), seconds


def _suits(source: Dataset, side: int) -> bool:
    """Whether pictures of the source can be brought to this side."""
    return hasattr(source, "size") and not side % cast(PictureFields, source).multiple


def _epoch_seconds(found: _Findings, path: Path, config: Path, threads: int) -> float:
    """What an epoch takes, from some steps of the network on grey pictures, which take as long as any."""
    _, network = _written(found, path, config)
    with Pool(threads) as pool:
        engine = Engine(network.graph, network.tally, pool)
        build.initialize(network.graph, InitConfig(), 0, engine.params)
        size = min(found.batch, len(found.images))
        images = dataclasses.replace(
            found.images.take(np.arange(size)), pixels=np.full((size, *network.graph.input_shape), 0.5, np.float32)
        )
        batch = Samples(images, np.arange(size), ())
        seconds = []
        for step in range(_TIMED):
            began = time.perf_counter()
            with contextlib.suppress(DivergedError):
                engine.step([batch], step)
            seconds.append(time.perf_counter() - began)
    validation = 1 + found.share / 3  # forward is about a third of a step
    return min(seconds) / size * len(found.images) * validation


def _in_words(seconds: float) -> str:
    """A predicted time, which is never exact."""
    if seconds < 60:
        return "under a minute"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def _written(found: _Findings, path: Path, config: Path) -> tuple[str, build.Network]:
    """The config's text, and the network that it means."""
    text = "".join(f"{line}\n" for line in _lines(found, path, config))
    return text, build.network(load_text(text, config.name), found.images.description)


def _moments(images: Images) -> dict[str, list[float]]:
    """Mean and standard deviation of each channel, rounded: the keys of normalize."""
    chosen = np.arange(0, len(images), -(-len(images) // MEASURED))
    (measured,) = fit([make("transforms", "normalize", from_="dataset")], images, chosen)
    figures = plain(measured)
    return {key: [float(f"{value:.4g}") for value in figures[key]] for key in ("mean", "std")}


def _lines(found: _Findings, path: Path, config: Path) -> Iterator[str]:
    yield f"# Something to start from, to be read and changed; made by: cnntrain init --data {shell.word(path)}"
    yield f"#   cnntrain check {shell.word(config)}   looks at every file"
    yield f"#   cnntrain fit {shell.word(config)}     trains"
    yield f"name: {to_line(_name(path))}"
    yield ""
    yield from _data(found)
    yield ""
    yield "model:"
    own = found.task.network(found.images.description)
    if found.beginning:
        yield from (f"  # {line}" for line in found.beginning.why)
        yield from (f"  {line}" for line in found.beginning.lines)
        yield "  # from scratch, it would have these layers; --from-scratch chooses size, rate and epochs for them, too"
        yield from ("  # layers:", *(f"  #   {line}" for line in _layers(found)))
    elif own:
        yield from (f"  {line}" for line in own)
    else:
        order = "moments x height x width x channels" if found.frames else "height x width x channels"
        yield f"  layers: # in order; shapes are {order}"
        yield from (f"    # {line}" for line in (*found.why_scratch, *_why_layers(found)))
        yield from (f"    {line}" for line in _layers(found))
    yield ""
    yield from _training(found)


def _name(path: Path) -> str:
    """The name of the runs: that of the folder or file."""
    full = Path(os.path.abspath(path))  # without "..", which is no name
    return run_name(full.stem if path.is_file() else full.name)


def _data(found: _Findings) -> Iterator[str]:
    images = found.images
    yield "data:"
    targets = found.task.about(images.targets, images.description)
    about = f"{counted(len(images), 'training sample')} of {size_text(images.shape)}, {targets}"
    yield from _comment(about)
    if columns := found.columns:
        left = found.left_columns
        others = f"; left out: {foremost(left)} (init --target COLUMN predicts others)" if left else ""
        yield from _comment(f"predicted: the column{'s' * (len(columns) > 1)} {foremost(columns)}{others}")
    if found.why_size:
        framed = getattr(found.source, "fit", "") == "letterbox"
        fit = "; a grey frame keeps their proportions" if framed else ""
        yield from _comment(f"size {size_text(images.shape)}: {found.why_size}{fit}")
    if found.type == "frames_folder":
        yield "  # clips: a folder of numbered pictures of one size is taken for one. If each is a sample of its own,"
        yield "  # move the pictures up into the folders of their classes, and run init again"
    if images.skipped:
        yield from _comment(
            f"on_bad_image: {len(images.skipped):,} cannot be read, and are left out; without it they are an error"
        )
    yield f"  source: {to_line(_brief(found.source))}"
    if found.validates:
        yield "  # no val: the data comes with a validation split, which judges each epoch"
    elif not found.share:
        yield "  # no val: of so few samples, none can be set aside to judge each epoch by"
    else:
        yield f"  val: {found.share:g} # this share of the training samples is set aside to judge each epoch by"
    normalize = to_line({"type": "normalize", **found.moments})
    whose = found.beginning.called if found.beginning else "measured here"
    yield "  train_transforms: # what is done to a sample each time it is learned from"
    yield from (f"    {line}" for line in _augmentation(found))
    yield f"    - {normalize} # {whose}"
    yield "  eval_transforms: # what is done to it in validation, test and prediction"
    yield f"    - {normalize}"


def _comment(text: str) -> list[str]:
    """Lines of a comment within `data`."""
    return textwrap.wrap(text, 110, initial_indent="  # ", subsequent_indent="  # ", break_on_hyphens=False)


def _brief(source: Dataset) -> dict[str, object]:
    """A source as written in a config: its type, and the settings that are not the default."""
    return {"type": source.name_in_config} | _given(source)


def _given(part: Part) -> dict[str, object]:
    """The settings of a part that are not the default."""
    fields = [field for field in dataclasses.fields(cast(Any, part)) if getattr(part, field.name) != field.default]
    return {key_of(field): plain(getattr(part, field.name)) for field in fields}


def _augmentation(found: _Findings) -> Iterator[str]:
    if found.type not in _PICTURES or not found.start.shifts or found.side < 8:
        return
    yield f"- {{type: random_crop, padding: {found.side // 8}}} # shift it a little: never the same picture twice"
    if found.type in _MIRRORED:
        yield "- hflip # mirror every other one"
    else:
        yield "# - hflip # mirror every other one: good where a mirrored picture still shows the same"


def _why_layers(found: _Findings) -> Iterator[str]:
    """Why there are that many layers, and why they are that wide."""
    if found.side < 4:
        yield "one hidden layer, since the samples are too small for convolutions"
        return
    wide = "16 filters, since there are few samples," if len(found.images) <= FEW else "32 filters"
    if found.side >= _COARSE:
        yield "a larger kernel and a stride of 2 at first, leaving a quarter of the pixels to the rest, to save time"
    yield "pairs of 3x3 convolutions, and a pooling after each, until about 4x4 pixels are left"
    yield f"{wide} at first, and twice as many after each pooling"


def _layers(found: _Findings) -> Iterator[str]:
    """The entries of model.layers, with what each gives."""
    (height, width), moments = found.images.shape[-3:-1], found.frames
    conv, pool, deep, every = ("conv3d", "max_pool3d", "[3, 5, 5]", "[1, 2, 2]") if moments else _FLAT
    wide = 16 if len(found.images) <= FEW or moments else 32
    if found.side < 4:
        yield f"- flatten # {math.prod(found.images.shape)} numbers"
        yield from ("- {type: dense, units: 128}", "- relu")
    else:
        if found.side >= _COARSE:
            size = f"kernel_size: {deep}, stride: {every}"
            yield f"- {{type: {conv}, filters: {wide}, {size}, padding: same, bias: false}}"
            yield from ("- batch_norm", "- relu")
            height, width = -(-height // 2), -(-width // 2)
        for stage in range(max(round(math.log2(min(height, width) / 4)), 1)):
            filters = min(wide * 2**stage, 256)
            for _ in range(2):
                yield f"- {{type: {conv}, filters: {filters}, kernel_size: 3, padding: same, bias: false}}"
                yield from ("- batch_norm", "- relu")
            height, width = height // 2, width // 2
            later = 2 if stage and moments >= 4 else 1  # how many moments become one
            moments //= later
            size = f"[{later}, 2, 2]" if moments else "2"
            yield f"- {{type: {pool}, kernel_size: {size}}} # {f'{moments}x' * bool(moments)}{height}x{width}x{filters}"
        if height * width * max(moments, 1) > 16:
            yield f"- global_avg_pool # {filters} numbers"
        else:
            yield f"- flatten # {height * width * max(moments, 1) * filters} numbers"
    yield "- {type: dropout, rate: 0.3} # leaves out 3 in 10 at random while learning, so that none is relied on"
    yield f"- {{type: dense, units: auto}} # one {found.start.unit}"
    if ending := found.task.ending(found.images.targets, found.images.description):
        yield "# from numbers near 0, which are soon learned, to the units of the data, measured here"
        yield f"- {ending}"


def _training(found: _Findings) -> Iterator[str]:
    start = found.start
    if start.loss:
        yield start.loss
    yield from _optimizer(found)
    yield "schedule: {type: cosine, warmup: 1ep} # the learning rate rises to lr for 1 epoch, then falls to 0"
    metrics = f", metrics: [{', '.join(start.metrics)}]" if start.metrics else ""
    order = ", order: balanced" if found.unbalanced else ""
    many = f"about {STEPS:,} steps, in 10 to 60 epochs"
    if found.epochs == found.most:
        many = "as many as the time allows"
    elif found.beginning:
        many = f"{LEARNED} at most, since it begins trained"
    yield f"# epochs: {many}; {found.time}" + "; every class equally often" * bool(order)
    steps = ", as is usual" if found.batch == 64 else ", fewer than the usual 64 so that an epoch has more steps"
    steps = ", all that train" if found.batch < 8 else steps
    yield f"# batch_size: {found.batch} samples a step{steps}"
    yield f"train: {{epochs: {found.epochs}, batch_size: {found.batch}{order}{metrics}}}"
    monitor, judging = start.monitor, round(found.share * len(found.images))
    if judging < JUDGES and not found.validates:
        monitor = "train/loss"
        if judging:
            yield f"# best: by the loss in training, since the {judging} set aside are too few to tell epochs apart"
    yield f"checkpoint: {{best: {{monitor: {monitor}}}}} # the weights of the best epoch are kept beside the last ones"


def _optimizer(found: _Findings) -> Iterator[str]:
    """The optimizer, and why it has the learning rate it has."""
    line = found.start.optimizer
    if line and (eps := found.task.eps(found.images.targets)):
        yield "# eps: small beside gradients, which are tiny where values differ by so little"
        line = f"{line.removesuffix('}')}, eps: {eps:.0e}}}"
    if line:
        usual = "what usually suits this optimizer"
        why = "0.05 for batches of 64, in proportion for others (Goyal et al. 2017)" if "type: sgd" in line else usual
        yield f"# lr: {why}; lr-find tries others"
        yield line

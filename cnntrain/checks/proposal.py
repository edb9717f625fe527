"""A proposal is a first config for the user's data: it trains at once, and says why each line is as it is.

The network is a stack of 3x3 convolutions in the manner of VGG (Simonyan and Zisserman 2015) with batch norm, as deep
as the images are large and as wide as there are samples to learn from.
"""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnntrain.config.dump import plain, to_line
from cnntrain.config.fields import key_of
from cnntrain.config.load import load_text
from cnntrain.core.description import Description, size_text
from cnntrain.core.errors import DataError, printable
from cnntrain.core.registry import make
from cnntrain.data.loader import fit
from cnntrain.data.recognition import recognize
from cnntrain.network import build
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.tasks.base import Start, Task, recognized
from cnntrain.reading.reader import ALONE, Reader
from cnntrain.training.data_advice import without_samples

MEASURED = 10_000  # samples that mean and deviation are taken over, evenly spread
FEW = 1_000  # samples up to which a narrower network and a larger validation split are proposed
UNBALANCED = 5  # times as many samples in the largest class as in the smallest
STEPS = 12_000  # of a training, as long as that makes neither too few epochs nor too many
_MIRRORED = {"cifar10", "cifar100"}  # known to mean the same in a mirror
_FLAT = ("conv2d", "max_pool2d", "5", "2")  # layers of images, and the kernel and stride of a first one
_PICTURES = {"image_folder", "idx", "cifar10", "cifar100", "csv"}


@dataclass(frozen=True)
class Proposal:
    """A config as text, and what it was made from."""

    text: str
    source: Dataset
    description: Description
    amount: str  # what a sample's target is, in words
    samples: int
    parameters: int


@dataclass(frozen=True)
class _Findings:
    """The findings that decide on a proposal."""

    source: Dataset
    images: Images
    task: Task
    moments: dict[str, list[float]]  # mean and std of each channel
    validates: bool  # whether the data comes with a validation split

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
        """The task's additions to it."""
        return self.task.start(self.batch)

    @property
    def unbalanced(self) -> bool:
        """Whether the largest class has many times the samples of the smallest."""
        counts = self.task.counts(self.images.targets, self.images.description) or [1]
        return max(counts) >= UNBALANCED * max(min(counts), 1)

    @property
    def share(self) -> float:
        """The share of the training samples that validate."""
        return 0 if self.validates else 0.2 if len(self.images) <= FEW else 0.1

    @property
    def batch(self) -> int:
        """Samples in a batch: 64, or fewer where an epoch would have few steps."""
        return next(size for size in (64, 32, 16, 8) if len(self.images) >= 10 * size or size == 8)

    @property
    def epochs(self) -> int:
        """So many that there are about STEPS steps, and no fewer than 10 or more than 60 epochs."""
        steps = math.ceil(len(self.images) * (1 - self.share) / self.batch)
        return min(max(round(STEPS / steps), 10), 60)


def propose(path: Path, config: Path, reader: Reader = ALONE, targets: Sequence[str] = ()) -> Proposal:
    """A config, to be written to `config`, for what lies at `path`. Raises DataError where that cannot be read.

    `targets` are the columns of a table that are to be predicted, where that is known.
    """
    source = recognize(path, targets)
    try:
        images = source.load("train", reader)
    except DataError:
        wider = source.widened()
        if wider == source:
            raise
        source, images = wider, wider.load("train", reader)
    try:
        task = recognized(images.targets, images.description)
    except ValueError as error:
        raise DataError(f"{path.absolute()}: {error}") from error
    counts = task.counts(images.targets, images.description)
    if counts and (said := without_samples(task.groups(images.description), counts)):
        reader.warn(said)
    found = _Findings(source, images, task, _moments(images), "val" in source.splits())
    text = "".join(f"{line}\n" for line in _lines(found, path, config))
    network = build.network(load_text(text, config.name), images.description)
    amount = task.amount(images.description, each=True)
    return Proposal(text, source, images.description, amount, len(images), network.graph.parameter_count())


def _quoted(path: Path) -> str:
    """A path as a shell takes it, on one line."""
    return printable(shlex.quote(str(path)))


def _moments(images: Images) -> dict[str, list[float]]:
    """Mean and standard deviation of each channel, rounded: the keys of normalize."""
    chosen = np.arange(0, len(images), -(-len(images) // MEASURED))
    (measured,) = fit([make("transforms", "normalize", from_="dataset")], images, chosen)
    figures = plain(measured)
    return {key: [float(f"{value:.4g}") for value in figures[key]] for key in ("mean", "std")}


def _lines(found: _Findings, path: Path, config: Path) -> Iterator[str]:
    yield f"# Something to start from, to be read and changed; made by: cnntrain init --data {_quoted(path)}"
    yield f"#   cnntrain check {_quoted(config)}   looks at every file"
    yield f"#   cnntrain fit {_quoted(config)}     trains"
    yield f"name: {to_line(_name(path))}"
    yield ""
    yield from _data(found)
    yield ""
    yield "model:"
    own = found.task.network(found.images.description)
    if own:
        yield from (f"  {line}" for line in own)
    else:
        order = "moments x height x width x channels" if found.frames else "height x width x channels"
        yield f"  layers: # in order; shapes are {order}"
        yield from (f"    {line}" for line in _layers(found))
    yield ""
    yield from _training(found)


def _name(path: Path) -> str:
    """The name of the runs: that of the folder or file."""
    stem = path.absolute().stem if path.is_file() else path.absolute().name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")[:100] or "run"


def _data(found: _Findings) -> Iterator[str]:
    images = found.images
    yield "data:"
    targets = found.task.about(images.targets, images.description)
    about = f"{len(images):,} training samples of {size_text(images.shape)}, {targets}"
    yield from textwrap.wrap(about, 110, initial_indent="  # ", subsequent_indent="  # ", break_on_hyphens=False)
    yield f"  source: {to_line(_brief(found.source))}"
    if found.validates:
        yield "  # no val: the data comes with a validation split, which judges each epoch"
    else:
        yield f"  val: {found.share:g} # this share of the training samples is set aside to judge each epoch by"
    normalize = to_line({"type": "normalize", **found.moments})
    yield "  train_transforms: # what is done to a sample each time it is learned from"
    yield from (f"    {line}" for line in _augmentation(found))
    yield f"    - {normalize} # measured here"
    yield "  eval_transforms: # what is done to it in validation, test and prediction"
    yield f"    - {normalize}"


def _brief(source: Dataset) -> dict[str, object]:
    """A source as written in a config: its type, and the settings that are not the default."""
    fields = [field for field in dataclasses.fields(source) if getattr(source, field.name) != field.default]
    return {"type": source.name_in_config} | {key_of(field): plain(getattr(source, field.name)) for field in fields}


def _augmentation(found: _Findings) -> Iterator[str]:
    if found.type not in _PICTURES or not found.start.shifts or found.side < 8:
        return
    yield f"- {{type: random_crop, padding: {found.side // 8}}} # shift it a little: never the same picture twice"
    if found.type in _MIRRORED:
        yield "- hflip # mirror every other one"
    else:
        yield "# - hflip # mirror every other one: good where a mirrored picture still shows the same"


def _layers(found: _Findings) -> Iterator[str]:
    """The entries of model.layers, with what each gives."""
    (height, width), moments = found.images.shape[-3:-1], found.frames
    conv, pool, deep, every = ("conv3d", "max_pool3d", "[3, 5, 5]", "[1, 2, 2]") if moments else _FLAT
    wide = 16 if len(found.images) <= FEW or moments else 32
    if found.side < 4:
        yield f"- flatten # {math.prod(found.images.shape)} numbers"
        yield from ("- {type: dense, units: 128}", "- relu")
    else:
        if found.side >= 48:
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


def _training(found: _Findings) -> Iterator[str]:
    start = found.start
    yield from (line for line in (start.loss, start.optimizer) if line)
    yield "schedule: {type: cosine, warmup: 1ep} # the learning rate rises to lr for 1 epoch, then falls to 0"
    metrics = f", metrics: [{', '.join(start.metrics)}]" if start.metrics else ""
    order = ", order: balanced" if found.unbalanced else ""
    why = " # every class equally often, for some have few samples" if order else ""
    yield f"train: {{epochs: {found.epochs}, batch_size: {found.batch}{order}{metrics}}}{why}"
    best = f"{{monitor: {start.monitor}}}"
    yield f"checkpoint: {{best: {best}}} # the weights of the best epoch are kept beside the last ones"

"""A part of each kind whose contract is a handful of checks, for test_check.py to put slips into; none is registered
by importing the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Layers, NonNegative, PositiveInt, Rate
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.description import Description
from cnntrain.core.display import Section, Table
from cnntrain.core.errors import DataError
from cnntrain.core.random import stream
from cnntrain.core.registry import register
from cnntrain.parts.averages.base import Average
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.initializers.base import Initializer
from cnntrain.parts.models.base import Entries, Preset, layer
from cnntrain.parts.orders.base import Order
from cnntrain.parts.regularizers.base import Regularizer
from cnntrain.parts.schedules.base import Horizon, Schedule
from cnntrain.parts.structures.base import Structure, Weave
from cnntrain.parts.tasks.base import OfValues, Start, Task, share
from cnntrain.parts.transforms.base import Mixing
from cnntrain.reading.reader import ALONE, Reader


@register("own_signs")
@dataclass(frozen=True)
class Signs(Initializer):
    """Random signs, half of them, and zeros."""

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Write them."""
        values = rng.standard_normal(param.shape)
        out.fill(0)
        np.sign(values, out=out, where=np.abs(values) > 0.67, casting="same_kind")


@register("own_cubes")
@dataclass(frozen=True)
class Cubes(Regularizer):
    """rate * sum(|p|^3), and no value beyond 4."""

    rate: NonNegative = 0.1  # factor on the sum

    def value(self, p: Array) -> float:
        """The penalty."""
        return self.rate * float((np.abs(p) ** 3).sum())

    def add_gradient(self, p: Array, g: Array, scratch: Array) -> None:
        """Add 3 rate p |p|."""
        np.abs(p, out=scratch)
        g += 3 * self.rate * p * scratch

    def limit(self, p: Array, scratch: Array) -> None:
        """Clip."""
        np.clip(p, -4, 4, out=p)


@register("own_thirds")
@dataclass(frozen=True)
class Thirds(Average):
    """A third of the way in every other step."""

    def share(self, step: int, count: int, total_steps: int, steps_per_epoch: int) -> float:
        """A third, but for the first time."""
        if step % 2 == 0 and total_steps > 1:
            return 0.0
        return 1.0 if count == 0 else 1 / 3


@register("own_halving")
@dataclass(frozen=True)
class Halving(Schedule):
    """Half as much after each epoch that was worse than the one before."""

    factor: Rate = 0.5  # factor each time

    def begin(self) -> dict[str, Any]:
        """No epoch yet."""
        return {"last": None, "times": 0}

    def watched(self) -> str | None:
        """The training loss."""
        return "train/loss"

    def judge(self, state: Any, values: Any) -> dict[str, Any]:
        """Compare with the one before."""
        worse = state["last"] is not None and values["train/loss"] > state["last"]
        return {"last": values["train/loss"], "times": state["times"] + worse}

    def __call__(self, step: int, horizon: Horizon, lr: float, state: Any = None) -> float:
        """The learning rate."""
        return super().__call__(step, horizon, lr) * self.factor ** (state or self.begin())["times"]

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """It falls a little, and does not rise again."""
        return lr * (1 - 0.5 * min(step / horizon.total_steps, 1.0))


@register("own_blocks")
@dataclass(frozen=True)
class Blocks(Order):
    """Blocks of neighbours in random order."""

    size: PositiveInt = 7  # of a block

    def __call__(self, samples: Array, labels: Array, seed: int, epoch: int) -> Array:
        """Cut, and shuffle the blocks."""
        blocks = np.array_split(samples, max(1, len(samples) // self.size))
        order = stream(seed, "order", epoch).permutation(len(blocks))
        return np.concatenate([blocks[i] for i in order])


@register("own_ramps")
@dataclass(frozen=True)
class Ramps(Dataset):
    """Ramps from left to right, or the other way."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"samples": 40},)

    samples: PositiveInt = 50  # in each split

    def splits(self) -> tuple[str, ...]:
        """Two."""
        return ("train", "test")

    def describe(self) -> Description:
        """Of two classes."""
        return Description((4, 5, 1), ("up", "down"))

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Compute them."""
        labels = np.arange(self.samples) % 2
        ramp = np.broadcast_to(np.arange(5, dtype=np.uint8)[:, None] * 50, (self.samples, 4, 5, 1)).copy()
        ramp[labels == 1] = ramp[labels == 1][:, :, ::-1]
        return Images(ramp, labels, ("up", "down"))


@register("own_file")
@dataclass(frozen=True)
class File(Dataset):
    """Pictures in a file of a kind of its own."""

    path: str  # the file

    def splits(self) -> tuple[str, ...]:
        """One."""
        self._look()
        return ("train",)

    def load(self, split: str, reader: Reader = ALONE) -> Images:
        """Read it."""
        self._look()
        return Images(np.zeros((1, 4, 4, 1), np.uint8), np.zeros(1, np.int64), ("a",))

    def files(self, split: str) -> tuple[Path, ...]:
        """The file."""
        self._look()
        return (Path(self.path),)

    def _look(self) -> None:
        if not Path(self.path).is_file():
            raise DataError(f"{Path(self.path).absolute()} does not exist. Give the path of the file")


@register("own_mean")
@dataclass(frozen=True)
class Mean(Mixing):
    """Each with as much of the one before it."""

    def blend(self, images: Array, others: Array, share: float, rng: np.random.Generator) -> tuple[Array, float]:
        """The weighted mean."""
        return (share * images + (1 - share) * others).astype(images.dtype), share


@register("own_net")
@dataclass(frozen=True)
class Net(Preset):
    """One dense layer."""

    def layers(self) -> Entries:
        """It."""
        return (layer("flatten"), layer("dense", units="auto"))


@register("own_gate")
@dataclass(frozen=True)
class Gate(Structure):
    """What the body makes of x, in (0, 1), times x."""

    examples: ClassVar[tuple[tuple[Shape, dict[str, Any]], ...]] = (
        ((4, 3, 2), {"body": [{"type": "conv2d", "filters": 2, "kernel_size": 1}, "relu"]}),
    )

    body: Layers  # the layers before the sigmoid

    def expand(self, weave: Weave, x: int) -> int:
        """Add the body, the sigmoid and the product."""
        if len(weave.shape(x)) != 3:
            raise ValueError(f"own_gate needs an image (height, width, channels), got {weave.shape(x)}")
        factor = weave.add("sigmoid", weave.body(self.body, x), name="factor")
        return weave.add("multiply", x, factor)


@register("own_task")
@dataclass(frozen=True)
class Own(Task):
    """What nobody else asks."""

    examples: ClassVar[tuple[Description, ...]] = (Description((4, 4, 1), (), 0, "own targets"),)
    target: ClassVar[str] = "own targets"


@register("own_angles")
@dataclass(frozen=True)
class Angles(OfValues):
    """Angles in degrees, where 359 is near to 1: values as others estimate them, and errors around the circle."""

    examples: ClassVar[tuple[Description, ...]] = (Description((4, 4, 1), (), 2),)
    asked_by_name: ClassVar[bool] = True
    loss: ClassVar[str] = "mse"
    usual_metrics: ClassVar[tuple[str, ...]] = ("mae",)

    def about(self, targets: Array, data: Description) -> str:
        """How many."""
        return self.amount(data, each=True)

    def start(self, batch: int) -> Start:
        """Squared error."""
        return Start("loss: mse", "optimizer: adamw", ("mae",), "val/loss", "for each angle", shifts=False)

    def values(self, outputs: Array) -> Array:
        """From 0 to 360."""
        return np.mod(outputs, 360)

    def apart(self, outputs: Array, targets: Array) -> Array:
        """The shorter way round."""
        return np.abs(np.mod(outputs.astype(np.float64) - targets + 180, 360) - 180)[None]

    def figures_of(self, sums: Sequence[float], weight: float) -> dict[str, Any]:
        """Its mean."""
        return {"degrees": share(sums[0], weight)}

    def each(self, figures: list[dict[str, Any]]) -> Section:
        """A row for each angle."""
        rows = [[row["name"], f"{row['degrees']:.1f}"] for row in figures]
        return Section("Angles", [Table(["angle", "mean error"], rows, right={1})])

    def evaluated(self, data: Description) -> tuple[str, ...]:
        """The absolute error."""
        return ("mae",)

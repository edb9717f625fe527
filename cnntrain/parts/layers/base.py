"""A layer maps inputs to an output and knows its derivative; it holds hyperparameters and nothing else.

A layer is a frozen dataclass whose fields are its YAML keys. The engine owns every buffer and hands each call a
`Frame`: one node's view of one shard of the batch. To add a layer, write one file with a registered subclass,
its methods and its `examples`; the contract tests then prove its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from cnntrain.config.fields import check_fields
from cnntrain.config.schema import NodeOptions, TrainedOptions
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.registry import Part
from cnntrain.ops.blocks import LINE, long_rows, repeated
from cnntrain.ops.calls import PASSES, Calls, PassName, run
from cnntrain.ops.trace import Trace, Value

T = TypeVar("T")
Buffers = Mapping[str, tuple[Shape, npt.DTypeLike]]  # name -> (whole shape, the shard's rows included; dtype)


@dataclass(frozen=True)
class Workspace:
    """The buffers a layer needs beside x and y for a shard of n samples.

    `kept` lives from forward to backward, one for each shard; `scratch` belongs to a worker and is dead after the
    call. Nothing in either is zeroed, and a shorter shard gets shorter buffers. `held` has a buffer for one
    of PASSES or for both, of the same size for every n: what the pass, backward for dx, needs that is made of the
    parameters alone. It is filled once a batch for all shards, before the pass, by all workers together (`fill_calls`).
    `evaluated` is held in evaluation of the whole network only, where parameters mostly stay as they are for many
    batches; a frozen layer in training has none.
    """

    kept: Buffers = field(default_factory=dict)
    scratch: Buffers = field(default_factory=dict)
    held: Buffers = field(default_factory=dict)
    evaluated: Buffers = field(default_factory=dict)

    @classmethod
    def of_kernel(cls, buffers: Buffers, evaluated: Buffers | None = None) -> Workspace:
        """That of a layer which is one kernel: buffers named like a pass are held, the others scratch."""
        held: Buffers = {name: buffers[name] for name in PASSES if name in buffers}
        scratch: Buffers = {name: buffer for name, buffer in buffers.items() if name not in held}
        return cls(scratch=scratch, held=held, evaluated=evaluated or {})

    def held_in(self, evaluation: bool) -> Buffers:
        """What is held in evaluation, or in training."""
        return {**self.held, **self.evaluated} if evaluation else self.held


class Frame:
    """One node's view of one shard: all that a layer sees. Every array is a window the engine owns.

    xs, x      inputs, each (n, *shape); x is the first. Never written.
    y          output (n, *shape); written by forward.
    dy         gradient of the loss in y; read by backward.
    dxs, dx    gradients in the inputs, overwritten by backward; None where none is wanted.
    p, dp      parameters by name and their gradients, overwritten by backward; dp is None when frozen.
    kept, scratch, held   what `workspace` asked for, by name.
    total      coupled layers: the partial results summed over the whole batch; None in evaluation.
    training   False in evaluation and prediction.
    rng()      the random generator of (seed, step, shard, node).
    once(...)  what was made from the frame's arrays before; all of them but dp stay where they are as long as it lives.
    once_a_batch(...)   what a shard of this batch made before, for all shards: from total and p, never from a shard's
    own arrays.
    """

    __slots__ = (
        "_batch",
        "_made",
        "dp",
        "dx",
        "dxs",
        "dy",
        "held",
        "kept",
        "p",
        "rng",
        "scratch",
        "total",
        "training",
        "x",
        "xs",
        "y",
    )

    def __init__(
        self,
        xs: tuple[Array, ...],
        y: Array,
        p: Mapping[str, Array],
        kept: Mapping[str, Array],
        scratch: Mapping[str, Array],
        training: bool,
        rng: Callable[[], np.random.Generator],
        dy: Array | None = None,
        dxs: tuple[Array | None, ...] = (),
        dp: Mapping[str, Array] | None = None,
        total: Array | None = None,
        batch: dict[str, Any] | None = None,
        held: Mapping[str, Array] | None = None,
    ) -> None:
        """`batch` is the memory of `once_a_batch`, emptied between batches; a frame without one has its own."""
        self.xs, self.x, self.y = xs, xs[0], y
        self.dxs, self.dx = dxs, dxs[0] if dxs else None
        self.dy: Any = dy  # never None when backward is called
        self.p, self.dp = p, dp
        self.kept, self.scratch, self.held = kept, scratch, held or {}
        self.training, self.rng = training, rng
        self.total: Any = total  # float64; never None when a coupled layer's training methods are called
        self._made: dict[str, Any] = {}
        self._batch: dict[str, Any] = {} if batch is None else batch

    def once(self, key: str, make: Callable[[Frame], T]) -> T:
        """What `make` makes from this frame, made when it is first asked for: views, and calls bound to them."""
        if key not in self._made:
            self._made[key] = make(self)
        made: T = self._made[key]
        return made

    def once_a_batch(self, key: str, make: Callable[[Frame], T]) -> T:
        """What `make` makes from what all shards share. Two workers may make it at once, with the same bits."""
        if key not in self._batch:
            self._batch[key] = make(self)
        made: T = self._batch[key]
        return made


class RowBand(NamedTuple):
    """What makes some rows of a layer's output by themselves: a layer with the same parameters, and the rows of each
    input that it reads, all of them where that is no image.
    """

    layer: Layer
    reads: tuple[slice, ...]


@dataclass(frozen=True)
class Example:
    """A setting the contract tests run: the layer's fields and the shapes of its inputs for one sample."""

    fields: Mapping[str, Any]
    inputs: tuple[Shape, ...]


def example(*inputs: Shape, **fields: Any) -> Example:
    """`example((6, 6, 2), filters=3)`: inputs first, then the layer's fields."""
    return Example(fields, inputs)


@dataclass(frozen=True)
class Layer(Part):
    """Base of every layer. The defaults are those of a layer that keeps the shape and has no parameters."""

    kind: ClassVar[str] = "layers"
    options: ClassVar[type | None] = NodeOptions
    examples: ClassVar[tuple[Example, ...]] = ()
    inputs: ClassVar[tuple[int, int | None]] = (1, 1)  # least and largest number of inputs; None: any
    keeps: ClassVar[tuple[str, ...]] = ("x",)  # what backward reads of "x" (all inputs) and "y"
    inplace: ClassVar[bool] = False  # forward may be given y is x, and backward dx is dy
    recomputable: ClassVar[bool] = False  # forward takes little, and may be called once more before backward
    rowwise: ClassVar[bool] = False  # in evaluation a row of pixels of y depends on the same row of each input alone
    whole_clips: ClassVar[bool] = False  # takes a clip (moments, height, width, channels) as one; else moment by moment

    # What a layer says about itself, for advice, vitals and export; the contract tests hold it to that.
    affine_map: ClassVar[bool] = False  # in evaluation y is an affine map of the inputs, so two in a row amount to one
    rectifies: ClassVar[bool] = False  # y is 0 where x <= 0, and x elsewhere, up to some bound
    emits_probabilities: ClassVar[bool] = False  # y is in [0, 1], or the logarithm of what is: no logits
    flattens: ClassVar[bool] = False  # y holds the values of x, in their order, as a vector
    by_channel: ClassVar[bool] = False  # in evaluation it is a factor and a shift for each channel, as `evaluated` says
    absorbs_scale: ClassVar[bool] = False  # scaling and shifting weight and bias by channel does the same to y
    outer: ClassVar[str] = ""  # a parameter whose gradient is x.T @ dy; backward then writes it only where dp has it

    @property
    def random(self) -> bool:
        """Whether, as set, it draws from f.rng to disturb its input in training; in evaluation y is then x."""
        return False

    @property
    def rescales(self) -> bool:
        """Whether, as it is set, its trained weight is a scale that multiplies whole channels of its output."""
        return False

    def evaluated(self, p: Mapping[str, Array]) -> tuple[Array, Array, Array]:
        """Of one that is `by_channel`: center, factor, shift, in float64, where y = (x - center) * factor + shift."""
        raise NotImplementedError

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "params" in cls.__dict__:
            cls.options = TrainedOptions

    def __post_init__(self) -> None:
        check_fields(self)

    def output_shape(self, *inputs: Shape) -> Shape:
        """Shape of one output sample. Raises ValueError where the inputs do not fit, saying what would."""
        return inputs[0]

    def check_inputs(self, *inputs: Shape) -> None:
        """Raise ValueError where its output would tell nothing of such inputs; runs that have begun are not asked."""

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """The parameters, by name, for inputs of these shapes."""
        return {}

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """The buffers needed beside x and y for n samples computed in `dtype`."""
        return Workspace()

    def flops(self, *inputs: Shape) -> int:
        """Floating-point operations of forward for one sample; a multiply-add counts as two."""
        return math.prod(self.output_shape(*inputs))

    def algorithm_for(self, *inputs: Shape) -> str:
        """How it is computed for these shapes, where there are several ways: a word for `cnntrain time`."""
        return ""

    def at_depth(self, depth: float) -> Self:
        """The layer as it is at this depth: 0 for the first of its type in the network, 1 for the last or only one."""
        return self

    def band(self, rows: slice, *inputs: Shape) -> RowBand | None:
        """How several workers share one image in evaluation: what makes these rows of y; None where it takes all."""
        whole = len(inputs[0]) == 3 and all(shape[:-1] == inputs[0][:-1] for shape in inputs)
        return RowBand(self, (rows,) * len(inputs)) if self.rowwise and whole else None

    def fill_calls(self, f: Frame, do: PassName) -> list[Calls]:
        """The calls that fill f.held of a pass from f.p, in portions: lists that may be made in any order."""
        return []

    def forward(self, f: Frame) -> None:
        """Write f.y."""
        raise NotImplementedError

    def backward(self, f: Frame) -> None:
        """Overwrite the entries of f.dxs that are not None, and those of f.dp unless it is None."""
        raise NotImplementedError

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """Its evaluation as operations of a trace, for export; a layer without `trace` cannot be exported."""
        raise NotImplementedError


@dataclass(frozen=True)
class Coupled(Layer):
    """A layer whose output for one sample depends on the whole batch (batch norm), in two stages each way.

    In training the engine calls `partial` on every shard, adds the results up in a fixed order, and hands the sum
    to `forward` as f.total. Backward likewise: `partial_back`, then `backward`, with f.total the sum of what
    partial_back returned. In evaluation only `forward` is called, with f.total None; a frozen layer gets `forward`
    and `backward` with f.total None and f.dp None, so it must make do with its running statistics.
    """

    def partial_size(self, *inputs: Shape) -> int:
        """The most values `partial` and `partial_back` return: by default a count and two sums for each channel."""
        return 1 + 2 * inputs[0][-1]

    def partial(self, f: Frame) -> Array:
        """From one shard's f.xs, a new float64 vector that adds up over shards (count, sum, sum of squares)."""
        raise NotImplementedError

    def partial_back(self, f: Frame) -> Array:
        """From one shard's f.dy (and what `keeps` and kept hold), a new float64 vector that adds up over shards.

        It may already write f.dp, which is the shard's own and is not touched between this and `backward`.
        """
        raise NotImplementedError

    def update_statistics(self, total: Array, p: Mapping[str, Array]) -> None:
        """Fold the batch's forward total into the running statistics, in place.

        Called once a batch, in order, after the loss was found finite and before the optimizer.
        """
        raise NotImplementedError


class Prepared(Layer):
    """A layer whose passes are lists of calls, made once for a frame and run at every step (ops/calls.py).

    Those of backward are made for each of the places that dp has in turn. Where there is a parameter "bias", a value
    for each channel, forward adds it to what its calls have written, line by line; the lines are made once a batch.
    """

    def forward_calls(self, f: Frame) -> Calls:
        """The calls that write f.y, but for the bias."""
        raise NotImplementedError

    def backward_calls(self, f: Frame) -> Calls:
        """The calls that overwrite f.dx and f.dp unless they are None."""
        raise NotImplementedError

    def forward(self, f: Frame) -> None:
        """Run the calls of forward, and add the bias if there is one."""
        run(f.once("forward", self.forward_calls))
        if "bias" in f.p:
            _add_bias(f)

    def backward(self, f: Frame) -> None:
        """Run the calls of backward."""
        made: dict[int, tuple[Any, Calls]] = f.once("backward", lambda _: {})
        if id(f.dp) not in made:  # held on to, so that no other gets its id
            made[id(f.dp)] = f.dp, self.backward_calls(f)
        run(made[id(f.dp)][1])


def _add_bias(f: Frame) -> None:
    line = f.once_a_batch("biases", _line_of_biases)
    for (y,) in f.once("lines of y", lambda f: list(long_rows(len(line), f.y))):
        np.add(y, line if y.ndim > 1 else line[: len(y)], y)


def _line_of_biases(f: Frame) -> Array:
    """A line of them long enough for every shard."""
    bias = f.p["bias"]
    return repeated(bias, LINE + len(bias), f.y.dtype)


def image(shape: Shape, who: str) -> tuple[int, int, int]:
    """The shape as (height, width, channels). Raises ValueError that names the layer otherwise."""
    if len(shape) != 3:
        raise ValueError(f"{who} needs an image (height, width, channels), got {shape}")
    return shape


def clip(shape: Shape, who: str) -> tuple[int, int, int, int]:
    """The shape as (moments, height, width, channels). Raises ValueError that names the layer otherwise."""
    if len(shape) != 4:
        raise ValueError(f"{who} needs a clip (moments, height, width, channels), got {shape}")
    return shape


def pixels(shape: Shape, who: str) -> tuple[int, int]:
    """The pixels of an image, or of all moments of a clip, and the channels. Raises ValueError for features."""
    if len(shape) not in (3, 4):
        raise ValueError(f"{who} needs an image (height, width, channels) or a clip, got {shape}")
    return math.prod(shape[:-1]), shape[-1]


def width(units: int | str) -> int:
    """A number of filters or units that the builder has resolved. Raises ValueError where it is still "auto"."""
    if not isinstance(units, int):
        raise ValueError("the width is 'auto': only the builder, which knows the classes, can resolve it")
    return units

"""The graph is a network as a flat list of nodes in execution order.

`Weaver` expands the nested list of a config into it; nothing downstream knows about nesting. Summary, engine,
checkpoint names and FLOP counts are each a loop over `Graph.nodes`.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cnntrain.config.fields import Classes, Declared, annotations_of
from cnntrain.config.schema import TrainedOptions
from cnntrain.core import letters
from cnntrain.core.arrays import Layout, LayoutEntry, Param, Shape
from cnntrain.core.errors import ConfigError, Mark, Problem
from cnntrain.core.registry import Part, did_you_mean, make
from cnntrain.ops.outer import is_sliced
from cnntrain.parts.layers.base import Coupled, Layer
from cnntrain.parts.structures.base import Structure

CLIP = 4  # axes of a clip: moments, height, width, channels
BATCH = -1  # the index that stands for the network's input
INPUT = "input"  # the name by which `from` reads it
_SHARDS = 8, 16, 32, 64, 128  # samples a shard may have, besides those with very many values
_CACHED = 2**19  # values that a cache holds
_LITTLE = 2e7  # operations of forward that half a small batch should have
_WORKERS, _WORTH = 8, 2.5e8  # that a batch should employ, and the operations of forward that make a shard worthwhile
_LARGE, _MOST = 2**24, 2**28  # values of a sample beyond which shards are small; values a shard may then have
MAX_PIECES = 10_000  # layers and lists of layers; twice the largest networks trained, and a bound for what a file asks

_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Node:
    """One layer at its place in the network."""

    name: str  # "stage2.1.conv2d_2": unique and stable, what checkpoints and tables use
    layer: Layer
    inputs: tuple[int, ...]  # indices of earlier nodes; BATCH is the network's input
    shape: Shape  # of one output sample
    params: dict[str, Param]
    options: TrainedOptions
    where: Mark
    moments: int = 0  # moments of a clip that it takes as samples of their own; 0 where it takes its inputs as they are

    @property
    def rows(self) -> int:
        """How many samples the layer is given for one of the network's."""
        return self.moments or 1

    @property
    def trained(self) -> bool:
        """Whether the optimizer changes any of its parameters."""
        return not self.options.freeze and any(param.role != "statistic" for param in self.params.values())

    @property
    def sliced(self) -> Param | None:
        """The large weight whose gradient is computed once a batch, by slices (engine/outer.py); None without one."""
        param = self.params.get(self.layer.outer)
        return param if param is not None and is_sliced(*param.shape) else None

    @property
    def coupled(self) -> bool:
        """Whether in training it needs the whole batch; a frozen one keeps to its running statistics."""
        return isinstance(self.layer, Coupled) and not self.options.freeze


class Graph:
    """The nodes, the shape of one input sample, and the layout of all parameters."""

    def __init__(self, nodes: Sequence[Node], input_shape: Shape, layout: Layout | None = None) -> None:
        """With a `layout`, the nodes are some of another graph's, whose parameters they use."""
        self.nodes = tuple(nodes)
        self.input_shape = input_shape
        self.shard = self.shard_for()  # samples a worker takes at a time: the unit of arithmetic
        self.layout = layout or Layout(
            [
                (f"{node.name}.{name}", param, node.options.lr_mult, node.options.freeze)
                for node in nodes
                for name, param in node.params.items()
            ]
        )

    def frozen(self, names: Collection[str], layout: Layout | None = None) -> Graph:
        """The graph with these nodes frozen: in a layout of its own, or for a while in the one given."""
        nodes = [
            dataclasses.replace(node, options=dataclasses.replace(node.options, freeze=True))
            if node.name in names
            else node
            for node in self.nodes
        ]
        graph = Graph(nodes, self.input_shape, layout)
        graph.shard = self.shard
        return graph

    def cut(self, at: int) -> tuple[Graph, Graph]:
        """The first `at` nodes, and the others, which read nothing of them but the last one's output: their batch."""
        rest = [dataclasses.replace(node, inputs=tuple(i - at for i in node.inputs)) for node in self.nodes[at:]]
        return (
            Graph(self.nodes[:at], self.input_shape, self.layout),
            Graph(rest, self.shape(at - 1), self.layout),
        )

    @property
    def output_shape(self) -> Shape:
        """Shape of one output sample, the last node's."""
        return self.nodes[-1].shape

    def shape(self, index: int) -> Shape:
        """Shape of one sample of a node, or of the input for BATCH."""
        return self.input_shape if index == BATCH else self.nodes[index].shape

    def input_shapes(self, index: int) -> tuple[Shape, ...]:
        """Shapes a node's layer reads: of one moment where it takes clips moment by moment."""
        node = self.nodes[index]
        return tuple(self.shape(i)[1:] if node.moments else self.shape(i) for i in node.inputs)

    def flops(self) -> tuple[int, ...]:
        """Floating-point operations of each node's forward for one sample."""
        return tuple(node.rows * node.layer.flops(*self.input_shapes(i)) for i, node in enumerate(self.nodes))

    def wanted(self) -> tuple[bool, ...]:
        """For each node, whether a gradient has to reach it: it, or something before it, has trained parameters."""
        wants: list[bool] = []
        for node in self.nodes:
            wants.append(node.trained or any(source != BATCH and wants[source] for source in node.inputs))
        return tuple(wants)

    def parameter_count(self) -> int:
        """Number of parameters, statistics left out, as papers count them."""
        return sum(p.size for node in self.nodes for p in node.params.values() if p.role != "statistic")

    def shard_for(self, batch_size: int | None = None, views: int = 1) -> int:
        """Samples a shard should have: a function of the network's shapes and the batch size, never of the machine.

        Every shard writes its own gradient, so networks with many parameters and few activations want few large shards;
        and the longer an operation lasts, the less Python's share of the time matters: a step of ResNet-20 on two
        workers takes 107, 103 and 99 ms at 8, 16 and 32, on eight 44, 71 and 121. Against that stand memory, the cache,
        in which the arrays of a node (of 2 MB on average) should stay, and the workers, several of which should get a
        shard of a batch. The smallest of 8, 16 ... 128 is taken for which writing and adding gradients (about 3 passes
        over the parameters a shard, but of large dense weights, whose gradients are made once a batch) stays below a
        quarter of the traffic of activations (about 6 passes over them a sample), and for which the average node has
        work for some milliseconds (500 MFLOP), or values that fill a cache, but of 16 samples at least; half as many,
        but no fewer than 8, as long as a batch has too few samples for two shards, or for eight worthwhile ones. A
        batch of less than 16 has two shards of fewer samples, where these have work for half a millisecond (20 MFLOP)
        and hold the `views` as which evaluation sees a sample. Where a single sample has very many values (64 MB, as of
        a U-Net at 512x512), one will do, and a shard has at most 1 GB of them.
        """
        values = sum(math.prod(node.shape) for node in self.nodes)
        made_once = sum(node.sliced.size for node in self.nodes if node.sliced)
        by_traffic = 2 * (self.parameter_count() - made_once) / max(values, 1)
        work = sum(self.flops())
        by_time = 5e8 * len(self.nodes) / max(work, 1)
        by_cache = max(n for n in _SHARDS if n == 16 or n * values <= _CACHED * len(self.nodes))
        shard = next((n for n in _SHARDS if n >= max(by_traffic, min(by_time, by_cache))), _SHARDS[-1])
        fewest = 1 if values > _LARGE else 8
        while shard > fewest:
            parts = batch_size / shard if batch_size is not None else math.inf
            worth_halving = parts < _WORKERS and shard / 2 * work >= _WORTH
            if shard * values <= _MOST and parts >= 2 and not worth_halving:
                break
            shard //= 2
        half = (batch_size or 0) / 2
        while shard > half >= 1 and shard / 2 >= views and shard / 2 * work >= _LITTLE:
            shard //= 2
        return shard


def weave(layers: Sequence[Declared], input_shape: Shape, outputs: int) -> Graph:
    """Expand a list of declared layers into a graph.

    `outputs` is what `units: auto` stands for: the number of classes or of target values. Raises ConfigError at the
    line of the first layer that does not fit, with the chain of shapes that led there.
    """
    weaver = Weaver(input_shape, outputs)
    weaver.body(layers, BATCH)
    if not weaver.nodes:
        raise ValueError("model.layers is empty: a network needs at least one layer")
    weaver.check_all_used()
    return Graph(_at_their_depths(weaver.nodes), input_shape)


def _at_their_depths(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, each layer told how far along it stands among those of its type."""
    last = {layer: count - 1 for layer, count in Counter(type(node.layer) for node in nodes).items()}
    passed: Counter[type[Layer]] = Counter()
    placed = []
    for node in nodes:
        kind = type(node.layer)
        depth = passed[kind] / last[kind] if last[kind] else 1.0
        placed.append(dataclasses.replace(node, layer=node.layer.at_depth(depth)))
        passed[kind] += 1
    return placed


class Weaver:
    """The graph under construction; structures see it as `structures.base.Weave`."""

    def __init__(self, input_shape: Shape, outputs: int) -> None:
        self.nodes: list[Node] = []
        self._input_shape = input_shape
        self._outputs = outputs
        self._scope: tuple[str, ...] = ()
        self._named: dict[str, tuple[int, Mark]] = {}  # full name of a node or structure -> its output, its place
        self._counts: dict[str, int] = {}  # scope and type -> how many have been numbered
        self._where = Mark("config", 1, 1)
        self._pieces = 0  # layers and lists of layers so far

    def body(self, layers: Sequence[Declared], x: int, scope: str = "") -> int:
        """Add a list of layers that starts from node x, and return its last node."""
        self._count_piece()
        with self._in(scope):
            for declared in layers:
                x = self._declared(declared, x)
        return x

    def add(self, layer: str, *inputs: int, name: str = "", **fields: Any) -> int:
        """Add one layer by type and fields, reading these nodes, and return it."""
        return self._node(make("layers", layer, **fields), inputs, self._unused_name(name or None, layer))

    def apply(self, part: Part, x: int) -> int:
        """Add one layer or structure the config gave as a part, and return its node."""
        return self._part(part, (x,), TrainedOptions())

    def shape(self, x: int) -> Shape:
        """The output shape of a node."""
        return self._input_shape if x == BATCH else self.nodes[x].shape

    def check_all_used(self) -> None:
        """Raise ConfigError at a layer whose output nothing reads."""
        for node in self.unread():
            self._where = node.where
            raise self._error(f"nothing reads the output of {node.name!r}: name it in a 'from', or remove it")

    def unread(self) -> list[Node]:
        """The nodes but the last whose output nothing reads."""
        used = {source for node in self.nodes for source in node.inputs}
        return [node for index, node in enumerate(self.nodes[:-1]) if index not in used]

    def _declared(self, declared: Declared, x: int) -> int:
        before, self._where = self._where, declared.where
        options = declared.options
        inputs = self._sources(options.from_) if options.from_ is not None else (x,)
        output = self._part(declared.part, inputs, options)
        self._where = before
        return output

    def _part(self, part: Part, inputs: tuple[int, ...], options: Any) -> int:
        name = self._unused_name(options.name, part.name_in_config)
        if isinstance(part, Structure):
            if len(inputs) != 1:
                raise self._error(f"{part.name_in_config} reads one input, got {len(inputs)}")
            with self._in(name), self._located():
                output = part.expand(self, inputs[0])
            self._named[self._full(name)] = (output, self._where)
            return output
        assert isinstance(part, Layer)
        return self._node(part, inputs, name, options)

    def _node(self, layer: Layer, inputs: tuple[int, ...], name: str, options: Any = None) -> int:
        self._count_piece()
        least, most = layer.inputs
        if len(inputs) < least or (most is not None and len(inputs) > most):
            raise self._error(
                f"{layer.name_in_config} reads {_count(least, most)}, got {len(inputs)}; "
                "'from: [name, name]' says which layers an entry reads"
            )
        layer = self._with_outputs(layer)
        shapes = tuple(self.shape(i) for i in inputs)
        with self._located():
            moments = _moments(layer, shapes)
            shapes = tuple(shape[1:] for shape in shapes) if moments else shapes
            shape = layer.output_shape(*shapes)
            params = layer.params(*shapes)
        shape = (moments, *shape) if moments else shape
        full = self._full(name)
        if not isinstance(options, TrainedOptions):
            options = TrainedOptions()
        self.nodes.append(Node(full, layer, inputs, shape, params, options, self._where, moments))
        self._named[full] = (len(self.nodes) - 1, self._where)
        return len(self.nodes) - 1

    def _count_piece(self) -> None:
        self._pieces += 1
        if self._pieces > MAX_PIECES:
            raise self._error(f"the network has over {MAX_PIECES:,} layers and lists of layers: repeat them less often")

    def _with_outputs(self, layer: Layer) -> Layer:
        """The layer with the number of classes in place of every `auto` width."""
        auto = [
            name
            for name, annotation in annotations_of(type(layer)).items()
            if annotation == Classes and getattr(layer, name) == "auto"
        ]
        return dataclasses.replace(layer, **dict.fromkeys(auto, self._outputs)) if auto else layer

    def _sources(self, names: str | tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self._source(name) for name in ([names] if isinstance(names, str) else names))

    def _source(self, name: str) -> int:
        """The node a name in `from` means: one of this scope, one of a scope around it, or one by its full name."""
        if name == INPUT:
            return BATCH
        for depth in range(len(self._scope), -1, -1):
            full = ".".join((*self._scope[:depth], name))
            if full in self._named:
                return self._named[full][0]
        raise self._error(f"'from' names no earlier layer {name!r}{did_you_mean(name, [*self._named, INPUT])}")

    def _unused_name(self, given: str | None, kind: str) -> str:
        if given is None:
            return self._numbered_name(kind)
        if not _NAME.fullmatch(given) or given == INPUT:
            raise self._error(f"the name {given!r} is not allowed: use letters, digits, _ and -, and not {INPUT!r}")
        if self._full(given) in self._named:
            raise self._error(f"the name {given!r} is taken by the layer at {self._named[self._full(given)][1]}")
        return given

    def _numbered_name(self, kind: str) -> str:
        """The type and its ordinal within the scope, "conv2d_2", skipping names given by hand."""
        key = self._full(kind)
        name = ""
        while not name or self._full(name) in self._named:
            self._counts[key] = self._counts.get(key, 0) + 1
            name = f"{kind}_{self._counts[key]}"
        return name

    def _full(self, name: str) -> str:
        return ".".join((*self._scope, name))

    @contextmanager
    def _in(self, scope: str) -> Iterator[None]:
        before = self._scope
        self._scope = (*before, scope) if scope else before
        yield
        self._scope = before

    @contextmanager
    def _located(self) -> Iterator[None]:
        """Give a ValueError of a layer or structure the place of the entry that declared it."""
        try:
            yield
        except ValueError as error:
            raise self._error(str(error)) from error

    def _error(self, message: str) -> ConfigError:
        return ConfigError(Problem(self._where, message, self._chain()))

    def _chain(self) -> tuple[str, ...]:
        """The shapes so far, the last few of them, for the error message."""
        rows = [(INPUT, self._input_shape)] + [(node.name, node.shape) for node in self.nodes]
        width = max(letters.columns(name) for name, _ in rows)
        shown = [f"{letters.left(name, width)}  {format_shape(shape)}" for name, shape in rows]
        if len(shown) > 8:
            shown = [shown[0], f"... {len(shown) - 7} more", *shown[-6:]]
        order = "height x width x channels"
        order = f"moments x {order}" if len(self._input_shape) == CLIP else order
        return (f"shapes so far ({order}):", *("  " + row for row in shown))


def _moments(layer: Layer, shapes: Sequence[Shape]) -> int:
    """How many moments of a clip a layer takes as samples of their own: those of clips that it does not take whole.

    This is all that lets layers of images see clips: their rows are then the moments of all clips of a shard, one after
    the other, under the same weights. Raises ValueError where such inputs are not all clips, or of
    different lengths.
    """
    found = {shape[0] if len(shape) == CLIP else 0 for shape in shapes}
    if layer.whole_clips or found == {0}:
        return 0
    if len(found) > 1:
        listed = " and ".join(map(str, shapes))
        raise ValueError(f"{layer.name_in_config} needs clips of one length, got {listed}")
    return found.pop()


def format_shape(shape: Shape) -> str:
    """A shape for people: "28x28x1", or "500" for features."""
    return "x".join(map(str, shape))


def _count(least: int, most: int | None) -> str:
    if most is None:
        return f"{least} inputs or more"
    if least == most:
        return f"{least} input{'s' if least > 1 else ''}"
    return f"{least} to {most} inputs"


def node_of(entry: LayoutEntry) -> str:
    """The name of the node a parameter belongs to."""
    return entry.name.rpartition(".")[0]

"""A trained network as a trace: its layers in evaluation, each traced by itself, and its preprocessing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cnntrain.config.dump import plain
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.errors import UsageError
from cnntrain.network.folding import absorbed, taken_over
from cnntrain.network.graph import BATCH, Graph
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.transforms.base import CLIP, Transform
from cnntrain.reading.pictures import FRAME, Fit
from cnntrain.trained.inference import Trained

_FITS: dict[Fit, str] = {
    "stretch": "proportions not kept",
    "letterbox": f"proportions kept: the whole picture in the middle, between bars of grey ({FRAME} of 255)",
    "cover": "proportions kept: the picture fills the size, and what sticks out on two sides is cut off",
}


INPUT = "images"  # what the input of every export is called


@dataclass(frozen=True)
class Duties:
    """What the caller of an exported network has to do before and after it, as `predict` does.

    picture   (height, width, channels) that pictures are brought to before any transform; () for other samples
    answers   what turns outputs into what `predict` shows: "softmax", "sigmoid", or "nothing"
    fit       how a picture of other proportions is brought to that size
    after     what else is left to do with outputs, in words; "" where nothing is
    sounds    how recordings become samples, in words; "" for other samples
    """

    picture: Shape
    answers: str
    fit: Fit = "stretch"
    after: str = ""
    sounds: str = ""

    def facts(self) -> dict[str, Any]:
        """The duties as part of the export's document, for people and programs."""
        found: dict[str, Any] = {"answers": self.answers} | ({"after": self.after} if self.after else {})
        if self.picture:
            height, width, channels = self.picture
            found["resize"] = f"to {height}x{width}, bilinear, antialiased (Pillow's BILINEAR), {_FITS[self.fit]}"
            found["colours"] = "red, green, blue" if channels == 3 else "grey (ITU-R 601 luma)"
        return found | ({"sounds": self.sounds} if self.sounds else {})


def duties_of(trained: Trained) -> Duties:
    """The duties of a trained network's caller."""
    shape = trained.network.image_shape
    bright = trained.scale is None or trained.scale.unit  # whether it takes pixels in [0, 1], as pictures have
    if len(shape) != 3 or shape[2] not in (1, 3) or not trained.unseen.takes_pictures or not bright:
        shape = ()
    asked = trained.network.task
    source = cast(Dataset, trained.loaded.experiment.data.source)
    averaged = f"the mean of the outputs over the {trained.views} views of each sample comes first"
    after = "; ".join(filter(None, [averaged * (trained.views > 1), asked.remains]))
    return Duties(shape, asked.shares or "nothing", trained.unseen.fit, after, source.origins()[0].prepared())


def port(name: str, shape: Shape, channels_first: bool) -> dict[str, Any]:
    """An input or output of a network as its caller sees it: the name, shape, layout and type of a batch.

    `shape` is that of one sample within cnntrain, (height, width, channels) for images.
    """
    layout = {1: "NC", 3: "NCHW" if channels_first else "NHWC"}.get(len(shape))
    if len(shape) == 3 and channels_first:
        shape = (shape[2], *shape[:2])
    return {"name": name, "shape": ["n", *shape], "layout": layout, "dtype": "float32"}


@dataclass(frozen=True)
class Exported:
    """A network that is ready to be written in some format.

    before   evaluation transforms that the user of the export has to apply first, as configs write them: those up to
             the last one that does not say its operations; the rest is in the trace
    pixels   the values that it takes, in words
    names    what its outputs are called, in their order, where the data names values or labels; else empty
    """

    name: str
    path: Path
    step: int
    trace: Trace
    input: Value
    output: Value
    classes: tuple[str, ...]
    before: tuple[dict[str, Any], ...]
    duties: Duties | None = None
    pixels: str = "pixels as in training"
    names: tuple[str, ...] = ()

    def facts(self, channels_first: bool = False) -> dict[str, Any]:
        """What every format says about it; `channels_first` where its images are (n, channels, height, width)."""
        return {
            "name": self.name,
            "checkpoint": str(self.path),
            "step": self.step,
            "input": port(self.input.name, self.input.shape, channels_first),
            "output": port(self.output.name, self.output.shape, channels_first),
            "outputs": self.output.shape[-1] if self.output.shape else 1,
            "classes": list(self.classes),
            **({"names": list(self.names)} if self.names else {}),
            "pixels": self.pixels,
            "before": list(self.before),
            **(self.duties.facts() if self.duties else {}),
            "parameters": sum(array.size for array in self.trace.constants.values()),
        }


def traced(trained: Trained, fold: bool = False, whole: bool = False) -> Exported:
    """A trained network as operations; with `fold`, batch norms are folded into the layers before them.

    With `whole`, everything that evaluation does to a picture is included, and nothing is left to the user. Raises
    UsageError for a layer or a transform that cannot be exported.
    """
    graph = trained.network.graph
    params = [trained.engine.node_params(index) for index in range(len(graph.nodes))]
    before, within = ((), trained.transforms) if whole else split(trained.transforms)
    shape = trained.description.shape
    for transform in before:
        shape = transform.shape_after(shape)
    trace, images = Trace(), Value(INPUT, shape)
    output = trace_graph(trace, graph, params, trace_transforms(trace, images, within), fold)
    name, classes = trained.loaded.experiment.name, trained.network.classes
    words = trained.pixels, trained.description.columns
    owed = tuple(map(plain, before))
    return Exported(name, trained.path, trained.step, trace, images, output, classes, owed, duties_of(trained), *words)


def of_node(name: str) -> str:
    """What a trace calls a node of a graph: by its own name, unless the input has that."""
    return f"layers/{name}" if name == INPUT else name


def of_transform(transform: Transform, number: int) -> str:
    """What a trace calls the transform of this number, from 1, such as "transforms/scale_1"; no node is called so."""
    return f"transforms/{transform.name_in_config}_{number}"


def shown(name: str) -> str:
    """The name of a node or transform for people, of what a trace calls it."""
    return name.rpartition("/")[2]


def trace_transforms(trace: Trace, images: Value, transforms: Sequence[Transform]) -> Value:
    """Add evaluation transforms to a trace; returns what the network is given."""
    for number, transform in enumerate(transforms, 1):
        name = of_transform(transform, number)
        of = f"{shown(name)} ({transform.name_in_config}, among data.eval_transforms)"
        trace.begin(name, of)
        try:
            images = trace.end(_traced(trace, transform, images))
        except NotImplementedError as error:
            raise UsageError(
                f"{of} cannot be exported: the transform does not say which operations it consists of. Give its class "
                "a method 'trace', as in cnntrain/parts/transforms/scale.py; --format numpy leaves it to the "
                "user of the file"
            ) from error
    return images


def _traced(trace: Trace, transform: Transform, x: Value) -> Value:
    """A transform of images sees every moment of a clip as one."""
    if len(x.shape) != CLIP or transform.whole_clips:
        return transform.trace(trace, x)
    return trace.clip(transform.trace(trace, trace.moments(x)), x.shape[0])


def trace_graph(
    trace: Trace, graph: Graph, params: Sequence[Mapping[str, Array]], images: Value, fold: bool = False
) -> Value:
    """Add the nodes of a graph to a trace; `params` are in the order of the nodes. Returns the output."""
    pairs = absorbed(graph) if fold else {}
    changed = {
        source: taken_over(params[source], graph.nodes[index].layer.evaluated(params[index]))
        for index, source in pairs.items()
    }
    values = _Values(trace, images)
    for index, node in enumerate(graph.nodes):
        of = f"{node.name} ({node.layer.name_in_config}, {node.where})"
        trace.begin(of_node(node.name), of)
        inputs = [values.read(source, node.moments) for source in node.inputs]
        if index in pairs:
            values.write(index, node.moments, inputs[0])
            continue
        given = changed.get(index, params[index])
        try:
            result = node.layer.trace(trace, given, *inputs)
            named = result if result in inputs else trace.end(result)  # others may read what is handed through
            values.write(index, node.moments, named)
        except NotImplementedError as error:
            raise UsageError(
                f"{of} cannot be exported: the layer does not say which operations it consists of. Give its class a "
                "method 'trace', as in cnntrain/parts/layers/dense.py; --format safetensors needs none"
            ) from error
    return values.read(len(graph.nodes) - 1, 0)


class _Values:
    """The nodes' outputs: whole clips, or their moments as samples; each form is made from the other on demand."""

    def __init__(self, trace: Trace, images: Value) -> None:
        self._trace = trace
        self._found = {(BATCH, 0): images}  # (node, moments if they are samples, or 0) -> value

    def read(self, source: int, moments: int) -> Value:
        """A node's output, with this many moments as samples, or 0 for whole clips."""
        if (source, moments) not in self._found:
            if moments:
                self._found[source, moments] = self._trace.moments(self._found[source, 0])
            else:
                (held,) = [count for node, count in self._found if node == source]
                self._found[source, 0] = self._trace.clip(self._found[source, held], held)
        return self._found[source, moments]

    def write(self, node: int, moments: int, value: Value) -> None:
        """Keep a node's output."""
        self._found[node, moments] = value


def split(transforms: Sequence[Transform]) -> tuple[Sequence[Transform], Sequence[Transform]]:
    """The transforms that are left to the user, and those after the last of them, all of which can be traced."""
    last = len(transforms)
    while last and _is_traced(transforms[last - 1]):
        last -= 1
    return transforms[:last], transforms[last:]


def _is_traced(transform: Transform) -> bool:
    return type(transform).trace is not Transform.trace and not transform.random

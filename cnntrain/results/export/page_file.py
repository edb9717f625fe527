"""The page format: one HTML file for trying a network in a browser; it is opened from disk and loads nothing.

The computing is done by an interpreter of traces in JavaScript, the files in `page/`: 48 kB that can be read. ONNX
Runtime for browsers would add 10 MB or more of WebAssembly, to be unpacked without a server; it keeps no values
between layers that could be shown, and it sums in float32 where the interpreter sums in double precision.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
import PIL

from cnntrain import __version__
from cnntrain.core.errors import UsageError
from cnntrain.ops.trace import ArrayConstant, Operand, Operation, Trace, Value, lacks
from cnntrain.parts.transforms.normalize import Normalize
from cnntrain.results.export.network import Exported, of_node, of_transform, shown
from cnntrain.results.report.html import Markup, element, section
from cnntrain.results.report.page import document
from cnntrain.trained.inference import Trained

MODULES = (
    "operations",
    "network",
    "pillow",
    "answers",
    "field",
    "sheet",
    "layers",
    "picture",
    "page",
)  # each after those it imports
ONE = (  # operations of one value, by name
    *("exp", "log", "tanh", "sqrt", "abs", "erf", "neg", "sigmoid", "sin", "cos", "tan", "sinh", "cosh"),
    *("arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "asin", "acos", "atan", "asinh", "acosh", "atanh"),
    *("floor", "ceil", "trunc", "rint", "sign", "cbrt", "square", "reciprocal", "exp2", "expm1", "log1p", "log2"),
    *("log10", "absolute", "fabs", "negative", "positive", "degrees", "rad2deg", "radians", "deg2rad"),
)
TWO = ("add", "sub", "mul", "div", "pow", "max", "min", "maximum", "minimum", "hypot", "arctan2")
STRUCTURED = (  # those that have numbers beside their operands, or shapes of their own
    *("mean", "sum", "amax", "conv", "conv_transpose", "max_pool", "sum_pool", "matmul", "along"),
    *("pad", "slice", "concat", "reshape", "transpose"),
)
OF_IMAGES = ("conv", "conv_transpose", "max_pool", "sum_pool", "pad", "slice", "concat")  # over at most three axes
PILLOW = int(PIL.__version__.partition(".")[0])  # whose order of passes the page follows, as `predict` does here
_POLICY = "default-src 'none'; img-src data: blob:; media-src blob: mediastream:; style-src 'unsafe-inline'; script-src"
_MIDDLE = 0.5  # a mean brightness above it means dark on light


def html(trained: Trained, exported: Exported, answers: dict[str, Any]) -> str:
    """The file, for a trace that holds the whole way from a picture to the outputs, and for what `asked` says.

    Raises UsageError for a layer with an operation that the page lacks.
    """
    facts = {
        "trace": program(exported),
        "asked": answers,
        "layers": _layers(trained, exported),
        "fit": trained.unseen.fit,
        "pillow": PILLOW,
        "moved": _moved(trained),
        "light": _is_light(trained),
    }
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    data = Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
    weights = base64.b64encode(constants(exported.trace)).decode()
    code = script()
    policy = f"{_POLICY} 'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
    averaged = ", averaged weights" * trained.averaged
    return document(
        exported.name,
        f"{exported.path}, step {exported.step:,}{averaged}",
        *_body(exported),
        Markup(f'<script type="application/json" id="facts">{data}</script>'),
        Markup(f'<script type="application/octet-stream" id="weights">{weights}</script>'),
        Markup(f'<script type="module">{code}</script>'),
        footer=f"cnntrain {__version__}. Everything is computed on this page; no picture leaves it.",
        style=_file("page.css"),
        policy=policy,
    )


def script(modules: Sequence[str] = MODULES) -> str:
    """Modules as one, each after those it imports: a file opened from disk may not import others."""
    found = []
    for name in modules:
        text = re.sub(r"^import .*\n", "", _file(f"{name}.js"), flags=re.MULTILINE)
        text = re.sub(r"^export ", "", text, flags=re.MULTILINE)
        found.append(f"const {name}$ = (() => {{\n{text}return {{{', '.join(_exports(name))}}};\n}})();")
        found += [f"const {{{', '.join(_exports(name))}}} = {name}$;"] if _exports(name) else []
    return "\n".join(found)


def _exports(name: str) -> list[str]:
    return re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", _file(f"{name}.js"), re.MULTILINE)


def _file(name: str) -> str:
    return (resources.files("cnntrain.results.export") / "page" / name).read_text("utf-8")


def program(exported: Exported) -> dict[str, Any]:
    """The trace as the interpreter takes it (page/network.js). Raises UsageError for an operation that it lacks."""
    trace = exported.trace
    values = {exported.input.name: 0} | {op.out.name: number for number, op in enumerate(trace.operations, 1)}
    places = {name: number for number, name in enumerate(trace.constants)}
    return {
        "input": list(exported.input.shape),
        "constants": [list(array.shape) for array in trace.constants.values()],
        "steps": [_step(op, values, places) for op in trace.operations],
        "output": values[exported.output.name],
    }


def constants(trace: Trace) -> bytes:
    """All constants one after the other, float32, lowest byte first."""
    return b"".join(np.ascontiguousarray(array, "<f4").tobytes() for array in trace.constants.values())


def _size(value: Value) -> int:
    return math.prod(value.shape)


def _step(op: Operation, values: dict[str, int], places: dict[str, int]) -> dict[str, Any]:
    counts = {1: ONE, 2: TWO}.get(len(op.operands), ())
    if op.kind not in STRUCTURED and (op.kind not in counts or op.numbers):
        raise lacks(op, "page")
    if op.kind in OF_IMAGES and any(isinstance(given, Value) and len(given.shape) > 3 for given in op.operands):
        raise lacks(op, "page", " of clips")
    if op.kind == "reshape" and isinstance(given := op.operands[0], Value) and _size(given) != _size(op.out):
        raise lacks(op, "page", " of clips")  # the page would take their moments for samples

    def operand(given: Operand) -> Any:
        if isinstance(given, Value):
            return ["value", values[given.name]]
        return ["constant", places[given.name]] if isinstance(given, ArrayConstant) else given

    return {
        "kind": op.kind,
        "operands": [operand(given) for given in op.operands],
        "shape": list(op.out.shape),
        "numbers": dict(op.numbers),
    }


def asked(trained: Trained) -> dict[str, Any]:
    """What the task says of its answers. Raises UsageError where a page cannot show them or read such samples."""
    task = trained.network.task
    asked = task.page(trained.description)
    if asked is None:
        raise UsageError(
            f"--format page cannot show the answers of the task {task.name_in_config}. Choose another --format"
        )
    shape = trained.description.shape
    bright = trained.scale is None or trained.scale.unit
    if not (trained.unseen.takes_pictures and bright and len(shape) == 3 and shape[2] in (1, 3)):
        raise UsageError(
            "--format page is for networks that take pictures of 1 or 3 channels as `predict` reads them from files; "
            f"{trained.path} was trained on other samples. Choose another --format"
        )
    return asked


def _layers(trained: Trained, exported: Exported) -> list[dict[str, Any]]:
    """What there is to look at: the result of each layer, and which steps it took."""
    kinds = {of_node(node.name): node.layer.name_in_config for node in trained.network.graph.nodes}
    kinds |= {of_transform(t, i): t.name_in_config for i, t in enumerate(trained.transforms, 1)}
    found, steps = [], list[int]()
    for number, op in enumerate(exported.trace.operations):
        steps.append(number)
        if op.out.name in exported.trace.results:
            name = op.out.name
            found.append({"name": shown(name), "type": kinds.get(name, ""), "value": number + 1, "steps": steps})
            steps = []
    return found


def _moved(trained: Trained) -> dict[str, float]:
    """Where the transforms move the content of a picture of the network's size: scales and offsets."""
    height, width, _ = trained.description.shape
    (across, x), (down, y) = ((row[axis], row[2]) for axis, row in enumerate(trained.led((height, width)).maps[0]))
    return {"right": float(across), "left": float(x), "down": float(down), "top": float(y)}


def _is_light(trained: Trained) -> bool:
    """Whether drawings are dark on light, as training pictures are on average, if normalization has measured that."""
    means = [t.mean for t in trained.transforms if isinstance(t, Normalize) and t.mean is not None]
    return bool(means) and float(np.mean(means[0])) > _MIDDLE


def _body(exported: Exported) -> list[Markup]:
    grey = exported.input.shape[2] == 1
    ways = "Draw with a finger, a pen or the mouse; or drop a picture here, or paste one." if grey else (
        "Drop a picture here, or paste one."
    )  # fmt: skip
    clear = [element("button", "Clear", id="clear", type="button")] if grey else []
    paper = Markup('<label class="check"><input type="checkbox" id="paper">dark on light</label>') if grey else ""
    opener = Markup('<label class="file">Open a picture<input type="file" id="file" accept="image/*"></label>')
    tools = element(
        "div", *clear, opener, element("button", "Camera", id="camera", type="button"), paper, class_="tools"
    )
    hint = "draw here" if grey else "drop a picture here"
    small = " sharp" if max(exported.input.shape[:2]) <= 64 else ""
    picture = element(
        "div", element("canvas", id="picture"), element("canvas", id="over"), class_=f"paper{small}", data_hint=hint
    )
    entry = section("Picture", picture, tools, Markup('<p id="told" role="status"></p>'), note=ways)
    answers = Markup('<ul id="answers" aria-live="polite"></ul><p class="note" id="time"></p>')
    note = (
        "What each layer makes of the picture, with a small map for each filter: red is above zero, blue below it. "
        "Point at one to see it larger, with its weights and the part of the picture that it responds to most."
    )
    detail = Markup(
        '<aside id="detail" class="scrolls" hidden><b></b><button type="button">Close</button><div></div></aside>'
    )
    return [
        element("div", entry, section("Answer", answers), class_="stage draw" if grey else "stage"),
        section("Layer by layer", element("div", id="layers"), note=note),
        detail,
    ]

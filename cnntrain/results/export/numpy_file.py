"""The NumPy format: a Python file that reads like the network, and its weights as .npz beside it.

They need nothing but NumPy, not even cnntrain: what a layer computes is written out line by line.
"""

from __future__ import annotations

import collections
import io
import json
import keyword
import re
import textwrap
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cnntrain import __version__
from cnntrain.core.errors import printable
from cnntrain.ops.trace import ArrayConstant, Operand, Operation, Trace, Value, lacks
from cnntrain.reading.pictures import FORMATS, FRAME
from cnntrain.results.export.network import Exported

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "matmul": "@"}
_CALLS = {"max": "np.maximum", "min": "np.minimum", "abs": "np.abs", "neg": "np.negative", "sqrt": "np.sqrt"} | {
    name: f"np.{name}" for name in ("exp", "log", "tanh")
}
_CALLS |= {"sigmoid": "sigmoid", "erf": "erf"}
_DEFAULTS = {"padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}  # of the helpers
_REDUCES = {"mean": "mean", "sum": "sum", "amax": "max"}

_HELPERS = {
    "sigmoid": '''\
def sigmoid(x):
    """1 / (1 + exp(-x)); where exp overflows the result is 0, its limit."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))
''',
    "erf": '''\
def erf(x):
    """The error function, which NumPy lacks."""
    return np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype)
''',
    "windows": '''\
def windows(x, kernel, stride, padding, dilation=(1, 1), fill=0):
    """Every window of images (n, h, w, c), as (n, rows, columns, c, kernel height, kernel width); clips likewise."""
    x = np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=fill)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    found = np.lib.stride_tricks.sliding_window_view(x, reach, axis=tuple(range(1, x.ndim - 1)))
    every = [tuple(slice(None, None, step) for step in steps) for steps in (stride, dilation)]
    return found[(slice(None), *every[0], slice(None), *every[1])]
''',
    "conv": '''\
def conv(x, weight, bias, stride, padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """Cross-correlation; weight is (kernel height, kernel width, channels / groups, filters), for clips time first."""
    axes = x.ndim - 2
    found = windows(x, weight.shape[:axes], stride, padding, dilation)
    channels = np.split(found, groups, axis=axes + 1)
    filters = np.split(weight, groups, axis=axes + 1)
    summed = (range(axes + 1, 2 * axes + 2), (axes, *range(axes)))
    parts = [np.tensordot(c, f, summed) for c, f in zip(channels, filters)]
    y = np.concatenate(parts, axis=-1)
    return y if bias is None else y + bias
''',
    "conv_transpose": '''\
def conv_transpose(x, weight, bias, stride, size, padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """The adjoint of conv: every pixel of x adds its filters to the output, `stride` apart, less the padding."""
    (top, bottom), (left, right) = padding
    y = np.zeros((len(x), size[0] + top + bottom, size[1] + left + right, weight.shape[2] * groups), x.dtype)
    pixels, filters = np.split(x, groups, axis=3), np.split(weight, groups, axis=3)
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            rows = slice(i * dilation[0], i * dilation[0] + (x.shape[1] - 1) * stride[0] + 1, stride[0])
            columns = slice(j * dilation[1], j * dilation[1] + (x.shape[2] - 1) * stride[1] + 1, stride[1])
            y[:, rows, columns] += np.concatenate([p @ f[i, j].T for p, f in zip(pixels, filters)], axis=-1)
    y = y[:, top : top + size[0], left : left + size[1]]
    return y if bias is None else y + bias
''',
    "max_pool": '''\
def max_pool(x, kernel, stride, padding=((0, 0), (0, 0))):
    """The largest of each window."""
    return windows(x, kernel, stride, padding, fill=-np.inf).max(axis=(4, 5))
''',
    "sum_pool": '''\
def sum_pool(x, kernel, stride, padding=((0, 0), (0, 0))):
    """The sum of each window."""
    return windows(x, kernel, stride, padding).sum(axis=(4, 5))
''',
    "along": '''\
def along(x, matrix, axis):
    """A matrix times the values along an axis."""
    return np.moveaxis(np.tensordot(x, matrix, (axis, 1)), -1, axis)
''',
}
_LOAD = '''\
def load(*paths):
    """Pictures as forward takes them, before the transforms named above: (n, {height}, {width}, {channels}) in [0, 1].

    Turned as EXIF says, laid over white where they are transparent, {how}. Needs Pillow. Raises
    ValueError for a picture that is not in 8 or 16 bits, or floats in [0, 1].
    """
    from PIL import Image, ImageOps

    images = []
    for path in paths:
        with Image.open(path, formats={formats}) as file:
            tags = file.tag_v2 if file.format == "TIFF" else {{}}
            image = ImageOps.exif_transpose(file)
        if image.mode == "F" or image.mode.startswith("I"):
            values, white = np.asarray(image), 1 if image.mode == "F" else 65535
            if not (values.min() >= 0 and values.max() <= white) or tags.get(262) == 0 or tags.get(258) == (12,):
                raise ValueError(f"{{path}}: such pixels ({{image.mode}}) are not read here. Save it in 8 bits")
            grey = values * 255 + 0.5 if white == 1 else (values.astype(np.uint32) + 128) // 257
            grey[values == int(image.info.get("transparency", -1))] = 255
            image = Image.fromarray(grey.astype(np.uint8))
        elif image.mode == "LAB":
            raise ValueError(f"{{path}}: L*a*b* is not read here. Save it in red, green and blue")
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("{mode}")
{fitted}\
        images.append(np.asarray(image, np.float32).reshape({height}, {width}, {channels}) / 255)
    return np.stack(images)
'''
_FITTED = {  # how a picture is brought to the size, in words and as `fitted` in cnntrain/reading/pictures.py does it
    "stretch": (
        "resized, proportions not kept",
        """\
        image = image.resize(({width}, {height}), Image.Resampling.BILINEAR)
""",
    ),
    "letterbox": (
        "resized in their proportions, within a grey frame",
        """\
        scale = min({width} / image.width, {height} / image.height)
        size = [min(max(round(side * scale), 1), most) for side, most in zip(image.size, ({width}, {height}))]
        resized = image.resize(size, Image.Resampling.BILINEAR)
        image = Image.new("{mode}", ({width}, {height}), "{grey}")
        image.paste(resized, (({width} - size[0]) // 2, ({height} - size[1]) // 2))
""",
    ),
    "cover": (
        "resized in their proportions, what is beyond the size cut off evenly",
        """\
        scale = max({width} / image.width, {height} / image.height)
        wide, tall = min({width} / scale, image.width), min({height} / scale, image.height)
        left, top = (image.width - wide) / 2, (image.height - tall) / 2
        box = (left, top, left + wide, top + tall)
        image = image.resize(({width}, {height}), Image.Resampling.BILINEAR, box)
""",
    ),
}
_ANSWERS = {
    "softmax": '''\
def answers(outputs):
    """The probability of each class: the softmax of the outputs."""
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
''',
    "sigmoid": '''\
def answers(outputs):
    """The probability of each yes: the sigmoid of the outputs."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-outputs))
''',
}
_USED = {  # what to do with the outputs
    "softmax": (
        "    shares = {module}.answers(outputs)  # probabilities of the classes",
        "    names = [{module}.CLASSES[i] for i in outputs.argmax(axis=1)]",
    ),
    "softmax of pixels": (
        "    shares = {module}.answers(outputs)  # probabilities of the classes, at every pixel",
        "    masks = outputs.argmax(axis=-1)  # the index of every pixel's class in {module}.CLASSES",
    ),
    "sigmoid": ("    shares = {module}.answers(outputs)  # probabilities, each by itself",),
}
_USES = {"conv": ["windows"], "max_pool": ["windows"], "sum_pool": ["windows"]}


def weights(exported: Exported) -> bytes:
    """The .npz: every constant by its name, the same bytes for the same network."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in exported.trace.constants.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()


def source(exported: Exported, path: Path) -> str:
    """The text of the Python file at `path`, whose weights lie beside it.

    Raises UsageError for a layer with an operation that neither NumPy nor the file's own helpers have.
    """
    trace = exported.trace
    names = _names(trace, exported.input)
    loads = _loads(exported)
    lines = _statements(trace, names)
    kinds = {op.kind for op in trace.operations}
    wanted = {*kinds, *(helper for kind in kinds for helper in _USES.get(kind, ()))} & set(_HELPERS)
    helpers = "\n\n".join([*_callers(exported), *(text for name, text in _HELPERS.items() if name in wanted)])
    shape = ", ".join(map(str, exported.input.shape))
    first = [f"Before: {json.dumps(item)}, as in evaluation." for item in exported.before]
    document = _docstring(
        [
            f"{exported.name}, exported by cnntrain {__version__} from {exported.path}, step {exported.step}.",
            "",
            f"It needs NumPy, and {path.with_suffix('.npz').name} beside it.",
            "",
            f"    import {path.stem}",
            *([f'    images = {path.stem}.load("a.png", "b.jpg")  # which needs Pillow'] if loads else []),
            f"    outputs = {path.stem}.forward(images)  # (n, {shape}), float32, {exported.pixels}",
            *_use_of_outputs(exported, path.stem),
            *_duties(exported),
            *(["", *first] if first else []),
        ]
    )
    imports = ["import math"] * ("erf" in kinds) + ["from pathlib import Path", "", "import numpy as np"]
    result = names[exported.output.name]
    body = "\n".join(f"    {line}" for line in lines)
    outputs = ", ".join(map(str, exported.output.shape))
    meaning = f'"""The outputs (n, {outputs}) of images (n, {shape})."""'
    forward = f"def forward(images):\n    {meaning}\n{body}\n    return {result}\n"
    classes = f"CLASSES = {list(exported.classes)!r}" + f"\nNAMES = {list(exported.names)!r}" * bool(exported.names)
    load = 'with np.load(Path(__file__).with_suffix(".npz"), allow_pickle=False) as _file:\n    WEIGHTS = dict(_file)'
    return "\n".join([document, "", *imports, "", classes, load, "", "", forward, *(["", helpers] if helpers else [])])


def _docstring(lines: Sequence[str]) -> str:
    """Lines as a docstring, whatever the names of files in them."""
    text = "\n".join(map(printable, lines)).replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{text}\n"""'


def _use_of_outputs(exported: Exported, module: str) -> list[str]:
    """Lines of the module's docstring that say what to do with outputs."""
    answers = exported.duties.answers if exported.duties else "nothing"
    if len(exported.output.shape) == 3:
        answers += " of pixels"
    told = [line.format(module=module) for line in _USED.get(answers, ())]
    values = "shares" if told else "outputs"
    return told + [f"    named = dict(zip({module}.NAMES, {values}[0]))  # of the first one"] * bool(exported.names)


def _duties(exported: Exported) -> list[str]:
    """Lines of the module's docstring that say how pictures become images."""
    facts = exported.duties.facts() if exported.duties else {}
    told = []
    if "resize" in facts:
        told.append(
            f"Pictures{', as load reads them' * _loads(exported)}: {facts['colours']}; resized {facts['resize']}."
        )
    if "sounds" in facts:
        told.append(f"Sounds: {facts['sounds']}.")
    if "after" in facts:
        told.append(f"After: {facts['after']}.")
    return [line for text in told for line in ["", *textwrap.wrap(text, 116)]]


def _loads(exported: Exported) -> bool:
    """Whether the module reads picture files: it does where it takes pictures."""
    return exported.duties is not None and bool(exported.duties.picture)


def _callers(exported: Exported) -> list[str]:
    """The caller's duties as functions: reading pictures, and turning outputs into answers."""
    duties, found = exported.duties, []
    if duties is not None and _loads(exported):
        height, width, channels = duties.picture
        mode = "RGB" if channels == 3 else "L"
        how, lines = _FITTED[duties.fit]
        fitted = lines.format(height=height, width=width, mode=mode, grey="#" + f"{FRAME:02x}" * 3)
        sizes = {"height": height, "width": width, "channels": channels}
        found.append(_LOAD.format(**sizes, mode=mode, how=how, fitted=fitted, formats=FORMATS))
    if duties is not None and duties.answers in _ANSWERS:
        found.append(_ANSWERS[duties.answers])
    return found


def _names(trace: Trace, start: Value) -> dict[str, str]:
    """A Python name for every value: its node's, as far as Python allows."""
    names = {start.name: "images"}
    taken = {"images", "np", "math", "Path", "WEIGHTS", "CLASSES", "NAMES", "forward", "load", "answers", *_HELPERS}
    for op in trace.operations:
        name = re.sub(r"\W", "_", op.out.name, flags=re.ASCII)
        name = f"_{name}" if name[0].isdigit() else name
        while name in taken or keyword.iskeyword(name):
            name += "_"
        taken.add(name)
        names[op.out.name] = name
    return names


def _statements(trace: Trace, names: dict[str, str]) -> list[str]:
    """A line for every value; an intermediate value that is read once is written inline."""
    read = collections.Counter(
        value.name for op in trace.operations for value in op.operands if isinstance(value, Value)
    )
    lines = []
    for op in trace.operations:
        name, expression = op.out.name, _expression(op, names)
        if name not in trace.results and read[name] == 1:
            names[name] = f"({expression})" if op.kind in _INFIX else expression
        else:
            lines.append(f"{names[name]} = {expression}")
    return lines


def _operand(operand: Operand, names: Mapping[str, str]) -> str:
    if isinstance(operand, Value):
        return names[operand.name]
    return f"WEIGHTS[{operand.name!r}]" if isinstance(operand, ArrayConstant) else repr(operand)


def _expression(op: Operation, names: Mapping[str, str]) -> str:
    """An operation as Python writes it."""
    given = [_operand(operand, names) for operand in op.operands]
    numbers = op.numbers
    if op.kind in _INFIX:
        return f"{given[0]} {_INFIX[op.kind]} {given[1] if given[1][0] != '-' else f'({given[1]})'}"
    if op.kind in _CALLS:
        return f"{_CALLS[op.kind]}({', '.join(given)})"
    if op.kind in _REDUCES:
        axes = tuple(axis + 1 for axis in numbers["axes"])
        return f"{given[0]}.{_REDUCES[op.kind]}(axis={axes}, keepdims=True)"
    if op.kind == "reshape":
        return f"{given[0]}.reshape({', '.join(map(str, (-1, *op.out.shape)))})"
    if op.kind == "transpose":
        return f"{given[0]}.transpose({', '.join(map(str, (0, *(axis + 1 for axis in numbers['order']))))})"
    if op.kind == "concat":
        return f"np.concatenate([{', '.join(given)}], axis={numbers['axis'] + 1})"
    if op.kind == "slice":
        parts = ", ".join(f"{start}:{stop}:{step}" for start, stop, step in numbers["parts"])
        return f"{given[0]}[:, {parts}]"
    if op.kind == "pad":
        return f"np.pad({given[0]}, {((0, 0), *numbers['sides'])})"
    if op.kind == "along":
        return f"along({', '.join(given)}, axis={numbers['axis'] + 1})"
    if _is_function(op):
        return f"np.{op.kind}({', '.join(given)})"
    if op.kind not in _HELPERS:
        raise lacks(op, "numpy")
    further = {key: value for key, value in numbers.items() if value != _DEFAULTS.get(key)}
    further |= {"size": op.out.shape[:2]} if op.kind == "conv_transpose" else {}
    return f"{op.kind}({', '.join([*given, *(f'{key}={value}' for key, value in further.items())])})"


def _is_function(op: Operation) -> bool:
    """Whether an operation is an element-wise function of NumPy's, under NumPy's name and with as many operands."""
    function = getattr(np, op.kind, None)
    if not isinstance(function, np.ufunc) or function.signature or op.numbers:  # matmul and its like have a signature
        return False
    return (function.nin, function.nout) == (len(op.operands), 1)

"""Networks of torchvision and timm whose weights we read, and weights for them that both sides can make by name."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnntrain.config.load import Loaded, load_text
from cnntrain.core.arrays import Array
from cnntrain.core.description import Description
from cnntrain.network import build, counterparts, torch_layout
from cnntrain.network.build import Network

FILE = Path(__file__).parent.parent / "golden" / "counterparts.json"
_VGG = "{{type: {}, grid: 7, hidden: [4096, 4096]}}"
PRESETS = {  # "library theirs" -> what it is here
    **{
        f"{library} {name}": name
        for library in ("torchvision", "timm")
        for name in ("resnet18", "resnet34", "resnet50")
    },
    "torchvision mobilenet_v2": "mobilenet_v2",
    "timm mobilenetv2_100": "mobilenet_v2",
    "torchvision squeezenet1_1": "squeezenet",
    "timm convnext_femto": "convnext_femto",
    "timm mobilenetv1_100": "{type: mobilenet_v1, activation: relu6}",
    "timm resnetv2_18": "{type: preact_resnet18, stem: imagenet}",
    **{
        f"{library} {name}_bn": _VGG.format(name)
        for library in ("torchvision", "timm")
        for name in ("vgg11", "vgg13", "vgg16", "vgg19")
    },
}
SIDES = {  # those whose outputs are compared, on pictures of so many pixels
    "torchvision resnet18": 32,
    "torchvision resnet34": 32,
    "torchvision resnet50": 32,
    "torchvision mobilenet_v2": 32,
    "timm mobilenetv2_100": 32,
    "torchvision squeezenet1_1": 64,
    "timm convnext_femto": 32,
    "timm mobilenetv1_100": 32,
    "timm resnetv2_18": 32,
    "timm resnet34": 32,
    "torchvision vgg11_bn": 32,
    "timm vgg11_bn": 32,
}
LARGE = "vgg"  # in the names of networks of 0.5 GB of weights
CLASSES = 10


def pictures(side: int) -> Array:
    """Two pictures as a network reads them: float32 (2, side, side, 3)."""
    return np.random.default_rng(side).normal(size=(2, side, side, 3)).astype(np.float32)


def tensor(name: str, shape: tuple[int, ...]) -> Array:
    """The weights of a name: what either side makes for itself."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    own = name.rpartition(".")[2]
    if own == "running_var" or (own == "weight" and len(shape) == 1):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    deviation = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.5 if own == "gamma" else 0.1
    return (rng.standard_normal(shape, np.float32) * np.float32(deviation)).astype(np.float32)


def digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Of all names and shapes."""
    lines = (f"{name} {list(shape)}" for name, shape in sorted(shapes.items()))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def network(preset: str, side: int, start: str = "") -> tuple[Loaded, Network]:
    text = f"data: {{source: {{type: image_folder, root: x, size: {side}}}}}\ntrain: {{epochs: 1}}\n"
    loaded = load_text(f"{text}model: {{preset: {preset}{start}}}\n", "x.yaml")
    return loaded, build.network(loaded, Description((side, side, 3), tuple(map(str, range(CLASSES)))))


def shapes(case: str, side: int) -> dict[str, tuple[int, ...]]:
    """What we take the tensors of a network to be called there, with their shapes."""
    loaded, made = network(PRESETS[case], side)
    layout = torch_layout._Layout(made.graph, counterparts.of(loaded)[case.split()[0]])
    views = made.graph.layout.views(np.broadcast_to(np.float32(0), made.graph.layout.size))
    return {layout.name(name): layout.theirs(name, view).shape for name, view in views.items()}

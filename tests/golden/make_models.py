"""Write tests/golden/models.json from torchvision and timm: python -m tests.golden.make_models.

For each of their networks that is also one of ours: how many parameters it has in how many tensors, and the sizes its
images have on the way through it, each size once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision

MODELS = Path(__file__).with_name("models.json")
OURS: dict[str, dict[str, Any]] = {  # theirs -> what it is here
    **{
        f"torchvision {name}_bn": {"type": name, "grid": 7, "hidden": [4096, 4096]}
        for name in ("vgg11", "vgg13", "vgg16", "vgg19")
    },
    **{f"torchvision {name}": {"type": name} for name in ("resnet18", "resnet34", "resnet50", "mobilenet_v2")},
    "torchvision squeezenet1_1": {"type": "squeezenet"},
    "timm convnext_femto": {"type": "convnext_femto"},
}


def main() -> None:
    """One entry for each network, on 224x224 images of 1,000 classes."""
    entries = {theirs: described(theirs) | {"ours": ours} for theirs, ours in OURS.items()}
    lines = (f" {json.dumps(theirs)}: {json.dumps(entry)}" for theirs, entry in entries.items())
    MODELS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def described(theirs: str) -> dict[str, Any]:
    """Count and sizes of one network; nothing is computed, on PyTorch's device without memory."""
    library, name = theirs.split()
    with torch.device("meta"):
        network = torchvision.models.get_model(name) if library == "torchvision" else timm.create_model(name)
        network.eval()
        sizes: dict[tuple[int, ...], None] = {}

        def watch(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
            if output.ndim == 4:
                sizes[tuple(output.shape[2:])] = None

        for module in network.modules():
            module.register_forward_hook(watch)
        output = network(torch.empty(1, 3, 224, 224))
    version = (torchvision if library == "torchvision" else timm).__version__
    return {
        "version": version,
        "parameters": sum(p.numel() for p in network.parameters()),
        "tensors": len(list(network.parameters())),
        "sizes": [list(size) for size in sizes],
        "output": list(output.shape[1:]),
    }


if __name__ == "__main__":
    main()

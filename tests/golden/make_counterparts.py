"""Write tests/golden/counterparts.json from torchvision and timm: python -m tests.golden.make_counterparts.

For each of their networks that is also one of ours: a digest of the names and shapes of its tensors; and for some,
their outputs for two pictures under weights that are made of the tensors' names.
"""

from __future__ import annotations

import json
from typing import Any

import timm
import torch
import torchvision

from tests.support.counterparts import CLASSES, FILE, PRESETS, SIDES, digest, pictures, tensor


def main() -> None:
    """One entry for each network."""
    lines = (f" {json.dumps(case)}: {json.dumps(described(case))}" for case in PRESETS)
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def described(case: str) -> dict[str, Any]:
    """The digest of one network's tensors, and its outputs where they are wanted."""
    side = SIDES.get(case)
    with torch.device("cpu" if side else "meta"):
        network = made(case)
    found: dict[str, Any] = {"tensors": digest({name: tuple(value.shape) for name, value in state(network).items()})}
    if side:
        found["outputs"] = [[float(f"{value:.7g}") for value in row] for row in outputs(network, side).tolist()]
    return found


def made(case: str) -> Any:
    """The network, ready to answer."""
    library, name = case.split()
    make = torchvision.models.get_model if library == "torchvision" else timm.create_model
    return make(name, num_classes=CLASSES).eval()


def state(network: Any) -> dict[str, Any]:
    """Its tensors by name, without counters."""
    return {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}


def outputs(network: Any, side: int) -> Any:
    """Its outputs for two pictures under weights that are made of the tensors' names."""
    named = {key: torch.from_numpy(tensor(key, tuple(value.shape))) for key, value in state(network).items()}
    network.load_state_dict(named, strict=False)
    with torch.no_grad():
        return network(torch.from_numpy(pictures(side).transpose(0, 3, 1, 2).copy()))


if __name__ == "__main__":
    main()

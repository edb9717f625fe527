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
    library, name = case.split()
    side = SIDES.get(case)
    with torch.device("cpu" if side else "meta"):
        make = torchvision.models.get_model if library == "torchvision" else timm.create_model
        network = make(name, num_classes=CLASSES).eval()
    state = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    found: dict[str, Any] = {"tensors": digest({key: tuple(value.shape) for key, value in state.items()})}
    if side:
        made = {key: torch.from_numpy(tensor(key, tuple(value.shape))) for key, value in state.items()}
        network.load_state_dict(made, strict=False)
        with torch.no_grad():
            outputs = network(torch.from_numpy(pictures(side).transpose(0, 3, 1, 2).copy()))
        found["outputs"] = [[float(f"{value:.7g}") for value in row] for row in outputs.tolist()]
    return found


if __name__ == "__main__":
    main()

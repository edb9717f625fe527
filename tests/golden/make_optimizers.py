"""Write tests/golden/optimizers from PyTorch: python -m tests.golden.make_optimizers."""

from __future__ import annotations

from typing import Any

import torch

from tests.support.golden import save
from tests.support.optimizers import SHOWN, STEPS, gradient, rate, start

CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("plain", "sgd", {"lr": 0.05}),
    ("decay", "sgd", {"lr": 0.05, "weight_decay": 0.02}),
    ("momentum", "sgd", {"lr": 0.02, "momentum": 0.9}),
    ("dampening", "sgd", {"lr": 0.02, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01}),
    ("nesterov", "sgd", {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("default", "adagrad", {"lr": 0.01}),
    ("all", "adagrad", {"lr": 0.1, "lr_decay": 0.02, "initial_accumulator": 0.5, "eps": 1e-6, "weight_decay": 0.01}),
    ("default", "adam", {"lr": 1e-3}),
    ("decay", "adam", {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.05}),
    ("amsgrad", "adam", {"lr": 0.02, "amsgrad": True}),
    ("default", "adamw", {"lr": 1e-3, "weight_decay": 0.01}),
    ("amsgrad", "adamw", {"lr": 0.02, "weight_decay": 0.1, "amsgrad": True, "betas": [0.5, 0.9]}),
    ("default", "rmsprop", {"lr": 0.01}),
    ("centered", "rmsprop", {"lr": 0.01, "centered": True, "alpha": 0.9}),
    ("momentum", "rmsprop", {"lr": 0.005, "momentum": 0.9}),
    ("all", "rmsprop", {"lr": 0.005, "alpha": 0.95, "momentum": 0.5, "centered": True, "weight_decay": 0.02}),
]
CLASSES = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}


def main() -> None:
    """One file a case: the parameters after some of the steps."""
    for case, part, settings in CASES:
        theirs = {"initial_accumulator_value" if k == "initial_accumulator" else k: v for k, v in settings.items()}
        p = torch.nn.Parameter(torch.tensor(start()))
        optimizer = CLASSES[part]([p], **theirs)
        shown = []
        for step in range(1, STEPS + 1):
            optimizer.param_groups[0]["lr"] = rate(settings["lr"], step)
            p.grad = torch.tensor(gradient(step))
            optimizer.step()
            if step in SHOWN:
                shown.append(p.detach().numpy().copy())
        save("optimizers", f"{part}-{case}", part, settings, shown=shown)


if __name__ == "__main__":
    main()

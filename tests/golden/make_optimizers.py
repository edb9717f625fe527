"""Write tests/golden/optimizers from PyTorch: python -m tests.golden.make_optimizers.

What PyTorch has not, or only in bfloat16, is written out here in float64, from the papers and slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from cnntrain.core import registry
from tests.support.golden import save
from tests.support.optimizers import SHOWN, SIZE, STEPS, gradient, rate, start, tensors

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
    ("default", "adadelta", {"lr": 1.0}),
    ("all", "adadelta", {"lr": 2.0, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.01}),
    ("default", "nadam", {"lr": 2e-3}),
    ("all", "nadam", {"lr": 0.02, "betas": [0.8, 0.95], "momentum_decay": 0.02, "weight_decay": 0.01}),
    ("default", "radam", {"lr": 1e-3}),
    ("all", "radam", {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.01}),
    ("default", "adamax", {"lr": 2e-3}),
    ("all", "adamax", {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.01}),
    ("all", "rmsprop", {"lr": 0.005, "alpha": 0.95, "momentum": 0.5, "centered": True, "weight_decay": 0.02}),
]
CLASSES = {
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adadelta": torch.optim.Adadelta,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "adamax": torch.optim.Adamax,
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
    for case, part, settings, follow in FORMULAS:
        optimizer = registry.make("optimizers", part)
        vector = start()
        parts = [vector[where].reshape(shape) for where, shape in tensors(optimizer, SIZE)]
        states: list[dict[str, Any]] = [{} for _ in parts]
        shown = []
        for step in range(1, STEPS + 1):
            g = gradient(step)
            for p, state, (where, shape) in zip(parts, states, tensors(optimizer, SIZE), strict=True):
                follow(p, g[where].reshape(shape), state, step, rate(settings["lr"], step), settings)
            if step in SHOWN:
                shown.append(vector.copy())
        save("optimizers", f"{part}-{case}", part, settings, shown=shown)


def lion(p, g, state, t, lr, o) -> None:
    """Chen et al. 2023, algorithm 2."""
    b1, b2 = o["betas"]
    m = state.get("m", np.zeros_like(p))
    c = b1 * m + (1 - b1) * g
    p[...] = p - lr * (np.sign(c) + o["weight_decay"] * p)
    state["m"] = b2 * m + (1 - b2) * g


def lars(p, g, state, t, lr, o) -> None:
    """You et al. 2017, algorithm 1, the learning rate outside the velocity."""
    decay = o["weight_decay"]
    local = o["trust"] * np.linalg.norm(p) / (np.linalg.norm(g) + decay * np.linalg.norm(p))
    state["v"] = o["momentum"] * state.get("v", 0) + local * (g + decay * p)
    p[...] = p - lr * state["v"]


def adam(g, state, t, betas, eps):
    """Adam's direction."""
    state["m"] = betas[0] * state.get("m", 0) + (1 - betas[0]) * g
    state["v"] = betas[1] * state.get("v", 0) + (1 - betas[1]) * g**2
    return state["m"] / (1 - betas[0] ** t) / (np.sqrt(state["v"] / (1 - betas[1] ** t)) + eps)


def lamb(p, g, state, t, lr, o) -> None:
    """You et al. 2020, algorithm 2, with phi the identity."""
    r = adam(g, state, t, o["betas"], o["eps"]) + o["weight_decay"] * p
    p[...] = p - lr * np.linalg.norm(p) / np.linalg.norm(r) * r


def muon(p, g, state, t, lr, o) -> None:
    """Jordan 2024: the polynomial of the singular values, from a singular value decomposition."""
    p[...] = p * (1 - lr * o["weight_decay"])
    if p.ndim == 1:
        p[...] = p - lr * o["adamw_lr_mult"] * adam(g, state, t, o["betas"], o["eps"])
        return
    u = o["momentum"]
    state["m"] = u * state.get("m", 0) + (1 - u) * g
    direction = u * state["m"] + (1 - u) * g if o["nesterov"] else state["m"]
    left, values, right = np.linalg.svd(direction.T, full_matrices=False)  # filters x fan_in, as PyTorch has it
    values /= np.linalg.norm(values)
    for _ in range(o["ns_steps"]):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    filters, fan_in = p.shape[1], p.shape[0]
    original = o["adjust"] == "original"
    factor = max(1, filters / fan_in) ** 0.5 if original else 0.2 * max(filters, fan_in) ** 0.5
    p[...] = p - lr * factor * (left @ np.diag(values) @ right).T


def lookahead(p, g, state, t, lr, o) -> None:
    """Zhang et al. 2019, algorithm 1, around plain descent."""
    if t == 1:
        state["slow"] = p.copy()
    p[...] = p - lr * g
    if t % o["lookahead"]["every"] == 0:
        state["slow"] = state["slow"] + o["lookahead"]["alpha"] * (p - state["slow"])
        p[...] = state["slow"]


BETAS = {"betas": [0.9, 0.999]}
MUON = {"momentum": 0.95, "nesterov": True, "ns_steps": 5, "adjust": "original", "adamw_lr_mult": 1.0, "eps": 1e-8}
FORMULAS: list[tuple[str, str, dict[str, Any], Callable[..., None]]] = [
    ("default", "lion", {"lr": 1e-4, "betas": [0.9, 0.99], "weight_decay": 0.0}, lion),
    ("decay", "lion", {"lr": 0.01, "betas": [0.8, 0.95], "weight_decay": 0.1}, lion),
    ("default", "lars", {"lr": 0.01, "momentum": 0.9, "trust": 1e-3, "weight_decay": 0.0}, lars),
    ("decay", "lars", {"lr": 0.2, "momentum": 0.8, "trust": 0.1, "weight_decay": 0.02}, lars),
    ("default", "lamb", BETAS | {"lr": 1e-3, "eps": 1e-6, "weight_decay": 0.0}, lamb),
    ("decay", "lamb", {"betas": [0.8, 0.95], "lr": 0.02, "eps": 1e-6, "weight_decay": 0.05}, lamb),
    ("default", "muon", MUON | BETAS | {"lr": 1e-3, "weight_decay": 0.1}, muon),
    ("adjusted", "muon", MUON | BETAS | {"lr": 0.01, "weight_decay": 0.02, "nesterov": False, "ns_steps": 3,
        "adjust": "match_rms_adamw", "adamw_lr_mult": 0.5}, muon),
    ("lookahead", "sgd", {"lr": 0.05, "lookahead": {"every": 4, "alpha": 0.3}}, lookahead),
]  # fmt: skip


if __name__ == "__main__":
    main()

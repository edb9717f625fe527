"""Write tests/golden/schedules from PyTorch: python -m tests.golden.make_schedules."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.optim import lr_scheduler as torch_schedules

from tests.support.golden import save

STEPS, PER_EPOCH, LR = 200, 20, 0.4
Optimizer, Scheduler = torch.optim.Optimizer, torch_schedules.LRScheduler

START = 0.1  # of the learning rate, at the first step of a warm-up


def warmup(duration: str) -> dict:
    """The setting of a warm-up, as a config writes it."""
    return {"duration": duration, "start": START}


CASES: list[tuple[str, dict, int, Callable[[Optimizer], Scheduler]]] = [
    ("constant", {}, 0, lambda o: torch_schedules.ConstantLR(o, factor=1)),
    ("constant", {"warmup": warmup("10%")}, 20, lambda o: torch_schedules.ConstantLR(o, factor=1)),
    ("step", {"every": "3ep"}, 0, lambda o: torch_schedules.StepLR(o, 60)),
    ("step", {"every": "17st", "gamma": 0.7}, 0, lambda o: torch_schedules.StepLR(o, 17, 0.7)),
    ("step", {"every": "25%", "gamma": 0.5, "warmup": warmup("2ep")}, 40, lambda o: torch_schedules.StepLR(o, 40, 0.5)),
    ("cosine", {}, 0, lambda o: torch_schedules.CosineAnnealingLR(o, 200)),
    ("cosine", {"min": 0.05}, 0, lambda o: torch_schedules.CosineAnnealingLR(o, 200, 0.05)),
    ("cosine", {"min": 0.01, "warmup": warmup("35st")}, 35, lambda o: torch_schedules.CosineAnnealingLR(o, 165, 0.01)),
    ("multistep", {"milestones": ["3ep", "150st"]}, 0, lambda o: torch_schedules.MultiStepLR(o, [60, 150])),
    ("exponential", {"gamma": 0.98, "every": "1st"}, 0, lambda o: torch_schedules.ExponentialLR(o, 0.98)),
    ("linear", {"start": 0.25, "end": 0.75, "duration": "3ep"}, 0,
        lambda o: torch_schedules.LinearLR(o, 0.25, 0.75, 60)),
    ("linear", {}, 0, lambda o: torch_schedules.LinearLR(o, 1.0, 0.0, 200)),
    ("polynomial", {}, 0, lambda o: torch_schedules.PolynomialLR(o, 200)),
    ("polynomial", {"power": 2.0, "warmup": warmup("1ep")}, 20, lambda o: torch_schedules.PolynomialLR(o, 180, 2.0)),
    ("inverse_time", {"decay": 0.01, "every": "1st"}, 0, lambda o: by(o, lambda s: 1 / (1 + 0.01 * s))),
    ("inverse_sqrt", {"timescale": "30st"}, 0, lambda o: by(o, lambda s: (30 / (30 + s)) ** 0.5)),
    ("cosine_restarts", {"period": "30st"}, 0, lambda o: torch_schedules.CosineAnnealingWarmRestarts(o, 30)),
    ("cosine_restarts", {"period": "1ep", "growth": 2, "min": 0.01}, 0,
        lambda o: torch_schedules.CosineAnnealingWarmRestarts(o, 20, 2, 0.01)),
    ("one_cycle", {}, 0, lambda o: torch_schedules.OneCycleLR(o, LR, STEPS)),
    ("one_cycle", {"max_lr": 0.3, "pct_start": 0.25, "div": 10.0, "final_div": 100.0, "anneal": "linear"}, 0,
        lambda o: torch_schedules.OneCycleLR(o, 0.3, STEPS, pct_start=0.25, div_factor=10.0, final_div_factor=100.0,
            anneal_strategy="linear")),
    ("cyclic", {"low": 0.1, "up": "15st", "down": "25st"}, 0, lambda o: cyclic(o, 15, 25, "triangular")),
    ("cyclic", {"low": 0.1, "up": "1ep", "mode": "triangular2"}, 0, lambda o: cyclic(o, 20, 20, "triangular2")),
    ("cyclic", {"low": 0.1, "up": "15st", "mode": "exp_range", "gamma": 0.99}, 0,
        lambda o: cyclic(o, 15, 15, "exp_range", 0.99)),
    ("wsd", {"decay": "40st"}, 0, lambda o: by(o, lambda s: min(1, (200 - s) / 40))),
    ("wsd", {"decay": "25%", "shape": "sqrt", "end": 0.1}, 0,
        lambda o: by(o, lambda s: 1 if s < 150 else 0.1 + 0.9 * (1 - ((s - 150) / 50) ** 0.5))),
    ("piecewise", {"points": [["0st", 0.1], ["2ep", 1.0], ["100%", 0.0]]}, 0,
        lambda o: by(o, lambda s: 0.1 + 0.9 * s / 40 if s < 40 else (200 - s) / 160)),
    ("sequence", {"stages": [["30st", "linear", {"start": 0.1, "end": 1.0}], [None, "cosine", {}]]}, 0,
        lambda o: torch_schedules.SequentialLR(o, [torch_schedules.LinearLR(o, 0.1, 1.0, 30),
            torch_schedules.CosineAnnealingLR(o, 170)], [30])),
]  # fmt: skip
PLATEAUS = [
    {"factor": 0.5, "patience": 1},
    {"factor": 0.3, "patience": 0, "cooldown": 2, "min": 0.02, "threshold": 0.05},
]
LOSSES = [1.0, 0.9, 0.89, 0.9, 0.95, 0.88, 0.87, 0.87, 0.88, 0.5]  # of the epochs


def by(o: Optimizer, factor: Callable[[int], float]) -> Scheduler:
    """A formula PyTorch has no class for."""
    return torch_schedules.LambdaLR(o, factor)


def cyclic(o: Optimizer, up: int, down: int, mode: str, gamma: float = 1.0) -> Scheduler:
    """CyclicLR from 0.1 to LR."""
    return torch_schedules.CyclicLR(o, 0.1, LR, up, down, mode, gamma, cycle_momentum=False)


def main() -> None:
    """One file a case: the learning rate of every step."""
    for number, (part, settings, rise, make) in enumerate(CASES):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
        if rise:
            first = torch_schedules.LinearLR(optimizer, start_factor=START, total_iters=rise)
            schedule = torch_schedules.SequentialLR(optimizer, [first, make(optimizer)], milestones=[rise])
        else:
            schedule = make(optimizer)
        rates = []
        for _ in range(STEPS):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        horizon = {"steps": STEPS, "per_epoch": PER_EPOCH, "lr": LR}
        save("schedules", f"{part}-{number}", part, settings, rates=rates, **horizon)
    for number, settings in enumerate(PLATEAUS):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
        theirs = {"min_lr" if key == "min" else key: value for key, value in settings.items()}
        schedule = torch_schedules.ReduceLROnPlateau(optimizer, **theirs)
        rates = []
        for loss in LOSSES:
            rates += [optimizer.param_groups[0]["lr"]] * PER_EPOCH
            schedule.step(loss)
        horizon = {"steps": STEPS, "per_epoch": PER_EPOCH, "lr": LR, "losses": LOSSES}
        save("schedules", f"plateau-{number}", "plateau", settings, rates=rates, **horizon)


if __name__ == "__main__":
    main()

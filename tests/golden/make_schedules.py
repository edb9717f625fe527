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
]


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


if __name__ == "__main__":
    main()

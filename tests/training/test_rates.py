"""Rates of a whole run: every value of every schedule is one that the optimizer takes, or the config is refused."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.cli import main
from cnntrain.config.load import load
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import ConfigError, StoppedError
from cnntrain.engine.pool import Pool
from cnntrain.engine.update import Updater
from cnntrain.network.freezing import Stretch
from cnntrain.parts.optimizers.base import Optimizer
from cnntrain.parts.schedules.base import Horizon
from cnntrain.rundir.checkpoint import read
from cnntrain.training import rates
from cnntrain.training.rates import Rates
from tests.engine.test_update import LAYOUT, Ready
from tests.support.experiments import evidence, run, write
from tests.training.test_trainer import _stop_after

SHORT = ("train.epochs=3",)  # 24 steps, 8 an epoch
NESTEROV = "optimizer={type: sgd, lr: 0.1, momentum: 0.9, nesterov: true}"
DAMPENED = "optimizer={type: sgd, lr: 0.1, momentum: 0.9, dampening: 0.5}"
ADAM = "optimizer={type: adam, lr: 0.01}"
REFUSED = {
    "nesterov at 0": (NESTEROV, "momentum_schedule={type: linear, start: 1.0, end: 0.0, duration: 1ep}", 8),
    "nesterov from 0": (NESTEROV, "momentum_schedule={type: constant, warmup: 1ep}", 0),
    "dampening at 0": (DAMPENED, "momentum_schedule={type: polynomial, warmup: 5st}", 0),
    "momentum of 1": (
        "optimizer.momentum=0.5",
        "momentum_schedule={type: piecewise, points: [{at: 0ep, factor: 1}, {at: 2ep, factor: 2}]}",
        16,
    ),
    "momentum above 1": (
        "optimizer.momentum=0.9",
        "momentum_schedule={type: multistep, milestones: [1ep], gamma: 1.2}",
        8,
    ),
    "first beta of 1": (ADAM, "momentum_schedule={type: one_cycle, max_lr: 1.2}", None),
    "in a stage": (
        ADAM,
        "momentum_schedule={type: sequence, stages: [{schedule: constant, duration: 1ep}, "
        "{schedule: {type: cyclic, low: 1.0}}]}",
        8,
    ),
    "plateau to 0": (NESTEROV, "momentum_schedule={type: plateau, factor: 0.0, patience: 0, mode: min}", 16),
    "rate overflows": (ADAM, "schedule={type: step, every: 1st, gamma: 1e200}", 2),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_that_the_optimizer_does_not_take_is_refused_before_the_first_step(name, tmp_path):
    optimizer, schedule, step = REFUSED[name]
    place = schedule.partition("=")[0]
    with pytest.raises(ConfigError, match="that it does not take, at step") as refused:
        run(write(tmp_path), tmp_path / "run", (*SHORT, optimizer, schedule))
    (problem,) = refused.value.problems
    assert place.split("_")[0] in str(problem.where) or "--set" in str(problem.where)
    assert step is None or f"at step {step} of 24:" in problem.message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [["check"], ["fit", "--dry-run"], ["fit"]])
def test_every_command_says_so_at_the_line_of_the_config(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = Path(write(tmp_path)).read_text().replace("momentum: 0.9", "momentum: 0.9, nesterov: true")
    text += "momentum_schedule:\n  {type: linear, end: 0.0, duration: 1ep}\n"
    write(tmp_path, text)
    line = text.splitlines().index("momentum_schedule:") + 1
    assert main([command[0], "full.yaml", *command[1:]]) == ConfigError.exit_code
    said = capsys.readouterr().err
    assert f"full.yaml:{line}:" in said or f"full.yaml:{line + 1}:" in said
    assert "linear gives the optimizer a momentum that it does not take, at step 8 of 40" in said


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        (NESTEROV, "momentum_schedule={type: linear, start: 1.0, end: 0.1}"),
        ("optimizer.momentum=0.9", "momentum_schedule={type: linear, end: 0.0, duration: 1ep}"),
        (NESTEROV, "momentum_schedule={type: plateau, factor: 0.5, patience: 0, mode: min}"),
        (NESTEROV, "momentum_schedule={type: plateau, factor: 0.0, patience: 0, mode: min, min: 0.1}"),
        (ADAM, "momentum_schedule={type: cosine, min: 0.5}"),
    ],
)
def test_what_the_optimizer_takes_trains_to_the_end(optimizer, schedule, tmp_path):
    assert run(write(tmp_path), tmp_path / "run", (*SHORT, optimizer, schedule))["step"] == 24


def test_a_value_late_in_a_very_long_run_is_found(tmp_path):
    schedule = "momentum_schedule={type: piecewise, points: [{at: 0ep, factor: 1}, {at: 90%, factor: 1.2}]}"
    loaded = load([write(tmp_path)], ("train.epochs=1000000", schedule))
    with pytest.raises(ConfigError, match="does not take"):
        rates.check(loaded, Horizon(8_000_000, 8))


def product(schedule: Any, horizon: Horizon, beta: float, decay: float, until: int) -> float:
    """The product of NAdam's momenta of steps 1 to `until`, each with the beta of its own step."""
    return float(
        np.prod([schedule(t - 1, horizon, beta) * (1 - 0.5 * 0.96 ** (t * decay)) for t in range(1, until + 1)])
    )


def nadam(optimizer: Any, start: Array, gradients: Array, momenta: list[float]) -> Array:
    """PyTorch's NAdam in float64, the product of momenta kept from step to step."""
    p, m, v, made = start.copy(), np.zeros_like(start), np.zeros_like(start), 1.0
    for t, (g, beta) in enumerate(zip(gradients, momenta, strict=True), 1):
        now, after = (beta * (1 - 0.5 * 0.96 ** (i * optimizer.momentum_decay)) for i in (t, t + 1))
        made *= now
        m = beta * m + (1 - beta) * g
        v = optimizer.betas[1] * v + (1 - optimizer.betas[1]) * g * g
        root = np.sqrt(v / (1 - optimizer.betas[1] ** t)) + optimizer.eps
        p = p - optimizer.lr * ((1 - now) / (1 - made) * g + after / (1 - made * after) * m) / root
    return p


SCHEDULES = [
    pytest.param(registry.make("schedules", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("schedules").items()
    for index, fields in enumerate(cls.examples)
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_nadam_under_every_schedule_is_pytorchs(schedule):
    horizon, optimizer = Horizon(100, 10), registry.make("optimizers", "nadam", lr=0.02)
    momenta = [schedule(step, horizon, optimizer.base_momentum) for step in range(100)]
    ready = Ready(optimizer, dtype=np.float64)
    where = slice(LAYOUT.entries["a.weight"].offset, LAYOUT.entries["a.weight"].offset + 21)
    start, gradients = ready.params[where].copy(), np.random.default_rng(1).normal(size=(100, 21))
    for step, momentum in enumerate(momenta):
        ready.grads[where] = gradients[step]
        ready.updater.apply(optimizer.lr, step, momentum=momentum)
    expected = nadam(optimizer, start, gradients, momenta)
    np.testing.assert_allclose(ready.params[where], expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_a_layer_that_joins_later_counts_from_its_own_first_step():
    """As PyTorch's NAdam does, which keeps the product of momenta for each parameter."""
    optimizer, first = registry.make("optimizers", "nadam", lr=0.02), 6
    momenta = [0.9 - 0.01 * step for step in range(20)]
    ready = Ready(optimizer, dtype=np.float64)
    ready.updater = Updater(optimizer, LAYOUT, Pool(1), ready.params, ready.grads, trained={"a": Stretch(first)})
    where = slice(LAYOUT.entries["a.weight"].offset, LAYOUT.entries["a.weight"].offset + 21)
    start, gradients = ready.params[where].copy(), np.random.default_rng(1).normal(size=(20, 21))
    for step, momentum in enumerate(momenta):
        ready.grads[where] = gradients[step]
        ready.updater.apply(optimizer.lr, step, momentum=momentum)
    expected = nadam(optimizer, start, gradients[first:], momenta[first:])
    np.testing.assert_allclose(ready.params[where], expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def _stopped(folder: Path, sets: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config of two runs, one straight and one stopped after seven steps."""
    config = write(folder)
    run(config, folder / "straight", sets)
    with monkeypatch.context() as patch:
        _stop_after(patch, 7)
        with pytest.raises(StoppedError):
            run(config, folder / "run", sets)
    return config


def test_what_is_carried_for_a_layer_that_joins_later_survives_a_stop(tmp_path, monkeypatch):
    sets = (
        *SHORT,
        "optimizer={type: nadam, lr: 0.01}",
        "momentum_schedule={type: linear, start: 1.0, end: 0.2}",
        "train.freeze=[{match: 'conv2d_1', until: 5st}]",
    )
    _stopped(tmp_path, sets, monkeypatch)
    carried = read(tmp_path / "run/checkpoints/last.npz").meta["optimizer"]
    assert carried["since"]["5"] != carried["carried"]
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == evidence(tmp_path / "straight")


def test_what_is_carried_survives_a_stop(tmp_path, monkeypatch):
    sets = (*SHORT, "optimizer={type: nadam, lr: 0.01}", "momentum_schedule={type: linear, start: 1.0, end: 0.2}")
    config = _stopped(tmp_path, sets, monkeypatch)
    loaded = load([config], sets)
    schedule: Any = loaded.experiment.momentum_schedule
    expected = product(schedule, Horizon(24, 8), 0.9, 4e-3, 7)
    assert read(tmp_path / "run/checkpoints/last.npz").meta["optimizer"]["carried"] == pytest.approx(
        expected, rel=1e-12
    )
    run(None, tmp_path / "run", resume=True)
    assert evidence(tmp_path / "run") == evidence(tmp_path / "straight")


def test_a_checkpoint_from_before_anything_was_carried_goes_on_as_it_would_have():
    optimizer = registry.make("optimizers", "nadam")
    with Pool(1) as pool:
        ready = Ready(optimizer, pool=pool)
        straight = ready.updater
        for step in range(5):
            straight.apply(0.1, step)
        later = Updater(optimizer, LAYOUT, pool, ready.params, ready.grads)
        assert later.carried_after(5) == straight.carried_after(5) != 1.0


def test_the_optimizers_momentum_is_the_first_step_of_a_constant_schedule(tmp_path):
    for optimizer, name in itertools.product((NESTEROV, ADAM), ("constant", "cosine")):
        loaded = load([write(tmp_path)], (*SHORT, optimizer, f"momentum_schedule={name}"))
        lr, momentum = Rates(loaded).at(0, Horizon(24, 8))
        chosen = loaded.experiment.optimizer
        assert isinstance(chosen, Optimizer)
        assert momentum == chosen.base_momentum
        assert dataclasses.replace(chosen, lr=lr).lr == lr

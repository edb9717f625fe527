"""The updater: the norm, clipping, decay by role, and the same step whoever takes which block."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from cnntrain.core.arrays import Array, Layout, Param, shared
from cnntrain.core.errors import DivergedError
from cnntrain.core.registry import make, parts
from cnntrain.engine.pool import Pool
from cnntrain.engine.update import BLOCK, Rules, Updater
from cnntrain.parts.optimizers.base import Block, Lookahead, Optimizer

Declared = tuple[str, Param, float, bool]

LAYOUT = Layout(
    [
        ("a.weight", Param((3, 7)), 1.0, False),
        ("a.bias", Param((7,), "bias"), 1.0, False),
        ("norm.scale", Param((7,), "norm"), 1.0, False),
        ("norm.running_mean", Param((7,), "statistic"), 1.0, False),
        ("slow.weight", Param((5, 5)), 0.1, False),
        ("still.weight", Param((9,)), 0.0, False),
        ("frozen.weight", Param((11,)), 1.0, True),
    ]
)
LARGE = Layout(
    [
        ("a.weight", Param((3, BLOCK - 5)), 1.0, False),
        ("a.bias", Param((301,), "bias"), 1.0, False),
        ("b.weight", Param((2 * BLOCK + 1,)), 0.5, False),
    ]
)


class Ready:
    """An updater with random parameters and gradients, and NaN where no gradient is ever written."""

    def __init__(
        self,
        optimizer: Optimizer,
        layout: Layout = LAYOUT,
        pool: Pool | None = None,
        dtype: Any = np.float32,
        rules: Rules | None = None,
    ) -> None:
        rng = np.random.default_rng(0)
        self.layout = layout
        self.params, self.grads = shared(layout.size, dtype), shared(layout.size, dtype)
        for flat in (self.params, self.grads):
            for view in layout.views(flat).values():
                view[...] = rng.normal(size=view.shape)
        self.grads[layout.trained :] = np.nan
        self.before = self.copies(self.params)
        self.gradient = self.copies(self.grads)
        self.updater = Updater(optimizer, layout, pool or Pool(1), self.params, self.grads, rules)

    def copies(self, flat: Array) -> dict[str, Array]:
        return {name: view.copy() for name, view in self.layout.views(flat).items()}

    def changed(self) -> dict[str, Array]:
        """By how much each parameter has fallen."""
        return {name: self.before[name] - view for name, view in self.layout.views(self.params).items()}


def sgd(**fields: Any) -> Optimizer:
    found = make("optimizers", "sgd", **fields)
    assert isinstance(found, Optimizer)
    return found


@dataclass(frozen=True)
class Spy(Optimizer):
    """Notes what it is given."""

    slots: ClassVar[tuple[str, ...]] = ("memory",)
    seen: list[tuple[int, float, int, set[str]]] = field(default_factory=list)

    def update(self, block: Block) -> None:
        assert block.p.shape == block.g.shape == block.scratch[0].shape == block.scratch[1].shape
        assert block.slots["memory"].shape == block.p.shape
        self.seen.append((len(block.p), block.lr, block.step, set(block.slots)))


def test_the_norm_is_that_of_the_whole_trained_gradient():
    ready = Ready(sgd())
    trained = [ready.gradient[name] for name, entry in LAYOUT.entries.items() if entry.offset < LAYOUT.trained]
    expected = np.sqrt(sum(np.sum(view.astype(np.float64) ** 2) for view in trained))
    assert ready.updater.apply(0.1, 0) == pytest.approx(expected, rel=1e-6)


def test_steps_count_from_one_and_rates_are_multiplied():
    spy = Spy()
    ready = Ready(spy, LARGE)
    ready.updater.apply(0.5, 4)
    assert {(lr, step) for _, lr, step, _ in spy.seen} == {(0.5, 5), (0.25, 5)}
    assert sum(size for size, *_ in spy.seen) == LARGE.trained
    assert max(size for size, *_ in spy.seen) == BLOCK


def test_each_parameter_falls_by_its_own_rate_times_its_gradient():
    ready = Ready(sgd(), dtype=np.float64)
    ready.updater.apply(0.5, 0)
    changed = ready.changed()
    for name, rate in {
        "a.weight": 0.5,
        "a.bias": 0.5,
        "norm.scale": 0.5,
        "slow.weight": 0.05,
        "still.weight": 0,
    }.items():
        np.testing.assert_allclose(changed[name], rate * ready.gradient[name], rtol=1e-12, atol=1e-15)
    assert not changed["frozen.weight"].any()
    assert not changed["norm.running_mean"].any()


@pytest.mark.parametrize("decoupled", [False, True])
def test_only_weights_decay(decoupled):
    ready = Ready(sgd(weight_decay=0.2, decoupled=decoupled), dtype=np.float64)
    ready.grads[: LAYOUT.trained] = 0
    ready.updater.apply(0.5, 0)
    changed = ready.changed()
    np.testing.assert_allclose(changed["a.weight"], 0.5 * 0.2 * ready.before["a.weight"], rtol=1e-12)
    np.testing.assert_allclose(changed["slow.weight"], 0.05 * 0.2 * ready.before["slow.weight"], rtol=1e-12)
    for name in ("a.bias", "norm.scale", "norm.running_mean", "frozen.weight", "still.weight"):
        assert not changed[name].any()


def test_a_norm_above_the_bound_is_scaled_down_to_it_and_reported_as_it_was():
    free, clipped = Ready(sgd(), dtype=np.float64), Ready(sgd(), dtype=np.float64)
    norm = free.updater.apply(1.0, 0)
    assert clipped.updater.apply(1.0, 0, clip_norm=norm / 4) == norm
    for name, change in clipped.changed().items():
        np.testing.assert_allclose(change, free.changed()[name] / 4, rtol=1e-9, atol=1e-12)
    assert clipped.updater.apply(1.0, 1, clip_norm=norm) == pytest.approx(norm / 4)  # what clipping left in grads


@pytest.mark.parametrize("share", [1.0, 1.5, 1e6])
def test_a_norm_within_the_bound_changes_no_bit(share):
    free, bounded = Ready(sgd()), Ready(sgd())
    norm = free.updater.apply(0.1, 0)
    bounded.updater.apply(0.1, 0, clip_norm=norm * share)
    assert np.array_equal(free.params, bounded.params)


def test_decay_is_not_clipped():
    """As in PyTorch, where the gradient is clipped before the optimizer adds the decay."""
    ready = Ready(sgd(weight_decay=10.0), dtype=np.float64)
    norm = Ready(sgd(), dtype=np.float64).updater.apply(0.0, 0)
    ready.updater.apply(0.1, 0, clip_norm=0.5)
    expected = 0.1 * (ready.gradient["a.weight"] * 0.5 / norm + 10.0 * ready.before["a.weight"])
    np.testing.assert_allclose(ready.changed()["a.weight"], expected, rtol=1e-12)


@pytest.mark.filterwarnings("error")
def test_a_gradient_whose_square_overflows_float32_still_has_a_norm():
    ready = Ready(sgd())
    ready.grads[: LAYOUT.trained] = 0
    LAYOUT.views(ready.grads)["a.weight"][0] = [3e30, 4e30, 0, 0, 0, 0, 0]
    assert ready.updater.apply(0.0, 0) == pytest.approx(5e30, rel=1e-6)
    ready.updater.apply(1.0, 0, clip_norm=1.0)
    np.testing.assert_allclose(ready.changed()["a.weight"][0, :2], [0.6, 0.8], rtol=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_gradient_that_is_not_finite_is_refused_before_anything_changes(poison, optimizer):
    with Pool(2) as pool:
        ready = Ready(make("optimizers", optimizer), LARGE, pool)
        ready.updater.apply(0.1, 0)
        params = ready.params.copy()
        slots = {name: slot.copy() for name, slot in ready.updater.slots.items()}
        LARGE.views(ready.grads)["b.weight"][-1] = poison  # in the last block
        with pytest.raises(DivergedError, match=f"the gradient became {abs(poison)} at step 7"):
            ready.updater.apply(0.1, 7, clip_norm=1.0)
    assert np.array_equal(ready.params, params)
    for name, slot in slots.items():
        assert np.array_equal(ready.updater.slots[name], slot)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
        ("adam", {"weight_decay": 0.01}),
        ("rmsprop", {"centered": True}),
    ],
)
def test_blocks_and_threads_change_no_bit(name, fields):
    """Three steps, clipped, against the optimizer let loose on each span as a whole."""
    optimizer = make("optimizers", name, **fields)
    results = []
    for threads in (1, 2, 5):
        with Pool(threads) as pool:
            ready = Ready(optimizer, LARGE, pool)
            norms = [ready.updater.apply(0.01, step, clip_norm=100.0) for step in range(3)]
            slots = {name: slot.tobytes() for name, slot in ready.updater.slots.items()}
            results.append((norms, ready.params.tobytes(), slots))
    assert results[0] == results[1] == results[2]
    reference = Ready(optimizer, LARGE)
    slots = reference.updater.slots
    carried = 1.0
    for step, norm in enumerate(results[0][0]):
        carried = optimizer.carry(carried, step + 1)
        if norm > 100:
            reference.grads *= 100.0 / norm
        for span in LARGE.spans:
            where = slice(span.start, span.stop)
            size = span.stop - span.start
            block = Block(
                reference.params[where],
                reference.grads[where],
                {key: slot[where] for key, slot in slots.items()},
                0.01 * span.lr_mult,
                step + 1,
                (np.empty(size, np.float32), np.empty(size, np.float32)),
                span.role,
                carried=carried,
            )
            optimizer.step(block)
    assert reference.params.tobytes() == results[0][1]
    assert max(results[0][0]) > 100


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam", "adamw", "rmsprop"])
def test_the_gaps_between_tensors_stay_zero(name):
    """Also where a slot does not begin at zero; a gap that drifted would be a parameter of its own in every norm."""
    fields = {"initial_accumulator": 0.5} if name == "adagrad" else {}
    ready = Ready(make("optimizers", name, **fields))
    for step in range(3):
        ready.updater.apply(0.1, step)
    gaps = np.ones(LAYOUT.size, bool)
    for entry in LAYOUT.entries.values():
        gaps[entry.offset : entry.offset + entry.param.size] = False
    assert gaps.any()
    assert not ready.params[gaps].any()


def test_slots_start_where_the_optimizer_says_and_only_for_what_is_trained():
    ready = Ready(make("optimizers", "adagrad", initial_accumulator=0.5))
    (slot,) = ready.updater.slots.values()
    assert set(slot[: LAYOUT.trained]) == {0.5}
    assert not slot[LAYOUT.trained :].any()
    assert Ready(sgd()).updater.slots == {}


RULES = Rules(clip_value=2.0, agc=0.5, regularizers=(make("regularizers", "l2", rate=0.01),))


@pytest.mark.parametrize(
    ("name", "rules"),
    [*((name, None) for name in sorted(parts("optimizers"))), *((name, RULES) for name in ("adam", "sgd"))],
    ids=lambda value: value if isinstance(value, str) else "rules" if value else "plain",
)
def test_threads_and_processes_take_the_same_steps(name, rules):
    """With a norm that is clipped, and a momentum that is set where there is one."""
    results = []
    for threads, fork in ((1, False), (3, False), (3, True)):
        with Pool(threads) as pool:
            part = make("optimizers", name, lookahead=Lookahead(2, 0.5))
            ready = Ready(part, LARGE, pool, rules=rules)
            if fork:
                pool.fork()
            momentum = 0.7 if part.base_momentum else None
            norms = []
            for step in range(3):
                norms.append(ready.updater.apply(0.01, step, 100.0, momentum))
                ready.grads *= 0.9
            slots = [slot.tobytes() for slot in ready.updater.slots.values()]
            results.append((norms, ready.params.tobytes(), slots))
    assert all(result == results[0] for result in results)


def test_a_gradient_that_is_not_finite_changes_nothing_in_any_process():
    with Pool(2) as pool:
        ready = Ready(sgd(), LARGE, pool)
        pool.fork()
        good, params = ready.grads.copy(), ready.params.copy()
        ready.grads[-1] = np.inf
        with pytest.raises(DivergedError, match="the gradient became inf at step 7"):
            ready.updater.apply(0.1, 7)
        assert np.array_equal(ready.params, params)
        ready.grads[:] = good
        ready.updater.apply(0.1, 7)
        assert not np.array_equal(ready.params, params)


@pytest.mark.parametrize("regularizer", [None, *sorted(parts("regularizers"))])
@pytest.mark.parametrize("name", sorted(parts("optimizers")))
def test_numbers_that_overflow_are_no_warning_of_numpys(name, regularizer):
    """They end in a loss or gradient that is not finite, which has an error of its own."""
    rules = Rules(regularizers=(make("regularizers", regularizer),) if regularizer else ())
    ready = Ready(make("optimizers", name), rules=rules)
    with contextlib.suppress(DivergedError):
        for step in range(3):
            ready.grads[: LAYOUT.trained] = 10.0 ** (30 + 4 * step)
            ready.updater.apply(1e30, step)
    ready.updater.penalty()

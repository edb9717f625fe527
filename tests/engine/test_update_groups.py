"""The updater: groups, the ways to clip, penalties and limits, sharpness-aware steps; against plain formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.arrays import Layout, Param, aligned, shared
from cnntrain.core.errors import DivergedError
from cnntrain.engine.pool import Pool
from cnntrain.engine.update import Rules, Updater, clip_adaptively
from cnntrain.parts.optimizers.base import Group, Sam
from tests.support.networks import engine_of, plain, random_batch

make = registry.make
LAYOUT = Layout(
    [
        ("stem.weight", Param((3, 3, 2, 5)), 1.0, False),
        ("stem.bias", Param((5,), "bias"), 1.0, False),
        ("head.weight", Param((20, 3)), 1.0, False),
        ("norm.scale", Param((5,), "norm"), 1.0, False),
    ]
)


def vectors(seed: int = 0) -> tuple[Any, Any]:
    """Parameters and gradients of the layout; the gaps are zero."""
    rng = np.random.default_rng(seed)
    flats = aligned(LAYOUT.size, np.float64), aligned(LAYOUT.size, np.float64)
    for flat in flats:
        for view in LAYOUT.views(flat).values():
            view[...] = rng.standard_normal(view.shape)
    return flats


def after(optimizer: Any, rules: Rules, threads: int = 1, lr: float = 0.1, **options: Any) -> dict[str, Any]:
    """The parameters after a step."""
    params, grads = vectors()
    with Pool(threads) as pool:
        Updater(optimizer, LAYOUT, pool, params, grads, rules).apply(lr, 0, **options)
    return LAYOUT.views(params)


def expected(change: Any) -> dict[str, Any]:
    """Plain descent with what `change(name, p, g)` makes of each gradient."""
    params, grads = (LAYOUT.views(flat) for flat in vectors())
    return {name: p - 0.1 * change(name, p, grads[name]) for name, p in params.items()}


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-14)


def test_groups_set_learning_rate_and_decay_and_a_later_one_wins():
    groups = (Group("*", lr_mult=0.5), Group("he*", lr_mult=2.0, weight_decay=0.3), Group("stem", weight_decay=0.0))
    found = after(make("optimizers", "sgd", weight_decay=0.1, groups=groups), Rules())
    factors = {"head": 2.0, "stem": 1.0, "norm": 0.5}

    def change(name: str, p: Any, g: Any) -> Any:
        return factors[name.split(".")[0]] * (g + (0.3 * p if name == "head.weight" else 0))

    same(found, expected(change))


@pytest.mark.parametrize("name", ["sgd", "adam", "lamb", "muon"])
def test_a_group_that_changes_nothing_changes_no_bit(name: str):
    plainly = after(make("optimizers", name), Rules())
    grouped = after(make("optimizers", name, groups=(Group("head"),)), Rules())
    assert all(plainly[key].tobytes() == grouped[key].tobytes() for key in plainly)


@pytest.mark.parametrize("name", ["adam", "lamb", "muon", "lars"])
def test_threads_change_no_bit(name: str):
    rules = Rules(0.5, 0.2, (make("regularizers", "l1_l2"), make("regularizers", "max_norm", most=1.0)))
    one, three = (after(make("optimizers", name), rules, threads) for threads in (1, 3))
    assert all(one[key].tobytes() == three[key].tobytes() for key in one)


def test_values_are_clipped():
    same(after(make("optimizers", "sgd"), Rules(clip_value=0.4)), expected(lambda n, p, g: np.clip(g, -0.4, 0.4)))


def test_penalties_join_the_gradient_before_it_is_clipped():
    rules = Rules(0.4, None, (make("regularizers", "l1", rate=0.2), make("regularizers", "l2", rate=0.3, match="head")))

    def change(name: str, p: Any, g: Any) -> Any:
        if name.endswith("weight"):
            g = g + 0.2 * np.sign(p)
        return np.clip(g + 0.6 * p if name == "head.weight" else g, -0.4, 0.4)

    same(after(make("optimizers", "sgd"), rules), expected(change))


def test_penalty_is_the_sum_of_the_values_and_its_gradient_the_difference():
    params, grads = vectors()
    acting = (make("regularizers", "l1_l2", l1=0.1, l2=0.2, roles=("weight", "bias")), make("regularizers", "l2"))
    grads[...] = 0
    with Pool(1) as pool:
        updater = Updater(make("optimizers", "sgd"), LAYOUT, pool, params, grads, Rules(regularizers=acting))
        before = params.copy()
        updater.apply(1.0, 0)
        slopes = before - params
        for place in (0, 3, LAYOUT.entries["stem.weight"].offset + 7, LAYOUT.entries["head.weight"].offset):
            ends = []
            for sign in (1, -1):
                params[...] = before
                params[place] += sign * 1e-6
                ends.append(updater.penalty())
            assert slopes[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-8)


def test_max_norm_brings_units_back_and_leaves_short_ones():
    found = after(make("optimizers", "sgd"), Rules(regularizers=(make("regularizers", "max_norm", most=2.5),)))
    free = expected(lambda n, p, g: g)
    norms = np.linalg.norm(found["stem.weight"].reshape(-1, 5), axis=0)
    wanted = np.minimum(np.linalg.norm(free["stem.weight"].reshape(-1, 5), axis=0), 2.5)
    np.testing.assert_allclose(norms, wanted, rtol=1e-12)
    np.testing.assert_allclose(found["norm.scale"], free["norm.scale"])


def test_adaptive_clipping_is_the_papers():
    rng = np.random.default_rng(1)
    p, g = rng.standard_normal((2, 3, 3, 2, 4))
    p[..., 0] = 0
    wanted = g.copy()
    for k in range(4):
        limit = 0.3 * max(np.linalg.norm(p[..., k]), 1e-3)
        wanted[..., k] *= min(1, limit / np.linalg.norm(g[..., k]))
    clip_adaptively(p, g, 0.3)
    np.testing.assert_allclose(g, wanted, rtol=1e-12)


@pytest.mark.parametrize("rules", [Rules(), Rules(clip_value=1.0)])
def test_a_gradient_that_is_not_finite_changes_nothing_even_if_it_would_be_clipped(rules: Rules):
    params, grads = vectors()
    grads[3] = np.inf
    before = params.copy()
    with Pool(1) as pool, pytest.raises(DivergedError, match=r"the gradient became (nan|inf) at step 4"):
        Updater(make("optimizers", "sgd"), LAYOUT, pool, params, grads, rules).apply(0.1, 4)
    np.testing.assert_array_equal(params, before)


def test_sam_steps_by_the_gradient_where_the_loss_is_worst_nearby():
    """On half of |p|^2 the gradient there is p (1 + rho / |p|)."""
    params, grads = vectors()
    before = params.copy()
    size = np.linalg.norm(params)
    with Pool(2) as pool:
        updater = Updater(make("optimizers", "sgd", sam=Sam(0.5)), LAYOUT, pool, params, grads)
        grads[...] = params
        updater.perturb(0)
        grads[...] = params
        updater.restore()
        np.testing.assert_array_equal(params, before)
        updater.apply(0.1, 0)
    np.testing.assert_allclose(params, before * (1 - 0.1 * (1 + 0.5 / size)), rtol=1e-12)


def test_momentum_can_be_set_for_a_step():
    params, grads = vectors()
    before, g = params.copy(), grads.copy()
    with Pool(1) as pool:
        updater = Updater(make("optimizers", "sgd", momentum=0.9), LAYOUT, pool, params, grads)
        for step, momentum in enumerate((0.9, 0.5)):
            grads[...] = g
            updater.apply(1.0, step, momentum=momentum)
    np.testing.assert_allclose(params, before - g - 1.5 * g, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", list(registry.parts("optimizers")))
def test_every_optimizer_lowers_the_loss_of_a_network(name: str):
    with Pool(2) as pool:
        engine = engine_of(plain(), pool)
        rates = {"adadelta": 20.0, "lars": 5.0, "sgd": 0.1, "muon": 0.01, "lion": 3e-3, "rmsprop": 3e-3}
        optimizer = make("optimizers", name)
        updater = Updater(optimizer, engine.graph.layout, pool, engine.params, engine.grads)
        losses = []
        for step in range(25):
            vector = engine.step([random_batch(16)], step)
            losses.append(engine.tally.mean_loss(vector))
            updater.apply(rates.get(name, 5e-3), step)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


KINDS = ["conv2d", "depthwise_conv2d", "conv_transpose2d", "dense"]
FIELDS = {
    "conv2d": {"filters": 6, "kernel_size": (2, 3), "groups": 2},
    "depthwise_conv2d": {"kernel_size": 2, "multiplier": 2},
    "conv_transpose2d": {"filters": 6, "kernel_size": (2, 3), "groups": 2},
    "dense": {"units": 5},
}


def into(kind: str, weight: Any) -> list[tuple[Any, Any]]:
    """The weights that reach each filter or unit, as its layer's formula has them, after where they are."""
    if kind != "conv_transpose2d":
        return [((..., k), weight[..., k].copy()) for k in range(weight.shape[-1])]
    groups, per_group = 2, weight.shape[-1] // 2
    places = [
        (slice(None), slice(None), k, slice(g * per_group, (g + 1) * per_group))
        for g in range(groups)
        for k in range(weight.shape[2])
    ]
    return [(at, weight[at].copy()) for at in places]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", ["max_norm", "agc"])
def test_a_unit_is_what_is_read_into_each_output_in_every_layer(kind: str, rule: str):
    shape = (12,) if kind == "dense" else (3, 3, 4)
    layer: Any = make("layers", kind, **FIELDS[kind])
    layout = Layout([("x.weight", layer.params(shape)["weight"], 1.0, False)])
    rng = np.random.default_rng(0)
    params, grads = (shared(layout.size, np.float64) for _ in range(2))
    weight, gradient = layout.views(params)["x.weight"], layout.views(grads)["x.weight"]
    weight[...], gradient[...] = rng.normal(size=(2, *weight.shape))
    wanted_gradient = gradient.copy()
    if rule == "agc":
        for at, own in into(kind, weight):
            wanted_gradient[at] *= min(1, 0.3 * np.linalg.norm(own) / np.linalg.norm(gradient[at]))
    wanted = weight - 0.1 * wanted_gradient
    if rule == "max_norm":
        for at, own in into(kind, wanted):
            wanted[at] = own * min(1, 1.5 / np.linalg.norm(own))
    limit = (make("regularizers", "max_norm", most=1.5),) if rule == "max_norm" else ()
    with Pool(1) as pool:
        rules = Rules(agc=0.3 if rule == "agc" else None, regularizers=limit)
        Updater(make("optimizers", "sgd"), layout, pool, params, grads, rules).apply(0.1, 0)
    np.testing.assert_allclose(weight, wanted, rtol=1e-12)

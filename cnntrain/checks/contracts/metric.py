"""The contract of metrics: states add up, and values are numbers or NaN."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cnntrain.checks.contracts.base import close, equal, hold
from cnntrain.core.arrays import Array
from cnntrain.core.masks import IGNORED, MASKS
from cnntrain.parts.losses.base import one_hot
from cnntrain.parts.metrics.base import Metric

CLASSES = 6


def samples(metric: Metric | None = None, n: int = 40) -> tuple[Array, Array, Array]:
    """Outputs (n, CLASSES), labels (n,) and weights, which are integers so that sums are exact in any order.

    For a metric of masks, outputs (n, 3, 2, CLASSES) and masks (n, 3, 2).
    """
    rng = np.random.default_rng(5)
    weights = rng.integers(1, 4, n).astype(np.float32)
    if of_masks(metric):
        masks = rng.integers(0, CLASSES, (n, 3, 2)).astype(np.uint8)
        masks[rng.random(masks.shape) < 0.2] = IGNORED
        return rng.standard_normal((n, 3, 2, CLASSES)).astype(np.float32), masks, weights
    return rng.standard_normal((n, CLASSES)).astype(np.float32), rng.integers(0, CLASSES, n), weights


def of_masks(metric: Metric | None) -> bool:
    """Whether it compares outputs with masks, not with labels."""
    return metric is not None and MASKS in metric.scores


def perfect(metric: Metric, outputs: Array, targets: Array) -> Array:
    """Outputs of that shape which are 1 for the true class and 0 for the others."""
    if of_masks(metric):
        return np.eye(IGNORED + 1, outputs.shape[-1], dtype=outputs.dtype)[targets]
    return one_hot(targets, outputs)


def state_of(metric: Metric, outputs: Array, targets: Array, weights: Array) -> Array:
    """The state after these samples."""
    state = metric.zeros(outputs.shape[-1])
    metric.add(state, outputs, targets, weights)
    return state


def has_states_that_add(metric: Metric) -> None:
    """The state of a whole is the sum of its parts' states, and what is added to in parts."""
    outputs, targets, weights = samples(metric)
    whole = state_of(metric, outputs, targets, weights)
    parts = [slice(0, 1), slice(1, 25), slice(25, 40)]
    merged = sum(state_of(metric, outputs[part], targets[part], weights[part]) for part in parts)
    hold(whole.dtype == np.float64 and whole.ndim == 1, f"its state is {whole.ndim}-D {whole.dtype}")
    hold(
        metric.length(CLASSES) == len(whole) and not metric.zeros(CLASSES).any(),
        "its state begins with another length, or not as zeros",
    )
    close(merged, whole, "the sum of the states of parts is not the state of the whole", rtol=1e-13)
    one_state = metric.zeros(CLASSES)
    for part in parts:
        metric.add(one_state, outputs[part], targets[part], weights[part])
    close(one_state, whole, "added in parts, its state differs", rtol=1e-13)
    hold(whole.any(), "its state stays zero")


def counts_a_weight_of_two_as_the_sample_twice(metric: Metric) -> None:
    """And a weight of zero as no sample."""
    outputs, targets, _ = samples(metric)
    weights = np.ones(len(outputs), np.float32)
    weights[::3] = 2
    weights[1] = 0
    repeated = np.repeat(np.arange(len(outputs)), weights.astype(int))
    twice = state_of(metric, outputs[repeated], targets[repeated], np.ones(len(repeated), np.float32))
    close(state_of(metric, outputs, targets, weights), twice, "a weight of 2 is not the sample twice", rtol=1e-13)


def takes_rows_as_their_largest(metric: Metric) -> None:
    """Targets as one-hot rows count as their labels."""
    if of_masks(metric):
        return
    outputs, targets, weights = samples(metric)
    rows = one_hot(targets, outputs)
    labels = state_of(metric, outputs, targets, weights)
    equal(state_of(metric, outputs, rows, weights), labels, "one-hot rows give another state than their labels")


def leaves_its_inputs_alone(metric: Metric) -> None:
    """Outputs, targets and weights."""
    arrays = samples(metric)
    for array in arrays:
        array.flags.writeable = False
    state_of(metric, *arrays)


def leaves_its_state_alone(metric: Metric) -> None:
    """When its value is asked for, which is done between two additions, too."""
    state = state_of(metric, *samples())
    before = state.copy()
    first = metric.value(state)
    equal(state, before, "asking for its value changes its state")
    equal(metric.value(state), first, "asked for a second time, its value differs")


def is_nan_of_nothing_and_a_number_of_something(metric: Metric) -> None:
    """A float; or a list of one for each class. The confusion matrix counts, and has no NaN."""
    nothing, something = metric.value(metric.zeros(CLASSES)), metric.value(state_of(metric, *samples(metric)))
    if metric.name_in_config == "confusion":
        equal(nothing, [[0] * CLASSES] * CLASSES, "without samples it counts something")
    elif isinstance(something, list):
        hold(len(nothing) == len(something) == CLASSES, f"it has {len(something)} values for {CLASSES} classes")
        hold(np.isnan(nothing).all(), f"without samples it is {nothing}, expected NaN")
        hold(all(type(number) is float for number in something), "its values are not floats")
    else:
        hold(type(nothing) is type(something) is float, f"its value is {type(something).__name__}, expected float")
        hold(math.isnan(nothing), f"without samples it is {nothing}, expected NaN")
        hold(math.isfinite(something), f"with samples it is {something}")


def takes_outputs_that_are_not_finite(metric: Metric) -> None:
    """Without a warning, as training that diverges gives them."""
    outputs = np.zeros((3, CLASSES), np.float32)
    outputs[0], outputs[1, 2], outputs[2, 3] = np.nan, np.inf, -np.inf
    targets = np.array([0, 1, 2])
    if of_masks(metric):
        outputs, targets = outputs[:, None, None], targets[:, None, None].astype(np.uint8)
    state = state_of(metric, outputs, targets, np.ones(3, np.float32))
    hold(len(state) == len(metric.zeros(CLASSES)), "its state changes its length")


def says_that_the_perfect_network_is_better(metric: Metric) -> None:
    """`larger_is_better` is right: for sure and right answers it is 1, or 0 where smaller is better."""
    outputs, targets, weights = samples(metric)
    good = metric.value(state_of(metric, 20 * perfect(metric, outputs, targets), targets, weights))
    poor = metric.value(state_of(metric, outputs, targets, weights))
    if metric.name_in_config in ("mae", "mse", "r2"):
        good = metric.value(state_of(metric, perfect(metric, outputs, targets), targets, weights))
    if isinstance(good, float):
        hold(
            (good > poor) == metric.larger_is_better,
            f"it is {good:g} for right answers and {poor:g} for others: is larger_is_better right?",
        )
        best = 1 if metric.larger_is_better else 0
        hold(abs(good - best) <= 1e-6, f"for right answers it is {good:g}, expected {best}")


CHECKS = (
    has_states_that_add,
    counts_a_weight_of_two_as_the_sample_twice,
    takes_rows_as_their_largest,
    leaves_its_inputs_alone,
    leaves_its_state_alone,
    is_nan_of_nothing_and_a_number_of_something,
    takes_outputs_that_are_not_finite,
    says_that_the_perfect_network_is_better,
)


def subjects(cls: type[Metric]) -> Iterator[tuple[Metric]]:
    """What a metric's checks are given: each example's metric."""
    for fields in cls.examples:
        yield (cls(**fields),)

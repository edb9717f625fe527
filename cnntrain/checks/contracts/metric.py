"""The contract of metrics: states add up, and values are numbers or NaN."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from cnntrain.checks.contracts.base import close, equal, hold
from cnntrain.core.arrays import Array
from cnntrain.parts.losses.base import one_hot
from cnntrain.parts.metrics.base import Metric

UNITS = 6  # classes, or values


def samples(metric: Metric, form: str, n: int = 40) -> tuple[Array, Array, Array]:
    """Outputs (n, ..., UNITS), targets of a form, and integer weights so that sums are exact in any order."""
    outputs, targets, _ = _trial(metric, form, n)
    return outputs, targets, np.random.default_rng(5).integers(1, 4, n).astype(np.float32)


def _trial(metric: Metric, form: str, n: int) -> tuple[Array, Array, Array]:
    return metric.trial(form, n, UNITS, np.random.default_rng(6))


def state_of(metric: Metric, outputs: Array, targets: Array, weights: Array) -> Array:
    """The state after these samples."""
    state = metric.zeros(outputs.shape[-1])
    metric.add(state, outputs, targets, weights)
    return state


def has_states_that_add(metric: Metric, form: str) -> None:
    """The state of a whole is the sum of its parts' states, and what is added to in parts."""
    outputs, targets, weights = samples(metric, form)
    whole = state_of(metric, outputs, targets, weights)
    parts = [slice(0, 1), slice(1, 25), slice(25, 40)]
    merged = sum(state_of(metric, outputs[part], targets[part], weights[part]) for part in parts)
    hold(whole.dtype == np.float64 and whole.ndim == 1, f"its state is {whole.ndim}-D {whole.dtype}")
    hold(
        metric.length(UNITS) == len(whole) and not metric.zeros(UNITS).any(),
        "its state begins with another length, or not as zeros",
    )
    close(merged, whole, "the sum of the states of parts is not the state of the whole", rtol=1e-13)
    one_state = metric.zeros(UNITS)
    for part in parts:
        metric.add(one_state, outputs[part], targets[part], weights[part])
    close(one_state, whole, "added in parts, its state differs", rtol=1e-13)
    hold(whole.any(), "its state stays zero")


def counts_a_weight_of_two_as_the_sample_twice(metric: Metric, form: str) -> None:
    """And a weight of zero as no sample."""
    outputs, targets, _ = samples(metric, form)
    weights = np.ones(len(outputs), np.float32)
    weights[::3] = 2
    weights[1] = 0
    repeated = np.repeat(np.arange(len(outputs)), weights.astype(int))
    twice = state_of(metric, outputs[repeated], targets[repeated], np.ones(len(repeated), np.float32))
    close(state_of(metric, outputs, targets, weights), twice, "a weight of 2 is not the sample twice", rtol=1e-13)


def takes_labels_as_one_hot_rows(metric: Metric, form: str) -> None:
    """A label means the row that is 1 there."""
    if form == "labels":
        outputs, targets, weights = samples(metric, form)
        rows = one_hot(targets, outputs)
        labels = state_of(metric, outputs, targets, weights)
        equal(state_of(metric, outputs, rows, weights), labels, "one-hot rows give another state than their labels")


def leaves_its_inputs_alone(metric: Metric, form: str) -> None:
    """Outputs, targets and weights."""
    arrays = samples(metric, form)
    for array in arrays:
        array.flags.writeable = False
    state_of(metric, *arrays)


def leaves_its_state_alone(metric: Metric, form: str) -> None:
    """When its value is asked for, which is done between two additions, too."""
    state = state_of(metric, *samples(metric, form))
    before = state.copy()
    first = metric.value(state)
    equal(state, before, "asking for its value changes its state")
    equal(metric.value(state), first, "asked for a second time, its value differs")


def is_nan_of_nothing_and_a_number_of_something(metric: Metric, form: str) -> None:
    """A float; or a list of one for each class. A table of all classes counts, and has no NaN."""
    nothing, something = (metric.value(state) for state in (metric.zeros(UNITS), _state(metric, form)))
    if isinstance(something, list) and isinstance(something[0], list):
        equal(nothing, np.zeros_like(something), "without samples it counts something")
    elif isinstance(something, list):
        hold(len(nothing) == len(something) == UNITS, f"it has {len(something)} values for {UNITS} classes")
        hold(np.isnan(nothing).all(), f"without samples it is {nothing}, expected NaN")
        hold(all(type(number) is float for number in something), "its values are not floats")
    else:
        hold(type(nothing) is type(something) is float, f"its value is {type(something).__name__}, expected float")
        hold(math.isnan(nothing), f"without samples it is {nothing}, expected NaN")
        hold(math.isfinite(something), f"with samples it is {something}")


def _state(metric: Metric, form: str) -> Array:
    return state_of(metric, *samples(metric, form))


def takes_outputs_that_are_not_finite(metric: Metric, form: str) -> None:
    """Without a warning, as training that diverges gives them."""
    outputs, targets, weights = samples(metric, form, 3)
    outputs[0], outputs[1, ..., 2], outputs[2, ..., 3] = np.nan, np.inf, -np.inf
    state = state_of(metric, outputs, targets, weights)
    hold(len(state) == len(metric.zeros(UNITS)), "its state changes its length")


def says_that_the_perfect_network_is_better(metric: Metric, form: str) -> None:
    """`larger_is_better` is true of it: right outputs, sure ones, have the better value, and the best of `bounds`."""
    outputs, targets, weights = samples(metric, form)
    right = _trial(metric, form, len(outputs))[2]
    good, poor = (metric.value(state_of(metric, one, targets, weights)) for one in (right, outputs))
    if isinstance(good, float):
        hold(
            (good > poor) == metric.larger_is_better,
            f"it is {good:g} for right answers and {poor:g} for others: are larger_is_better and of_logits right?",
        )
        best = metric.bounds[metric.larger_is_better]
        near = math.isinf(best) or abs(good - best) <= 1e-6
        hold(near, f"for right answers it is {good:g}, expected {best:g}, as its bounds say")


def has_values_within_its_bounds(metric: Metric, form: str) -> None:
    """`bounds` is true of it, whether outputs are all the same, small or large: thresholds are held against it."""
    outputs, targets, weights = samples(metric, form)
    for factor in (0.0, 0.1, 30.0):
        value = metric.value(state_of(metric, (factor * outputs).astype(outputs.dtype), targets, weights))
        if isinstance(value, float) and not math.isnan(value):
            low, high = metric.bounds
            hold(low - 1e-12 <= value <= high + 1e-12, f"its value {value:g} is beyond its bounds, {low:g} to {high:g}")


def is_known_by_its_label(metric: Metric, form: str) -> None:  # noqa: ARG001  (one signature for all checks)
    """A run tells which way a metric is better by the label alone."""
    hold(metric.has_label(metric.label()), f"has_label denies its own label {metric.label()!r}: write has_label, too")


CHECKS = (
    has_states_that_add,
    counts_a_weight_of_two_as_the_sample_twice,
    takes_labels_as_one_hot_rows,
    leaves_its_inputs_alone,
    leaves_its_state_alone,
    is_nan_of_nothing_and_a_number_of_something,
    takes_outputs_that_are_not_finite,
    says_that_the_perfect_network_is_better,
    has_values_within_its_bounds,
    is_known_by_its_label,
)


def subjects(cls: type[Metric]) -> Iterator[tuple[Metric, str]]:
    """What a metric's checks are given: each example's metric, with every form of targets."""
    for fields in cls.examples:
        metric = cls(**fields)
        for form in metric.forms():
            yield metric, form

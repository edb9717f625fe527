"""The contract of orders: an epoch is a function of seed and epoch, as long as ever, and has no strange samples."""

from __future__ import annotations

import numpy as np

from cnntrain.checks.contracts.base import equal, hold
from cnntrain.core.arrays import Array
from cnntrain.parts.orders.base import Order

COUNT = 60


def labels(order: Order) -> Array:
    """Labels of 60 samples, of three classes unless the order needs another number; the last ones are rare."""
    classes = next((k for k in (3, 2, *range(4, 21)) if _takes(order, k)), 0)
    hold(classes, "its `check` refuses every number of classes from 2 to 20")
    return np.sort(np.minimum(np.random.default_rng(8).geometric(0.6, COUNT) - 1, classes - 1)).astype(np.int64)


def _takes(order: Order, classes: int) -> bool:
    try:
        order.check(classes)
    except ValueError:
        return False
    return True


def epoch(order: Order, seed: int, number: int) -> Array:
    """The samples of an epoch, which may not write what they are taken from."""
    samples, of = np.arange(100, 100 + COUNT), labels(order)
    samples.flags.writeable = of.flags.writeable = False
    return order(samples, of, seed, number)


def fills_an_epoch_with_the_samples_there_are(order: Order) -> None:
    """As many as there are, in whatever order and however often."""
    chosen = epoch(order, 3, 5)
    hold(chosen.shape == (COUNT,), f"an epoch of {COUNT} samples is of the shape {chosen.shape}, expected ({COUNT},)")
    hold(chosen.dtype.kind == "i", f"an epoch's samples are {chosen.dtype}, expected integers")
    hold(np.isin(chosen, np.arange(100, 100 + COUNT)).all(), "an epoch has samples that it was not given")


def is_a_function_of_seed_and_epoch(order: Order) -> None:
    """So that an epoch can be entered anywhere, by any number of processes; of both, or of neither."""
    first = epoch(order, 3, 5)
    elsewhere, later = (not np.array_equal(epoch(order, *other), first) for other in ((4, 5), (3, 6)))
    equal(epoch(order, 3, 5), first, "asked again, an epoch has another order: draw from stream(seed, 'order', epoch)")
    hold(
        elsewhere == later,
        f"another seed {'changes' if elsewhere else 'does not change'} an epoch, and another epoch "
        f"{'does' if later else 'does not'}: draw from stream(seed, 'order', epoch)",
    )


CHECKS = (
    fills_an_epoch_with_the_samples_there_are,
    is_a_function_of_seed_and_epoch,
)

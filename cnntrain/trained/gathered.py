"""Gathered numbers of every sample, put in their places whichever worker comes first."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from cnntrain.core.arrays import Array


class Gathered:
    """A few numbers of each of n samples, made from its outputs and its target as the network sees it."""

    def __init__(self, of: Callable[[Array, Array], Array], n: int) -> None:
        """`of` takes outputs (k, ...) and targets (k, ...) and gives (k, ...), the same shape and type for any k."""
        self._of, self._n, self._lock = of, n, threading.Lock()
        self.rows: Array = np.zeros(n)  # (n, ...), once there was a sample

    def add(self, start: int, outputs: Array, targets: Array) -> None:
        """Take in the samples from `start` on; any thread may call it."""
        found = self._of(outputs, targets)
        with self._lock:
            if self.rows.shape[1:] != found.shape[1:] or self.rows.dtype != found.dtype:
                self.rows = np.zeros((self._n, *found.shape[1:]), found.dtype)
        self.rows[start : start + len(found)] = found

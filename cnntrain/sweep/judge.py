"""A judge is one of Optuna's pruners: it tells whether a trial that has come this far should go on.

Its verdict is a function of what it was told before, in that order. So a search that is killed and run again, and
tells it the same from its journal, gets the same verdicts.
"""

from __future__ import annotations

from typing import Any

from cnntrain.sweep.sampler import quiet
from cnntrain.sweep.space import Pruning


class Judge:
    """The pruner that `prune` names, for trials of `epochs`; `larger` says which way the metric is better."""

    def __init__(self, prune: Pruning, epochs: int, larger: bool) -> None:
        with quiet():
            import optuna

            pruners: Any = optuna.pruners
            if prune.pruner == "hyperband":
                first = int(prune.first.value)
                pruner = pruners.HyperbandPruner(first, max(epochs, first), prune.factor)
            else:
                pruner = pruners.PercentilePruner(100 / prune.factor)
            self._study = optuna.create_study(
                study_name="search",  # from which, and its number, hyperband derives a trial's bracket
                direction="maximize" if larger else "minimize",
                pruner=pruner,
                sampler=optuna.samplers.RandomSampler(seed=0),  # which is never asked
            )
        self._trials: list[Any] = []

    def begin(self) -> None:
        """Take note of the next trial."""
        self._trials.append(self._study.ask())

    def goes_on(self, number: int, epochs: int, value: float) -> bool:
        """Whether a trial with this value after so many epochs should be trained further."""
        trial = self._trials[number]
        trial.report(value, epochs)
        return not trial.should_prune()

    def end(self, number: int, value: float | None) -> None:
        """Take note of the value of a trial that was trained to its end; None where it failed."""
        import optuna

        with quiet():
            if value is None:
                self._study.tell(self._trials[number], state=optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(self._trials[number], value)

"""A sampler proposes the values of a search's next trial, from the results of the earlier ones.

A proposal is a function of the search's seed, the trial's number and the trials so far: Optuna is asked anew each time,
with a seed of its own for each trial, so that a search that is killed and run again goes on as if it had not been.
"""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cnntrain.core import strict_json
from cnntrain.core.errors import MissingExtraError
from cnntrain.core.extras import install
from cnntrain.sweep.space import Choice, Choices, Search, Spread, drawn
from cnntrain.sweep.value_text import to_text


@dataclass
class SearchTrial:
    """A trial of a search: its values as YAML text by key, how far it is to train, and what was found.

    `until` and the keys of `values` are epochs; None stands for the end of training. `failed` is the exit code of one
    that cannot be trained, such as one that diverges.
    """

    number: int
    texts: Mapping[str, str]
    until: int | None
    values: dict[int | None, float] = field(default_factory=dict)
    failed: int | None = None
    pruned: bool = False  # by one of Optuna's pruners, where it was paused last

    @property
    def told(self) -> bool:
        """Whether it has been trained as far as it was to be."""
        return self.failed is not None or self.until in self.values

    @property
    def finished(self) -> bool:
        """Whether it has been trained to the end."""
        return None in self.values

    @property
    def value(self) -> float | None:
        """Its metric when it was last judged."""
        return [*self.values.values()][-1] if self.values else None


def require_optuna(search: Search) -> None:
    """Raise MissingExtraError where what the search's sampler and pruner need is not installed."""
    needed = {"random": (), "tpe": ("optuna",), "gp": ("optuna", "torch", "scipy")}[search.sampler]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        how = install("search", *(("torch", "scipy") if search.sampler == "gp" else ()))
        raise MissingExtraError(
            f"sampler {search.sampler} needs {' and '.join(missing)}. Install with: {how}; or use sampler: random"
        )
    if search.prune and search.prune.pruner != "halving" and importlib.util.find_spec("optuna") is None:
        raise MissingExtraError(
            f"pruner {search.prune.pruner} needs optuna. Install with: {install('search')}; or use pruner: halving"
        )


def propose(search: Search, choices: Choices, trials: Sequence[SearchTrial], larger: bool) -> dict[str, str]:
    """The values of the next trial as YAML text, by key; `larger` says which way the metric is better."""
    number = len(trials)
    if search.sampler == "random":
        return {key.text: to_text(drawn(search.seed, number, key, choice)) for key, choice in choices}
    digest = hashlib.sha256(f"{search.seed}/{number}".encode()).digest()
    with quiet():
        import optuna

        if search.sampler == "gp":
            sampler: Any = optuna.samplers.GPSampler(seed=int.from_bytes(digest[:4]))
        else:
            sampler = optuna.samplers.TPESampler(seed=int.from_bytes(digest[:4]), constant_liar=True)
        study = study_of(choices, trials, larger, sampler)
        found = study.ask(distributions(choices)).params
    return {key.text: _text(choice, found[key.text]) for key, choice in choices}


def _text(choice: Choice, value: Any) -> str:
    """A parameter of Optuna's as YAML text."""
    return choice.text(value) if isinstance(choice, Spread) else str(value)


def distributions(choices: Choices) -> dict[str, Any]:
    """For each key, the distribution that Optuna draws from."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for key, choice in choices:
        if not isinstance(choice, Spread):
            found[key.text] = CategoricalDistribution([*dict.fromkeys(map(to_text, choice))])
        elif choice.integer:
            found[key.text] = IntDistribution(round(choice.low), round(choice.high), log=choice.log)
        else:
            found[key.text] = FloatDistribution(choice.low, choice.high, log=choice.log)
    return found


def study_of(
    choices: Choices,
    trials: Sequence[SearchTrial],
    larger: bool,
    sampler: Any = None,
    storage: Any = None,
    name: str | None = None,
) -> Any:
    """The trials as an Optuna study. A paused trial is pruned there, and a failed one pruned before it began."""
    import optuna
    from optuna.trial import TrialState, create_trial

    study = optuna.create_study(
        storage=storage, sampler=sampler, study_name=name, direction="maximize" if larger else "minimize"
    )
    limits = distributions(choices)
    for trial in trials:
        ended = TrialState.COMPLETE if trial.finished else TrialState.PRUNED
        state = ended if trial.told else TrialState.RUNNING
        params = {key.text: _parameter(choice, trial.texts[key.text]) for key, choice in choices}
        reported = {epoch: value for epoch, value in trial.values.items() if epoch is not None}
        value = trial.values.get(None)
        frozen = create_trial(
            state=state, params=params, distributions=limits, value=value, intermediate_values=reported
        )
        study.add_trial(frozen)
    return study


def _parameter(choice: Choice, text: str) -> Any:
    """A value in Optuna's form; rounding to six digits may have led out of the range."""
    if not isinstance(choice, Spread):
        return text
    value = min(max(float(text), choice.low), choice.high)
    return round(value) if choice.integer else value


def importances(choices: Choices, trials: Sequence[SearchTrial], larger: bool) -> dict[str, float]:
    """How much each key accounts for the metric, as shares of one; empty where that cannot be told.

    All trials are compared after the same epochs, those of the first rung. The method is PED-ANOVA (Watanabe et al.
    2023), the default of later versions of Optuna.
    """
    known = [trial for trial in trials if trial.values]
    if len(known) < 4 or importlib.util.find_spec("optuna") is None:
        return {}
    first = [SearchTrial(one.number, one.texts, None, {None: next(iter(one.values.values()))}) for one in known]
    with quiet():
        import optuna

        try:
            method = optuna.importance.PedAnovaImportanceEvaluator()
            found = optuna.importance.get_param_importances(study_of(choices, first, larger), evaluator=method)
        except (ValueError, RuntimeError, ZeroDivisionError):
            return {}
    return {name: round(float(share), 4) for name, share in found.items()}


def journal_of(choices: Choices, trials: Sequence[SearchTrial], larger: bool, name: str) -> bytes:
    """The trials as a file that `optuna-dashboard` opens: the journal of an Optuna study."""
    with quiet():
        from optuna.storages import JournalStorage

        class Lines:
            """A journal in memory: the two methods of Optuna's BaseJournalBackend."""

            def __init__(self) -> None:
                self.logs: list[dict[str, Any]] = []

            def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
                return self.logs[log_number_from:]

            def append_logs(self, logs: list[dict[str, Any]]) -> None:
                self.logs += logs

        lines = Lines()
        study_of(choices, trials, larger, storage=JournalStorage(lines), name=name)
    return "".join(f"{strict_json.encode(line)}\n" for line in lines.logs).encode()


@contextmanager
def quiet() -> Iterator[None]:
    """Within it, Optuna neither logs nor warns that parts of it are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        yield

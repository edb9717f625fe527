"""The answer of a search: the best config as a file, and all trials, for people, for the report and for Optuna's tools.

`best.yaml` is ready to `fit`; `search.json` is what `report` shows; `optuna.journal` opens in `optuna-dashboard`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from cnntrain.config.dump import plain, to_yaml
from cnntrain.config.load import load_resolved
from cnntrain.config.tree import RESOLVED
from cnntrain.core import files, shell, strict_json
from cnntrain.core.counts import counted
from cnntrain.core.errors import ConfigError, StorageError
from cnntrain.sweep.sampler import SearchTrial, importances, journal_of
from cnntrain.sweep.search import SearchQueue
from cnntrain.sweep.space import Spread

BEST, ALL, STUDY = "best.yaml", "search.json", "optuna.journal"


def write_answer(queue: SearchQueue, folder: Path) -> dict[str, Any]:
    """Write what is known so far into the folder of the search; returns what search.json holds. Raises StorageError."""
    document = _document(queue)
    files.write_atomic(folder / ALL, (strict_json.encode(document, indent=2) + "\n").encode())
    if queue.best is not None:
        files.write_atomic(folder / BEST, _best_config(queue, queue.best).encode())
    if importlib.util.find_spec("optuna") is not None:
        journal = journal_of(queue.sweep.choices, queue.trials, queue.larger, queue.sweep.name)
        files.write_atomic(folder / STUDY, journal)
    return document


def _document(queue: SearchQueue) -> dict[str, Any]:
    keys = [
        {"key": key.text, "log": isinstance(choice, Spread) and choice.log, "number": isinstance(choice, Spread)}
        for key, choice in queue.sweep.choices
    ]
    return {
        "name": queue.sweep.name,
        "metric": queue.metric,
        "larger": queue.larger,
        "best": None if queue.best is None else queue.best.number,
        "keys": keys,
        "importances": importances(queue.sweep.choices, queue.trials, queue.larger),
        "trials": [
            {
                "number": trial.number,
                "run": standing.cell.name,
                "state": standing.state,
                "epoch": standing.status.get("epoch"),
                "value": trial.value,
                "settings": dict(trial.texts),
                "rungs": [[epochs, value] for epochs, value in trial.values.items() if epochs is not None],
            }
            for trial, standing in zip(queue.trials, queue.standings, strict=True)
        ],
    }


def _best_config(queue: SearchQueue, best: SearchTrial) -> str:
    """The config by which the best trial was trained, every default filled in."""
    standing = queue.standings[best.number]
    try:
        experiment = load_resolved(standing.run_dir / RESOLVED).experiment
    except (ConfigError, StorageError):  # its files are gone: only its value is left
        experiment = standing.cell.loaded.experiment
    head = [
        f"The best of {counted(len(queue.trials), 'trial')} of the search {queue.sweep.name}: {queue.metric} "
        f"{best.value:.6g}.",
        f"It is trained already, in {shell.word(standing.run_dir)}.",
        *(f"  {key}: {text}" for key, text in best.texts.items()),
    ]
    comment = "".join(f"# {line}\n" for line in head)
    return comment + to_yaml(plain(experiment))

"""Checking from Python: `cnntrain.check` looks at a config, its shapes and its data, and trains nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnntrain.api.arguments import Configs, Paths, Set, configs_of, overrides, path_of
from cnntrain.api.training import Told, as_python_does
from cnntrain.core import bounds
from cnntrain.core.culprits import noting


@noting
def check(
    config: Configs,
    *,
    set: Set = None,
    data: bool = True,
    picture: Paths | None = None,
    threads: int | None = None,
    announce: Callable[[dict[str, Any]], None] | None = None,
    warn: Told = as_python_does,
) -> dict[str, Any]:
    """Check a config, every shape, and every file of its data, and return what `check --json` prints.

    config    a path, a mapping as a YAML file holds, or several, later ones over earlier ones
    set       values by dotted key, over the config's: {"optimizer.lr": 0.1}
    data      whether to read the data; without it, shapes and classes come from the config
    picture   a PNG file to write, of what the network will see: augmented, with labels
    announce  called with what was found if some files cannot be read, before that error is raised
    warn      called with every warning; with None they are printed

    Raises ConfigError, DataError, StorageError.
    """
    from cnntrain.checks.preflight import examine, rehearse

    files, threads = configs_of(config), bounds.THREADS.optional("threads", threads)
    if not data:
        return rehearse(files, overrides(set), threads, warn)
    found, error = examine(files, overrides(set), threads, None if picture is None else path_of(picture), warn)
    if error is not None:
        if announce is not None:
            announce(found)
        raise error
    return found

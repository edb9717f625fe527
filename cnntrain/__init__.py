"""cnntrain trains convolutional neural networks from a YAML file, in pure NumPy.

`cnntrain.fit("config.yaml", set={"train.epochs": 1})` does in Python what `cnntrain fit` does in a shell; api/README.md
tells of everything that Python code can call.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

# BLAS must run on one thread inside the workers. It reads these variables when NumPy loads it, so they are set here, in
# the module that Python runs before any other of the package; `cnntrain.core.blas` verifies that the library obeyed.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_variable] = "1"

__version__ = "0.1.0"


_DOOR = {  # what Python code calls -> the module of the room `api` that has it
    "fit": "fit",
    "check": "check",
    "load": "model",
    "Model": "model",
    "runs": "run",
    "Run": "run",
    "History": "history",
    **dict.fromkeys(("fetch", "init", "summary", "time", "gradcheck", "lr_find"), "beforehand"),
    **dict.fromkeys(("report", "compare", "average", "inspect", "explain", "replay", "verify"), "finished"),
}


__all__ = [  # the same names, for `from cnntrain import *`, help and type checkers
    "History",
    "Model",
    "Run",
    "average",
    "check",
    "compare",
    "explain",
    "fetch",
    "fit",
    "gradcheck",
    "init",
    "inspect",
    "load",
    "lr_find",
    "replay",
    "report",
    "runs",
    "summary",
    "time",
    "verify",
]

if TYPE_CHECKING:
    from cnntrain.api.beforehand import fetch, gradcheck, init, lr_find, summary, time
    from cnntrain.api.check import check
    from cnntrain.api.finished import average, compare, explain, inspect, replay, report, verify
    from cnntrain.api.fit import fit
    from cnntrain.api.history import History
    from cnntrain.api.model import Model, load
    from cnntrain.api.run import Run, runs
else:  # which a type checker would take as leave for every name, and every call

    def __getattr__(name):
        """Import what notebooks call when it is asked for: help and version answer without NumPy."""
        if name in _DOOR:
            return getattr(importlib.import_module(f"cnntrain.api.{_DOOR[name]}"), name)
        raise AttributeError(f"module 'cnntrain' has no attribute {name!r}")

    def __dir__():
        return sorted([*globals(), *_DOOR])

"""cnntrain trains convolutional neural networks from a YAML file, in pure NumPy.

`cnntrain.fit(["config.yaml"], ["train.epochs=1"])` does in Python what `cnntrain fit` does in a shell; see
`cnntrain.training.session`.
"""

from __future__ import annotations

import os
from typing import Any

# BLAS must run on one thread inside the workers. It reads these variables when NumPy loads it, so they are set here, in
# the module that Python runs before any other of the package; `cnntrain.core.blas` verifies that the library obeyed.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_variable] = "1"

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `fit` when it is asked for: help and version answer without NumPy."""
    if name == "fit":
        from cnntrain.training.session import fit

        return fit
    raise AttributeError(f"module 'cnntrain' has no attribute {name!r}")

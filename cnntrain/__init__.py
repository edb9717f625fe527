"""cnntrain trains convolutional neural networks from a YAML file, in pure NumPy.

`cnntrain.fit(["config.yaml"], ["train.epochs=1"])` does in Python what `cnntrain fit` does in a shell; see
`cnntrain.session`.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `fit` when it is asked for: help and version answer without NumPy."""
    if name == "fit":
        from cnntrain.session import fit

        return fit
    raise AttributeError(f"module 'cnntrain' has no attribute {name!r}")

"""Training as Python code asks for it: nothing on stderr unless progress is wanted, and warnings that are Python's."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnntrain.api.arguments import Set, overrides
from cnntrain.config.mapping import Config
from cnntrain.core.console import Progress
from cnntrain.training import session
from cnntrain.training.session import Options


def train(configs: Sequence[Path | Config], set: Set, progress: Progress, **options: Any) -> Path:
    """Do what `cnntrain fit` does, with its options by name, and return the run directory."""
    quiet = progress == "none"
    given = Options(progress=progress, quiet=quiet, warn=_warn, **options)
    return Path(session.fit(configs, overrides(set), given)["run_dir"])


def _warn(text: str) -> None:
    """Issue a Python warning, at the caller's line that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "cnntrain":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)

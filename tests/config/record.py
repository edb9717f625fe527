"""Write the message of every broken config beside it: `python -m tests.config.record`, then read the diff."""

from __future__ import annotations

import os
from pathlib import Path

from cnntrain.config.load import load
from cnntrain.core.errors import ConfigError

BROKEN = Path(__file__).parent / "broken"


def message(name: str) -> str:
    """What is wrong with a config of the current directory, as the user sees it."""
    try:
        load([name])
    except ConfigError as error:
        return f"{error}\n"
    return "nothing is wrong with it\n"


if __name__ == "__main__":
    os.chdir(BROKEN)
    for config in sorted(Path().glob("*.yaml")):
        config.with_suffix(".txt").write_text(message(config.name))

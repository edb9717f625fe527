"""Write each impossible network's message beside it: `python -m tests.network.graph.record`, then read the diff."""

from __future__ import annotations

import os
from pathlib import Path

from cnntrain.config.load import load
from cnntrain.core.errors import ConfigError
from cnntrain.data import build_data
from cnntrain.network import build

BROKEN = Path(__file__).parent / "broken"


def message(name: str) -> str:
    """What is wrong with the network of a config of the current directory, as the user sees it."""
    try:
        loaded = load([name])
    except ConfigError as error:
        return f"the config itself: {error}\n"
    description = build_data.describe(loaded)
    assert description is not None
    try:
        build.network(loaded, description)
    except ConfigError as error:
        return f"{error}\n"
    return "nothing is wrong with it\n"


if __name__ == "__main__":
    os.chdir(BROKEN)
    for config in sorted(Path().glob("*.yaml")):
        config.with_suffix(".txt").write_text(message(config.name))

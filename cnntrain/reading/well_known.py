"""Well-known data sets are those that `cnntrain data fetch` fetches: a source that misses one names the command."""

from __future__ import annotations

from pathlib import Path

from cnntrain.core import shell

FOLDERS = {  # name -> the folder that it is brought to, below --root
    "mnist": "mnist",
    "fashion-mnist": "fashion-mnist",
    "kmnist": "kmnist",
    "cifar10": "cifar-10-batches-bin",
    "cifar100": "cifar-100-binary",
}
_ROOT = "data"  # the default of --root


def how_to_fetch(root: str | Path, *names: str) -> str:
    """The command that brings the set a missing folder is named after to its place, or else the first of `names`."""
    place = Path(root)
    name = next((name for name in names if FOLDERS[name] == place.name), None)
    if name is None:
        return f"'cnntrain data fetch {names[0]}' brings {names[0]} to {_ROOT}/{FOLDERS[names[0]]}"
    where = "" if str(place.parent) == _ROOT else f" --root {shell.word(place.parent)}"
    return f"{name} is brought there by: cnntrain data fetch {name}{where}"

"""An extra is a package that some feature needs and the program does not; this says what to type to install it here.

The packages themselves are named, since cnntrain is on no registry; and the command is one that reaches the environment
that is running: pipx has its own, one made by uv has no pip, and the pip that the shell finds may be another one's.
"""

from __future__ import annotations

import configparser
import importlib.metadata
import importlib.util
import os
import shlex
import sys
from pathlib import Path

PACKAGE = "cnntrain"


def install(extra: str, *further: str) -> str:
    """The command that installs the packages of an extra, and further ones, alongside this program."""
    packages = shlex.join([*requirements(extra), *further])
    if (Path(sys.prefix) / "pipx_metadata.json").is_file():
        return f"pipx inject {PACKAGE} {packages}"
    if importlib.util.find_spec("pip") is None:
        return f"uv pip install --python {shlex.quote(sys.executable)} {packages}"
    here = Path(sys.executable).parent.resolve()
    found = next((folder for folder in map(Path, os.get_exec_path()) if (folder / "pip").is_file()), None)
    own = found is not None and found.resolve() == here
    return f"{'pip' if own else f'{shlex.quote(sys.executable)} -m pip'} install {packages}"


def requirements(extra: str) -> list[str]:
    """The packages of an extra with their versions ("onnx>=1.16"); its own name where nothing declares it."""
    try:
        declared = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return _in_checkout(extra) or [extra]
    pairs = (text.partition(";") for text in declared)
    wanted = f'extra == "{extra}"'
    return [package.strip() for package, _, only in pairs if wanted in only.replace("'", '"')] or [extra]


def _in_checkout(extra: str) -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(Path(__file__).parents[2] / "setup.cfg", encoding="utf-8")
    text = parser.get("options.extras_require", extra, fallback="")
    return [line.strip() for line in text.splitlines() if line.strip()]

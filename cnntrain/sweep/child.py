"""A child is another cnntrain that this one starts: the same program, found where this one was found.

`python -m cnntrain` would look for every module in the working directory first, which may be a stranger's folder with
a yaml.py in it. So a child is told this process's own module path, and the interpreter adds nothing to it (-P).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

_BEGIN = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from {} import main; sys.exit(main())"
_FLAGS = {"isolated": "-I", "ignore_environment": "-E", "no_user_site": "-s", "no_site": "-S"}


def command(words: Sequence[str], module: str = "cnntrain.cli") -> list[str]:
    """The command line that starts cnntrain with these words, or the `main` of another module of it."""
    flags = [flag for name, flag in _FLAGS.items() if getattr(sys.flags, name)]
    return [sys.executable, *flags, "-P", "-c", _BEGIN.format(module), json.dumps(sys.path), *words]


def typed(words: Sequence[str]) -> list[str]:
    """The same for people: `cnntrain` where a shell finds this very program under that name, else `command`."""
    return ["cnntrain", *words] if _is_found() else command(words)


def lasting(words: Sequence[str]) -> list[str]:
    """The same for a script, which runs later, in a shell that may find another program of that name, or none."""
    return [os.path.abspath(sys.argv[0]), *words] if _is_found() else command(words)


def _is_found() -> bool:
    """Whether `cnntrain` leads to the program that runs, by a path that does not depend on the working directory."""
    program = Path(sys.argv[0])
    if program.name != "cnntrain":
        return False
    for folder in os.get_exec_path():
        found = Path(folder, "cnntrain")
        if found.is_file() and os.access(found, os.X_OK):
            return os.path.isabs(folder) and found.samefile(program)
    return False

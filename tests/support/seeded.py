"""A copy of a module with a bug seeded in it, to see whether the tests notice."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType


def copied(name: str, folder: Path, right: str = "", wrong: str = "", after: str = "") -> ModuleType:
    """A copy of a module, in which `right` is exchanged for `wrong` at its first place after the text `after`.

    The copy goes by the module's own name but takes nobody's place; its file is written to `folder`.
    """
    text = Path(str(importlib.import_module(name).__file__)).read_text(encoding="utf-8")
    at = text.index(right, text.index(after))
    path = folder / f"{name.rpartition('.')[2]}.py"
    path.write_text(text[:at] + wrong + text[at + len(right) :], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

"""`cnntrain selftest --part FILE`: every contract that applies to the parts of one file, as in check_estimator.

The file is one that the user names on the command line, and is imported; no config and no checkpoint leads here.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from cnntrain.checks.contracts import (
    average,
    dataset,
    initializer,
    layer,
    loss,
    metric,
    model,
    optimizer,
    order,
    part,
    regularizer,
    schedule,
    structure,
    task,
    transform,
)
from cnntrain.core import registry
from cnntrain.core.culprits import place, words
from cnntrain.core.errors import CheckFailedError, UsageError
from cnntrain.core.registry import KINDS, Part
from cnntrain.rundir.environment import environment

_OF_KIND: dict[str, Any] = {
    "averages": average,
    "datasets": dataset,
    "initializers": initializer,
    "layers": layer,
    "losses": loss,
    "metrics": metric,
    "models": model,
    "optimizers": optimizer,
    "orders": order,
    "regularizers": regularizer,
    "schedules": schedule,
    "structures": structure,
    "tasks": task,
    "transforms": transform,
}
_OF_EVERY_PART = (
    *(part.says_what_it_is, part.is_a_dataclass_itself),
    *(part.has_keys_of_its_own, part.has_keys_that_configs_can_hold, part.bounds_its_numbers),
)


@dataclass(frozen=True)
class Verdict:
    """One check of one part: the number of its cases, and the first problem, or "" where there was none."""

    part: str  # "layer snake"
    check: str  # "has gradients that are central differences"
    cases: int
    problem: str

    def document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "part": self.part,
            "check": self.check,
            "passed": not self.problem,
            "cases": self.cases,
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Verdicts:
    """All verdicts on a file, and how long they took."""

    path: Path
    verdicts: tuple[Verdict, ...]
    seconds: float

    def document(self) -> dict[str, Any]:
        """What `selftest --part FILE --json` prints."""
        return {
            "passed": not any(verdict.problem for verdict in self.verdicts),
            "seconds": round(self.seconds, 2),
            "environment": environment(),
            "checks": [verdict.document() for verdict in self.verdicts],
        }

    def require(self) -> None:
        """Raise CheckFailedError that names the first check that failed."""
        failed = [verdict for verdict in self.verdicts if verdict.problem]
        if failed:
            first = failed[0]
            raise CheckFailedError(
                f"{len(failed)} of {len(self.verdicts)} checks of {self.path} failed, the first: "
                f"{first.part}: {first.check}: {first.problem}"
            )


def check(path: Path) -> Verdicts:
    """The verdicts on all parts that a file registers. Raises UsageError where it cannot be read, or registers none."""
    start = time.monotonic()
    verdicts = [verdict for cls in parts_of(path) for verdict in verdicts_on(cls)]
    return Verdicts(path, tuple(verdicts), time.monotonic() - start)


def parts_of(path: Path) -> list[type[Part]]:
    """The parts that a Python file registers. Raises UsageError where it cannot be read, or registers none."""
    if not path.exists():
        raise UsageError(
            f"{path.absolute()} does not exist, expected a Python file of parts. Relative paths count from the working "
            "directory"
        )
    try:
        module = _module(path.resolve())
        found = [cls for kind in KINDS for cls in registry.known(kind).values() if cls.__module__ == module.__name__]
        for cls in found:
            registry.own(cls.kind)  # whose other files may have the name already
    except (Exception, SystemExit) as error:  # whatever the file's own lines raise
        raise UsageError(f"{path} cannot be imported: {words(error)}. Mend the file") from error
    if not found:
        raise UsageError(f"{path} registers no part. Put @register('NAME') before the part's class")
    return found


def _module(path: Path) -> ModuleType:
    """The module of a file: under its own name in a package, any other under a name that nothing else has."""
    names, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file() and "." not in names[0] + folder.name:  # by which no import would find it
        names, folder = [folder.name, *names], folder.parent
    if names[1:] and path.suffix == ".py":
        return _of_package(".".join(names).removesuffix(".__init__"), folder, path)
    spec = importlib.util.spec_from_file_location(f"part_of_file.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError("its name does not end with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where dataclasses look up the types of fields
    spec.loader.exec_module(module)
    return module


def _of_package(name: str, folder: Path, path: Path) -> ModuleType:
    """A module of a package that lies in a folder, installed or not."""
    sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
    found = Path(module.__file__ or "").resolve()
    if found != path:
        raise ImportError(f"another package of that name has been imported: {name} is {found}")
    return module


def verdicts_on(cls: type[Part]) -> Iterator[Verdict]:
    """Every check of a part."""
    contract: Any = _OF_KIND.get(cls.kind)
    for of_class in _OF_EVERY_PART:
        yield _verdict(cls, of_class, [(cls,)])
    examples = getattr(cls, "examples", ())
    if hasattr(contract, "CHECKS") and (examples or cls.kind != "datasets"):  # which may need files
        subjects_of = getattr(contract, "subjects", part.subjects)
        yield _verdict(cls, _has_examples, [(cls, subjects_of)])
        try:
            subjects = list(subjects_of(cls))
        except (Exception, SystemExit):  # an example cannot be made: the verdict before says so
            return
        for one in contract.CHECKS if subjects else ():
            yield _verdict(cls, one, subjects)
    for of_class in getattr(contract, "OF_CLASS", ()):
        yield _verdict(cls, of_class, [(cls,)])


def _has_examples(cls: Any, subjects_of: Callable[[Any], Iterable[Any]]) -> None:
    """It has examples, and each can be made."""
    part.examples_of(cls)
    for _ in subjects_of(cls):
        pass


def _verdict(cls: type[Part], one: Callable[..., None], subjects: Sequence[tuple[Any, ...]]) -> Verdict:
    """The verdict of a check, about the first subject that fails it; a NumPy warning counts as an error."""
    about = f"{KINDS[cls.kind]} {cls.name_in_config}", one.__name__.strip("_").replace("_", " "), len(subjects)
    for subject in subjects:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                one(*subject)
        except AssertionError as error:
            return Verdict(*about, f"{_settings(subject)}{' '.join(str(error).split())}")
        except (Exception, SystemExit) as error:  # whatever the part raises
            return Verdict(*about, f"{_settings(subject)}{_raised(error, cls)}")
    return Verdict(*about, "")


def _raised(error: BaseException, cls: type[Part]) -> str:
    """What a part raised, and where in its file; of a base class's stub, that the part lacks the method."""
    if isinstance(error, NotImplementedError) and not error.args:
        return f"it has no method {traceback.extract_tb(error.__traceback__)[-1].name}"
    where = place(error, cls.__module__)
    return f"it raised {words(error)}{f' at {where}' if where else ''}"


def _settings(subject: Sequence[Any]) -> str:
    """Which example it was, before the problem."""
    return "" if isinstance(subject[0], type) else f"{', '.join(map(str, subject))}: "

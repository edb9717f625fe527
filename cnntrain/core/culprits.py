"""A culprit is the part in whose code an error arose, where it is not ours: what to mend, by file and line.

Whoever writes a part makes mistakes, and they surface in the middle of our code. The traceback knows whose they are by
its innermost frame in the package of a part. What is told of them is the same on the command line, from Python, and
where another process met them.
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, cast

import cnntrain
from cnntrain.core.errors import CnntrainError
from cnntrain.core.registry import KINDS, Part, known, nearest, package_of

_ROOT = Path(cnntrain.__file__).parent
_PARTS = _ROOT / "parts"
_LONGEST = 1000  # characters of what is told of an error that another process met

_Spot = tuple[FrameType, int]  # a frame, and the line in it
_Call = TypeVar("_Call", bound=Callable[..., Any])


def culprit(error: BaseException) -> str | None:
    """What failed and where, as a clause: "the layer 'odd' of odds 1 failed at odd.py:23 in forward: KeyError: 'x'".

    None where no code but ours took part, as far as the traceback tells, and that of libraries that we called.
    """
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        found = vars(one).get("culprit") or _unwritten(one) or _unfit(one) or _failed(one) or _unreadable(one)
        if found:
            return str(found)
        one = one.__cause__ or one.__context__
    return None


def suspects() -> list[str]:
    """The packages whose parts have been loaded, any of which may have given our code what it did not expect."""
    return sorted({package for cls in _foreign() if (package := package_of(cls))})


def noting(call: _Call) -> _Call:
    """A function whose errors have a note that says whose code they arose in, and stay what they are."""

    @functools.wraps(call)
    def noted(*arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except CnntrainError:  # which says what to do, also where the refusal of a part is its cause
            raise
        except Exception as error:
            said = culprit(error)
            if said and not getattr(error, "__notes__", None):
                error.add_note(f"{said}. Mend it")
            raise

    return cast(_Call, noted)


def words(error: BaseException) -> str:
    """An error on one line: "KeyError: 'x'". Of a module of version 0.1.0 it says where that lies now."""
    text = " ".join(str(error).split())
    moved = _moved(error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    return f"{type(error).__name__}: {text}{f' (it is {moved} now)' if moved else ''}" if text else type(error).__name__


def _moved(module: str) -> str:
    """Where a module that had lain outside the rooms lies now, by its last name; "" where that is not plain."""
    last = module.rpartition(".")[2]
    if not module.startswith(f"{cnntrain.__name__}.") or not last.isidentifier():
        return ""
    if last in KINDS:
        return f"{cnntrain.__name__}.parts.{last}"
    rooms = [path.parent.name for path in _ROOT.glob(f"*/{last}.py")]
    return f"{cnntrain.__name__}.{rooms[0]}.{last}" if len(rooms) == 1 else ""


def place(error: BaseException, module: str) -> str:
    """The innermost line of a module that an error passed through: "odd.py:23 in forward"; "" where it did not."""
    return next((_where(one) for one in _places(error) if _module(one) == module), "")


def packed(error: BaseException, limit: int) -> bytes:
    """What another process has to be told of an error, in so many bytes; see `unpacked`."""
    head = "".join(f"{text[:_LONGEST]}\n" for text in (words(error), culprit(error) or "")).encode(errors="replace")
    tail = "".join(traceback.format_exception(error)).encode(errors="replace")
    room = limit - len(head)
    return head + tail[-room:] if room > 0 else head[:limit]


def unpacked(said: bytes, who: str) -> RuntimeError:
    """The error of another process, to be raised here: with its words, its traceback for a cause, and its culprit."""
    met, whose, text = [*said.decode(errors="replace").split("\n", 2), "", ""][:3]
    error = RuntimeError(f"{who} met {met}")
    error.__cause__ = RuntimeError(f"in {who}:\n{text}")
    vars(error)["culprit"] = whose
    return error


def _places(error: BaseException) -> list[_Spot]:
    """The places an error passed through, the innermost first; without those of whoever called us."""
    walked = traceback.walk_tb(error.__traceback__)
    places = [one for one in walked if not one[0].f_code.co_filename.startswith("<")]  # what dataclasses write
    first = next((index for index, one in enumerate(places) if _top(one) == cnntrain.__name__), len(places))
    return places[first:][::-1]


def _module(one: _Spot) -> str:
    return str(one[0].f_globals.get("__name__", ""))


def _top(one: _Spot) -> str:
    return _module(one).partition(".")[0]


def _where(one: _Spot) -> str:
    frame, line = one
    return f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def _foreign() -> list[type[Part]]:
    """The parts that are not ours, so far as they have been loaded."""
    return [cls for kind in KINDS for cls in known(kind).values() if not cls.__module__.startswith("cnntrain.")]


def _called(cls: type[Part]) -> str:
    return f"the {KINDS[cls.kind]} {cls.name_in_config!r} of {package_of(cls) or cls.__module__}"


def _failed(error: BaseException) -> str | None:
    """Of an error that arose in the package of a part, or in what that called."""
    by_package: dict[str, list[type[Part]]] = {}
    for cls in _foreign():
        by_package.setdefault(cls.__module__.partition(".")[0], []).append(cls)
    places = _places(error)
    inner = next((one for one in places if _top(one) in by_package), None)
    if inner is None:
        return None
    classes = by_package[_top(inner)]
    of_module = [one for one in classes if one.__module__ == _module(inner)]
    owners = [*filter(None, (_owner(one[0], classes) for one in places)), *(of_module if len(of_module) == 1 else ())]
    whose = _called(owners[0]) if owners else f"code of {package_of(classes[0]) or _top(inner)}"
    return f"{whose} failed at {_where(inner)}: {words(error)}"


def _owner(frame: FrameType, classes: list[type[Part]]) -> type[Part] | None:
    """Which of these classes a frame belongs to a method of, by what it was called on."""
    arguments = frame.f_code.co_varnames[:1]
    of = frame.f_locals.get(arguments[0]) if arguments else None
    cls = of if isinstance(of, type) else type(of)
    return cls if cls in classes else None


def _unwritten(error: BaseException) -> str | None:
    """Of a method that a part should have, and that only its base class has, as a stub."""
    places = _places(error)
    if not isinstance(error, NotImplementedError) or error.args or not places:
        return None
    frame, method = places[0][0], places[0][0].f_code.co_name
    cls = _owner(frame, _foreign())
    if cls is None:
        return None
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    mine = [name for name, value in vars(cls).items() if callable(value) and not hasattr(cls.__mro__[1], name)]
    near = nearest(method, mine)
    return f"{_called(cls)} ({file}) has no method {method!r}{f', but one called {near!r}' if near else ''}"


def _unfit(error: BaseException) -> str | None:
    """Of a method that does not take what it was called with, which only the caller's frame shows."""
    if not isinstance(error, TypeError):
        return None
    name, _, rest = str(error).partition("()")
    for cls in _foreign() if rest else ():
        method = vars(cls).get(name.rpartition(".")[2])
        code = getattr(method, "__code__", None)
        if code and code.co_qualname == name:
            where = f"{code.co_filename}:{code.co_firstlineno}"
            return f"{_called(cls)} cannot be called as all of its kind are, at {where}: {words(error)}"
    return None


def _unreadable(error: BaseException) -> str | None:
    """Of a file among our parts that cannot be imported: one that has just been added there."""
    where = [(frame.f_code.co_filename, line) for frame, line in _places(error) if frame.f_code.co_name == "<module>"]
    if isinstance(error, SyntaxError):
        where.insert(0, (error.filename or "", error.lineno or 0))
    found = next((f"{file}:{line}" for file, line in where if Path(file).is_relative_to(_PARTS)), None)
    return f"{found} cannot be imported: {words(error)}" if found else None

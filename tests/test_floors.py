"""The package is a house of rooms: each imports only rooms on the floors below it, none sideways, and none up."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cnntrain
from cnntrain.core.registry import KINDS

ROOT = Path(cnntrain.__file__).parent
MAP = "cnntrain/README.md"  # the page that says what belongs in which room

FLOORS = (  # from the ground to the roof, the order of an experiment's life backwards
    ("core",),
    ("config", "reading"),
    ("ops", "rundir"),
    ("parts",),
    ("data",),
    ("network",),
    ("engine",),
    ("trained",),
    ("training",),
    ("checks",),
    ("results", "sweep"),
    ("api",),
    ("cli",),
)
ROOMS = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
NUMPY = "numpy"
LIBRARIES = {  # what a room may import that is neither Python's own nor ours; the optional ones where they are used
    "core": {NUMPY, "tqdm"},
    "config": {"yaml"},
    "reading": {NUMPY, "PIL"},
    "ops": {NUMPY},
    "rundir": {NUMPY, "PIL", "tensorboard"},
    "parts": {NUMPY, "PIL"},
    "data": {NUMPY, "tqdm"},
    "network": {NUMPY, "safetensors"},
    "engine": {NUMPY, "mpi4py"},
    "trained": {NUMPY},
    "training": {NUMPY},
    "checks": {NUMPY, "PIL"},
    "results": {NUMPY, "PIL", "matplotlib", "onnx", "onnxruntime"},
    "sweep": {"optuna", "distributed"},
    "api": {NUMPY, "pandas"},
    "cli": {NUMPY, "PIL", "click", "tqdm"},
}
EXTRAS = {  # an optional library of one part
    "cnntrain.parts.transforms.dense_sift": "cv2",
    "cnntrain.reading.sounds": "soundfile",
    "cnntrain.reading.clips": "av",
}


def room_of(module: str) -> str | None:
    """The room of "cnntrain.parts.layers.conv2d"; None for the package itself and `python -m cnntrain`."""
    return None if module in ("cnntrain", "cnntrain.__main__") else module.split(".")[1]


MODULES = {
    ".".join(["cnntrain", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def nodes(module: str) -> Iterator[ast.AST]:
    """The nodes of a module's syntax tree, which is not kept: all of them would slow down every garbage collection."""
    return ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))


@functools.cache
def imports(module: str) -> tuple[tuple[str, int], ...]:
    """Every module imported anywhere in a module, inside functions too, with its line."""
    return tuple(_imports(module))


def _imports(module: str) -> Iterator[tuple[str, int]]:
    for node in nodes(module):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "." * node.level + (node.module or ""), node.lineno
            else:
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from ((name if name in MODULES else str(node.module), node.lineno) for name in whole)


def complaint(importer: str, imported: str) -> str | None:
    """What is wrong with one module importing another, or None."""
    if imported.startswith("."):
        return "relative imports hide the room"
    mine = room_of(importer)
    if imported.split(".")[0] != "cnntrain":
        return _of_library(importer, mine, imported.split(".")[0])
    theirs = room_of(imported)
    if mine is None:
        allowed = ("api",) if importer == "cnntrain" else ("cli",)
        return None if theirs in allowed else f"only the room {allowed[0]} is for the package itself"
    if theirs is None:
        return None
    if mine == theirs:
        return _within_parts(importer, imported) if mine == "parts" else None
    if ROOMS[theirs] >= ROOMS[mine]:
        way = "sideways" if ROOMS[theirs] == ROOMS[mine] else "up"
        return f"goes {way} from the room {mine} to {theirs}: move what both need to a room below ({MAP})"
    return None


def _of_library(importer: str, room: str | None, library: str) -> str | None:
    if library in sys.stdlib_module_names or EXTRAS.get(importer) == library:
        return None
    allowed = LIBRARIES[room] if room else set()
    return None if library in allowed else f"{library} is not for the room {room or 'of the package itself'}"


def _within_parts(importer: str, imported: str) -> str | None:
    """A part imports what its own kind is built on, never another part or another kind."""
    kind, other = ([*name.split("."), ""][2] for name in (importer, imported))
    if kind in KINDS and (kind != other or _is_part(imported)):
        return f"goes sideways from {kind} to {other or 'parts'}: parts know each other by name only ({MAP})"
    return None


@functools.cache
def _is_part(module: str) -> bool:
    """Whether a config can name what is in a module."""
    decorators = [mark for node in nodes(module) for mark in getattr(node, "decorator_list", ())]
    return any(isinstance(mark, ast.Call) and ast.unparse(mark.func) == "register" for mark in decorators)


def test_the_rooms_are_those_of_the_map() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found == set(ROOMS), f"a new room needs a floor in FLOORS and a line in {MAP}"


def test_every_module_is_in_a_room() -> None:
    homeless = [name for name in MODULES if room_of(name) not in {None, *ROOMS}]
    assert homeless == [], f"{MAP} says what belongs in which room"


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_sideways_or_up(module: str) -> None:
    complaints = [
        f"{module}:{line} imports {imported}: {problem}"
        for imported, line in imports(module)
        if (problem := complaint(module, imported))
    ]
    assert complaints == []


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name: {i for i, _ in imports(name) if i in MODULES and i != "cnntrain"} for name in MODULES}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            for other in graph[name]:
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_the_tests_mirror_the_rooms() -> None:
    beside = {"benchmarks", "experiments", "faults", "golden", "installed", "support"}  # of no single room
    tests = Path(__file__).parent
    folders = {path.relative_to(tests).parts[0] for path in tests.rglob("*/*.py")} - beside
    assert folders <= set(ROOMS), "a test lies in the folder of the room it tests"


def test_no_test_imports_one_that_skips_itself() -> None:
    """Else it is skipped, too, where an extra is missing that it does not need."""
    tests = Path(__file__).parent
    trees = {
        ".".join(("tests", *path.relative_to(tests).with_suffix("").parts)): ast.parse(path.read_text())
        for path in tests.rglob("*.py")
    }
    skipping = {
        name
        for name, tree in trees.items()
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.Expr) and "pytest.importorskip(" in ast.unparse(statement)
    }
    assert "tests.network.test_counterparts" in skipping
    found = [
        (name, node.module)
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in skipping
    ]
    assert found == []


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("cnntrain.parts.layers.relu", "cnntrain.parts.layers.base", None),
        ("cnntrain.parts.datasets.voc", "cnntrain.parts.datasets.boxed_pictures", None),
        ("cnntrain.parts.layers.relu", "cnntrain.ops.columns", None),
        ("cnntrain.parts.layers.relu", "cnntrain.parts.layers.conv2d", "sideways"),
        ("cnntrain.parts.layers.relu", "cnntrain.parts.losses.base", "sideways"),
        ("cnntrain.parts.layers.relu", "cnntrain.engine.pool", "up from the room parts to engine"),
        ("cnntrain.ops.columns", "cnntrain.rundir.journal", "sideways from the room ops to rundir"),
        ("cnntrain.core.files", "cnntrain.config.fields", "up from the room core to config"),
        ("cnntrain.config.schema", "numpy", "numpy is not for the room config"),
        ("cnntrain.config.schema", "PIL", "PIL is not"),
        ("cnntrain.parts.datasets.idx", "PIL", None),
        ("cnntrain.training.trainer", "click", "click is not"),
        ("cnntrain.training.trainer", "torch", "torch is not"),
        ("cnntrain", "cnntrain.training.trainer", "only the room api"),
        ("cnntrain", "cnntrain.api.door", None),
        ("cnntrain", "numpy", "numpy is not"),
        ("cnntrain.parts.layers.relu", ".base", "relative"),
    ],
)
def test_the_rule_itself(importer: str, imported: str, expected: str | None) -> None:
    found = complaint(importer, imported)
    assert found is None if expected is None else expected in str(found)

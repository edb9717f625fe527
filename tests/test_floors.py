"""The import graph is a staircase: a part imports its own kind's base and lower floors; nobody imports up."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cnntrain
from cnntrain.core.registry import KINDS

ROOT = Path(cnntrain.__file__).parent

# A name stands for a module, or for a folder and all that is in it.
FLOORS: dict[int, set[str]] = {
    0: {"errors", "registry", "installed", "failures", "files", "archive", "reader", "reading", "strict_json"},
    1: {"config"},
    2: {
        *("blas", "arrays", "description", "display", "random", "ops"),
        *("pictures", "decoded", "stored", "records", "draft"),
    },
    3: set(KINDS),
    4: {"graph", "engine", "loader", "recognition"},
    5: {"checkpoint", "run", "manifest", "build", "build_data", "resources", "saved"},
    6: {
        "contracts",
        "trainer",
        *("job", "stepper", "rates", "state", "validation", "postmortem", "timekeeper", "fingerprint", "changes"),
        "preflight",
        "recorder",
        "journal",
        "inspection",
        "replay",
        "report",
        "monitor",
        "console",
        "sparkline",
        "record",
        "events",
        "compare",
        "interrupts",
        "child",
        "terminal",
        "session",
        "inference",
        "summary",
        "advice",
        *("timing", "forecast"),
        *("gradcheck", "selftest", "warmstart", "merge", "teacher", "sweep", "export", "lr_find"),
        *("survey", "contact_sheet", "proposal", "unseen", "bar", "download", "fetch"),
    },
    7: {"cli", "__main__"},
}
EXTRAS = {"cnntrain.parts.transforms.dense_sift": "cv2"}  # imported where it is used, by the one that needs it
LIBRARIES = {0: set[str](), 1: {"yaml"}, 2: {"numpy", "PIL"}, 6: {"tqdm", "matplotlib", "tensorboard"}, 7: {"click"}}
LIBRARIES[6] |= {"onnx", "onnxruntime", "safetensors"}  # optional, as those above


def floor_of(module: str) -> int | None:
    """The floor of "cnntrain.parts.layers.conv2d"; None for the package itself, which hands out fit when asked for it."""
    if module == "cnntrain":
        return None
    name = module.split(".")[1]
    return next((floor for floor, names in FLOORS.items() if name in names), -1)


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ["cnntrain", *path.relative_to(ROOT).with_suffix("").parts]
        found[".".join(parts).removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every module imported anywhere in a file, inside functions too, with its line."""
    for node in ast.walk(tree):
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
        return "relative imports hide the floor"
    top = imported.split(".")[0]
    mine = floor_of(importer)
    if top != "cnntrain":
        allowed = set().union(*(names for floor, names in LIBRARIES.items() if mine is not None and floor <= mine))
        allowed |= {EXTRAS.get(importer)}
        return None if top in sys.stdlib_module_names or top in allowed else f"{top} is not for this floor"
    theirs = floor_of(imported)
    if mine is None:
        return None if imported == "cnntrain.training.session" else "the package hands out fit and no more"
    if theirs is None:
        return None
    if theirs > mine:
        return f"goes up from floor {mine} to {theirs}"
    kind, other = importer.split(".")[1], imported.split(".")[1]
    if theirs == mine and kind in KINDS and imported != f"cnntrain.{kind}.base":
        return f"goes sideways from {kind} to {other}"
    return None


def test_every_module_has_a_floor() -> None:
    homeless = [name for name in MODULES if floor_of(name) == -1]
    assert homeless == [], "give them a place in the design's table and in FLOORS"


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_sideways_or_up(module: str) -> None:
    complaints = [
        f"{module}:{line} imports {imported}: {problem}"
        for imported, line in imports(MODULES[module])
        if (problem := complaint(module, imported))
    ]
    assert complaints == []


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name: {i for i, _ in imports(tree) if i in MODULES and i != "cnntrain"} for name, tree in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            for other in graph[name]:
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("cnntrain.parts.layers.relu", "cnntrain.parts.layers.base", None),
        ("cnntrain.parts.layers.relu", "cnntrain.ops.columns", None),
        ("cnntrain.parts.layers.relu", "cnntrain.parts.layers.conv2d", "sideways"),
        ("cnntrain.parts.layers.relu", "cnntrain.parts.losses.base", "sideways"),
        ("cnntrain.parts.layers.relu", "cnntrain.engine.pool", "up from floor 3 to 4"),
        ("cnntrain.core.files", "cnntrain.config.fields", "up from floor 0 to 1"),
        ("cnntrain.config.schema", "numpy", "numpy is not for this floor"),
        ("cnntrain.config.schema", "PIL", "PIL is not"),
        ("cnntrain.parts.datasets.idx", "PIL", None),
        ("cnntrain.training.trainer", "click", "click is not"),
        ("cnntrain.training.trainer", "torch", "torch is not"),
        ("cnntrain", "cnntrain.training.trainer", "hands out fit"),
        ("cnntrain", "numpy", "numpy is not"),
        ("cnntrain.parts.layers.relu", ".base", "relative"),
    ],
)
def test_the_rule_itself(importer: str, imported: str, expected: str | None) -> None:
    found = complaint(importer, imported)
    assert found is None if expected is None else expected in str(found)

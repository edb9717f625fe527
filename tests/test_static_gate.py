"""What must not be in the code: anything that runs data as code, writes where it may not, or swallows errors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import cnntrain
from tests.support import faults

ROOT = Path(cnntrain.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
WRITERS = {Path(str(module.__file__)) for module in faults.WRITERS}

MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "shutil", "tempfile"}
NAMES = {"eval", "exec", "__import__", "MAX_IMAGE_PIXELS", "LOAD_TRUNCATED_IMAGES", "extractall"}
CALLS = {  # by their last two names
    *("os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"),
    *("np.save", "np.savez", "np.savez_compressed", "np.savetxt"),
    "np.fromfile",  # where a device fails, it returns whatever is in memory
}
WRITING = {  # on a path or an array, by the last name
    *("write_text", "write_bytes", "mkdir", "rmdir", "unlink", "touch", "rename", "symlink_to", "hardlink_to"),
    *("tofile", "chmod"),
}
OS_WRITING = {  # of the module os
    *("open", "write", "pwrite", "mkdir", "makedirs", "remove", "unlink", "rmdir", "removedirs", "rename", "renames"),
    *("replace", "link", "symlink", "truncate", "ftruncate", "fdopen", "mkfifo", "chmod"),
}


def complaints(source: str, writes: bool = False) -> Iterator[str]:
    """What is wrong in a source text; `writes` for a module that may write."""
    for node in ast.walk(ast.parse(source)):
        for problem in (*_imported(node), *_named(node), *_called(node, writes), *_swallowed(node)):
            yield f"line {getattr(node, 'lineno', 0)}: {problem}"


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [str(node.module)]
    else:
        return
    yield from (f"imports {name}" for name in names if name.split(".")[0] in MODULES)


def _named(node: ast.AST) -> Iterator[str]:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    if name in NAMES and not (isinstance(node, ast.Attribute) and name in ("eval", "exec")):
        yield f"uses {name}"


def _called(node: ast.AST, writes: bool) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    words = ast.unparse(node.func).split(".")
    if ".".join(words[-2:]) in CALLS:
        yield f"calls {'.'.join(words[-2:])}"
    for keyword in node.keywords:
        if keyword.arg in ("allow_pickle", "shell") and ast.unparse(keyword.value) != "False":
            yield f"passes {keyword.arg}"
    if writes:
        return
    if words[0] == "os" and words[-1] in OS_WRITING and "os.devnull" not in map(ast.unparse, node.args):
        yield f"calls os.{words[-1]}: only the modules of WRITERS write"
    elif words[-1] in WRITING:
        yield f"calls {words[-1]}: only the modules of WRITERS write"
    elif words[-1] == "open":
        texts = (*node.args, *(keyword.value for keyword in node.keywords))
        modes = [text.value for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)]
        if any(set(mode) <= set("rwaxbt+") and set(mode) & set("wax+") for mode in modes):
            yield "opens a file to write: only the modules of WRITERS write"


def _swallowed(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ExceptHandler):
        if node.type is None:
            yield "has a bare except"
        elif ast.unparse(node.type) in ("Exception", "BaseException") and all(
            isinstance(statement, (ast.Pass, ast.Continue)) for statement in node.body
        ):
            yield f"swallows {ast.unparse(node.type)}"
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
        wide = [ast.unparse(argument) for argument in node.args if ast.unparse(argument).endswith("Exception")]
        yield from (f"swallows {name}" for name in wide)


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_nothing_forbidden(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert list(complaints(source, writes=path in WRITERS)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from shutil import rmtree",
        "import tempfile as t",
        "eval('1')",
        "exec(text)",
        "__import__(name)",
        "yaml.load(text, Loader)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "archive.extractall()",
        "Image.MAX_IMAGE_PIXELS = None",
        "ImageFile.LOAD_TRUNCATED_IMAGES = True",
        "os.system('ls')",
        "subprocess.run(text, shell=True)",
        "open(path, 'w')",
        "open(path, mode='ab')",
        "gzip.open(path, 'x')",
        "path.open('r+')",
        "path.write_text('')",
        "path.parent.mkdir()",
        "os.replace(a, b)",
        "np.savez(path, a=a)",
        "array.tofile(path)",
        "np.fromfile(path)",
        "try: f()\nexcept: g()",
        "try: f()\nexcept Exception: pass",
        "with contextlib.suppress(Exception): f()",
    ],
)
def test_the_gate_closes(source: str) -> None:
    assert len(list(complaints(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        '"""No pickle, eval, exec here: open(path, \'w\')."""',
        "open(path, 'rb')",
        "Image.open(stream, formats=['PNG'])",
        "np.load(path, allow_pickle=False)",
        "yaml.compose(text)",
        "trained.eval()",
        "text.replace('a', 'b')",
        "os.listdir(path)",
        "os.open(os.devnull, os.O_WRONLY)",
        "try: f()\nexcept Exception as error: report(error)",
        "with contextlib.suppress(OSError): f()",
    ],
)
def test_the_gate_lets_through(source: str) -> None:
    assert list(complaints(source)) == []


def test_only_the_module_that_writes_may_write() -> None:
    assert list(complaints("os.replace(a, b)", writes=True)) == []
    assert list(complaints("import pickle", writes=True)) == ["line 1: imports pickle"]

"""`cnntrain selftest --part FILE`: sound parts pass, every kind of slip is named, what is no part is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnntrain.cli import main
from cnntrain.core import registry
from cnntrain.parts import layers

WAVES = Path(__file__).parents[2] / "installed/waves/waves"
ONE_OF_EACH = Path(__file__).parent / "one_of_each.py"
PASSING = ("part_of_file", "waves", "bays", "cnntrain.parts.layers.own")  # modules of the files that are checked
PARTS = Path(registry.__file__).parents[1] / "parts"


@pytest.fixture(autouse=True)
def _registry_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for kind in registry.KINDS:
        registry.parts(kind)
    known = {kind: dict(parts) for kind, parts in registry._parts.items()}
    monkeypatch.setattr(registry, "_parts", known)
    before = set(sys.modules)
    yield
    for name in {name for name in set(sys.modules) - before if name.startswith(PASSING)}:
        del sys.modules[name]


def checked(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, object]], str]:
    """Exit code, the checks as --json prints them, and what went to stderr."""
    code = main(["selftest", "--part", str(path), "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out)["checks"] if captured.out else [], captured.err


@pytest.mark.parametrize("name", ["snake", "signsgd", "jaccard"])
def test_a_sound_part_passes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, checks, err = checked(WAVES / f"{name}.py", capsys)
    assert (code, err) == (0, "")
    assert len(checks) >= 10
    assert all(check["passed"] for check in checks)


@pytest.mark.parametrize(
    "name",
    ["losses/absolute", "transforms/invert", "layers/scale", "schedules/step", "orders/shuffle", "tasks/regress"],
)
def test_so_do_those_of_a_file_of_the_package(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = PARTS / f"{name}.py"
    code, checks, err = checked(path, capsys)
    assert (code, err) == (0, "")
    assert checks


SLIPS = [
    ("snake", "initial: Positive = 1.0", "initial: float = 1.0", "bounds its numbers", "Snake.initial does not say"),
    ("snake", "(example((3, 5, 2)), example((7,), initial=0.5))", "()", "has examples", "Snake has no examples"),
    ("snake", "initial=0.5", "initial=-1.0", "has examples", "ValueError: initial must be"),
    (
        "snake",
        "np.multiply(x, 2, out",
        "np.multiply(x, 3, out",
        "has gradients that are central differences",
        "input 0 is",
    ),
    ("snake", 'f.dp["scale"].fill(0)', "pass", "computes in the type it is given", "NaN or infinity"),
    (
        "snake",
        "np.add(x, sine, out=y)",
        "y.fill(np.nan)",
        "gives for many rows what few at a time do",
        "expected nan at [",
    ),
    (
        "snake",
        'f.dp["scale"] +=',
        'f.dp["scale"][...] =',
        "gives for many rows what few at a time do",
        "gradient of scale",
    ),
    (
        "snake",
        "np.add(x, sine, out=y)",
        "np.add(x, sine, out=x)\n            y[...] = x",
        "leaves what it reads",
        "writes its input",
    ),
    (
        "snake",
        "np.multiply(sine, dy, out=dx)",
        "np.multiply(sine, dy.copy() + 0, out=dx)",
        "allocates nothing",
        "workspace",
    ),
    (
        "snake",
        "examples: ClassVar",
        "affine_map: ClassVar[bool] = True\n    examples: ClassVar",
        "is what it declares",
        "declares affine_map",
    ),
    (
        "snake",
        "np.add(x, sine, out=y)",
        "np.add(x, sine, out=y)\n            y += f.rng().random()",
        "draws from the generator",
        "and `random` is False",
    ),
    ("snake", 'inputs[0][-1:], "norm"', '(1,), "norm"', "has gradients", "ValueError: non-broadcastable"),
    (
        "signsgd",
        "lr: NonNegative = 1e-3",
        "lr: float = 1e-3",
        "bounds its numbers",
        "SignSGD.lr does not say what it may be",
    ),
    ("signsgd", "@dataclass(frozen=True)\n", "", "is a dataclass itself", "between @register and the class"),
    (
        "signsgd",
        "examples: ClassVar[tuple[dict[str, Any], ...]]",
        "examples: Any",
        "has keys of its own",
        "SignSGD.examples",
    ),
    (
        "snake",
        "initial: Positive = 1.0",
        "initial: Positive = 1.0\n    type: str = ''",
        "has keys of its own",
        "Snake.type",
    ),
    (
        "snake",
        "initial: Positive = 1.0",
        "initial: Positive = 1.0\n    name: str = ''\n    freeze: bool = False",
        "has keys of its own",
        "Snake.name, freeze is what every layer in a config may have beside it: rename it",
    ),
    (
        "snake",
        "initial: Positive = 1.0",
        "initial: list[float] | None = None",
        "has keys that configs can hold",
        "Snake: key initial: list[float] | None is no type that a config can hold. Use bool",
    ),
    ("signsgd", "def update(", "def updates(", "resumes to the bit", "it has no method update"),
    ("signsgd", "lr: NonNegative", "lr: Least", "bounds its numbers", "NameError: name 'Least' is not defined"),
    (
        "signsgd",
        "lr: NonNegative = 1e-3",
        "lr: Positive = 1e-3",
        "takes a learning rate of zero",
        "declare it NonNegative",
    ),
    ("signsgd", "block.p -= change", "block.p += change", "finds the bottom of a parabola", "near the bottom"),
    ("signsgd", "np.sign(block.g, out=block.scratch[0])", "np.sign(block.g)", "allocates no array", "bytes"),
    (
        "signsgd",
        "np.sign(block.g, out=block.scratch[0])",
        "np.sign(block.g + 1, out=block.scratch[0])",
        "leaves zero",
        "move",
    ),
    (
        "jaccard",
        "return hit, predicted + true - hit",
        "return hit, predicted + true",
        "says that the perfect",
        "expected 1",
    ),
    (
        "jaccard",
        "return hit, predicted + true - hit",
        "true -= hit\n        return hit, predicted + true",
        "leaves its state alone",
        "asking for its value changes its state",
    ),
    (
        "jaccard",
        "return hit, predicted + true - hit",
        "raise KeyError('odd')",
        "is nan of nothing",
        "KeyError: 'odd' at ",
    ),
    (
        "jaccard",
        "return hit, predicted + true - hit",
        "raise SystemExit(3)",
        "is nan of nothing",
        "own.py:19 in ratio",
    ),
]

NEGATIVE, ABSOLUTE = "return 1 - images", "return np.abs(difference), np.sign(difference)"
SLIPS += [
    ("transforms/invert", NEGATIVE, "return 2 - images", "keeps pixels in their range", "it gives a pixel of 1."),
    ("transforms/invert", NEGATIVE, "return images * images.mean()", "sees each sample alone", "on their company"),
    ("transforms/invert", NEGATIVE, "return images", "changes with the epoch only", "two epochs give the same images"),
    ("transforms/invert", NEGATIVE, "return images[:, 1:]", "gives the declared shape", ""),
    ("losses/absolute", ABSOLUTE, "return np.abs(difference), np.sign(y)", "has a gradient", "central difference"),
    (
        "losses/absolute",
        ABSOLUTE,
        "return abs(y - t) * len(y), np.sign(y - t) * len(y)",
        "sees each sample",
        "alone has",
    ),
    (
        "losses/absolute",
        ABSOLUTE,
        "return np.abs(difference), np.sign(difference) + 0 * difference.sum()",
        "keeps what is not finite in its own sample",
        "changes other samples",
    ),
]


@pytest.mark.parametrize(("name", "right", "wrong", "check", "words"), SLIPS)
def test_a_slip_is_named(
    name: str, right: str, wrong: str, check: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (PARTS if "/" in name else WAVES).joinpath(f"{name}.py").read_text()
    text = text.replace('@register("', '@register("own_')
    assert right in text
    path = tmp_path / "own.py"
    path.write_text(text.replace(right, wrong).replace("import NonNegative\n", "import NonNegative, Positive\n"))
    code, checks, err = checked(path, capsys)
    assert code == 9
    (line,) = err.splitlines()
    assert line.startswith("cnntrain: error: ")
    assert f"checks of {path} failed, the first: " in line
    failed = {str(one["check"]): str(one["problem"]) for one in checks if not one["passed"]}
    found = [problem for one, problem in failed.items() if one.startswith(check)]
    assert found, failed
    assert words in found[0]


def test_so_do_parts_of_the_smaller_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    code, checks, err = checked(ONE_OF_EACH, capsys)
    assert (code, err) == (0, "")
    assert len({check["part"] for check in checks}) == 12
    assert all(check["passed"] for check in checks)


OF_SMALLER_KINDS = [
    ("rng.standard_normal(param", "np.random.standard_normal(param", "draws from the generator", "gives two starts"),
    ("rng.standard_normal(param", "np.random.default_rng(0).standard_normal(param", "draws from the", "does not draw"),
    ("out.fill(0)\n", "pass\n", "writes every value", "leaves values unwritten"),
    ("(param.shape)\n        out", "(param.shape, out.dtype)\n        out", "draws the same numbers", "other numbers"),
    ("g += 3 *", "g += 2 *", "has a gradient that is the central difference", "not the central difference"),
    ("g += 3 *", "g[...] = 3 *", "has a gradient that is the central difference", "not the central difference"),
    ("np.abs(p, out=scratch)", "np.abs(p, out=p)", "leaves the parameters", "read-only"),
    (
        "np.clip(p, -4, 4, out=p)",
        "p.reshape(-1)[:] = np.clip(p, -4, 4).reshape(-1)",
        "limits a view in place",
        "a view",
    ),
    ("np.clip(p, -4, 4, out=p)", "p *= 0.5", "limits what is not within bounds yet", "limited again"),
    ("1.0 if count == 0 else 1 / 3", "1 / 3", "moves by a share", "the first move is 0.333333"),
    ("else 1 / 3", "else 3.0", "moves by a share", "a share is 3"),
    ("return 0.0", "return np.random.random()", "is a function of the step", "asked again"),
    ("if step % 2 == 0 and total_steps > 1:", "if step:", "moves at all", "it never moves"),
    ("min(step / horizon.total_steps, 1.0)", "3 * step / horizon.total_steps", "gives a learning rate", "it gives -"),
    ("return lr * (1", "return np.float64(lr) * (1", "gives a learning rate", "it gives float64"),
    ("return lr * (1", "return np.random.random() * (1", "is a function of the step and", "asked again"),
    (
        'return {"last": values',
        'state["last"] = values["train/loss"]\n        return {"last": values',
        "has a state",
        "changes the state before",
    ),
    ("np.concatenate([blocks[i] for i in order])", "samples[::2]", "fills an epoch", "is of the shape (30,)"),
    ("np.concatenate([blocks[i] for i in order])", "samples - 100", "fills an epoch", "was not given"),
    ('stream(seed, "order", epoch)', "np.random", "is a function of seed and epoch", "asked again"),
    (
        'stream(seed, "order", epoch)',
        "stream(seed, 'order')",
        "is a function of seed and epoch",
        "another epoch does not",
    ),
    ("dtype=np.uint8)[:, None]", "dtype=np.float64)[:, None]", "loads what it describes", "its pixels are float64"),
    ("np.arange(self.samples) % 2", "np.arange(self.samples, dtype=np.int32) % 2", "loads what it", "labels are int32"),
    ("np.arange(self.samples) % 2", "np.random.permutation(np.arange(self.samples) % 2)", "loads the same", "differ"),
    ("np.arange(self.samples) % 2", "np.arange(self.samples) % 2.0", "loads what it", "labels are float64"),
    ('return Description((4, 5, 1), ("up",', 'return Description((5, 4, 1), ("up",', "loads what", "`describe` says"),
    ("{Path(self.path).absolute()} does", "{self.path} does", "names a place that does not exist", "where it looked"),
    (
        "        self._look()\n        return (",
        "        return (",
        "names a place that does not exist",
        "splits takes",
    ),
    ("(share * images", "(images.mean(0) + share * images", "does not see where a batch is cut", "differ when alone"),
    ("(share * images", "(np.random.random() * images", "does not see where a batch is cut", "differ when alone"),
    (".astype(images.dtype), share", ".astype(np.float64), share", "does not see where a batch", "it gives float64"),
    ('units="auto"', "units=int(np.random.randint(1, 10**9))", "writes the same layers again", "asked again"),
    ('{"body": [{', '{"boddy": [{', "has examples", "boddy"),
    ('name="factor")', 'name=f"n{np.random.randint(10**9)}")', "expands to the same nodes again", "asked again"),
    ('Add the body, the sigmoid and the product."""', 'It."""\n        x = -1', "leaves nothing unread", "its input x"),
    ('"multiply", x, factor', '"relu", x', "leaves nothing unread", "what it adds as own_gate_1.factor"),
    ("len(weave.shape(x)) != 3", "weave.shape(x)[2] < 0", "refuses what does not fit", "on (7,) it raised IndexError"),
    (
        "asked_by_name: ClassVar[bool] = True",
        "mixes: ClassVar[bool] = True",
        "is the only one that answers to a loss",
        "own_angles and tag both answer to the loss binary_cross_entropy",
    ),
    ('target: ClassVar[str] = "own targets"', 'target: ClassVar[str] = "others"', "has data of its own", "own targets"),
    (
        'target: ClassVar[str] = "own targets"',
        'target: ClassVar[str] = "own targets"\n    size: Rate = 0.5',
        "has no",
        "size",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "check", "words"), OF_SMALLER_KINDS)
def test_a_slip_in_a_part_of_a_smaller_kind_is_named(
    right: str, wrong: str, check: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ONE_OF_EACH.read_text()
    assert right in text
    path = tmp_path / "own.py"
    path.write_text(text.replace(right, wrong))
    code, checks, _ = checked(path, capsys)
    failed = {str(one["check"]): str(one["problem"]) for one in checks if not one["passed"]}
    found = [problem for one, problem in failed.items() if one.startswith(check)]
    assert code == 9
    assert found, failed
    assert words in found[0]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("own.py", "x = 1\n", "registers no part. Put @register('NAME') before the part's class"),
        ("own.py", "1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero. Mend the file"),
        ("own.py", "def (\n", "cannot be imported: SyntaxError: invalid syntax"),
        ("own.py", "raise SystemExit(0)\n", "cannot be imported: SystemExit: 0"),
        ("own.txt", "", "cannot be imported: ImportError: its name does not end with .py"),
        ("own.py", None, "does not exist, expected a Python file of parts. Relative paths count from the working"),
        (
            "own.py",
            (WAVES / "snake.py").read_text().replace('"waves_snake"', '"relu"'),
            "layers 'relu' is registered twice",
        ),
    ],
)
def test_what_is_no_file_of_parts_is_refused_in_a_line(
    name: str, text: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    code, checks, err = checked(path, capsys)
    assert (code, checks) == (2, [])
    (line,) = err.splitlines()
    assert line.startswith(f"cnntrain: error: {path} ")
    assert words in line


def test_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--part", str(WAVES / "signsgd.py")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["part", "check", "cases"]
    assert lines[2].split() == ["optimizer", "waves_signsgd", "says", "what", "it", "is", "1", "ok"]
    assert lines[-1].split()[1:3] == ["checks", "in"]


def test_a_file_of_a_package_imports_what_lies_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relatively or by the package's name, installed or not."""
    inner = tmp_path / "bays" / "inner"
    inner.mkdir(parents=True)
    for folder in (tmp_path / "bays", inner):
        (folder / "__init__.py").touch()
    (inner / "twos.py").write_text("TWO = 2\n")
    text = (WAVES / "snake.py").read_text().replace("waves_snake", "bays_snake")
    text = text.replace("\n\n@register", "from .twos import TWO\nfrom bays.inner import twos\n\n\n@register")
    (inner / "snake.py").write_text(text.replace("np.multiply(x, 2, out", "np.multiply(x, TWO + twos.TWO - 2, out"))
    before = list(sys.path)
    code, checks, err = checked(inner / "snake.py", capsys)
    assert (code, err, sys.path) == (0, "", before)
    assert all(check["passed"] for check in checks)
    other = tmp_path / "other" / "bays"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    (other / "inner.py").write_text("")
    code, _, err = checked(other / "inner.py", capsys)
    assert code == 2
    assert f"ImportError: another package of that name has been imported: bays.inner is {inner}" in err


@pytest.mark.parametrize("place", ["my.parts/snake.py", "my.parts/bays/snake.py", "bays/my.snake.py"])
def test_a_name_with_a_dot_is_of_no_package(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    for folder in {tmp_path / Path(place).parts[0], path.parent}:
        (folder / "__init__.py").touch()
    (path.parent / "twos.py").write_text("TWO = 2\n")
    text = (WAVES / "snake.py").read_text().replace("waves_snake", "dotted_snake")
    if place.count("bays/snake"):
        text = text.replace("\n\n@register", "from .twos import TWO\n\n\n@register")
    path.write_text(text)
    code, checks, err = checked(path, capsys)
    assert (code, err) == (0, "")
    assert len(checks) >= 10


def test_a_file_of_ours_that_takes_a_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cnntrain" / "parts" / "layers" / "own.py"
    for folder in list(path.parents)[:3]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
    path.write_text((WAVES / "snake.py").read_text().replace("waves_snake", "relu"))
    monkeypatch.setattr(layers, "__path__", [*layers.__path__, str(path.parent)])
    monkeypatch.setitem(registry._parts, "layers", {})
    monkeypatch.setattr(registry, "_discovered", set())
    for name in [name for name in sys.modules if name.startswith("cnntrain.parts.layers.activations")]:
        monkeypatch.delitem(sys.modules, name)
    code, _, err = checked(path, capsys)
    assert code == 2
    assert "cannot be imported: ValueError: layers 'relu' is registered twice" in err

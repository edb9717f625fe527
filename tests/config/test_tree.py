from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from cnntrain.config.dump import plain
from cnntrain.config.problems import LIMIT, Problems
from cnntrain.config.tree import List, Map, Scalar, Source, UnreadableError, parse, read_source
from cnntrain.core.errors import ConfigError
from tests.support.configs import SMALL, loaded, messages, tree_of


def failure(text: str) -> tuple[str, str]:
    """Place and message of the first problem."""
    problems = Problems()
    with pytest.raises(ConfigError) as raised:  # noqa: PT012  (whichever of the two finds it)
        parse(Source("f", text), problems)
        problems.check()
    first = raised.value.problems[0]
    return str(first.where), first.message


def test_a_tree_keeps_every_text_as_written_with_its_place() -> None:
    tree = tree_of("a: 010\nb:\n  - 'no'\n  - {c: 1e-3}\n")
    assert isinstance(tree, Map)
    a, b = tree.get("a"), tree.get("b")
    assert isinstance(a, Scalar)
    assert (a.text, a.plain, str(a.where), a.where.text) == ("010", True, "test.yaml:1:4", "a: 010")
    assert isinstance(b, List)
    first, second = b.items
    assert isinstance(first, Scalar)
    assert (first.text, first.plain, str(first.where)) == ("no", False, "test.yaml:3:5")
    assert isinstance(second, Map)
    assert str(second.entries["c"].key.where) == "test.yaml:4:6"
    assert tree.get("d") is None


def test_an_alias_stands_for_its_value() -> None:
    tree = tree_of("a: &x [1, 2]\nb: *x\n")
    assert isinstance(tree, Map)
    assert tree.get("a") == tree.get("b")


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "\n\n"])
def test_an_empty_text_has_no_tree(text: str) -> None:
    assert tree_of(text) is None


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\n\ufeffb: {", "f:2:1", "the invisible mark U+FEFF, with which another file began; remove it"),
        ("a: [1, 2", "f:1:4", "not valid YAML: the '[' that begins here needs its ']'"),
        ("a:\n\tb: 1", "f:2:1", "not valid YAML: a tab; indent with spaces"),
        ("a: 1\n b: 2", "f:2:3", "not valid YAML: the line is indented otherwise than its neighbours"),
        ("a: 1\n---\nb: 2", "f:2:1", "a second document begins here; a config is one document"),
        ("a: 1\nb: \x07", "f:2:4", "a config is text; found the character U+0007"),
        ("a: \0", "f:1:4", "a config is text; found the character U+0000"),
        ('a: "\\0"', "f:1:4", "a text cannot hold the character U+0000"),
        ('a: "\\ud800"', "f:1:4", "a text cannot hold the character U+D800"),
        ('a: "\\Uffffffff"', "f:1:1", "not valid YAML"),
        ("a: !!python/object:os.system x", "f:1:4", "the tag '!!python/object:os.system' is not allowed"),
        ("a: !!float 3", "f:1:4", "the tag '!!float' is not allowed in a config; remove it"),
        ("a: !own 3", "f:1:4", "the tag '!own' is not allowed"),
        ("a: 1\nb: 2\na: 3", "f:3:1", "duplicate key 'a': line 1 has it too; remove one of them"),
        ("? [a]\n: 1", "f:1:3", "a key must be a word"),
        ("a: &x {b: 1}\nc: {<<: *x}", "f:2:5", "merge keys ('<<') are not supported"),
        ("a: *x", "f:1:4", "the alias '*x' refers to nothing complete before it"),
        ("a: &x [*x]", "f:1:8", "the alias '*x' refers to nothing complete before it"),
    ],
)
def test_what_is_no_config_text_is_refused_at_its_place(text: str, place: str, message: str) -> None:
    found = failure(text)
    assert found[0] == place
    assert message in found[1]


def test_an_unquoted_reference_in_brackets_gets_advice() -> None:
    with pytest.raises(ConfigError, match="a reference needs quotes"):
        tree_of("a: [${vars.k}, 3]")


def test_problems_are_collected_and_capped() -> None:
    problems = Problems()
    parse(Source("f", "a: !x 1\na: 2\n"), problems)
    with pytest.raises(ConfigError) as raised:
        problems.check()
    assert len(messages(raised)) == 2
    with pytest.raises(ConfigError) as raised:
        parse(Source("f", "a: 1\n" * 5000), Problems())
    assert len(messages(raised)) == LIMIT


def test_windows_line_ends_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    tree = parse(read_source(str(tmp_path / "c.yaml")), Problems())
    assert isinstance(tree, Map)
    assert tree.entries["a"].key.where.column == 1
    assert (tree.entries["b"].key.where.line, tree.entries["b"].key.where.text) == (2, "b: 2")


def test_bytes_that_are_no_text_are_named_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes("a: 1\nö: \xff".encode("latin-1").replace(b"\xf6", "ö".encode()))
    with pytest.raises(ConfigError) as raised:
        read_source(str(tmp_path / "c.yaml"))
    (problem,) = raised.value.problems
    assert (problem.where.line, problem.where.column) == (2, 4)
    assert problem.message == "not UTF-8 text (byte 0xff); save the file as UTF-8"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file"):
        read_source(str(tmp_path / "absent.yaml"))
    with pytest.raises(UnreadableError, match="Is a directory"):
        read_source(str(tmp_path))
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(ConfigError, match=r"huge.yaml:1:1: larger than 256 KiB, .*; check that it is the right one"):
        read_source(str(tmp_path / "huge.yaml"))


_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(_BOMB, "too many values", id="aliases of aliases"),
        pytest.param("[" * 200_000, "nested too deeply", id="brackets"),
        pytest.param("{a: " * 50_000, "nested too deeply", id="braces"),
        pytest.param("- " * 100_000, "nested too deeply", id="dashes"),
        pytest.param("a: " + "[" * 60 + "]" * 60, "nested too deeply", id="balanced"),
        pytest.param("x: [" + "y, " * 80_000 + "]", "too many values", id="a long list"),
    ],
)
def test_hostile_texts_are_refused_quickly_and_in_little_memory(text: str, message: str) -> None:
    memory, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert message in failure(text)[1]
    assert time.process_time() - start < 2  # 0.3 s where it was written; a loop without a limit takes minutes
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 60_000  # KiB


def test_a_text_with_every_section_has_its_bounds_too(tmp_path: Path) -> None:
    sections = "".join(f"{name}: 1\n" for name in plain(loaded(SMALL).experiment))
    for text, message in ((_BOMB, "at most 300000"), ("#" * (4 * 2**20), "larger than 3840 KiB")):
        (tmp_path / "a.yaml").write_text(sections + text)
        with pytest.raises(ConfigError, match=message):
            parse(read_source(str(tmp_path / "a.yaml")), Problems())

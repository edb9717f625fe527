"""Configs for tests: a small valid one, and short ways to read a text and see what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from cnntrain.config.load import Loaded, load_text
from cnntrain.config.problems import Problems
from cnntrain.config.reader import Place, Reader
from cnntrain.config.tree import Node, Scalar, Source, parse
from cnntrain.core.errors import ConfigError

SMALL = """\
data:
  source: {type: idx, root: digits, shape: [28, 28], classes: 10}
model:
  layers:
    - {type: conv2d, name: first, filters: 4, kernel_size: 3}
    - relu
    - flatten
    - {type: dense, units: auto}
train:
  epochs: 2
"""


def tree_of(text: str) -> Node | None:
    """The tree of a text that has nothing wrong with it."""
    problems = Problems()
    tree = parse(Source("test.yaml", text), problems)
    problems.check()
    return tree


def value_of(text: str, annotation: Any) -> Any:
    """What a YAML value means to a field called `key` with this annotation."""
    problems = Problems()
    node = parse(Source("test.yaml", text), problems) or Scalar(Source("test.yaml", text).mark(0, 0), "")
    value = Reader(problems).read(node, annotation, Place("key", "key"))
    problems.check()
    return value


def messages(raised: pytest.ExceptionInfo[ConfigError]) -> list[str]:
    """The messages of an error, without their places."""
    return [problem.message for problem in raised.value.problems]


def refusal(text: str, annotation: Any) -> str:
    """The one message with which a field of this annotation refuses a YAML value."""
    with pytest.raises(ConfigError) as raised:
        value_of(text, annotation)
    (message,) = messages(raised)
    return message


def replaced(old: str, new: str) -> str:
    """The small config with one piece of its text exchanged."""
    assert SMALL.count(old) == 1
    return SMALL.replace(old, new)


def loaded(text: str) -> Loaded:
    """A config given as text."""
    return load_text(text, "test.yaml")


def complaints(text: str) -> list[str]:
    """`line:column message` of everything that is wrong with a config given as text."""
    with pytest.raises(ConfigError) as raised:
        loaded(text)
    return [f"{p.where.line}:{p.where.column} {p.message}" for p in raised.value.problems]

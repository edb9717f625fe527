"""Whatever the bytes, the reader gives an experiment or a ConfigError, and nothing else."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.config.load import load, load_text
from cnntrain.core.errors import ConfigError
from tests.support.configs import SMALL

SCRAPS = [
    ":",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "'",
    '"',
    "&a ",
    "*a",
    "!x ",
    "|\n",
    "? ",
    "#",
    "\n",
    "  ",
    "${vars.a}",
    "\\u0000",
]
WORDS = ["1e-3", "010", "true", "null", ".inf", "9" * 5000, "-1", "0", "type", "name", "relu", "conv2d", "<<", "12:30"]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(SMALL)), st.integers(0, 8), st.sampled_from(SCRAPS + WORDS)), max_size=4))
def test_a_mutated_config(changes: list[tuple[int, int, str]]) -> None:
    text = SMALL
    for start, length, scrap in changes:
        text = text[:start] + scrap + text[start + length :]
    with contextlib.suppress(ConfigError):
        load_text(text, "a")


@settings(deadline=None, max_examples=100)
@given(st.text())
def test_any_text(text: str) -> None:
    with contextlib.suppress(ConfigError):
        load_text(text, "a")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile")
    (path / "small.yaml").write_text(SMALL)
    return path


@settings(deadline=None, max_examples=50)
@given(data=st.binary())
def test_any_bytes_as_and_within_a_config(folder: Path, data: bytes) -> None:
    for content in (data, SMALL.encode()[:60] + data + SMALL.encode()[60:]):
        (folder / "bytes.yaml").write_bytes(content)
        with contextlib.suppress(ConfigError):
            load([folder / "bytes.yaml"])


@settings(deadline=None, max_examples=150)
@given(
    text=st.text(max_size=40), path=st.sampled_from(["", "seed", "model.layers.0", "model.layers.first", "data.val"])
)
def test_any_override(folder: Path, text: str, path: str) -> None:
    for override in (text, f"{path}={text}", f"{path}.{text}"):
        with contextlib.suppress(ConfigError):
            load([folder / "small.yaml"], [override])

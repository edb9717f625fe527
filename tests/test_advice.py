"""Advice: every warning comes where it is due, not elsewhere, and can be silenced by its code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntrain import advice
from cnntrain.config.load import load_text
from cnntrain.errors import ConfigError

TEXT = """\
data: {{source: {source}, val: {val}}}
model:
  layers: {layers}
train: {{epochs: 1, batch_size: {batch_size}}}
warnings: {{ignore: {ignore}}}
"""


def warnings(**changes: Any) -> list[str]:
    """The warnings about a sound experiment with some of its values exchanged."""
    values = {
        "source": "{type: synthetic}",
        "val": 0.1,
        "layers": "[batch_norm, flatten, {type: dense, units: auto}]",
        "batch_size": 8,
        "ignore": "[]",
    }
    return list(advice.of(load_text(TEXT.format(**values | changes), "test.yaml")))


def nested(norm: str) -> str:
    """Layers with this one deep inside."""
    body = f"[{{type: parallel, branches: [[relu], [{norm}]]}}]"
    return f"[{{type: repeat, n: 2, body: [{{type: residual, body: {body}}}]}}, flatten, {{type: dense, units: auto}}]"


PLAIN, KERAS = "batch_norm", "{type: batch_norm, momentum: 0.99}"
CASES = [
    (
        "no-validation",
        {"val": "null"},
        {"val": 0.1},
        "no validation split: 'best' is judged by train/loss. Set data.val",
    ),
    ("no-validation", {"val": "null"}, {"val": "{type: synthetic}"}, "no validation split"),
    (
        "batch-norm-momentum",
        {"layers": f"[{KERAS}]"},
        {"layers": f"[{PLAIN}]"},
        "batch_norm momentum is 0.99: it is the",
    ),
    ("batch-norm-momentum", {"layers": nested(KERAS)}, {"layers": nested(PLAIN)}, "batch_norm momentum is 0.99"),
    (
        "batch-norm-momentum",
        {"layers": "[{type: batch_norm, momentum: 0.9}]"},
        {"layers": "[{type: batch_norm, momentum: 0.89}]"},
        "batch_norm momentum is 0.9",
    ),
    ("batch-norm-of-one", {"batch_size": 1}, {"batch_size": 2}, "batch_norm with batch_size 1 normalizes every sample"),
    (
        "batch-norm-of-one",
        {"batch_size": 1, "layers": nested(PLAIN)},
        {"batch_size": 1, "layers": "[flatten]"},
        "batch_n",
    ),
]


@pytest.mark.parametrize(("code", "due", "not_due", "words"), CASES)
def test_a_warning_comes_where_it_is_due_and_is_silenced_by_its_code(code, due, not_due, words):
    (found,) = warnings(**due)
    assert found.startswith(words)
    assert found.endswith(f" [{code}]")
    assert warnings(**not_due) == []
    assert warnings(**due, ignore=f"[{code}]") == []
    others = [other for other in advice.RULES if other != code]
    assert warnings(**due, ignore=f"[{', '.join(others)}]") == [found]


def test_every_code_is_tried():
    assert {code for code, *_ in CASES} == set(advice.RULES)


def test_a_source_with_a_validation_split_of_its_own_validates(tmp_path):
    arrays = {"x_train": np.zeros((4, 2, 2), np.uint8), "y_train": np.arange(4)}
    np.savez(tmp_path / "without.npz", **arrays)
    np.savez(tmp_path / "with.npz", **arrays, x_val=arrays["x_train"], y_val=arrays["y_train"])
    assert len(warnings(val="null", source=f"{{type: npz, path: {tmp_path}/without.npz}}")) == 1
    assert warnings(val="null", source=f"{{type: npz, path: {tmp_path}/with.npz}}") == []


def test_several_warnings_come_together():
    found = warnings(val="null", batch_size=1, layers=f"[{KERAS}]")
    assert [line.rpartition(" ")[2] for line in found] == [f"[{code}]" for code in advice.RULES]


def test_an_unknown_code_is_an_error_at_its_place():
    with pytest.raises(ConfigError) as raised:
        warnings(ignore="[no-validation, batch-norm-off-one]")
    (problem,) = raised.value.problems
    assert problem.message == "unknown warning code 'batch-norm-off-one'; did you mean 'batch-norm-of-one'?"
    assert problem.where.text[problem.where.column - 1 :].startswith("batch-norm-off-one")

"""Conditions: one grammar for `--filter` and `--require`, and what a value must be to meet one."""

from __future__ import annotations

import itertools
import math
import operator

import pytest

from cnntrain.core.conditions import Condition
from cnntrain.core.errors import UsageError

RELATIONS = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def read(text: str) -> Condition:
    return Condition.read("--filter", text)


@pytest.mark.parametrize(
    ("text", "name", "relation", "value"),
    [
        ("val/accuracy>=0.98", "val/accuracy", ">=", 0.98),
        (" optimizer.lr  <  1e-3 ", "optimizer.lr", "<", 1e-3),
        ("loss>-1", "loss", ">", -1.0),
        ("optimizer.type=adam", "optimizer.type", "=", "adam"),
        ("state!=finished", "state", "!=", "finished"),
        ("optimizer.nesterov==true", "optimizer.nesterov", "==", True),
        ("data.val=null", "data.val", "=", None),
        ("name=", "name", "=", ""),
        ("data.source.url=http://a/b?c=d", "data.source.url", "=", "http://a/b?c=d"),
        ("name=two words", "name", "=", "two words"),
    ],
)
def test_what_a_text_says(text, name, relation, value):
    found = read(text)
    assert (found.name, found.relation, found.value) == (name, relation, value)
    assert type(found.value) is type(value)


@pytest.mark.parametrize("text", ["", "best", ">1", "a=>1", "a=<1", "a>>1", "a!1", "a===1", "0<a<1", "a b>1"])
def test_what_is_no_condition(text):
    with pytest.raises(UsageError) as caught:
        read(text)
    assert f"--filter {text!r} is not a condition. Write a name, one of = != < > <= >=, and a" in str(caught.value)


@pytest.mark.parametrize("relation", RELATIONS)
def test_numbers_compare_as_numbers_and_texts_as_texts(relation):
    for a, b in itertools.product((-1.0, 0.5, 10.0), repeat=2):
        assert read(f"x{relation}{b}").holds(a) == RELATIONS[relation](a, b)
    for a, b in itertools.product(("adam", "sgd"), repeat=2):
        assert read(f"x{relation}{b}").holds(a) == RELATIONS[relation](a, b)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize(("value", "wanted"), [(None, "1"), (None, "a"), (math.nan, "1"), ("a", "1"), (1.0, "a")])
def test_what_cannot_be_compared_meets_only_unequal(relation, value, wanted):
    assert read(f"x{relation}{wanted}").holds(value) == (relation == "!=")


def test_null_is_what_is_absent():
    assert read("x=null").holds(None)
    assert read("x!=null").holds(1.0)
    assert not read("x!=null").holds(None)


def test_a_name_that_nobody_knows():
    with pytest.raises(UsageError) as caught:
        read("acuracy>1").require_name({"accuracy"}, "no run has")
    assert str(caught.value).startswith("--filter 'acuracy>1': no run has 'acuracy'; did you mean 'accuracy'?")

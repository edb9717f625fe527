from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import pytest

from cnntrain.config.fields import (
    Classes,
    Duration,
    Finite,
    Kind,
    NonNegative,
    Pair,
    PositiveInt,
    Range,
    Rate,
    RunName,
    Seed,
)
from cnntrain.config.schema import EarlyStopping, InitRule, Source, TrainedOptions, Until
from cnntrain.core.registry import Part, lookup
from cnntrain.parts.schedules.base import Warmup
from tests.support.configs import SMALL, complaints, loaded, refusal, replaced, value_of

Padding = PositiveInt | Literal["same", "valid"] | tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
Loss = Annotated[Part, Kind("losses")]
Layer = Annotated[Part, Kind("layers")]


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("1e-3", float, 1e-3),
        ("1", float, 1.0),
        (".5", NonNegative, 0.5),
        ("'0.1'", float, 0.1),
        ("3", int, 3),
        ("-3", int, -3),
        ("true", bool, True),
        ("FALSE", bool, False),
        ("no", str, "no"),
        ("010", str, "010"),
        ("1e-3", str, "1e-3"),
        ("''", str, ""),
        ("'null'", str, "null"),
        ("null", str | None, None),
        ("", int | None, None),
        ("~", PositiveInt | None, None),
        ("same", Padding, "same"),
        ("'same'", Padding, "same"),
        ("2", Padding, 2),
        ("[1, 2, 3, 4]", Padding, (1, 2, 3, 4)),
        ("[1, 2]", Pair, (1, 2)),
        ("auto", Classes, "auto"),
        ("[]", tuple[int, ...], ()),
        ("[1, 2, 3]", tuple[int, ...], (1, 2, 3)),
        ("[[1], [2, 3]]", tuple[tuple[int, ...], ...], ((1,), (2, 3))),
        ("[a, 1]", tuple[str, int], ("a", 1)),
        ("2", Literal[1, 2], 2),
        ("0.5", int | float, 0.5),
        ("5", int | float, 5),
        ("5", float | str, 5.0),
        ("'5'", float | str, "5"),
        ("10", Duration, Duration(10, "ep")),
        ("2000st", Duration, Duration(2000, "st")),
        ("'10%'", Duration, Duration(10, "%")),
        ("5ep", Duration | Warmup | None, Duration(5, "ep")),
        ("{duration: 5ep, start: .1}", Duration | Warmup | None, Warmup(Duration(5), 0.1)),
        ("{match: a, weights: null}", InitRule, InitRule("a")),
        ("{name: a, from: [b, c]}", TrainedOptions, TrainedOptions("a", ("b", "c"))),
        ("9223372036854775807", Seed, 2**63 - 1),
        ("run-1.a", RunName, "run-1.a"),
    ],
)
def test_the_annotation_decides_what_a_value_means(text: str, annotation: Any, value: Any) -> None:
    read = value_of(text, annotation)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "annotation", "message"),
    [
        ("abc", int, "key: expected an integer, got 'abc'"),
        ("true", int, "key: expected an integer, got true"),
        ("010", int, "key: expected an integer, got '010'; write 10"),
        ("1_000", int, "key: expected an integer, got '1_000'; write 1000"),
        ("1e3", int, "key: expected an integer, got 1e3; write 1000"),
        ("'3'", int, "key: expected an integer, got '3'; write 3 without quotes"),
        ("null", int, "key: expected an integer, got nothing"),
        ("[1]", int, "key: expected an integer, got a list of 1"),
        ("{a: 1}", PositiveInt, "key: expected an integer, got a mapping"),
        ("9" * 5000, int, "key is a number of 5000 digits; nothing here is that large"),
        ("1" + "0" * 30, PositiveInt, f"key must be at most 2147483647, got {10**30}"),
        ("0", PositiveInt, "key must be at least 1, got 0"),
        ("-1", NonNegative, "key must be at least 0, got -1.0"),
        ("1.5", Rate, "key must be in [0, 1), got 1.5"),
        ("1", Rate, "key must be in [0, 1), got 1.0"),
        ("1e999", Finite, "key must be finite, got 1e999"),
        ("1e999", float, "key must be finite, got 1e999"),
        (".nan", float, "key: expected a number, got '.nan'"),
        (".inf", NonNegative, "key: expected a number, got '.inf'"),
        ("12:30", float, "key: expected a number, got '12:30'"),
        ("2020-01-01", float, "key: expected a number, got '2020-01-01'"),
        ("true", float, "key: expected a number, got true"),
        ("yes", bool, "key: expected true or false, got 'yes'; write true"),
        ("1", bool, "key: expected true or false, got 1; write true"),
        ("null", str, "key: expected text, got nothing"),
        ("[a]", str, "key: expected text, got a list of 1"),
        (
            "sam",
            Padding,
            "key: expected an integer, 'same', 'valid' or a list of 4 integers, got 'sam'; did you mean 'same'?",
        ),
        ("[1, 2, 3]", Padding, "key: expected a list of 4 integers, got a list of 3"),
        ("{a: 1}", Padding, "key: expected an integer, 'same', 'valid' or a list of 4 integers, got a mapping"),
        ("[1, 0]", Pair, "key[1] must be at least 1, got 0"),
        ("[1, x]", Pair, "key[1]: expected an integer, got 'x'"),
        ("0", Classes, "key must be at least 1, got 0"),
        ("mx", Literal["min", "max"], "key: expected 'min' or 'max', got 'mx'; did you mean 'max'?"),
        ("soon", Duration, "key: expected a duration such as 10ep, 2000st or 10%, got 'soon'"),
        ("101%", Duration, "key: a share of the training is at most 100%, got '101%'"),
        ("[1]", Duration, "key: expected a duration such as 10ep, 2000st or 10%, got a list of 1"),
        ("{duration: 1ep, begin: 2}", Duration | Warmup, "unknown key 'begin' of key; known: duration, start"),
        ("../x", RunName, "key must be up to 100 letters, digits, '.', '_' or '-', got '../x'"),
        ("..", RunName, "key must be up to 100 letters, digits, '.', '_' or '-', got '..'"),
        ("n" * 101, RunName, f"key must be up to 100 letters, digits, '.', '_' or '-', got '{'n' * 101}'"),
        ("idxx", float | Source | None, "key: expected a number, a dataset or null, got 'idxx'; did you mean 'idx'?"),
        ("crossentropy", Loss, "unknown loss 'crossentropy'; did you mean 'cross_entropy'?"),
        ("CrossEntropyLoss", Loss, "unknown loss 'CrossEntropyLoss': cnntrain calls it 'cross_entropy'"),
        ("Conv2d", Layer, "unknown layer 'Conv2d': cnntrain calls it 'conv2d'"),
        ("null", Loss, "key: expected the name of a loss, got nothing; `cnntrain list losses` shows all losses"),
        (
            "{type: [mse]}",
            Loss,
            "key: expected the name of a loss, got a list of 1; `cnntrain list losses` shows all losses",
        ),
        (
            "{label_smoothing: .1}",
            Loss,
            "key: a mapping without 'type' is not a loss; give it a 'type' (`cnntrain list losses` shows all losses)",
        ),
        (
            "{dropout: {rate: .5}}",
            Layer,
            "key: a mapping without 'type' is not a layer; write {type: dropout, ...} instead of {dropout: ...}",
        ),
        ("{type: dropout, rate: 1}", Layer, "rate must be in [0, 1), got 1.0"),
        ("{type: dropout, drop_pr0b: .5}", Layer, "unknown key 'drop_pr0b' of dropout; did you mean 'rate'?"),
        ("{type: dropout, p: .5}", Layer, "unknown key 'p' of dropout: cnntrain calls it 'rate'"),
        (
            "{type: dropout, in_features: 3}",
            Layer,
            "unknown key 'in_features' of dropout: cnntrain infers it; leave it out",
        ),
        ("{type: relu, foo: 1}", Layer, "unknown key 'foo' of relu; known: none"),
        ("{patience: 3, monitr: a}", EarlyStopping, "unknown key 'monitr' of key; did you mean 'monitor'?"),
        ("{metric: a}", Until, "key: until needs exactly one of 'at_most' and 'at_least'"),
        ("dense", Layer, "missing key 'units' of dense (an integer or 'auto')"),
        ("{type: constant}", Annotated[Part, Kind("initializers")], "missing key 'value' of constant (a number)"),
        ("{at_most: 1}", Until, "missing key 'metric' of key (text)"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_found_and_what_would_do(text: str, annotation: Any, message: str) -> None:
    assert refusal(text, annotation) == message


def test_a_name_like_no_other_gets_the_list_of_all() -> None:
    assert refusal("transformer", Layer).startswith("unknown layer 'transformer'; known: adaptive_avg_pool2d, add, ")


def test_a_part_is_its_bare_name_or_a_mapping() -> None:
    dropout = lookup("layers", "dropout")
    assert value_of("dropout", Layer) == dropout()
    assert value_of("{type: dropout}", Layer) == dropout()
    assert value_of("{type: dropout, rate: 1e-1}", Layer) == dropout(rate=0.1)


def test_a_part_checks_itself_and_the_message_stands_at_the_key() -> None:
    assert refusal("{type: uniform, low: 1, high: 0}", Annotated[Part, Kind("initializers")]).startswith("low must be")
    text = replaced("epochs: 2", "epochs: 2\ninit: {weights: {type: uniform, low: 1, high: 0}}")
    assert complaints(text)[0].startswith("11:38 low must be")


def test_an_entry_of_layers_splits_its_keys_between_the_layer_and_its_place() -> None:
    text = replaced("- relu", "- {type: relu, name: act, from: first}")
    layers = loaded(text).experiment.model.layers
    assert layers[0].part == lookup("layers", "conv2d")(filters=4, kernel_size=3)
    assert layers[0].options == TrainedOptions(name="first")
    assert layers[1].part == lookup("layers", "relu")()
    assert (layers[1].options.name, layers[1].options.from_) == ("act", "first")
    assert str(layers[1].where) == "test.yaml:6:7"


def test_a_layer_without_parameters_takes_no_initializer() -> None:
    assert complaints(replaced("- relu", "- {type: relu, lr_mult: 2}"))[0].startswith(
        "6:20 unknown key 'lr_mult' of relu; known: "
    )


def test_structures_nest() -> None:
    text = replaced("- relu", "- {type: repeat, n: 2, body: [{type: residual, body: [relu, {type: dropout, rat: 1}]}]}")
    assert complaints(text) == ["6:81 unknown key 'rat' of dropout; did you mean 'rate'?"]
    good = loaded(text.replace("rat: 1", "rate: .1")).experiment.model.layers[1]
    assert good.part.body[0].part.body[1].part == lookup("layers", "dropout")(rate=0.1)


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    text = SMALL.replace("filters: 4", "out_channels: 4").replace("- relu", "- rel").replace("epochs: 2", "epochs: 0")
    assert complaints(text + "optimzer: adam\n") == [
        "5:35 unknown key 'out_channels' of conv2d: cnntrain calls it 'filters'",
        "6:7 unknown layer 'rel'; did you mean 'relu'?",
        "10:11 epochs must be at least 1, got 0",
        "11:1 unknown key 'optimzer'; did you mean 'optimizer'?",
    ]


def test_missing_sections_are_named() -> None:
    assert complaints("train: {epochs: 1}") == [
        "1:1 missing key 'data' (a mapping with the key source)",
        "1:1 missing key 'model' (a mapping)",
    ]


def test_an_aliased_mistake_is_reported_once() -> None:
    text = replaced("- relu", "- &d {type: dropout, rate: 2}\n    - *d\n    - &e {type: dense}\n    - *e")
    assert complaints(text) == [
        "6:32 rate must be in [0, 1), got 2.0",
        "8:7 missing key 'units' of dense (an integer or 'auto')",
    ]


def test_ten_thousand_mistakes_take_no_longer_than_a_hundred() -> None:
    start = time.process_time()
    assert len(complaints("".join(f"key{i}: 1\n" for i in range(9000)))) == 100
    assert time.process_time() - start < 3


def test_ranges_apply_to_the_numbers_of_a_union_only() -> None:
    annotation = Annotated[int | str, Range(1, 3)]
    assert value_of("abc", annotation) == "abc"
    assert refusal("4", annotation) == "key must be in [1, 3], got 4"

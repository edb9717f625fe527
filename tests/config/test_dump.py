from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cnntrain.config.dump import fingerprint, plain, to_yaml
from cnntrain.config.load import load_plain, load_text
from tests.support.configs import SMALL, loaded

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda text: "${" not in text
)
integers = st.integers(1, 2**31 - 1)
positives = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False, width=32)
rates = st.floats(0, 1, exclude_max=True)
pairs = integers | st.lists(integers, min_size=2, max_size=2)
durations = st.one_of(
    st.builds("{}st".format, integers),
    st.builds("{}ep".format, integers),
    st.builds("{}%".format, st.integers(0, 100)),
    integers,
)
initializers = st.sampled_from(["zeros", "he_normal"]) | st.fixed_dictionaries(
    {"type": st.just("normal")}, optional={"mean": st.floats(allow_infinity=False, allow_nan=False), "std": positives}
)


def keys(required: dict[str, Any], **optional: Any) -> Any:
    return st.fixed_dictionaries(required, optional=optional)


place = {"name": texts | st.none(), "from": texts | st.lists(texts) | st.none()}
trained = place | {"init": initializers, "bias_init": initializers, "freeze": st.booleans(), "lr_mult": positives}
layers = st.one_of(
    st.sampled_from(["relu", "flatten", "batch_norm"]),
    keys({"type": st.just("dropout")}, rate=rates, **place),
    keys({"type": st.just("dense"), "units": integers | st.just("auto")}, bias=st.booleans(), **trained),
    keys(
        {"type": st.just("conv2d"), "filters": integers, "kernel_size": pairs},
        padding=st.sampled_from(["same", "valid"]) | st.lists(integers, min_size=4, max_size=4),
        stride=pairs,
        **trained,
    ),
)
lists = st.recursive(
    st.lists(layers, max_size=3),
    lambda inner: st.lists(
        layers
        | keys({"type": st.just("repeat"), "n": integers, "body": inner})
        | keys({"type": st.just("residual"), "body": inner}, activation=st.just("relu"), **place)
        | keys({"type": st.just("parallel"), "branches": st.lists(inner, min_size=2, max_size=3)}),
        max_size=3,
    ),
    max_leaves=6,
)
configs = keys(
    {
        "data": keys(
            {"source": keys({"type": st.just("idx"), "root": texts}, classes=st.lists(texts, min_size=2, unique=True))},
            val=st.floats(0, 1, exclude_min=True, exclude_max=True) | st.none(),
            train_transforms=st.lists(st.sampled_from(["hflip", "scale"]) | keys({"type": st.just("haar")})),
        ),
        "model": keys({"layers": lists}),
        "train": keys({"epochs": integers}, batch_size=integers, clip_norm=positives | st.none()),
    },
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True),
    seed=st.integers(0, 2**63 - 1),
    optimizer=st.just("adam")
    | keys({"type": st.just("sgd")}, lr=positives, momentum=st.floats(0.1, 0.9), decoupled=st.booleans()),
    schedule=keys({"type": st.just("cosine")}, warmup=durations | keys({"duration": durations}, start=st.floats(0, 1))),
    checkpoint=keys({}, every=durations.filter(lambda duration: duration != "0%")),
    warnings=keys({}, ignore=st.lists(texts)),
)


@settings(deadline=None, max_examples=25)
@given(configs)
def test_a_dump_reads_back_as_the_same_experiment(config: dict[str, Any]) -> None:
    experiment = load_plain(config, "a").experiment
    dumped = plain(experiment)
    assert json.loads(json.dumps(dumped, allow_nan=False)) == dumped
    again = load_text(to_yaml(dumped), "a").experiment
    assert again == experiment
    assert plain(again) == dumped
    assert fingerprint(again) == fingerprint(experiment)


def test_a_dump_has_every_default_and_the_part_names() -> None:
    dumped = plain(loaded(SMALL).experiment)
    assert list(dumped)[:3] == ["name", "seed", "data"]
    assert dumped["model"]["layers"][1] == {"type": "relu", "name": None, "from": None}
    assert dumped["optimizer"]["type"] == "sgd"
    assert dumped["checkpoint"]["every"] == "1ep"
    assert dumped["data"]["source"]["shape"] == [28, 28]


def test_texts_that_look_like_something_else_are_quoted() -> None:
    words = ["no", "null", "1e-3", "010", "", "~", "true", "a: b", "- a", "#x", "x y", "12:30"]
    assert to_yaml(words) == "".join(f"- {word!r}\n" for word in words)
    assert to_yaml(["a\x85b", "\u2028", "\x1b[31m"]) == '- "a\\Nb"\n- "\\L"\n- "\\e[31m"\n'
    assert to_yaml(["he_normal", "stage1.conv"]) == "[he_normal, stage1.conv]\n"


def test_a_fingerprint_depends_on_every_value_and_not_on_the_way_of_writing() -> None:
    same = SMALL.replace("- relu", "- type: relu").replace("epochs: 2", "{epochs: 2, batch_size: 64}")
    first = fingerprint(loaded(SMALL).experiment)
    assert fingerprint(loaded(same).experiment) == first
    assert len(first) == 64
    assert fingerprint(loaded(SMALL + "seed: 1\n").experiment) != first

"""What a layer says of itself is so: the class variables and properties that advice, vitals and export go by."""

from __future__ import annotations

import pytest

from cnntrain.checks.contracts import declared as contract
from cnntrain.core import registry

LAYERS = registry.parts("layers")
CLASSES = pytest.mark.parametrize("cls", LAYERS.values(), ids=list(LAYERS))


@CLASSES
def test_it_is_what_it_declares_and_declares_what_it_is(cls):
    contract.is_what_it_declares(cls)


@CLASSES
def test_a_layer_that_absorbs_a_scale_gives_the_scaled_output(cls):
    contract.absorbs_the_scale_that_it_says(cls)


def test_every_declaration_is_made_by_some_layer():
    for name in (*contract.DECLARATIONS, "absorbs_scale"):
        assert any(getattr(cls, name) for cls in LAYERS.values()), name
    assert any(cls(**example.fields).random for cls in LAYERS.values() for example in cls.examples)


@pytest.mark.parametrize(
    ("name", "declared", "said"),
    [
        ("sigmoid", "emits_probabilities", "its outputs are in [0, 1], probabilities or not"),
        ("hard_sigmoid", "emits_probabilities", "a loss that takes logits should not come next"),
        ("relu", "rectifies", "its outputs are the inputs, but 0 below 0"),
        ("dense", "affine_map", "in evaluation its outputs are an affine map of the inputs"),
        ("flatten", "flattens", "its outputs are the inputs as a vector"),
    ],
)
def test_what_has_to_be_declared_is_said_with_what_it_means(name, declared, said):
    """To whoever wrote a layer that lies in [0, 1] and knows nothing of probabilities."""
    silent = type("Silent", (LAYERS[name],), {declared: False})
    with pytest.raises(AssertionError, match=rf"^write `{declared}: ClassVar.bool. = True` in Silent: in ") as why:
        contract.is_what_it_declares(silent)
    assert said in str(why.value)

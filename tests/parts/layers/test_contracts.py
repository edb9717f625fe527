"""What every registered layer must keep, whatever it computes; a new layer is tested by being there.

The checks are the package's own, cnntrain/checks/contracts/layer.py, which `cnntrain selftest --part` runs too.
"""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.checks.contracts import layer as contract
from cnntrain.checks.contracts import part
from cnntrain.core import registry

LAYERS = registry.parts("layers")
CASES = [
    pytest.param(layer, inputs, id=f"{name}-{i}")
    for name, cls in LAYERS.items()
    for i, (layer, inputs) in enumerate(contract.subjects(cls))
]
CERTAIN = [case for case in CASES if not case.values[0].random]

every_case = pytest.mark.parametrize(("layer", "inputs"), CASES)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.mark.parametrize("cls", LAYERS.values(), ids=list(LAYERS))
def test_has_examples_and_a_docstring_of_its_own(cls):
    part.says_what_it_is(cls)
    assert part.examples_of(cls)


@every_case
def test_gradients_are_central_differences(layer, inputs):
    contract.has_gradients_that_are_central_differences(layer, inputs)


@every_case
@every_dtype
def test_computes_in_the_type_it_is_given(layer, inputs, dtype):
    contract.computes_in_the_type_it_is_given(layer, inputs, dtype)


@every_case
def test_declares_its_shapes(layer, inputs):
    contract.declares_its_shapes(layer, inputs)


@every_case
@every_dtype
def test_leaves_what_it_reads_alone(layer, inputs, dtype):
    contract.leaves_what_it_reads_alone(layer, inputs, dtype)


@every_case
@every_dtype
def test_same_bits_whatever_lay_in_the_buffers(layer, inputs, dtype):
    contract.gives_the_same_bits_whatever_lay_in_the_buffers(layer, inputs, dtype)


@pytest.mark.parametrize(("layer", "inputs"), [case for case in CASES if case.values[0].inplace])
def test_in_place_gives_the_same_bits(layer, inputs):
    contract.gives_the_same_bits_in_place(layer, inputs)


@pytest.mark.parametrize(("layer", "inputs"), [case for case in CASES if case.values[0].recomputable])
def test_computed_again_it_gives_the_same_bits(layer, inputs):
    contract.gives_the_same_bits_when_computed_again(layer, inputs)


@every_case
def test_gradients_nobody_wants_are_left_out(layer, inputs):
    contract.leaves_out_gradients_that_nobody_wants(layer, inputs)


@pytest.mark.parametrize(("layer", "inputs"), CERTAIN)
def test_unequal_shards_give_what_the_whole_batch_gives(layer, inputs):
    contract.gives_for_unequal_shards_what_the_whole_batch_gives(layer, inputs)


@pytest.mark.parametrize(("layer", "inputs"), CERTAIN)
def test_many_rows_give_what_few_at_a_time_do(layer, inputs):
    contract.gives_for_many_rows_what_few_at_a_time_do(layer, inputs)


@every_case
def test_evaluation_is_the_same_for_any_shard(layer, inputs):
    contract.evaluates_the_same_in_any_shard(layer, inputs)


@every_case
def test_allocates_nothing_that_grows_with_the_batch(layer, inputs):
    contract.allocates_nothing_that_grows_with_the_batch(layer, inputs)


@every_case
def test_draws_from_the_generator_it_is_given(layer, inputs):
    contract.draws_from_the_generator_it_is_given(layer, inputs)


@pytest.mark.parametrize(("layer", "inputs"), [case for case in CASES if case.values[0].inputs[1] == 1])
def test_nan_reaches_the_output(layer, inputs):
    contract.lets_nan_through(layer, inputs)

"""Flat vectors are aligned and cut as declared; a tree sum has one result whoever comes first."""

from __future__ import annotations

import itertools
import os
import threading

import numpy as np
import pytest

from cnntrain.core.arrays import (
    ALIGNMENT,
    Array,
    Layout,
    Param,
    Role,
    Span,
    TreeSum,
    aligned,
    from_file,
    round_up,
    shared,
    to_file,
    tree_blocks,
    tree_sum,
)


@pytest.mark.parametrize("shape", [(), 7, (3, 5), (0, 4), (1, 2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_aligned_arrays_are_zeroed_contiguous_and_on_a_cache_line(shape: tuple[int, ...] | int, dtype: type) -> None:
    for _ in range(5):
        array = aligned(shape, dtype)
        assert array.shape == ((shape,) if isinstance(shape, int) else shape)
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert not array.any()
        assert array.size == 0 or array.ctypes.data % ALIGNMENT == 0


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 64), (64, 64), (65, 128)])
def test_round_up(size: int, expected: int) -> None:
    assert round_up(size) == expected
    assert round_up(size, 1) == size


DECLARED: list[tuple[str, tuple[int, ...], Role, float, bool]] = [
    ("stem.weight", (3, 3, 1, 5), "weight", 1.0, False),
    ("stem.bias", (5,), "bias", 1.0, False),
    ("norm.scale", (5,), "norm", 1.0, False),
    ("norm.mean", (5,), "statistic", 1.0, False),
    ("old.weight", (17, 2), "weight", 1.0, True),
    ("head.weight", (5, 2), "weight", 0.1, False),
    ("head.bias", (2,), "bias", 1.0, False),
    ("last.weight", (2, 2), "weight", 1.0, False),
]


def layout() -> Layout:
    return Layout([(name, Param(shape, role), lr_mult, frozen) for name, shape, role, lr_mult, frozen in DECLARED])


def test_the_layout_has_one_range_for_each_role_and_multiplier() -> None:
    # 16 floats are 64 bytes: 45 values take 48, everything else here 16
    assert layout().spans == (
        Span(0, 32, "bias", 1.0),
        Span(32, 48, "norm", 1.0),
        Span(48, 64, "weight", 0.1),
        Span(64, 128, "weight", 1.0),
    )
    assert layout().trained == 128
    assert layout().size == 128 + 16 + 48


def test_frozen_tensors_and_statistics_lie_behind_the_trained() -> None:
    cut = layout()
    for name, _, role, _, frozen in DECLARED:
        inside = any(span.start <= cut.entries[name].offset < span.stop for span in cut.spans)
        assert inside != (frozen or role == "statistic")
        assert (cut.entries[name].offset < cut.trained) == inside


def test_views_are_shaped_aligned_windows_that_share_no_value() -> None:
    cut = layout()
    flat = aligned(cut.size, np.float32)
    views = cut.views(flat)
    assert sorted(views) == sorted(name for name, *_ in DECLARED)
    for number, (name, shape, *_) in enumerate(DECLARED, 1):
        assert views[name].shape == shape
        assert np.shares_memory(views[name], flat)
        assert views[name].ctypes.data % ALIGNMENT == 0
        assert not views[name].any()
        views[name][...] = number
    assert all((views[name] == number).all() for number, (name, *_) in enumerate(DECLARED, 1))
    assert np.count_nonzero(flat) == sum(view.size for view in views.values())  # the gaps stay zero


def test_a_name_is_declared_once() -> None:
    with pytest.raises(ValueError, match=r"two parameters are called 'a\.weight'"):
        Layout([("a.weight", Param((1,)), 1.0, False)] * 2)


def test_a_network_without_parameters_has_an_empty_layout() -> None:
    empty = Layout([])
    assert (empty.size, empty.trained, empty.spans, empty.views(aligned(0, np.float32))) == (0, 0, (), {})


def test_a_param_counts_its_values_exactly() -> None:
    assert Param((3, 4)).size == 12
    assert Param(()).size == 1
    assert Param((10**6, 10**6, 10**6, 10**6)).size == 10**24  # no overflow: it is compared with the memory there is


# -- tree sums -------------------------------------------------------------------------------------------------------


def values(count: int) -> list[Array]:
    """Numbers of very different size, so that every order of additions rounds differently."""
    rng = np.random.default_rng(count)
    return [(rng.standard_normal(8) * 10.0 ** rng.integers(-4, 4, 8)).astype(np.float32) for _ in range(count)]


def reference(parts: list[Array]) -> Array:
    """The tree by its definition: the largest power of two first, then the rest; each block halved."""
    if len(parts) == 1:
        return parts[0].copy()
    half = 1 << ((len(parts) - 1).bit_length() - 1)
    return reference(parts[:half]) + reference(parts[half:])


def summed(parts: list[Array], order: tuple[int, ...]) -> Array:
    tree = TreeSum()
    for index in order:
        tree.add(index, parts[index].copy())
    return tree.total()


@pytest.mark.parametrize("count", [*range(1, 34), 63, 64, 65, 100])
def test_tree_sum_is_the_tree_of_its_definition(count: int) -> None:
    parts = values(count)
    np.testing.assert_array_equal(tree_sum(part.copy() for part in parts), reference(parts))


@pytest.mark.parametrize("first", range(6))
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 13])
def test_rows_handed_in_together_have_the_bits_of_rows_handed_in_one_by_one(first: int, count: int) -> None:
    rng = np.random.default_rng(first)
    before, rows, after = (rng.standard_normal((n, 3)) * 10.0 ** rng.integers(-8, 8, (n, 1)) for n in (first, count, 3))
    one_by_one, together = TreeSum(), TreeSum()
    for index, row in enumerate(np.concatenate([before, rows, after])):
        one_by_one.add(index, row.copy())
    given = rows.copy()
    together.add_rows(first + count, after)
    together.add_rows(first, given)
    together.add_rows(0, before)
    assert np.array_equal(given, rows)
    assert np.array_equal(together.total(), one_by_one.total())


def test_the_order_matters_to_these_values() -> None:
    parts = values(7)
    assert any((reference(parts) != reference([parts[i] for i in order])).any() for order in [(6, 5, 4, 3, 2, 1, 0)])


@pytest.mark.parametrize("count", range(1, 8))
def test_every_order_of_arrival_gives_the_same_bits(count: int) -> None:
    parts = values(count)
    expected = reference(parts)
    for order in itertools.permutations(range(count)):
        np.testing.assert_array_equal(summed(parts, order), expected)


def test_many_orders_of_many_parts_give_the_same_bits() -> None:
    rng = np.random.default_rng(0)
    for count in (13, 32, 57):
        parts = values(count)
        for _ in range(50):
            order = tuple(int(index) for index in rng.permutation(count))
            np.testing.assert_array_equal(summed(parts, order), reference(parts))


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_give_the_same_bits(threads: int) -> None:
    parts = values(203)
    expected = reference(parts)
    for _ in range(5):
        tree = TreeSum()
        barrier = threading.Barrier(threads)

        def work(worker: int, tree: TreeSum = tree, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            for index in range(worker, len(parts), threads):
                tree.add(index, parts[index].copy())

        workers = [threading.Thread(target=work, args=(worker,)) for worker in range(threads)]
        for thread in workers:
            thread.start()
        for thread in workers:
            thread.join()
        np.testing.assert_array_equal(tree.total(), expected)


@pytest.mark.parametrize("micro", [1, 2, 4, 8])
def test_micro_batches_of_a_power_of_two_shards_form_the_tree_of_one_batch(micro: int) -> None:
    """Accumulating batches of `micro` shards each adds what one batch of all the shards adds, to the bit."""
    parts = values(24)
    sums = [tree_sum(part.copy() for part in parts[start : start + micro]) for start in range(0, 24, micro)]
    np.testing.assert_array_equal(tree_sum(sums), tree_sum(part.copy() for part in parts))


def test_every_array_but_the_total_is_released_once() -> None:
    for order in itertools.permutations(range(5)):
        parts = values(5)
        released: list[int] = []
        tree = TreeSum(lambda array, released=released: released.append(id(array)))  # type: ignore[misc]
        for index in order:
            tree.add(index, parts[index])
        total = tree.total()
        assert sorted([*released, id(total)]) == sorted(map(id, parts))


def test_a_sum_can_be_used_again() -> None:
    tree = TreeSum()
    for _ in range(2):
        tree.add(0, np.ones(2))
        tree.add(1, np.ones(2))
        np.testing.assert_array_equal(tree.total(), [2, 2])


def test_blocks_are_what_a_stretch_of_shards_adds_up_to():
    for start in range(20):
        for stop in range(start, 40):
            found = tree_blocks(start, stop)
            covered = [shard for level, index in found for shard in range(index << level, (index + 1) << level)]
            assert covered == [*range(start, stop)]
            pairs = itertools.pairwise(found)
            assert not any(a[0] == b[0] and a[1] ^ 1 == b[1] for a, b in pairs)  # nothing is left to be added


def test_what_a_forked_process_writes_to_shared_memory_is_there():
    array = shared((3, 4), np.float32)
    assert not array.any()
    child = os.fork()
    if not child:
        array[1, 2] = 7
        os._exit(0)
    os.waitpid(child, 0)
    assert array[1, 2] == 7


@pytest.mark.parametrize("kind", ["f4", "f8", "i8", "u1"])
def test_files_are_little_endian_on_every_processor(kind: str) -> None:
    """Written from arrays of either order; read into an array of this processor's."""
    values = np.array([[1, 2, 3], [200, 5, 6]])
    stored = values.astype(f"<{kind}").tobytes()
    for order in "<>":
        written = to_file(np.asfortranarray(values, f"{order}{kind}"))
        assert written.tobytes() == bytes(written.reshape(-1).view(np.uint8)) == stored
        found = np.frombuffer(bytearray(values.astype(f"{order}{kind}").tobytes()), kind).reshape(values.shape)
        from_file(found, f"{order}{kind}")
        np.testing.assert_array_equal(found, values)
        assert found.dtype.isnative
    ours = np.ones(3, f"<{kind}")
    assert np.shares_memory(to_file(ours), ours)

"""Products are computed in pieces small enough for BLAS to leave its operands where they are.

A general matrix product first copies (packs) both operands into the order in which its kernel reads them. With the
shapes of convolutions, tall and narrow, that copy costs as much as a third of the multiplications it serves. For
products of up to a million multiply-adds OpenBLAS has kernels for AVX-512 that read operands in place; a large
product cut into such pieces runs at 105 to 115 GFLOP/s where the whole runs at 60 to 95 (one Zen 4 core, float32).
`np.matmul` walks the pieces itself, so that one call from Python still lasts long. Where the right operand is wide, its
rows lie so far apart that a piece of it is slow to read in place, and many rows share the copy: such products are left
whole. So is every product where BLAS has no kernels of that kind (IN_PLACE), as on processors without AVX-512: each
piece would copy its operands again. Where few rows have long sums, as in a dense layer of many features or in the
gradient of a small kernel, the sums are cut, too, and the parts added up.

The pieces follow from the shapes and from BLAS's kernels alone; so the order of every sum, and every bit, does, too.
"""

from __future__ import annotations

import functools
from functools import partial

import numpy as np

from cnntrain.core import blas
from cnntrain.core.arrays import Array, round_up
from cnntrain.ops.calls import Calls, Thunk, run

IN_PLACE = ("SkylakeX", "Cooperlake", "SapphireRapids")  # OpenBLAS's kernels that can read operands in place
UNPACKED = 1_000_000  # multiply-adds of a product up to which OpenBLAS does not pack
WIDEST = 64  # columns of a piece: four AVX-512 registers
LEAST_ROWS = 8  # below this a piece spends its time loading its right operand; pieces have a multiple of it
WIDE, SUMMED = 384, 128  # columns, and terms of a sum, from which a product of SHARING rows or more is left whole,
FEW, SHARING = 24, 48  # as it is from 256 columns on where pieces would have fewer than FEW rows
SUMMED_AT_ONCE = 512  # terms of a sum that is cut,
FEW_SUMS = 64  # which is one of a product of at most so many rows
PARTS = 64 * 1024  # values of the parts of sums that are kept at a time, which the cache holds
ACROSS = 1200  # values of a @ b.T up to which OpenBLAS does not pack,
LEAST_SUMMED = 32  # for sums of so many terms
ROWS_ACROSS = 32  # the most of a piece of it


def multiply(a: Array, b: Array, out: Array) -> None:
    """Write a @ b, of shapes (..., m, k) and (..., k, n), into out (..., m, n); all may be windows on larger arrays.

    The right operand should have its columns side by side in memory, as BLAS's fastest kernels want it; the left one
    may be a transposed view.
    """
    run(product(a, b, out))


def product(a: Array, b: Array, out: Array) -> Calls:
    """The calls that write a @ b into out."""
    m, k, n = *a.shape[-2:], b.shape[-1]
    terms = _terms(m, k, n)
    if terms < k:
        return in_parts(a, b, out, terms)
    rows, columns = _piece(m, k, n)
    if (rows, columns) == (m, n):
        return [partial(np.matmul, a, b, out)]
    whole_m, whole_n = m - m % rows, n - n % columns
    calls = [_in_pieces(a[..., :whole_m, :], b[..., :whole_n], out[..., :whole_m, :whole_n], rows, columns)]
    if whole_n < n:
        calls += product(a[..., :whole_m, :], b[..., whole_n:], out[..., :whole_m, whole_n:])
    if whole_m < m:
        left = min(whole_m, m - 2)  # a single row, which BLAS multiplies by a routine of its own, would have other bits
        calls += product(a[..., left:, :], b, out[..., left:, :])
    return calls


def across(a: Array, b: Array, out: Array) -> Calls:
    """The calls that write a @ b.T, of shapes (m, k) and (n, k), into out (m, n): in pieces where m is small, since for
    that way round kernels that read operands in place do so for small results alone.
    """
    (m, k), n = a.shape, len(b)
    rows = -(-m // -(-m // ROWS_ACROSS))
    columns = min(ACROSS // rows, UNPACKED // (rows * k)) // LEAST_ROWS * LEAST_ROWS
    many = m > FEW_SUMS or m % rows or k < LEAST_SUMMED
    if many or not LEAST_ROWS <= columns < n or not reads_in_place():
        return [partial(np.matmul, a, b.T, out)]
    whole = n - n % columns
    right = b[:whole].reshape(-1, columns, k).swapaxes(1, 2)
    into = out[:, :whole].reshape(-1, rows, whole // columns, columns).swapaxes(1, 2)
    calls: Calls = [partial(np.matmul, a.reshape(-1, 1, rows, k), right, into)]
    return calls if whole == n else [*calls, partial(np.matmul, a, b[whole:].T, out[:, whole:])]


@functools.cache
def reads_in_place() -> bool:
    """Whether BLAS has kernels that read the operands of small products where they lie."""
    return blas.kernel() in IN_PLACE


def _in_pieces(a: Array, b: Array, out: Array, rows: int, columns: int) -> Thunk:
    """The product as a stack of products of `rows` by `columns`; splitting an axis never copies."""
    (*lead, m, k), n = a.shape, b.shape[-1]
    left = a.reshape(*lead, m // rows, 1, rows, k)
    right = b.reshape(*b.shape[:-1], n // columns, columns).swapaxes(-3, -2)
    into = out.reshape(*lead, m // rows, rows, n // columns, columns).swapaxes(-3, -2)
    return partial(np.matmul, left, right[..., None, :, :, :], into)


def in_parts(a: Array, b: Array, out: Array, terms: int, room: Array | None = None) -> Calls:
    """The product as one over the first `terms` of every sum, one over the next, and so on, added up.

    `room` is for the parts, (..., parts, m, columns at a time), by default memory of its own.
    """
    m, k, n = *a.shape[-2:], b.shape[-1]
    count = -(-k // terms)
    whole = k - k % terms
    if room is None:
        columns_at_once = min(n, max(PARTS // (count * m) // WIDEST, 1) * WIDEST)
        room = np.empty((*out.shape[:-2], count, m, columns_at_once), out.dtype)
    width = room.shape[-1]
    left = a[..., :whole].reshape(*a.shape[:-1], -1, terms).swapaxes(-3, -2)
    calls: Calls = []
    for start in range(0, n, width):
        columns = slice(start, min(start + width, n))
        parts, right = room[..., : columns.stop - start], b[..., columns]
        stacked = right[..., :whole, :].reshape(*b.shape[:-2], -1, terms, right.shape[-1])
        calls += product(left, stacked, parts[..., : whole // terms, :, :])
        if whole < k:
            calls += product(a[..., whole:], right[..., whole:, :], parts[..., -1, :, :])
        calls.append(partial(np.add.reduce, parts, -3, None, out[..., columns]))
    return calls


@functools.lru_cache(maxsize=4096)
def _terms(m: int, k: int, n: int) -> int:
    """How many terms of the sums of an (m, k) @ (k, n) product are added up at a time; k where they are not cut."""
    columns = min(n, WIDEST)
    wide = n >= WIDE and m >= SHARING
    if min(m, n) == 1 or m > FEW_SUMS or wide or LEAST_ROWS * k * columns <= UNPACKED:
        return k
    fitting = min(UNPACKED // (m * columns), SUMMED_AT_ONCE) // LEAST_ROWS * LEAST_ROWS
    return min(round_up(-(-k // -(-k // fitting)), LEAST_ROWS), k)


@functools.lru_cache(maxsize=4096)
def _piece(m: int, k: int, n: int) -> tuple[int, int]:
    """Rows and columns of a piece of an (m, k) @ (k, n) product; (m, n) where it is best left whole."""
    columns = n if n < 2 * WIDEST and LEAST_ROWS * k * n <= UNPACKED else min(n, WIDEST)
    most = UNPACKED // (k * columns)  # rows
    if m * k * n <= UNPACKED or min(m, n) == 1 or most < min(m, LEAST_ROWS) or not reads_in_place():
        return m, n  # small, or with sums so long that packing pays
    even = -(-m // -(-m // most))  # so that the last piece is no stump
    rows = m if m <= most else min(round_up(even, LEAST_ROWS), most - most % LEAST_ROWS)
    wide = (n >= WIDE and k >= SUMMED) or (n >= 4 * WIDEST and rows < FEW)
    return (m, n) if wide and m >= SHARING else (rows, columns)

"""The updater walks the flat vectors in pieces and lets the optimizer change each, on all workers.

In a step, penalties of the regularizers join the gradient, it is clipped, the optimizer updates, limits are enforced.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array, Layout, LayoutEntry, Param, Role, Shape, aligned, round_up, shared
from cnntrain.core.errors import DivergedError
from cnntrain.core.scopes import covers
from cnntrain.engine.pool import Pool, ShardWork
from cnntrain.engine.team import Team
from cnntrain.network.freezing import ALWAYS, Stretch
from cnntrain.network.graph import node_of
from cnntrain.parts.optimizers.base import Block, Optimizer
from cnntrain.parts.regularizers.base import Regularizer

BLOCK = 65536  # values: a quarter of a MB of float32, which the caches hold with the slots
ALONE = 16  # blocks up to which one thread updates them all
_SMALLEST = 1e-3  # the norm adaptive clipping takes for weights that are smaller, so that zeros can leave zero


@dataclass(frozen=True)
class Rules:
    """The rules for gradients and parameters besides the optimizer's step.

    clip_value     no value of the gradient beyond this
    agc            no unit's gradient longer than this share of its weights (adaptive clipping, Brock et al. 2021)
    regularizers   penalties and limits
    """

    clip_value: float | None = None
    agc: float | None = None
    regularizers: tuple[Regularizer, ...] = ()


@dataclass(frozen=True)
class _Piece:
    """The optimizer's unit of work: a stretch of the vectors, or a tensor."""

    where: slice
    shape: Shape
    role: Role
    lr_mult: float
    decay: float | None
    param: Param | None = None  # of a tensor
    trained: Stretch = ALWAYS  # in which steps it is


class Updater:
    """An optimizer with its slots, for the trained parameters of one layout."""

    def __init__(
        self,
        optimizer: Optimizer,
        layout: Layout,
        pool: Pool,
        params: Array,
        grads: Array,
        rules: Rules | None = None,
        trained: Mapping[str, Stretch] | None = None,
    ) -> None:
        """`params` and `grads` lie in shared memory (`arrays.shared`), since processes of the pool may take part.

        `trained` has the nodes that are trained in some steps only, each with these steps, which the optimizer counts.
        """
        self.optimizer, self.pool, self.rules = optimizer, pool, rules or Rules()
        self._params, self._grads = params, grads
        self.slots = {name: shared(layout.size, params.dtype) for name in optimizer.state_names()}
        optimizer.start({name: slot[: layout.trained] for name, slot in self.slots.items()})
        trained = trained or {}
        tensors = [
            _tensor(optimizer, layout, e, trained.get(node_of(e), ALWAYS))
            for e in layout.entries.values()
            if e.offset < layout.trained
        ]
        self._tensors = [piece for _, piece in tensors]
        self._blocks = _blocks(self._tensors)
        self._pieces = self._blocks if optimizer.unit == "element" else self._tensors
        self._tensor_shares, self._block_shares, self._piece_shares = (
            _shares(pieces, pool.threads) for pieces in (self._tensors, self._blocks, self._pieces)
        )
        self._acting = [
            [r for r in self.rules.regularizers if r.applies(node_of(entry), piece.role)] for entry, piece in tensors
        ]
        self._prepares = bool(self.rules.clip_value or self.rules.agc or self.rules.regularizers)
        largest = max(math.prod(piece.shape) for piece in self._blocks) if self._blocks else 0
        if self._prepares or optimizer.unit == "tensor":
            largest = max([largest, *(math.prod(piece.shape) for piece in self._tensors)])
        self._scratch = [(aligned(largest, params.dtype), aligned(largest, params.dtype)) for _ in range(pool.threads)]
        self._squares = shared(len(self._blocks), np.float64)
        self._made: dict[tuple[int, int], Block] = {}  # by worker and piece
        self._job = pool.register(self._take)
        self._firsts = sorted({0, *(piece.trained.first for piece in self._tensors)})
        self._carried: dict[int, float] | None = None  # None: as with the optimizer's own momentum in all steps so far
        self._saved = aligned(layout.size, params.dtype) if optimizer.sam else None

    def apply(self, lr: float, step: int, clip_norm: float | None = None, momentum: float | None = None) -> float:
        """Take step number `step` (from 0) with this learning rate; return the Euclidean norm of the gradient.

        A norm above `clip_norm` is scaled down to it; `momentum` replaces the optimizer's. The norm is taken after
        penalties and the other ways to clip. Raises DivergedError, before any parameter changes, where the gradient
        is not finite.
        """
        numbers = (lr, step, clip_norm or math.inf, math.nan if momentum is None else momentum)
        team = self.pool.team(self._job)
        return _finite(self.pool.lead(team, self._job, numbers, lambda team: self._take(team, *numbers)), step)

    def carried_after(self, step: int) -> dict[int, float]:
        """The number that the optimizer carries from step to step, after so many; by the first step of what is trained.

        0 is always among these.
        """
        if self._carried is not None and step:
            return self._carried
        return {
            first: functools.reduce(self.optimizer.carry, range(1, step - first + 1), 1.0) for first in self._firsts
        }

    def carry_on(self, step: int, carried: float, since: Mapping[str, Any]) -> None:
        """Go on after so many steps with the numbers of a checkpoint, `since` those of later first steps.

        Of these, an older checkpoint lacks some, which are made anew.
        """
        known = {first: since[str(first)] for first in self._firsts if isinstance(since.get(str(first)), float)}
        self._carried = self.carried_after(step) | known | {0: carried}

    def _take(self, team: Team, lr: float, step: float, clip_norm: float, momentum: float) -> float:
        """The work of all workers in `apply`, together; they stop where the norm is not finite."""
        norm = self._norm(team)
        if self._prepares and math.isfinite(norm):
            self._run(team, self._tensor_shares, functools.partial(self._prepare, step))
            norm = self._norm(team)
        if not math.isfinite(norm):
            return norm
        factor = clip_norm / norm if norm > clip_norm else 1.0
        optimizer = self.optimizer if math.isnan(momentum) else self.optimizer.with_momentum(momentum)
        number = int(step) + 1
        carried = {
            first: optimizer.carry(before, number - first) if number > first else before
            for first, before in self.carried_after(int(step)).items()
        }
        self._carried = carried

        def update(worker: int, index: int) -> None:
            piece = self._pieces[index]
            if not piece.trained.has(step):
                return
            block = self._made.get((worker, index)) or self._block(worker, index)
            first = piece.trained.first
            block.lr, block.step, block.carried = lr * piece.lr_mult, number - first, carried[first]
            if factor != 1.0:
                block.g *= factor
            optimizer.step(block)

        self._run(team, self._piece_shares, update)
        if self.rules.regularizers:
            self._run(team, self._tensor_shares, functools.partial(self._limit, step))
        return norm

    def _block(self, worker: int, index: int) -> Block:
        """A piece as the optimizer sees it, made once."""
        piece = self._pieces[index]
        block = self._made[worker, index] = Block(
            p=self._params[piece.where].reshape(piece.shape),
            g=self._grads[piece.where].reshape(piece.shape),
            slots={name: slot[piece.where].reshape(piece.shape) for name, slot in self.slots.items()},
            lr=0.0,
            step=0,
            scratch=(self._room(worker, 0, piece.shape), self._room(worker, 1, piece.shape)),
            role=piece.role,
            decay=piece.decay,
        )
        return block

    def penalty(self) -> float:
        """The sum of the regularizers' penalties for the current parameters."""
        parts = [
            regularizer.value(self._params[piece.where].reshape(piece.shape))
            for piece, acting in zip(self._tensors, self._acting, strict=True)
            for regularizer in acting
        ]
        return math.fsum(parts)

    def perturb(self, step: int) -> None:
        """Move to the worst loss nearby: p += rho g / |g| (`optimizer.sam`). Raises DivergedError."""
        assert self._saved is not None
        assert self.optimizer.sam is not None
        np.copyto(self._saved, self._params)
        norm = _finite(self._norm(self.pool), step)
        factor = self.optimizer.sam.rho / norm if norm else 0.0

        def move(worker: int, index: int) -> None:
            piece = self._blocks[index]
            change = np.multiply(self._grads[piece.where], factor, out=self._room(worker, 0, piece.shape))
            self._params[piece.where] += change

        self._run(self.pool, self._block_shares, move)

    def restore(self) -> None:
        """Undo `perturb`, for parameters and statistics."""
        assert self._saved is not None
        np.copyto(self._params, self._saved)

    def _run(self, team: Team, shares: Sequence[range], task: ShardWork) -> None:
        """Call the task for every piece: each worker for its share, or one thread for all where there is little to do.

        A worker's results lie in its own core's cache, and fetching them takes longer than a small update; processes
        alone have them there already, for each adds up roughly what it updates.
        """

        def share(worker: int, pieces: Iterable[int]) -> None:
            with np.errstate(over="ignore", invalid="ignore"):  # whatever is not finite is found by the next loss
                for index in pieces:
                    task(worker, index)

        if isinstance(team, Pool) and len(self._blocks) <= ALONE:
            share(0, itertools.chain(*shares))
        else:
            team.each(lambda worker: share(worker, shares[worker]))

    def _room(self, worker: int, which: int, shape: Shape) -> Array:
        return self._scratch[worker][which][: math.prod(shape)].reshape(shape)

    def _prepare(self, step: float, worker: int, index: int) -> None:
        """Penalize and clip the gradient of one tensor."""
        piece = self._tensors[index]
        if not piece.trained.has(step):
            return
        p, g = (vector[piece.where].reshape(piece.shape) for vector in (self._params, self._grads))
        for regularizer in self._acting[index]:
            regularizer.add_gradient(p, g, self._room(worker, 0, piece.shape))
        if self.rules.clip_value:
            np.clip(g, -self.rules.clip_value, self.rules.clip_value, out=g)
        if self.rules.agc:
            assert piece.param is not None
            for weights, gradient in zip(piece.param.by_unit(p), piece.param.by_unit(g), strict=True):
                clip_adaptively(weights, gradient, self.rules.agc)

    def _limit(self, step: float, worker: int, index: int) -> None:
        piece = self._tensors[index]
        if not piece.trained.has(step):
            return
        assert piece.param is not None
        p = self._params[piece.where].reshape(piece.shape)
        for regularizer in self._acting[index]:
            for units in piece.param.by_unit(p):
                regularizer.limit(units, self._room(worker, 0, units.shape))

    def _norm(self, team: Team) -> float:
        """The norm from sums of squares of blocks, added in float64 in the order of the blocks."""

        def square(_worker: int, index: int) -> None:
            grads = self._grads[self._blocks[index].where]
            total = float(np.dot(grads, grads))
            if not math.isfinite(total):  # perhaps only float32 overflowed
                wide = grads.astype(np.float64)
                total = float(np.dot(wide, wide))
            self._squares[index] = total

        self._run(team, self._block_shares, square)
        finite = np.isfinite(self._squares).all()
        return math.sqrt(math.fsum(self._squares)) if finite else float(self._squares.sum())


def _finite(norm: float, step: int) -> float:
    """The norm of a gradient. Raises DivergedError where it is not finite."""
    if not math.isfinite(norm):
        raise DivergedError(f"the gradient became {norm} at step {step}")
    return norm


def _shares(pieces: Sequence[_Piece], workers: int) -> list[range]:
    """The indices of each worker's pieces, side by side, with about as many values for each."""
    edges = list(itertools.accumulate((piece.where.stop - piece.where.start for piece in pieces), initial=0))
    middles = [(stop + start) / 2 for start, stop in itertools.pairwise(edges)]
    bounds = [bisect.bisect_left(middles, edges[-1] * worker / workers) for worker in range(workers + 1)]
    return [range(start, stop) for start, stop in itertools.pairwise(bounds)]


def clip_adaptively(p: Array, g: Array, most: float) -> None:
    """Scale down the gradient of each unit that is longer than `most` times max(|its weights|, 0.001), in place.

    A unit is a filter or an output, all axes but the last; a vector is one unit (Brock et al. 2021, algorithm AGC).
    """
    rows = (array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1) for array in (p, g))
    sizes, slopes = (np.sqrt(np.einsum("ij,ij->j", array, array)) for array in rows)
    limit = most * np.maximum(sizes, _SMALLEST)
    g *= np.minimum(1, limit / np.maximum(slopes, np.finfo(g.dtype).tiny))


def _tensor(optimizer: Optimizer, layout: Layout, entry: LayoutEntry, trained: Stretch) -> tuple[LayoutEntry, _Piece]:
    """A trained parameter, and how its groups want it treated."""
    span = next(span for span in layout.spans if span.start <= entry.offset < span.stop)
    piece = _Piece(
        slice(entry.offset, entry.offset + entry.param.size),
        entry.param.shape,
        span.role,
        span.lr_mult,
        None,
        entry.param,
        trained,
    )
    for group in optimizer.groups:
        if covers(group.match, node_of(entry)):
            decay = piece.decay if group.weight_decay is None else group.weight_decay
            piece = dataclasses.replace(piece, lr_mult=span.lr_mult * group.lr_mult, decay=decay)
    return entry, piece


def _treatment(piece: _Piece) -> tuple[object, ...]:
    """What makes neighbours alike."""
    return piece.role, piece.lr_mult, piece.decay, piece.trained


def _blocks(tensors: Sequence[_Piece]) -> list[_Piece]:
    """Neighbours that are treated alike, joined, and cut into blocks; the gaps between them come along."""
    joined: list[_Piece] = []
    for piece in tensors:
        start, stop = piece.where.start, piece.where.start + round_up(piece.where.stop - piece.where.start, 16)
        last = joined[-1] if joined else None
        alike = last and _treatment(last) == _treatment(piece)
        if last and alike and last.where.stop == start:
            joined[-1] = dataclasses.replace(last, where=slice(last.where.start, stop))
        else:
            joined.append(dataclasses.replace(piece, where=slice(start, stop)))
    return [
        dataclasses.replace(piece, where=slice(start, stop), shape=(stop - start,))
        for piece in joined
        for start in range(piece.where.start, piece.where.stop, BLOCK)
        for stop in [min(start + BLOCK, piece.where.stop)]
    ]

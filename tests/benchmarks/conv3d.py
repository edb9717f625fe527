"""Forward and backward of conv3d beside PyTorch's, on one thread each, alternating: python -m tests.benchmarks.conv3d.

Needs torch (the extra `bench`). Shown are medians over the alternations of processor time, which other work on the
machine disturbs least, and the least and largest ratio of an alternation (above 1, cnntrain is faster).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from cnntrain.core import registry
from cnntrain.engine.passes import Passes

SHAPES = [  # a clip, filters: what c3d_small does to clips of 8x32x32, and a wider one
    ((8, 32, 32, 3), 16),
    ((8, 16, 16, 16), 32),
    ((4, 8, 8, 32), 64),
    ((8, 32, 32, 32), 32),
]
CLIPS, TURNS = 8, 9


def ours(shape: tuple[int, ...], filters: int, rng: np.random.Generator) -> Callable[[], None]:
    layer = registry.make("layers", "conv3d", filters=filters, kernel_size=3, padding=1, bias=False)
    passes = Passes(layer, [shape], training=True, trained=True)
    weight = rng.standard_normal((3, 3, 3, shape[3], filters)).astype(np.float32)
    x = rng.standard_normal((CLIPS, *shape)).astype(np.float32)
    frames = passes.forward([(x,)], {"weight": weight}, lambda _: rng)
    passes.backward(frames, [np.ones_like(frames[0].y)], [True])

    def step() -> None:
        layer.forward(frames[0])
        layer.backward(frames[0])

    return step


def torchs(shape: tuple[int, ...], filters: int) -> Callable[[], None]:
    import torch

    torch.set_num_threads(1)
    moments, height, width, channels = shape
    x = torch.randn(CLIPS, channels, moments, height, width, requires_grad=True)
    weight = torch.randn(filters, channels, 3, 3, 3, requires_grad=True)
    dy = torch.ones(CLIPS, filters, moments, height, width)

    def step() -> None:
        x.grad = weight.grad = None
        torch.nn.functional.conv3d(x, weight, None, 1, 1).backward(dy)

    return step


def seconds(step: Callable[[], None]) -> float:
    began = time.process_time()
    step()
    return time.process_time() - began


def main() -> None:
    rng = np.random.default_rng(0)
    for shape, filters in SHAPES:
        mine, theirs = ours(shape, filters, rng), torchs(shape, filters)
        pairs = [(seconds(mine), seconds(theirs)) for _ in range(TURNS)][2:]
        first, second = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = [other / own for own, other in pairs]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{shape} to {filters}: cnntrain {first:.1f} ms, PyTorch {second:.1f} ms, ratio {spread}")


if __name__ == "__main__":
    main()

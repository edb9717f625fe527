"""Training steps of `fcos_small` against torchvision's FCOS on the same backbone, alternating within one run.

`python -m tests.benchmarks.detection` needs PyTorch and torchvision. Pictures are 256x320, eight a batch, with twelve
boxes each; every peer has two threads. The backbone, stem, four residual stages and the pyramid, has the same layers;
torchvision's head is its own, as wide and as deep (two convolutions), shared by the levels and with group norm. Shown
are medians over the alternations, and of the ratio, torchvision's time over ours, least, median and most.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

SIZE, BATCH, BOXES, CLASSES, WIDTH, THREADS = (256, 320), 8, 12, 3, 32, 2
PEERS = ("cnntrain", "torchvision", "torchvision-channels-last")
CONFIG = f"""\
task: detect
data: {{source: {{type: shapes, size: [256, 320]}}}}
model: {{preset: {{type: fcos_small, width: {WIDTH}}}}}
optimizer: {{type: adamw, lr: 1e-4}}
train: {{epochs: 1, batch_size: {BATCH}, shard: {BATCH // THREADS}}}
"""


def batch() -> tuple[Any, Any, Any]:
    """Pictures (n, h, w, 3) and their boxes (n, m, 4) and labels (n, m)."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 1, (BATCH, BOXES, 2)) * [SIZE[1] - 60, SIZE[0] - 60]
    boxes = np.concatenate([start, start + rng.uniform(15, 60, start.shape)], axis=2)
    return rng.random((BATCH, *SIZE, 3), np.float32), boxes, rng.integers(0, CLASSES, (BATCH, BOXES))


def of_cnntrain() -> Callable[[], object]:
    """A step as `fit` takes it."""
    from cnntrain.config.load import load_text
    from cnntrain.core import blas
    from cnntrain.core.boxes import record
    from cnntrain.core.description import Description
    from cnntrain.engine.pool import Pool
    from cnntrain.network import build
    from cnntrain.training.rates import horizon
    from cnntrain.training.stepper import Stepper

    images, boxes, labels = batch()
    targets = np.zeros(BATCH, record(BOXES))
    targets["corners"], targets["labels"], targets["shown"] = boxes, labels, 1

    class Ready:
        views = 1

        def __len__(self) -> int:
            return BATCH

        def fill(self, start: int, stop: int, x: Any) -> tuple[Any, Any]:
            x[...] = images[start:stop]
            return targets[start:stop], np.ones(stop - start, np.float32)

    blas.pin()
    loaded = load_text(CONFIG, "detection")
    network = build.network(loaded, Description((*SIZE, 3), ("a", "b", "c"), target="boxes"))
    stepper = Stepper(loaded, network, lambda _: [Ready()], horizon(loaded.experiment, 1, BATCH), Pool(THREADS))
    stepper.initialize()
    return lambda: stepper.step(0)


def of_torchvision(channels_last: bool) -> Callable[[], object]:
    """A step of its FCOS."""
    import torch
    from torch import nn
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.fcos import FCOS, FCOSHead

    torch.set_num_threads(THREADS)

    def conv(into: int, out: int, size: int, stride: int = 1, rectified: bool = True) -> nn.Sequential:
        layers = [nn.Conv2d(into, out, size, stride, size // 2, bias=False), nn.BatchNorm2d(out)]
        return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if rectified else []))

    class Stage(nn.Module):
        def __init__(self, into: int, out: int) -> None:
            super().__init__()
            self.body = nn.Sequential(conv(into, out, 3, 2), conv(out, out, 3, rectified=False))
            self.shortcut = nn.Sequential(nn.Conv2d(into, out, 1, 2, bias=False), nn.BatchNorm2d(out))

        def forward(self, x: Any) -> Any:
            return torch.relu(self.body(x) + self.shortcut(x))

    class Backbone(nn.Module):
        out_channels = 2 * WIDTH

        def __init__(self) -> None:
            super().__init__()
            widths = [WIDTH // 2, *(WIDTH * 2**k for k in range(4))]
            self.stem = conv(3, widths[0], 3, 2)
            self.stages = nn.ModuleList(Stage(a, b) for a, b in itertools.pairwise(widths))
            self.laterals = nn.ModuleList(conv(w, 2 * WIDTH, 1) for w in widths[2:])

        def forward(self, x: Any) -> Any:
            x, maps = self.stem(x), []
            for stage in self.stages:
                x = stage(x)
                maps.append(x)
            coarse, found = self.laterals[2](maps[3]), []
            for k in (1, 0):
                larger = nn.functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
                coarse = self.laterals[k](maps[k + 1]) + larger
                found.append(coarse)
            return OrderedDict([("8", found[1]), ("16", found[0])])

    images, boxes, labels = batch()
    anchors = AnchorGenerator(((8,), (16,)), ((1.0,),) * 2)
    head = FCOSHead(2 * WIDTH, 1, CLASSES, num_convs=2)
    plain = {"image_mean": [0, 0, 0], "image_std": [1, 1, 1], "_skip_resize": True}
    model = FCOS(Backbone(), CLASSES, anchor_generator=anchors, head=head, **plain).train()
    given = torch.tensor(images).permute(0, 3, 1, 2).contiguous()
    if channels_last:
        model, given = model.to(memory_format=torch.channels_last), given.to(memory_format=torch.channels_last)
    pictures = list(given)
    targets = [
        {"boxes": torch.tensor(b, dtype=torch.float32), "labels": torch.tensor(k)}
        for b, k in zip(boxes, labels, strict=True)
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        sum(model(pictures, targets).values()).backward()
        optimizer.step()

    return step


def serve(peer: str) -> None:
    """Take as many steps as each line says, and print the seconds of one."""
    step = of_cnntrain() if peer == "cnntrain" else of_torchvision(peer.endswith("last"))
    step()
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            step()
        print((time.perf_counter() - began) / int(line), flush=True)


def main() -> None:
    """Every peer in turn, the others waiting for a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", choices=PEERS)
    parser.add_argument("--alternations", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2, help="steps of a turn")
    asked = parser.parse_args()
    if asked.peer:
        serve(asked.peer)
        return
    command = [sys.executable, "-m", "tests.benchmarks.detection", "--peer"]
    running = {
        peer: subprocess.Popen([*command, peer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        for peer in PEERS
    }
    seconds: dict[str, list[float]] = {peer: [] for peer in PEERS}
    for process in running.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for _ in range(asked.alternations):
        for peer, process in running.items():
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{asked.steps}\n")
            seconds[peer].append(float(process.stdout.readline()))
    for process in running.values():
        process.communicate()
    for peer in PEERS:
        middle = statistics.median(seconds[peer])
        ratios = sorted(theirs / ours for theirs, ours in zip(seconds[peer], seconds["cnntrain"], strict=True))
        spread = f"{ratios[0]:.2f} {statistics.median(ratios):.2f} {ratios[-1]:.2f}"
        print(f"{peer:26} {1000 * middle:7.0f} ms a step {BATCH / middle:6.1f} images/s   ratio {spread}")


if __name__ == "__main__":
    main()

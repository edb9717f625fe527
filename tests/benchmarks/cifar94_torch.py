"""configs/cifar10-94.yaml as one writes it in PyTorch, part for part: whitening, Muon, six views at the end.

`python -m tests.benchmarks.cifar94_torch DATA [--seed N] [--epochs N] [--threads N] [--device NAME]`, with CIFAR-10's
binary files in DATA. Prints a line for each epoch, and last the accuracy on the test pictures over six views; seconds
are those since PyTorch was imported.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
BATCH, LR, MOMENTUM, NEWTON_SCHULZ = 2000, 0.24, 0.6, 3
VECTORS, HEAD, HEAD_DECAY = 0.08, 0.1, 0.15  # learning rates as multiples of LR; decay of the head
WHITENING = 3  # epochs for which scale and shift behind the whitening are trained


def read(paths: list[Path]) -> tuple[Any, Any]:
    """Normalized pictures and labels of CIFAR-10's binary files."""
    rows = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, 3073) for path in paths])
    pixels = torch.tensor(rows[:, 1:].reshape(-1, 3, 32, 32)).float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std, torch.tensor(rows[:, 0]).long()


class Scale(nn.Module):
    """A factor and a shift for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Any) -> Any:
        return x * self.scale.view(1, -1, 1, 1) + self.shift.view(1, -1, 1, 1)


def whitening(images: Any) -> nn.Conv2d:
    """The untrained first convolution."""
    patches = F.unfold(images[:5000], 2).transpose(1, 2).reshape(-1, 12).double()
    sizes, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (directions / (sizes + 5e-4).sqrt()).flip(1).T.float().view(12, 3, 2, 2)
    layer = nn.Conv2d(3, 24, 2, bias=False).requires_grad_(False)
    layer.weight.data = torch.cat([filters, -filters])
    return layer


def conv(channels: int, filters: int) -> nn.Conv2d:
    """3x3, its first filters the identity."""
    layer = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:channels])
    return layer


def norm(channels: int) -> nn.BatchNorm2d:
    """Without a trained scale."""
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad_(False)
    return layer


def model(images: Any) -> nn.Sequential:
    """The network."""
    body: list[nn.Module] = [whitening(images), Scale(24), nn.GELU()]
    for channels, filters in ((24, 64), (64, 256), (256, 256)):
        body += [conv(channels, filters), nn.MaxPool2d(2), norm(filters), nn.GELU()]
        body += [conv(filters, filters), norm(filters), nn.GELU()]
    head = nn.Linear(256, 10, bias=False)
    nn.init.normal_(head.weight, std=0.004)
    return nn.Sequential(*body, nn.MaxPool2d(3), nn.Flatten(), head)


def orthogonal(matrix: Any) -> Any:
    """Newton-Schulz steps."""
    x = matrix / matrix.norm().clamp_min(1e-7)
    x = x.T if len(x) > x.shape[1] else x
    for _ in range(NEWTON_SCHULZ):
        gram = x @ x.T
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    return x.T if len(matrix) > matrix.shape[1] else x


class Muon(torch.optim.Optimizer):
    """For matrices; kernels of convolutions keep the norm sqrt(filters)."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": LR, "decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Take the step."""
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.lerp_(p.grad, 1 - MOMENTUM)
                change = orthogonal(p.grad.lerp(m, MOMENTUM).reshape(len(p), -1)).view_as(p)
                factor = math.sqrt(max(1, len(p) / p[0].numel()))
                p.mul_(1 - group["lr"] * group["decay"])
                if p.ndim > 2:
                    p.mul_(math.sqrt(len(p)) / p.norm())
                p.sub_(change, alpha=group["lr"] * factor)


def views(x: Any) -> Any:
    """A picture, moved to two corners, and all three in the mirror: (6, n, ...)."""
    wide = F.pad(x, (1, 1, 1, 1), "reflect")
    seen = [x, wide[..., 2:, 2:], wide[..., :-2, :-2]]
    return torch.stack([*(view.flip(-1) for view in seen), *seen])


def augmented(images: Any, epoch: int, mirrored: Any) -> Any:
    """Pictures mirrored in turn, and moved by up to two pixels."""
    flip = (mirrored ^ bool(epoch % 2)).view(-1, 1, 1, 1)
    images = torch.where(flip, images.flip(-1), images)
    wide = F.pad(images, (2, 2, 2, 2), "reflect")
    moves = torch.randint(0, 5, (len(images), 2))
    moved = torch.empty_like(images)
    for top in range(5):
        for left in range(5):
            chosen = (moves == torch.tensor([top, left])).all(1)
            moved[chosen] = wide[chosen, :, top : top + 32, left : left + 32]
    return moved


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cuda, say, for its accuracy on several seeds")
    given = parser.parse_args()
    began = time.perf_counter()
    torch.manual_seed(given.seed)
    torch.set_num_threads(given.threads)
    torch.set_default_device(given.device)
    images, labels = read([given.data / f"data_batch_{i}.bin" for i in range(1, 6)])
    network: Any = model(images).to(memory_format=torch.channels_last)
    kernels = [p for p in network.parameters() if p.ndim == 4 and p.requires_grad]
    vectors = [p for p in network.parameters() if p.ndim == 1 and p.requires_grad]
    head = {"params": [network[-1].weight], "lr": HEAD * LR, "decay": HEAD_DECAY}
    optimizers = [Muon([{"params": kernels}, head]), torch.optim.AdamW(vectors, lr=VECTORS * LR, weight_decay=0)]
    starts = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    total = given.epochs * (len(images) // BATCH)
    mirrored, step = torch.rand(len(images)) < 0.5, 0
    for epoch in range(given.epochs):
        network.train()
        network[1].requires_grad_(epoch < WHITENING)
        seen, order, right = augmented(images, epoch, mirrored), torch.randperm(len(images)), 0
        for start in range(0, total // given.epochs * BATCH, BATCH):
            groups = [group for optimizer in optimizers for group in optimizer.param_groups]
            for group, lr in zip(groups, starts, strict=True):
                group["lr"] = lr * (1 - step / total)
            chosen = order[start : start + BATCH]
            outputs = network(seen[chosen].to(memory_format=torch.channels_last))
            loss = F.cross_entropy(outputs, labels[chosen], label_smoothing=0.2)
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            right += int((outputs.argmax(1) == labels[chosen]).sum())
            step += 1
        print(
            json.dumps({"epoch": epoch + 1, "accuracy": right / len(images), "seconds": time.perf_counter() - began}),
            flush=True,
        )
    images, labels = read([given.data / "test_batch.bin"])
    network.eval()
    right = 0
    with torch.inference_mode():
        for x, wanted in zip(images.split(BATCH // 4), labels.split(BATCH // 4), strict=True):
            logits = sum(network(view.contiguous(memory_format=torch.channels_last)) for view in views(x))
            right += int((logits.argmax(1) == wanted).sum())
    print(json.dumps({"test accuracy": right / len(labels), "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()

"""configs/mnist-lenet.yaml as one writes it in PyTorch: a Dataset, a DataLoader, a loop.

`python -m tests.benchmarks.mnist_torch DATA RUN_DIR --epochs N`. It reads, splits, crops, trains, validates, logs and
saves as `cnntrain fit` does with that config.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

MEAN, STD = 0.1307, 0.3081


def read_idx(path: Path, header: int, shape: tuple[int, ...]) -> Any:
    """The content of one of MNIST's files."""
    return torch.from_numpy(np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header).copy()).view(
        shape
    )


class Digits(Dataset[tuple[Any, int]]):
    """Some of MNIST's training digits; to train on, each is shifted by up to 2 pixels every time."""

    def __init__(self, images: Any, labels: Any, training: bool) -> None:
        self.images, self.labels, self.training = images, labels, training

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = self.images[index].unsqueeze(0).float() / 255
        if self.training:
            image = F.pad(image, (2, 2, 2, 2))
            top, left = torch.randint(0, 5, (2,)).tolist()
            image = image[:, top : top + 28, left : left + 28]
        return (image - MEAN) / STD, int(self.labels[index])


def model() -> nn.Sequential:
    """LeNet, 20-50-500, with batch norm."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5, bias=False), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(20, 50, 5, bias=False), nn.BatchNorm2d(50), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Dropout(0.5), nn.Linear(500, 10)),
    )


def loaders(data: Path, workers: int) -> tuple[Any, Any]:
    """Nine tenths of the training digits to train on, the rest to validate."""
    images = read_idx(data / "train-images-idx3-ubyte.gz", 16, (-1, 28, 28))
    labels = read_idx(data / "train-labels-idx1-ubyte.gz", 8, (-1,))
    order = torch.randperm(len(images))
    training, validation = order[: len(order) * 9 // 10], order[len(order) * 9 // 10 :]
    return (
        DataLoader(Digits(images[training], labels[training], True), 64, shuffle=True, num_workers=workers),
        DataLoader(Digits(images[validation], labels[validation], False), 64, num_workers=workers),
    )


def evaluate(network: nn.Module, loader: Any) -> tuple[float, float]:
    """Mean loss and accuracy."""
    network.eval()
    loss, right, count = 0.0, 0, 0
    with torch.inference_mode():
        for x, labels in loader:
            outputs = network(x)
            loss += F.cross_entropy(outputs, labels, reduction="sum").item()
            right += int((outputs.argmax(1) == labels).sum())
            count += len(labels)
    return loss / count, right / count


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0, help="processes that read and crop")
    parser.add_argument("--channels-last", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    training, validation = loaders(arguments.data, arguments.workers)
    network: Any = model()
    layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
    network = network.to(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    steps, warmup = arguments.epochs * len(training), len(training)

    def rate(step: int) -> float:
        if step < warmup:
            return step / warmup
        return 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    arguments.run_dir.mkdir(parents=True)
    best, step = 0.0, 0
    with (arguments.run_dir / "metrics.jsonl").open("w") as log:
        for epoch in range(arguments.epochs):
            network.train()
            for x, labels in training:
                optimizer.zero_grad(set_to_none=True)
                loss = F.cross_entropy(network(x.to(memory_format=layout)), labels)
                loss.backward()
                optimizer.step()
                schedule.step()
                step += 1
                if step % 50 == 0:
                    log.write(json.dumps({"step": step, "loss": loss.item()}) + "\n")
            val_loss, accuracy = evaluate(network, validation)
            log.write(json.dumps({"epoch": epoch + 1, "val/loss": val_loss, "val/accuracy": accuracy}) + "\n")
            saved = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(saved, arguments.run_dir / "last.pt")
            if accuracy > best:
                best = accuracy
                torch.save(saved, arguments.run_dir / "best.pt")
    print(json.dumps({"accuracy": accuracy}))


if __name__ == "__main__":
    main()

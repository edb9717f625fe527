"""Whole processes: `cnntrain fit configs/mnist-lenet.yaml` against the same program written the usual way in PyTorch.

`python -m tests.benchmarks.whole --data DIR` needs MNIST's files in DIR and the extra `bench`. Reading the data,
random crops, validation, checkpoints and start-up are all included. PyTorch's program, mnist_torch.py, runs in the
best of four modes, chosen by one epoch each: with and without processes that read, NCHW and channels-last. The two
alternate; shown are wall-clock and processor seconds, the peak of memory, all processes together, and what each
installs.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks import process
from tests.benchmarks.process import Usage

ROOT = Path(__file__).parents[2]
MODES = ([], ["--channels-last"], ["--workers", "2"], ["--workers", "2", "--channels-last"])
NEEDED = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")


def own(data: Path, folder: Path, epochs: int) -> Usage:
    """The run of cnntrain."""
    sets = [f"data.source.root={data}", f"train.epochs={epochs}"]
    options = [argument for text in sets for argument in ("-s", text)]
    config = str(ROOT / "configs" / "mnist-lenet.yaml")
    return process.run("-m", "cnntrain", "fit", config, *options, "-o", str(folder), "-q", "--json", cwd=ROOT)


def torch(data: Path, folder: Path, epochs: int, mode: Sequence[str]) -> Usage:
    """The run of PyTorch."""
    program = ["-m", "tests.benchmarks.mnist_torch", str(data), str(folder)]
    return process.run(*program, "--epochs", str(epochs), *mode, cwd=ROOT)


def installed_bytes(package: str) -> int:
    """Bytes of a package and of all it requires, extras left out."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system, or not installed: cnntrain itself, run from its source
        found.add(name)
        waiting += [text for text in map(_name, required) if text]
    files = [path.locate() for name in found for path in importlib.metadata.files(name) or ()]
    return sum(Path(str(path)).stat().st_size for path in files if Path(str(path)).exists())


def _name(requirement: str) -> str | None:
    """The name in "numpy>=2; python_version > '3'"; None for one that only an extra asks for."""
    text, _, condition = requirement.partition(";")
    return None if "extra" in condition else text.split("[")[0].rstrip("<>=!~ ()0123456789.,*").strip()


def _lacking(data: Path) -> str | None:
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed (pip install 'cnntrain[bench]')"
    missing = [name for name in NEEDED if not (data / name).exists()]
    return f"there is no {data / missing[0]}; data/README.md says where it comes from" if missing else None


def main() -> None:
    """Alternate between the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "mnist", metavar="DIR")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--alternations", type=int, default=3)
    parser.add_argument("--mode", help="PyTorch's mode as flags of mnist_torch; by default the fastest over an epoch")
    parser.add_argument("--json", action="store_true", help="print one JSON document with every time taken")
    arguments = parser.parse_args()
    data = arguments.data.absolute()
    if reason := _lacking(data):
        print(f"skipped: {reason}", file=sys.stderr)
        return
    usages: dict[str, list[Usage]] = {"cnntrain": [], "PyTorch": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.mode is None:
            tried = {i: torch(data, folder / f"mode{i}", 1, mode).seconds for i, mode in enumerate(MODES)}
            mode = MODES[min(tried, key=tried.__getitem__)]
        else:
            mode = arguments.mode.split()
        print(f"PyTorch's mode: {' '.join(mode) or 'NCHW, no workers'}", file=sys.stderr)
        for number in range(arguments.alternations):
            usages["cnntrain"].append(own(data, folder / f"own{number}", arguments.epochs))
            usages["PyTorch"].append(torch(data, folder / f"torch{number}", arguments.epochs, mode))
    if arguments.json:
        json.dump({name: [asdict(usage) for usage in found] for name, found in usages.items()}, sys.stdout)
    else:
        _show(usages)


def _show(usages: dict[str, list[Usage]]) -> None:
    own_size = sum(map(installed_bytes, ("numpy", "pyyaml", "click", "tqdm", "pillow"))) + sum(
        path.stat().st_size for path in (ROOT / "cnntrain").rglob("*") if path.suffix in (".py", ".npz")
    )
    sizes = {"cnntrain": own_size, "PyTorch": installed_bytes("torch") + installed_bytes("numpy")}
    for name, found in usages.items():
        print(
            f"{name:<9} {statistics.median(u.seconds for u in found):7.1f} s wall  "
            f"{statistics.median(u.cpu_seconds for u in found):7.1f} s of processors  "
            f"{max(u.peak_bytes for u in found) / 1e6:5.0f} MB at most  {sizes[name] / 1e6:5.0f} MB installed  "
            f"{found[-1].output.strip()}"
        )
    ratios = [mine.seconds / other.seconds for mine, other in zip(usages["cnntrain"], usages["PyTorch"], strict=True)]
    memory = max(u.peak_bytes for u in usages["cnntrain"]) / max(u.peak_bytes for u in usages["PyTorch"])
    print(
        f"wall time is {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) of PyTorch's, "
        f"memory {memory:.2f}"
    )


if __name__ == "__main__":
    main()

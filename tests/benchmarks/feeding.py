"""What feeding costs: augmentation, and waiting for pictures.

    python -m tests.benchmarks.feeding [--steps N] [--jpegs N]

Steps with and without augmentation (random crop, flip, cutout; 32x32 colour images in batches of 64) take turns in one
process; told are the median seconds of each and the ratio of the medians. Then a small network is trained on JPEGs of
320x240 brought to 64x64, made here; told is the share of the workers' time that waits for pixels, epoch by epoch.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from cnntrain.core import blas, machine
from cnntrain.core.registry import make
from cnntrain.data.loader import Samples
from cnntrain.engine.pool import Pool
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.transforms.base import Transform
from cnntrain.rundir.json_files import read_rows
from cnntrain.training.session import Options, fit
from tests.benchmarks import own

BATCH = 64
NETWORKS = ("vgg_small", "resnet20")
WARM_UP = 2  # steps of each kind that are not counted

JPEGS = """\
data:
  source: {type: image_folder, root: jpegs, size: 64}
  train_transforms: [{type: random_crop, padding: 4}, hflip, {type: normalize, mean: [0.5, 0.5, 0.5], std: [1, 1, 1]}]
  eval_transforms: [{type: normalize, mean: [0.5, 0.5, 0.5], std: [1, 1, 1]}]
model:
  layers:
    - {type: conv2d, filters: 16, kernel_size: 3, stride: 2, padding: same}
    - relu
    - {type: conv2d, filters: 32, kernel_size: 3, stride: 2, padding: same}
    - relu
    - global_avg_pool
    - {type: dense, units: auto}
optimizer: {type: sgd, lr: 0.05}
train: {epochs: 3, batch_size: 64}
warnings: {ignore: [no-validation]}
"""


def transforms(augmented: bool) -> list[Transform]:
    """Normalization, and where asked what is usual for CIFAR-10 before and after it."""
    names = ["random_crop", "hflip", "normalize", "cutout"] if augmented else ["normalize"]
    fields = {"normalize": {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}}
    made = [make("transforms", name, **fields.get(name, {})) for name in names]
    return [transform for transform in made if isinstance(transform, Transform)]


def step_seconds(network: str, steps: int, threads: int) -> dict[bool, float]:
    """The median seconds of a step without augmentation and with it, taken in turns."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2000, 32, 32, 3), np.uint8)
    images = Images(pixels, rng.integers(0, 10, len(pixels)), tuple(map(str, range(10))))
    kinds = [transforms(augmented=False), transforms(augmented=True)]

    def source(step: int) -> list[Samples]:
        chosen = np.random.default_rng(step).choice(len(images), BATCH, replace=False)
        return [Samples(images, chosen, kinds[step % 2], 0, step)]

    seconds: dict[bool, list[float]] = {False: [], True: []}
    with Pool(threads) as pool:
        stepper = own.stepper_of(network, BATCH, pool, source=source)
        for step in range(2 * (steps + WARM_UP)):
            began = time.perf_counter()
            stepper.step(step)
            seconds[bool(step % 2)].append(time.perf_counter() - began)
    return {kind: statistics.median(taken[WARM_UP:]) for kind, taken in seconds.items()}


def write_jpegs(folder: Path, count: int) -> None:
    """So many JPEGs, turn about of two classes: gratings with noise, about 20 KB each."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:240, 0:320]
    for number in range(count):
        wave = np.sin((x, y)[number % 2] / rng.uniform(6, 12) + rng.uniform(0, 6))
        grey = 127 + 80 * wave[..., None] * rng.uniform(0.6, 1, 3) + rng.normal(0, 10, (240, 320, 3))
        place = folder / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(place / f"{number}.jpg", quality=85)


def waiting(count: int, threads: int) -> list[float]:
    """The share of the workers' time that waits for pixels, in each of three epochs over so many JPEGs."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)  # where the cache goes
        try:
            write_jpegs(Path("jpegs"), count)
            Path("jpegs.yaml").write_text(JPEGS)
            result = fit(["jpegs.yaml"], options=Options(threads=threads, quiet=True))
            return [row["waiting_for_data"] for row in read_rows(Path(result["run_dir"]) / "timing.jsonl")]
        finally:
            os.chdir(before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="steps of each kind that count")
    parser.add_argument("--jpegs", type=int, default=1000, help="how many pictures")
    chosen = parser.parse_args()
    blas.pin()
    threads = machine.threads()
    for network in NETWORKS:
        plain, augmented = step_seconds(network, chosen.steps, threads).values()
        print(f"{network}: {plain * 1e3:.1f} ms, augmented {augmented * 1e3:.1f} ms: {augmented / plain - 1:+.1%}")
    shares = waiting(chosen.jpegs, threads)
    print(f"waiting for {chosen.jpegs} JPEGs: {', '.join(f'{share:.1%}' for share in shares)} of the epochs")


if __name__ == "__main__":
    main()

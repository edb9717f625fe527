"""A small experiment with every moving part, and ways to run it: what resume, thread and signal tests share."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from cnntrain.rundir.checkpoint import read
from cnntrain.training.session import Options, fit
from cnntrain.training.trainer import Trainer

FULL = """\
name: full
seed: 7
data:
  source: {type: synthetic, size: 8, classes: 3, samples: 90, noise: 0.3}
  val: 0.2
  train_transforms: [{type: random_crop, padding: 1}, hflip, {type: normalize, from: dataset}]
  eval_transforms: [{type: normalize, from: dataset}]
model:
  layers:
    - {type: conv2d, filters: 6, kernel_size: 3, padding: same, bias: false}
    - batch_norm
    - relu
    - {type: dropout, rate: 0.2}
    - type: residual
      body: [{type: conv2d, filters: 6, kernel_size: 3, padding: same}, batch_norm]
      activation: relu
    - global_avg_pool
    - {type: dense, units: auto}
optimizer: {type: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1e-3}
schedule: {type: cosine, warmup: 5st}
train: {epochs: 5, batch_size: 10, clip_norm: 2.0, log_every: 3, early_stopping: {monitor: val/loss, patience: 50}}
checkpoint: {every: 2st, best: {monitor: val/accuracy}}
warnings: {ignore: [patience-beyond-end]}
"""  # 72 training samples: 8 steps an epoch, the last of 2 samples; 40 steps

TINY = """\
name: tiny
seed: 3
data:
  source: {type: synthetic, size: 8, classes: 3, samples: 48, noise: 0.3}
  val: 0.17
  train_transforms: [{type: random_crop, padding: 1}, hflip, {type: normalize, from: dataset}]
  eval_transforms: [{type: normalize, from: dataset}]
model:
  layers:
    - {type: conv2d, filters: 4, kernel_size: 3, bias: false}
    - batch_norm
    - relu
    - {type: dropout, rate: 0.2}
    - global_avg_pool
    - {type: dense, units: auto}
optimizer: {type: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1e-3}
schedule: {type: cosine, warmup: 5st}
train:
  epochs: 3
  batch_size: 4
  log_every: 4
  average: {type: ema, decay: 0.9}
  early_stopping: {monitor: val/loss, patience: 50}
  metrics: [accuracy, error, confusion]
checkpoint: {every: 6st, keep: 2, best: {monitor: val/loss, mode: min}}
warnings: {ignore: [patience-beyond-end]}
"""  # 40 training samples, 30 steps, and everything a checkpoint can hold: what faults are injected into

DETECTION = """\
name: found
seed: 3
task: detect
data:
  source: {type: shapes, size: 32, samples: 48, things: [0, 3]}
  val: 0.17
  train_transforms: [hflip, {type: mosaic, probability: 0.5}, random_iou_crop, {type: normalize, from: dataset}]
  eval_transforms: [{type: normalize, from: dataset}]
model: {preset: {type: fcos_small, width: 2, depth: 1, strides: [8, 16]}}
optimizer: {type: adamw, lr: 0.01}
schedule: {type: cosine, warmup: 5st}
train: {epochs: 3, batch_size: 4, log_every: 4, shard: 2, average: {type: ema, decay: 0.9}}
checkpoint: {every: 6st, keep: 2, best: {monitor: val/ap}}
"""
SEGMENTATION = """\
name: parted
seed: 3
data:
  source: {type: shapes, target: mask, size: 16, samples: 48}
  val: 0.17
  train_transforms: [hflip, {type: random_crop, padding: 2}, {type: normalize, from: dataset}]
  eval_transforms: [{type: normalize, from: dataset}]
model: {preset: {type: unet, width: 2, depth: 2, norm: batch_norm, dropout: 0.1}}
loss: {type: sum, terms: [cross_entropy, soft_dice]}
optimizer: {type: adamw, lr: 0.01}
train: {epochs: 3, batch_size: 4, log_every: 4, shard: 2, metrics: [pixel_accuracy, mean_iou]}
checkpoint: {every: 6st, keep: 2, best: {monitor: val/mean_iou}}
"""  # 40 training samples and 30 steps, as above

CLIPS = """\
name: moving
seed: 3
data:
  source: {type: motion, frames: 6, moving: 3, size: 8, samples: 48}
  val: 0.17
  train_transforms: [{type: temporal_crop, frames: 4}, {type: random_crop, padding: 1}]
  eval_transforms: [{type: temporal_views, frames: 4, clips: 2}]
model:
  layers:
    - {type: conv2d, filters: 4, kernel_size: 3, padding: same}
    - batch_norm
    - relu
    - {type: temporal_shift, parts: 4}
    - {type: conv2plus1d, filters: 4}
    - {type: conv3d, filters: 6, kernel_size: 3, padding: same}
    - relu
    - {type: dropout, rate: 0.2}
    - {type: max_pool3d, kernel_size: 2}
    - global_avg_pool
    - {type: dense, units: auto}
optimizer: {type: adamw, lr: 0.01}
train: {epochs: 3, batch_size: 4, log_every: 4, shard: 2, average: {type: ema, decay: 0.9}}
checkpoint: {every: 6st, keep: 2, best: {monitor: val/loss}}
"""  # as many samples and steps again

WHITENED = ("data.train_transforms=[zca_whiten]", "data.eval_transforms=[zca_whiten]")  # it measures a matrix
ADAM = ("optimizer={type: adam, lr: 0.01}", "train.clip_norm=null", "train.accumulate=2")


def write(folder: Path, text: str = FULL, name: str = "full.yaml") -> Path:
    """A config file in a folder."""
    path = folder / name
    path.write_text(text)
    return path


def run(config: Path | None, run_dir: Path, sets: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    """`cnntrain fit` in this process, without a word, and without another process unless the test is about that."""
    options.setdefault("threads", 1)
    return fit([config] if config else [], sets, Options(run_dir=run_dir, progress="none", quiet=True, **options))


def resumed_after_kills(config: Path, run_dir: Path, steps: tuple[int, ...], monkeypatch: Any) -> None:
    """Train, but leave after each of these steps before it is saved, and begin again from what is on disk."""
    original = Trainer._after_step
    for step in steps:

        def after(self: Trainer, improved: Any, late: Any, step: int = step) -> None:
            if self.state.step == step:
                raise KeyboardInterrupt
            original(self, improved, late)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_after_step", after)
            with contextlib.suppress(KeyboardInterrupt):
                run(config, run_dir, resume_or_start=True)
                raise AssertionError(f"there was no step {step}")
    run(config, run_dir, resume_or_start=True)


def filmed(run_dir: Path) -> dict[str, bytes]:
    """The files of a run's film."""
    return {path.name: path.read_bytes() for path in (run_dir / "film").iterdir()}


def evidence(run_dir: Path) -> tuple[dict[str, str], bytes]:
    """What has to be the same for two equal runs: the digest of every array in last.npz, and metrics.jsonl."""
    checkpoint = read(run_dir / "checkpoints" / "last.npz")
    return checkpoint.digests(), (run_dir / "metrics.jsonl").read_bytes()


def start(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """`cnntrain ...` as a process of its own, to which SIGHUP means what it means, even if nohup runs the tests."""
    return subprocess.Popen(
        [sys.executable, "-m", "cnntrain", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


def call(*arguments: str | Path, cwd: Path, patience: float = 120, **environment: str) -> tuple[int, str, str]:
    """Run `cnntrain ...` to its end: exit code, stdout, stderr."""
    process = start(*arguments, cwd=cwd, **environment)
    out, err = process.communicate(timeout=patience)
    return process.returncode, out, err

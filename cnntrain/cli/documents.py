"""Documents are what commands print with `--json`: the schema of each, its version, and what its keys mean.

A document says which it is, {"schema": "eval/1", ...}. Within a version, keys are only ever added; to remove a key or
change its meaning takes a new version. `cnntrain COMMAND --help` lists the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Document:
    """The keys of one document and what they mean; those that end in ? are not always there."""

    keys: Mapping[str, str]
    version: int = 1
    bare: bool = False  # the document is the thing itself, and has no room for the name of its schema

    def title(self, of: str) -> str:
        """The name of the schema for what was asked: "eval/1"."""
        return f"{of.replace(' --', '-')}/{self.version}"

    def heading(self, of: str) -> str:
        """The line of help above the keys."""
        return f"Printed by {of} --json, without a schema" if self.bare else f"{self.title(of)}, printed by {of} --json"


_NETWORK = {
    "name": "of the experiment",
    "input": "shape of a sample, 28x28x1",
    "task": "what the network does: classify, tag, regress, detect or segment",
    "classes": "their names",
    "values": "numbers to predict, where there are no classes",
    "nodes": "each layer's name, type, shape, parameters, operations and memory",
    "parameters": "how many, without statistics",
    "trained_parameters": "how many of them training changes",
    "flops": "operations of one sample's forward pass",
    "shard": "how many samples are computed together",
    "batch_size": "of training",
    "threads": "how many are used",
    "memory_bytes": "of training, besides the data",
    "memory": "the same, with a unit",
}
_TIME = {
    "step_seconds": "of a training step",
    "images_per_second": "while training",
    "epoch_seconds": "predicted, validation included",
    "run_seconds": "predicted",
    "steps_per_epoch": "of the experiment",
    "steps": "of the run",
    "epochs": "of the run",
    "save_seconds": "of saving a checkpoint",
}
_BEST = "the best epoch so far: metric, value, step, epoch"

DOCUMENTS = {  # what was asked -> its document
    "fit": Document(
        {
            "run_dir": "the run directory",
            "state": "finished, or interrupted where it was paused or stopped while it trained",
            "reason": "why training ended; null where it was interrupted",
            "epochs": "how many were completed",
            "step": "steps taken",
            "best": _BEST,
            "final": "the last epoch's values, by split/metric",
        }
    ),
    "fit --dry-run": Document(
        _NETWORK
        | _TIME
        | {
            "step_flops": "operations of a training step",
            "peak_bytes": "the most memory the run will hold, the data included",
            "free_bytes": "of memory now",
            "checkpoint_bytes": "of one checkpoint",
            "checkpoints": "kept at a time",
            "film_moments": "that the run keeps for `report --film`",
            "film_bytes": "of all these moments",
            "disk_bytes": "that the run will need",
            "disk_free_bytes": "where the run will go",
            "data": "each split's samples, in all and by class",
        }
    ),
    "eval": Document(
        {
            "checkpoint": "the file that was measured",
            "weights": "which of its weights: averaged, where training averages them and has begun to, else trained",
            "split": "that it was measured on",
            "samples": "how many",
            "loss": "the loss of the experiment",
            "data?": "where the samples came from, with --data",
            "per_class?": "class, samples, recall and precision of each",
            "per_value?": "name and figures of each value or label, where there are no classes",
            "confusion?": "for each true class, how many samples were taken for each class; up to 1,000 classes",
            "mistakes?": "with more classes, the most frequent ones: class, taken_for, samples",
            "METRIC": "every further metric by its name: accuracy, error, top5",
        }
    ),
    "predict": Document(
        {
            "checkpoint": "the file that was used",
            "weights": "which of its weights: averaged or trained",
            "predictions": "each file's path, and class and top (class, probability), or values and by_name; "
            "with --every the same of each window, and its start and end in seconds",
            "unreadable?": "path and reason of what could not be read",
        }
    ),
    "check": Document(
        {key if key == "name" else f"{key}?": words for key, words in _NETWORK.items()}
        | {"data?": "each split's samples, in all and by class", "survey?": "what the files are like; which are bad"}
        | {"warnings?": "what stderr warns of: boxes that were mended, files that have changed, advice"}
    ),
    "summary": Document(_NETWORK),
    "time": Document(
        {
            "nodes": "each layer's seconds forward and backward, share, speed and memory",
            "threads": "how many are used",
        }
        | _TIME
    ),
    "sweep": Document(
        {
            "name": "of the sweep",
            "run_dir": "the folder of its runs",
            "cells": "each run's name, settings, run_dir, state and result",
            "repeated": "how many runs were left out as equal to another",
            "groups": "mean and deviation of finished runs that differ only in seed or fold",
            "exit_code": "the worst of all runs",
            "search?": "of a search: its metric, best trial, importances and all trials",
        }
    ),
    "sweep --dry-run": Document(
        {
            "name": "of the sweep",
            "cells": "each run's name, settings, run_dir and predicted seconds",
            "repeated": "how many runs were left out as equal to another",
            "seconds": "predicted for all runs",
        }
    ),
    "compare": Document(
        {
            "metric": "by which runs are sorted",
            "differs": "the keys in which their configs differ",
            "columns": "those of them that the table shows, if there is room",
            "runs": "each run's settings and results",
            "groups": "mean and deviation of runs that differ only in seed or fold",
        }
    ),
    "report": Document(
        {
            "report": "the page",
            "runs": "that it is about",
            "png": "the pictures written",
            "warnings": "what is left out, and why",
        }
    ),
    "explain": Document(
        {
            "page": "the page",
            "checkpoint": "its path",
            "weights": "averaged or trained",
            "path": "the file it is about",
        }
    ),
    "average": Document(
        {"output": "the new file", "checkpoints": "that were averaged", "steps": "of each", "weights": "of each"}
    ),
    "gradcheck": Document(
        {
            "passed": "whether all agree",
            "checked": "derivatives compared",
            "skipped": "derivatives at a kink",
            "worst": "the finding nearest its tolerance, or farthest beyond it",
            "findings": "for each layer and array: node, gradient, worst, tolerance, failed, where",
        }
    ),
    "selftest": Document(
        {
            "passed": "whether every check passed",
            "seconds": "that it took",
            "environment": "versions, BLAS and processor",
            "checks": "each with its name and outcome",
        }
    ),
    "inspect": Document(
        {
            "checkpoint": "the file",
            "bytes": "its size",
            "weights": "which of them are used: averaged or trained",
            "name": "of the experiment",
            "format": "of the file",
            "min_reader": "the oldest format a reader must know",
            "cnntrain": "the version that wrote it",
            "classes": "their names",
            "values": "numbers to predict, where there are no classes",
            "image_shape": "of one sample as stored",
            "position": "step, closed (epochs completed), finished (why, or null), samples",
            "monitor": "the best so far: best, best_step, best_epoch, record, stale",
            "environment": "in which it was written",
            "arrays": "for each: name, dtype, shape, min, max, nonfinite, sha256",
            "verified": "whether --verify was asked for, and held",
        }
    ),
    "verify": Document(
        {
            "run": "the run directory",
            "from": "the checkpoint it was trained again from",
            "to": "the checkpoint it was compared with",
            "steps": "taken again",
            "arrays": "compared",
            "metric_rows": "compared",
            "same": "true; where it is not, the exit code is 9",
        }
    ),
    "replay": Document(
        {
            "run": "the run directory",
            "checkpoint": "that it was replayed from",
            "steps": "taken again",
            "step": "at which it diverges",
            "split": "train or val",
            "reason": "what became NaN or infinite",
            "first": "node, type, what, where and samples of the first number that is not finite, or null",
            "recorded": "the same, from the record",
            "same": "true; where it is not, the exit code is 9",
        }
    ),
    "data": Document({"name": "of the data", "folder": "where it is", "fetched": "files that were not there before"}),
    "init": Document(
        {
            "config": "the file written",
            "source": "the kind of data found",
            "samples": "for training",
            "shape": "of one sample",
            "classes": "their names",
            "values": "numbers to predict, where there are no classes",
            "amount": "how much there is to say about a sample, in words",
            "columns": "of a table, those to predict",
            "left_columns": "those of numbers that were left out; none with --target",
            "parameters": "of the network proposed",
            "pretrained": "whether it starts from trained weights",
            "seconds": "that training is predicted to take here",
        }
    ),
    "lr-find": Document(
        {
            "suggestion": "a learning rate, or null",
            "lowest": "the rate at which the loss was smallest",
            "steps": "each step's lr, loss and smoothed loss",
            "png": "the chart; null without Matplotlib",
        }
    ),
    "export": Document(
        {
            "format": "page, numpy, onnx or safetensors",
            "weights": "which of the checkpoint's: averaged or trained",
            "files": "written",
            "bytes": "in all of them",
            "error": "largest difference from our outputs, relative to the largest of them; null where not tried",
            "input": "what it takes: name, shape of a batch, layout (NHWC, NCHW or NC; null for others), dtype",
            "output?": "what it gives: likewise",
            "names?": "of the values or labels that it gives, where the data names them",
            "METRIC": "further facts: name, outputs, classes, parameters, what is left to you before and after",
        },
        version=2,
    ),
    "env": Document({"extras": "installed packages by extra", "FACT": "versions, BLAS, processor, threads, memory"}),
    "config": Document({"KEY": "the config itself; with --origin or --diff, by dotted key"}, bare=True),
    "list": Document({"KIND": "the parts by kind; for one kind or part, descriptions"}, bare=True),
}


def stamped(document: Any, of: str) -> Any:
    """A document with the name of its schema in front."""
    about = DOCUMENTS.get(of)
    if about is None or about.bare or not isinstance(document, dict):
        return document
    return {"schema": about.title(of)} | document

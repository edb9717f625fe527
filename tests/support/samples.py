"""A few samples in every form that a source of data reads: arrays, pictures, boxes, masks, clips and sounds."""

from __future__ import annotations

import importlib.util
import json
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnntrain.core.arrays import Array
from tests.support.datasets import idx, labels, pixels

VIDEOS = importlib.util.find_spec("av") is not None  # whether videos can be written, and read
CLASSES = ("a", "b", "c")
SPLITS = {"train": 5, "val": 2, "test": 1}  # of each class
RATE = 4000  # samples a second of a recording
SIDE = 32  # of a picture with boxes
_BOXES = [[("cat", 4, 5, 19, 18), ("dog", 12, 8, 31, 30)], [("dog", 2, 3, 20, 28)], []]  # x1, y1, x2, y2, in turns


def make_samples(folder: Path) -> None:
    """Write them all, a file or folder for each form, and beside them what `predict` may be asked about."""
    rng = np.random.default_rng(0)
    for write in (_arrays, _records, _pictures, _table, _boxes, _masks, _clips, _sounds):
        write(folder, rng)


def _picture(path: Path, values: Array) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path.name


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _random(rng: np.random.Generator, *shape: int) -> Array:
    return rng.integers(0, 256, shape, np.uint8)


def _arrays(folder: Path, rng: np.random.Generator) -> None:
    """`.npz` files: labels, several labels and values, with splits of their own or without."""
    targets: dict[str, Callable[[int], Any]] = {
        "classes": lambda n: np.minimum(np.arange(n) % 6 // 2, 2),
        "tags": lambda n: rng.integers(0, 2, (n, 3)).astype(np.float32),
        "values": lambda n: rng.normal(2, 3, (n, 2)),
    }
    for name, make in targets.items():
        splits = {"train": 17, "test": 5} | ({} if name == "values" else {"val": 7})
        images = {f"x_{split}": _random(rng, n, 7, 6, 3) for split, n in splits.items()}
        np.savez(folder / f"{name}.npz", **images, **{f"y_{split}": make(n) for split, n in splits.items()})


def _records(folder: Path, rng: np.random.Generator) -> None:
    """The files of MNIST and CIFAR, of a few records."""
    for name in ("mnist", "cifar10", "cifar100"):
        (folder / name).mkdir()
    for split, n in (("train", 20), ("t10k", 6)):
        (folder / f"mnist/{split}-images-idx3-ubyte").write_bytes(idx(pixels(n, 7, 6)))
        (folder / f"mnist/{split}-labels-idx1-ubyte").write_bytes(idx(labels(n, 3)))
    for number, name in enumerate((*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")):
        rows = [bytes([(number + row) % 10]) + _random(rng, 3072).tobytes() for row in range(3)]
        (folder / f"cifar10/{name}.bin").write_bytes(b"".join(rows))
    for name in ("train", "test"):
        rows = [bytes([row % 3, row % 3]) + _random(rng, 3072).tobytes() for row in range(12)]
        (folder / f"cifar100/{name}.bin").write_bytes(b"".join(rows))


def _of_classes() -> Iterator[tuple[int, str]]:
    """The number of a class and a path for each sample, `train/a/0_p1`, of which the last part says the group."""
    for split, n in SPLITS.items():
        for label, name in enumerate(CLASSES):
            yield from ((label, f"{split}/{name}/{index}_{split}{index % 3}") for index in range(n))


def _pictures(folder: Path, rng: np.random.Generator) -> None:
    """A folder for each class, and one picture alone."""
    for _, path in _of_classes():
        _picture(folder / f"pictures/{path}.png", _random(rng, 7, 6, 3))
    _picture(folder / "a.png", np.arange(64).reshape(8, 8))


def _table(folder: Path, rng: np.random.Generator) -> None:
    """Pictures listed in a CSV file, with a class, values, tags and a group."""
    rows = ["path,label,u,v,t1,t2,t3,person"]
    for index in range(18):
        name = _picture(folder / f"table/{index}.png", _random(rng, 7, 6, 3))
        tags = ",".join(str(index >> bit & 1) for bit in range(3))
        rows.append(f"{name},{CLASSES[index % 3]},{index / 10},{-index},{tags},p{index % 7}")
    _put(folder / "table/all.csv", "\n".join(rows))


def _boxes(folder: Path, rng: np.random.Generator) -> None:
    """Pictures with none to two things in each, annotated in four ways."""
    table, images, annotations = ["path,x1,y1,x2,y2,class"], [], []
    for index in range(10):
        boxes, split = _BOXES[index % 3], "train" if index < 7 else "val"
        values = _random(rng, SIDE, SIDE, 3)
        for place in (f"voc/JPEGImages/{index}", f"coco/train2017/{index}", f"yolo/images/{split}/{index}", str(index)):
            _picture(folder / f"boxes/{place}.png", values)
        images.append({"id": index, "file_name": f"{index}.png", "width": SIDE, "height": SIDE})
        things, rows = "", ""
        for name, x1, y1, x2, y2 in boxes:
            number, width, height = ("cat", "dog").index(name), x2 - x1, y2 - y1
            table.append(f"{index}.png,{x1},{y1},{x2},{y2},{name}")
            box = [x1, y1, width, height]
            annotations.append({"id": len(annotations), "image_id": index, "category_id": 3 + number, "bbox": box})
            shares = [value / SIDE for value in (x1 + width / 2, y1 + height / 2, width, height)]
            rows += f"{number} {' '.join(map(str, shares))}\n"
            corners = f"<xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
            things += f"<object><name>{name}</name><difficult>{number}</difficult><bndbox>{corners}</bndbox></object>"
        table += [f"{index}.png,,,,,"] * (not boxes)
        _put(folder / f"boxes/yolo/labels/{split}/{index}.txt", rows)
        size = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>"
        whole = f"<annotation><filename>{index}.png</filename>{size}{things}</annotation>"
        _put(folder / f"boxes/voc/Annotations/{index}.xml", whole)
    for split, numbers in (("train", range(7)), ("val", range(7, 10))):
        _put(folder / f"boxes/voc/ImageSets/Main/{split}.txt", "\n".join(map(str, numbers)))
    categories = [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}]
    _put(
        folder / "boxes/coco/annotations/instances_train2017.json",
        json.dumps({"images": images, "annotations": annotations, "categories": categories}),
    )
    _put(folder / "boxes/yolo/data.yaml", "train: images/train\nval: images/val\nnames: [cat, dog]\n")
    _put(folder / "boxes/all.csv", "\n".join(table))


def _masks(folder: Path, rng: np.random.Generator) -> None:
    """Pictures and masks of three classes, some pixels of which are of none."""
    for index in range(9):
        mask = np.zeros((16, 14), np.uint8)
        mask[3:9, 2 + index % 5 :] = 1
        mask[10:14, 3:7] = 2 if index % 2 else 255
        _picture(folder / f"masks/pictures/{index}.png", mask[..., None] % 255 * 80 + _random(rng, 16, 14, 3) // 4)
        _picture(folder / f"masks/masks/{index}.png", mask)


def _clips(folder: Path, rng: np.random.Generator) -> None:
    """Folders of frames in a folder for each class, one clip alone and, where they can be written, videos."""
    for label, path in _of_classes():
        for moment in range(4):
            _picture(folder / f"clips/{path}/{moment}.png", _random(rng, 6, 6) // (label + 1))
    for moment in range(2):
        _picture(folder / f"clip/{moment}.png", np.arange(64).reshape(8, 8))
    if VIDEOS:
        for label, path in _of_classes():
            _video(folder / f"videos/{path}.avi", _random(rng, 6, 16, 16, 3) // (label + 1))


def _video(path: Path, frames: Array) -> None:
    """A video without loss."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=8)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "bgr0"
        for values in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode())


def _sounds(folder: Path, rng: np.random.Generator) -> None:
    """Recordings in a folder for each class, the same in a table, and one alone."""
    time, rows = np.arange(RATE // 8) / RATE, ["path,label,u,t1,t2,person"]
    for index, (label, path) in enumerate(_of_classes()):
        values = np.sin(2 * np.pi * (300 + 400 * label + 9 * index) * time) * 12000 + rng.normal(0, 300, len(time))
        _sound(folder / f"sounds/{path}.wav", values)
        if path.startswith("train"):
            rows.append(f"{path}.wav,{CLASSES[label]},{index / 7},{index & 1},{int(index % 3 == 1)},p{index % 5}")
    _sound(folder / "a.wav", np.sin(2 * np.pi * 500 * time) * 12000)
    _put(folder / "sounds/all.csv", "\n".join(rows))


def _sound(path: Path, values: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(values.astype("<i2").tobytes())

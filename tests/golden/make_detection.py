"""Write tests/golden/detection from pycocotools and torchvision: python -m tests.golden.make_detection."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.ops import batched_nms, box_iou, generalized_box_iou_loss, nms

from cnntrain.core.boxes import COUNTED, CROWD, DIFFICULT
from tests.support.detections import SETS, RandomSet, digest, random_set
from tests.support.golden import GOLDEN


class Evaluation(COCOeval):
    """pycocotools' own, which overwrites "ignore" with "iscrowd", with difficult boxes ignored as well."""

    def _prepare(self) -> None:
        super()._prepare()
        for boxes in self._gts.values():
            for box in boxes:
                box["ignore"] = box["iscrowd"] or box["difficult"]


def by_pycocotools(one: RandomSet) -> tuple[np.ndarray, np.ndarray]:
    """The twelve numbers, and the precision of each class, area "all" and 100 detections: (10, 101, classes)."""
    truth, found = [], []
    for number, (these, those) in enumerate(zip(one.truth, one.found, strict=True), 1):
        for box, label, role, area in zip(these.boxes, these.labels, these.roles, these.areas, strict=True):
            x1, y1, x2, y2 = box.tolist()
            truth.append({"id": len(truth) + 1, "image_id": number, "category_id": int(label) + 1, "area": float(area),
                          "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": int(role == CROWD),
                          "difficult": int(role == DIFFICULT)})  # fmt: skip
            assert role in (COUNTED, CROWD, DIFFICULT)
        for box, score, label in zip(those.boxes, those.scores, those.labels, strict=True):
            x1, y1, x2, y2 = box.tolist()
            found.append({"image_id": number, "category_id": int(label) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1],
                          "score": float(score)})  # fmt: skip
    dataset = {
        "images": [{"id": number} for number in range(1, len(one.truth) + 1)],
        "categories": [{"id": number} for number in range(1, one.classes + 1)],
        "annotations": truth,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco, results = COCO(), COCO()
        coco.dataset = dataset
        coco.createIndex()
        for number, row in enumerate(found, 1):
            row |= {"id": number, "iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3]}
        results.dataset = dataset | {"annotations": found}
        results.createIndex()
        evaluation = Evaluation(coco, results, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    return np.asarray(evaluation.stats), precision.mean(axis=(0, 1))


def comparisons() -> dict[str, np.ndarray]:
    """Every set's numbers."""
    digests, stats, averages = [], [], []
    for seed in range(SETS):
        one = random_set(seed)
        numbers, each = by_pycocotools(one)
        digests.append(digest(one))
        stats.append(numbers)
        averages.append(np.r_[each, np.full(3 - len(each), -2.0)])  # -2: there is no such class
    return {"digests": np.array(digests), "stats": np.array(stats), "averages": np.array(averages)}


def suppressions() -> dict[str, np.ndarray]:
    """Boxes with many ties, and what is kept of them; overlaps; and generalized IoU losses with their gradients."""
    rng = np.random.default_rng(1)
    start, size = rng.integers(0, 40, (300, 2)), rng.integers(0, 30, (300, 2))
    boxes = torch.tensor(np.concatenate([start, start + size], axis=1), dtype=torch.float32)
    scores = torch.tensor(rng.integers(0, 20, 300) / 20, dtype=torch.float32)
    labels = torch.tensor(rng.integers(0, 4, 300))
    few = boxes[(boxes[:, 2:] > boxes[:, :2]).all(dim=1)].double()
    a, b = few[:100].clone().requires_grad_(), few[100:200]
    losses = generalized_box_iou_loss(a, b)
    losses.sum().backward()
    found = {"boxes": boxes, "scores": scores, "labels": labels, "iou": box_iou(few[:40], few[100:130]),
             "a": a.detach(), "b": b, "giou_loss": losses.detach(), "d_a": a.grad}  # fmt: skip
    for most in (0.3, 0.5, 0.6):
        found[f"kept_{most}"] = nms(boxes, scores, most)
        found[f"kept_by_class_{most}"] = batched_nms(boxes, scores, labels, most)
    return {name: np.asarray(value) for name, value in found.items()}


def losses() -> dict[str, np.ndarray]:
    """torchvision's FCOS on random outputs of three levels and random boxes: its loss, and the gradients of it."""
    rng = np.random.default_rng(2)
    levels = [(8, (8, 10)), (16, (4, 5)), (32, (2, 2))]
    places = np.concatenate([[((j + 0.5) * s, (i + 0.5) * s, s) for i in range(h) for j in range(w)]
                             for s, (h, w) in levels])  # fmt: skip
    n, classes = 4, 3
    scores = torch.tensor(rng.normal(-1, 2, (n, len(places), classes)), requires_grad=True)
    quality = torch.tensor(rng.normal(0, 1, (n, len(places), 1)), requires_grad=True)
    sides = torch.tensor(np.exp(rng.normal(0.5, 1, (n, len(places), 4))), requires_grad=True)  # in strides
    corners, labels = [], []
    for count in (0, 1, 5, 12):
        start, size = rng.uniform(0, 55, (count, 2)), rng.uniform(0, 1, (count, 2)) * rng.choice([15, 60], (count, 1))
        corners.append(np.concatenate([start, start + 3 + size], axis=1))
        labels.append(rng.integers(0, classes, count))
    anchors = torch.tensor(np.concatenate([places[:, :2] - places[:, 2:] / 2, places[:, :2] + places[:, 2:] / 2], 1))
    targets = [{"boxes": torch.tensor(c), "labels": torch.tensor(k)} for c, k in zip(corners, labels, strict=True)]
    model = FCOS.__new__(FCOS)
    torch.nn.Module.__init__(model)
    model.center_sampling_radius = 1.5
    model.head = FCOSHead(32, 1, classes)
    outputs = {"cls_logits": scores, "bbox_regression": sides, "bbox_ctrness": quality}
    found = model.compute_loss(targets, outputs, [anchors] * n, [h * w for _, (h, w) in levels])
    sum(found.values()).backward()
    most = max(map(len, corners))
    padded = np.zeros((n, most, 4)), np.full((n, most), -1)
    for number, (c, k) in enumerate(zip(corners, labels, strict=True)):
        padded[0][number, : len(c)], padded[1][number, : len(k)] = c, k
    arrays = {"places": places, "corners": padded[0], "labels": padded[1]}
    arrays |= {"scores": scores, "quality": quality, "sides": sides}
    arrays |= {"d_scores": scores.grad, "d_quality": quality.grad, "d_sides": sides.grad} | found
    return {name: np.asarray(torch.as_tensor(value).detach()) for name, value in arrays.items()}


def main() -> None:
    """Three files."""
    folder = GOLDEN / "detection"
    folder.mkdir(exist_ok=True)
    np.savez_compressed(folder / "average_precision.npz", **comparisons())
    np.savez_compressed(folder / "boxes.npz", **suppressions())
    np.savez_compressed(folder / "fcos.npz", **losses())


if __name__ == "__main__":
    main()

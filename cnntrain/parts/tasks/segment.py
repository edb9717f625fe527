"""Segmentation: which one of several classes every pixel of a picture belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.description import Description
from cnntrain.core.display import Answer, Gallery, Percentage, Rendering, Section, Table, cut, percent
from cnntrain.core.errors import printable
from cnntrain.core.letters import isolated
from cnntrain.core.masks import IGNORED, MASKS, palette
from cnntrain.core.moves import Move
from cnntrain.core.registry import register
from cnntrain.ops.pixels import answers
from cnntrain.parts.tasks.base import Evaluation, Start, Task, share

SHOWN = 8  # of the worst pictures
_LISTED = 12  # classes that are named in a comment
_INK = 0.5  # how much of a colour is laid over a picture


@register("segment")
@dataclass(frozen=True)
class Segment(Task):
    """One of several classes for each pixel: masks; scores for every class at every pixel, the largest the answer.

    Probabilities are the softmax of the outputs of a pixel, whatever the loss. Pixels that a mask ignores are neither
    learned from nor judged.
    """

    examples: ClassVar[tuple[Description, ...]] = (Description((6, 6, 1), ("a", "b", "c"), target=MASKS),)
    target: ClassVar[str] = MASKS
    loss: ClassVar[str] = "cross_entropy"
    shares: ClassVar[Literal["softmax", "sigmoid", ""]] = "softmax"
    metrics: ClassVar[tuple[str, ...]] = ("pixel_accuracy", "mean_iou")
    usual_metrics: ClassVar[tuple[str, ...]] = ("mean_iou", "dice", "pixel_accuracy")
    learned_from: ClassVar[str] = "pixel"
    follows: ClassVar[bool] = True
    renders: ClassVar[tuple[str, ...]] = ("", "mask")
    remains: ClassVar[str] = (
        "a pixel's class is that of its largest output. predict shows the share of the picture's pixels that each "
        "class has, and with --draw the classes at the picture's size, by the nearest pixel"
    )

    def outputs(self, data: Description) -> int:
        """A score for each class."""
        return len(data.classes)

    # -- targets --------------------------------------------------------------------------------------------------

    def moved(self, targets: Array, move: Move) -> Array:
        """Masks by the nearest pixel; what comes in from outside the picture is ignored."""
        return move.pixels(targets, IGNORED)

    def occurrences(self, targets: Array, data: Description) -> list[int]:
        """The pixels of each class, added up mask by mask: counting widens what it counts to eight times the bytes."""
        counts = np.zeros(IGNORED + 1, np.int64)
        for mask in targets:
            counts += np.bincount(mask.reshape(-1), minlength=IGNORED + 1)
        found: list[int] = counts[: len(data.classes)].tolist()
        return found

    def occurring(self, data: Description) -> tuple[str, ...]:
        """The classes."""
        return data.classes

    def renumbered(self, targets: Array, numbers: Array) -> Array:
        """Each class replaced; what is ignored stays so."""
        table = np.full(IGNORED + 1, IGNORED, np.uint8)
        table[: len(numbers)] = numbers
        return table[targets]

    def blank(self, n: int, data: Description) -> Array:
        """Every pixel ignored."""
        return np.full((n, *data.shape[:2]), IGNORED, np.uint8)

    def random(self, n: int, data: Description, rng: np.random.Generator) -> Array:
        """Any class, and a few pixels that are ignored."""
        masks = rng.integers(0, len(data.classes), (n, *data.shape[:2])).astype(np.uint8)
        masks[rng.random(masks.shape) < 0.1] = IGNORED
        return masks

    def tinted(self, targets: Array) -> Array:
        """The colours of the classes; class 0 and what is ignored stay clear."""
        opacity = np.where((targets == 0) | (targets == IGNORED), 0, round(255 * _INK)).astype(np.uint8)
        return np.concatenate([palette(IGNORED + 1)[targets], opacity[..., None]], axis=-1)

    def told(self, target: Any, data: Description) -> str:
        """The classes with the most pixels."""
        counts = np.bincount(np.ravel(target), minlength=IGNORED + 1)[: len(data.classes)]
        held = [index for index in np.argsort(-counts, kind="stable").tolist() if counts[index]]
        return " ".join(isolated(data.classes[index]) for index in held[:3]) or "nothing"

    # -- words ----------------------------------------------------------------------------------------------------

    def amount(self, data: Description, each: bool = False) -> str:  # noqa: ARG002  (one mask each)
        """How many classes a pixel can have."""
        return f"{counted(len(data.classes), 'class')} of pixels"

    def about(self, targets: Array, data: Description) -> str:
        """The classes with their shares of all pixels."""
        counts = np.array(self.occurrences(targets, data))
        if len(data.classes) > _LISTED:
            return f"a mask each of {len(data.classes)} classes"
        total = max(int(counts.sum()), 1)
        listed = ", ".join(f"{name} {percent(count / total)}" for name, count in zip(data.classes, counts, strict=True))
        return f"a mask each of {len(data.classes)} classes: {listed} of the pixels"

    def census(self, targets: Array, data: Description) -> dict[str, Any]:
        """The pixels of each class, and how many are ignored."""
        counts = self.occurrences(targets, data)
        ignored = int((targets == IGNORED).sum())
        return {"pixels": dict(zip(data.classes, counts, strict=True)) | ({"ignored": ignored} if ignored else {})}

    def start(self, batch: int) -> Start:  # noqa: ARG002  (the contract's signature)
        """Cross-entropy and soft Dice, and the best epoch by mean IoU."""
        loss = "loss: {type: sum, terms: [cross_entropy, soft_dice]} # each pixel, and how well regions overlap"
        optimizer = "optimizer: {type: adamw, lr: 1e-3}"
        return Start(loss, optimizer, ("pixel_accuracy", "mean_iou"), "val/mean_iou", "score for each class", False)

    def network(self, data: Description) -> tuple[str, ...]:
        """A narrow U-Net, as deep as the sides can be halved."""
        depth = next((depth for depth in (4, 3, 2) if not any(side % 2**depth for side in data.shape[:2])), 1)
        return (f"preset: {{type: unet, width: 16, depth: {depth}, norm: batch_norm}} # scores for every pixel",)

    # -- answers --------------------------------------------------------------------------------------------------

    def situated(self, outputs: Array, led: Move) -> Array:
        """The class at each pixel of the picture that was `led` to the network, uint8 (height, width); IGNORED where it
        was not seen.
        """
        found = outputs.argmax(axis=-1).astype(np.uint8)
        mask: Array = led.inverse().pixels(found[None], IGNORED)[0]
        return mask

    def answer(self, outputs: Array, data: Description, top: int = 1) -> Answer:  # noqa: ARG002  (all classes are told)
        """The share that each class has of the picture's pixels, those that were seen; the mask is for `--draw`."""
        counts = np.array(self.occurrences(outputs[None], data))
        shares = (counts / max(int(counts.sum()), 1)).tolist()
        order = sorted(range(len(shares)), key=lambda index: -shares[index])
        words = [
            f"{isolated(printable(data.classes[index]))} {percent(shares[index])}" for index in order if shares[index]
        ]
        by_name = dict(zip(data.classes, shares, strict=True))
        return Answer(
            "  ".join(words), {"shares": by_name}, tuple(f"share:{n}" for n in data.classes), (tuple(shares),)
        )

    def rendered(self, picture: Array, outputs: Array, led: Move, data: Description) -> tuple[Rendering, ...]:  # noqa: ARG002
        """The classes in colours over the picture, and as numbers by themselves."""
        mask = self.situated(outputs, led)
        colours = palette(IGNORED + 1)
        return Rendering("", _overlaid(picture, mask)), Rendering("mask", mask, colours)

    def compared(
        self,
        picture: Array,
        outputs: Array,
        target: Any,
        led: Move,
        data: Description,  # noqa: ARG002  (the contract's signature)
        window: Array | None = None,
    ) -> tuple[Array, ...]:
        """The picture, the true mask over it, and the answer over it, where that is judged."""
        truth = np.asarray(target)
        answer = np.where(truth == IGNORED, IGNORED, self.situated(outputs, led))
        shown = picture, _overlaid(picture, truth), _overlaid(picture, answer)
        return tuple(cut(each, window)[0] for each in shown)

    # -- judgement ------------------------------------------------------------------------------------------------

    def page(self, data: Description) -> dict[str, Any] | None:
        """The colours of the classes over the picture; class 0 stays clear."""
        return {"as": "mask", "names": list(data.classes), "colours": palette(len(data.classes)).tolist(), "ink": _INK}

    def evaluated(self, data: Description) -> tuple[str, ...]:  # noqa: ARG002  (the contract's signature)
        """Mean IoU, Dice and pixel accuracy."""
        return self.usual_metrics

    def judged(self, outputs: Array, targets: Array) -> Array:
        """The confusion matrix of each sample's pixels, uint32 (n, classes, classes): true, taken for."""
        classes = outputs.shape[-1]
        matrices = np.zeros((len(outputs), classes * classes), np.uint32)
        for matrix, z, mask in zip(matrices, outputs, targets, strict=True):
            labels, guesses = answers(z, mask)
            matrix[...] = np.bincount(labels.astype(np.intp) * classes + guesses, minlength=classes * classes)
        return matrices.reshape(-1, classes, classes)

    def kept(self, outputs: Array, targets: Array) -> Array:
        """The same: outputs of all samples would take far more memory."""
        return self.judged(outputs, targets)

    def breakdown(self, judged: Array, data: Description) -> dict[str, Any]:
        """For each class its pixels, IoU, Dice, recall and precision; and the confusion matrix of pixels."""
        matrix = judged.sum(axis=0, dtype=np.int64)
        return {"per_value": per_class(matrix, data.classes), "confusion": matrix.tolist()}

    def verdict(self, evaluation: Evaluation) -> str:
        """The share of wrong pixels."""
        matrix = evaluation.outputs.sum(axis=0, dtype=np.int64)
        wrong = share(float(matrix.sum() - matrix.trace()), float(matrix.sum()))
        return "" if wrong is None else f"{percent(wrong)} of the pixels are taken for another class."

    def report(self, evaluation: Evaluation) -> list[Section]:
        """How each class fares, what is taken for what, and the pictures with the most wrong pixels."""
        matrix, classes = evaluation.outputs.sum(axis=0, dtype=np.int64), evaluation.data.classes
        rows = [
            [
                row["name"],
                f"{row['pixels']:,}",
                *(Percentage(row[key]) for key in ("iou", "dice", "recall", "precision")),
            ]
            for row in per_class(matrix, classes)
        ]
        each = Table(["class", "pixels", "IoU", "Dice", "recall", "precision"], rows, right={1, 2, 3, 4, 5})
        told = "IoU: the pixels of a class that were taken for it, as a share of those of it or taken for it."
        sections = [_confused(matrix, classes), Section("Classes", [each], told)]
        positions = self.mistakes(evaluation)[:SHOWN]
        captions = [_caption(evaluation, position) for position in positions.tolist()]
        nothing = "None: every pixel is right."
        key = _key(evaluation.outputs[positions], classes)
        gallery = Gallery("mistakes", "worst pictures", positions, captions, nothing, key=key)
        clear = isolated(printable(classes[0]))
        note = (
            f"From left to right the picture, the true mask over it and the answer over it; {clear} is left clear, and "
            "what masks ignore."
        )
        return [*sections, Section("Worst pictures", [gallery], note if len(positions) else "")]

    def mistakes(self, evaluation: Evaluation) -> Array:
        """The samples with a wrong pixel, those with the largest share of them first."""
        matrices = evaluation.outputs.astype(np.int64)
        seen = matrices.sum(axis=(1, 2))
        wrong = (seen - matrices.trace(axis1=1, axis2=2)) / np.maximum(seen, 1)
        order = np.argsort(-wrong, kind="stable")
        worst: Array = order[wrong[order] > 0]
        return worst


def per_class(matrix: Array, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """For each class its pixels, IoU, Dice, recall and precision, out of the confusion matrix of pixels.

    A figure is None where there is nothing that it could be a share of.
    """
    rows = zip(
        classes, matrix.diagonal().tolist(), matrix.sum(axis=0).tolist(), matrix.sum(axis=1).tolist(), strict=True
    )
    return [
        {
            "name": name,
            "pixels": int(true),
            "iou": share(hit, predicted + true - hit),
            "dice": share(2 * hit, predicted + true),
            "recall": share(hit, true),
            "precision": share(hit, predicted),
        }
        for name, hit, predicted, true in rows
    ]


def _confused(matrix: Array, classes: tuple[str, ...]) -> Section:
    """The pairs of classes with the most pixels taken for each other."""
    off = matrix - np.diag(matrix.diagonal())
    order = [int(place) for place in np.argsort(-off, axis=None, kind="stable")[:_LISTED] if off.flat[place]]
    pairs = [divmod(place, len(classes)) for place in order]
    rows = [
        [classes[i], classes[j], f"{matrix[i, j]:,}", percent(matrix[i, j] / max(matrix[i].sum(), 1))] for i, j in pairs
    ]
    table = Table(["true", "taken for", "pixels", "of the class"], rows, right={2, 3})
    return Section("Confusion", [table], "The classes whose pixels are most often taken for another.", half=True)


def _key(matrices: Array, classes: tuple[str, ...]) -> list[tuple[str, tuple[int, int, int]]]:
    """The colours of the classes that occur in these pictures, true or taken for; class 0 has none."""
    pixels = matrices.sum(axis=0, dtype=np.int64)
    occur = pixels.sum(axis=0) + pixels.sum(axis=1) > 0
    colours = palette(len(classes)).tolist()
    return [(classes[k], (red, green, blue)) for k, (red, green, blue) in enumerate(colours) if k and occur[k]]


def _caption(evaluation: Evaluation, position: int) -> tuple[str, ...]:
    """A sample's share of wrong pixels, and the mean IoU of the classes that occur in it."""
    matrix = evaluation.outputs[position].astype(np.int64)
    wrong = 1 - matrix.trace() / max(int(matrix.sum()), 1)
    found = [row["iou"] for row in per_class(matrix, evaluation.data.classes) if row["iou"] is not None]
    mean = float(np.mean(found)) if found else float("nan")
    return f"{percent(wrong)} wrong", f"mean IoU {mean:.3f}"


def _overlaid(picture: Array, mask: Array) -> Array:
    """The colours of the classes over a picture, uint8 (h, w, 3); class 0 and what is ignored are left as they are."""
    colours = palette(IGNORED + 1)[mask]
    ink = np.where((mask == 0) | (mask == IGNORED), 0.0, _INK)[..., None]
    mixed: Array = np.rint((1 - ink) * picture + ink * colours).astype(np.uint8)
    return mixed

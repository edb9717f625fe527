"""Write tests/golden/losses from PyTorch: python -m tests.golden.make_losses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from cnntrain.parts.losses.base import beside
from tests.support.golden import save


def main() -> None:
    """One file a case."""
    rng = np.random.default_rng(0)
    n, classes = 9, 5
    outputs = 3 * rng.standard_normal((n, classes))
    extreme = outputs * 300
    labels = rng.integers(0, classes, n)
    soft = rng.dirichlet(np.ones(classes), n)
    values = rng.standard_normal((n, classes))
    weights = np.r_[0.0, rng.uniform(0.2, 2, n - 1)]
    for case, z, targets, smoothing in [
        ("labels", outputs, labels, 0.0),
        ("labels-smoothed", outputs, labels, 0.1),
        ("labels-extreme", extreme, labels, 0.0),
        ("labels-extreme-smoothed", extreme, labels, 0.2),
        ("soft", outputs, soft, 0.0),
        ("soft-smoothed", outputs, soft, 0.3),
        ("unnormalized", outputs, 2 * soft, 0.0),
    ]:
        x = torch.tensor(z, requires_grad=True)
        losses = cross_entropy(x, torch.tensor(targets), reduction="none", label_smoothing=smoothing)
        keep(f"cross_entropy-{case}", "cross_entropy", {"label_smoothing": smoothing}, x, targets, weights, losses)
    for case, targets in [("values", values), ("labels", labels)]:
        x = torch.tensor(outputs, requires_grad=True)
        rows = torch.tensor(targets) if case == "values" else one_hot(torch.tensor(labels), classes).double()
        keep(f"mse-{case}", "mse", {}, x, targets, weights, mse_loss(x, rows, reduction="none").mean(1))
    more(rng, outputs, labels, values, weights)
    class_weighted(outputs, labels, weights)
    of_masks()


def focal(z: torch.Tensor, t: torch.Tensor, gamma: float = 2.0, alpha: float | None = 0.25) -> torch.Tensor:
    """torchvision.ops.sigmoid_focal_loss, written out."""
    p = torch.sigmoid(z)
    right = p * t + (1 - p) * (1 - t)
    loss = F.binary_cross_entropy_with_logits(z, t, reduction="none") * (1 - right) ** gamma
    return loss if alpha is None else (alpha * t + (1 - alpha) * (1 - t)) * loss


def more(rng, outputs, labels, values, weights) -> None:
    """The losses that take rows; those of several outputs as the mean over them."""
    classes = outputs.shape[1]
    several = (rng.random(outputs.shape) < 0.4).astype(np.float64)
    soft = rng.dirichlet(np.ones(classes), len(outputs))
    of_rows: list[tuple[str, str, dict, np.ndarray, Callable]] = [
        ("several", "binary_cross_entropy", {}, several, F.binary_cross_entropy_with_logits),
        ("soft", "binary_cross_entropy", {}, soft, F.binary_cross_entropy_with_logits),
        ("values", "mae", {}, values, F.l1_loss),
        ("values", "huber", {"delta": 1.0}, values, F.huber_loss),
        ("narrow", "huber", {"delta": 0.4}, values, lambda z, t, **o: F.huber_loss(z, t, delta=0.4, **o)),
        ("values", "smooth_l1", {"beta": 1.0}, values, F.smooth_l1_loss),
        ("narrow", "smooth_l1", {"beta": 0.4}, values, lambda z, t, **o: F.smooth_l1_loss(z, t, beta=0.4, **o)),
        ("several", "focal", {}, several, lambda z, t, **_: focal(z, t)),
        ("settings", "focal", {"gamma": 0.5, "alpha": None}, soft, lambda z, t, **_: focal(z, t, 0.5, None)),
    ]
    heavy = torch.full((classes,), 3.0, dtype=torch.float64)
    of_rows.append(("pos_weight", "binary_cross_entropy", {"pos_weight": 3.0}, several,
                    lambda z, t, **o: F.binary_cross_entropy_with_logits(z, t, pos_weight=heavy, **o)))  # fmt: skip
    for case, part, settings, targets, function in of_rows:
        x = torch.tensor(outputs, requires_grad=True)
        losses = function(x, torch.tensor(targets), reduction="none").mean(1)
        keep(f"{part}-{case}", part, settings, x, targets, weights, losses)
    teacher = 2 * rng.standard_normal(outputs.shape)
    for alpha, heat in [(0.9, 4.0), (0.3, 1.5)]:
        x = torch.tensor(outputs, requires_grad=True)
        soft_loss = F.kl_div(
            F.log_softmax(x / heat, dim=1), F.softmax(torch.tensor(teacher) / heat, dim=1), reduction="none"
        ).sum(1)
        losses = alpha * heat**2 * soft_loss + (1 - alpha) * cross_entropy(x, torch.tensor(labels), reduction="none")
        settings = {"teacher": "teacher.npz", "alpha": alpha, "temperature": heat}
        keep(f"distillation-{alpha:g}", "distillation", settings, x, beside(labels, teacher), weights, losses)
    x = torch.tensor(outputs, requires_grad=True)
    divergence = F.kl_div(F.log_softmax(x, dim=1), torch.tensor(soft), reduction="none").sum(1)
    keep("kl_div-soft", "kl_div", {}, x, soft, weights, divergence)
    for part, power, margin in [("hinge", 1, 1.0), ("hinge", 1, 0.5), ("squared_hinge", 2, 1.0)]:
        x = torch.tensor(outputs, requires_grad=True)
        losses = F.multi_margin_loss(x, torch.tensor(labels), p=power, margin=margin, reduction="none")
        keep(f"{part}-{margin:g}", part, {"margin": margin}, x, labels, weights, losses)


def class_weighted(outputs, labels, weights) -> None:
    """PyTorch's own weighted mean, of equal samples, for labels with and without smoothing."""
    factors = [0.5, 2.0, 1.0, 0.25, 3.0]
    ones = np.ones_like(weights)
    for smoothing in (0.0, 0.1):
        x = torch.tensor(outputs, requires_grad=True)
        given = {"weight": torch.tensor(factors, dtype=torch.float64), "label_smoothing": smoothing}
        losses = cross_entropy(x, torch.tensor(labels), reduction="none", **given)
        mean = cross_entropy(x, torch.tensor(labels), **given).item()
        settings = {"class_weight": factors, "label_smoothing": smoothing}
        keep(f"cross_entropy-class_weight-{smoothing:g}", "cross_entropy", settings, x, labels, ones, losses, mean)


def of_masks() -> None:
    """Masks with pixels that are ignored: PyTorch's cross-entropy with ignore_index, and MONAI's DiceLoss, written out.

    Of the latter a picture counts by its pixels that count.
    """
    rng = np.random.default_rng(7)
    n, classes, ignored = 4, 5, 255
    outputs = 2 * rng.standard_normal((n, 3, 4, classes))
    masks = rng.integers(0, classes - 1, (n, 3, 4)).astype(np.uint8)  # the last class never occurs
    masks[rng.random(masks.shape) < 0.2] = ignored
    masks[3] = ignored
    labels = torch.tensor(masks.astype(np.int64))
    factors = [0.5, 2.0, 1.0, 0.25, 3.0]
    ones = np.ones(n)
    for smoothing in (0.0, 0.1):
        for name, weight in (("masks", None), ("masks-class_weight", torch.tensor(factors, dtype=torch.float64))):
            x = torch.tensor(outputs, requires_grad=True)
            how = {"weight": weight, "ignore_index": ignored, "label_smoothing": smoothing}
            flat = x.permute(0, 3, 1, 2)
            losses = cross_entropy(flat, labels, reduction="none", **how).sum((1, 2))
            mean = cross_entropy(flat, labels, **how).item()
            settings = {"label_smoothing": smoothing} | ({} if weight is None else {"class_weight": factors})
            keep(f"cross_entropy-{name}-{smoothing:g}", "cross_entropy", settings, x, masks, ones, losses, mean)
    counts = (labels != ignored).double()
    weights = rng.uniform(0.2, 2, n)
    for smooth in (1e-5, 1.0):
        x = torch.tensor(outputs, requires_grad=True)
        p = x.softmax(-1) * counts[..., None]
        t = one_hot(labels % ignored, classes) * counts[..., None]
        above, below = 2 * (p * t).sum((1, 2)) + smooth, (p + t).sum((1, 2)) + smooth
        each = counts.sum((1, 2))
        losses = (1 - above / below).mean(1) * each
        mean = (losses * torch.tensor(weights)).sum().item() / float(weights @ each.numpy())
        keep(f"soft_dice-{smooth:g}", "soft_dice", {"smooth": smooth}, x, masks, weights, losses, mean)


def keep(
    case: str, part: str, settings: dict, x: torch.Tensor, targets, weights, losses: torch.Tensor, mean=None
) -> None:
    """Differentiate the weighted sum and save the case."""
    total = (losses * torch.tensor(weights)).sum()
    total.backward()
    arrays = {"outputs": x.detach().numpy(), "targets": targets, "weights": weights}
    mean = total.item() / weights.sum() if mean is None else mean
    results = {"losses": losses.detach().numpy(), "d_outputs": x.grad.numpy(), "mean": mean}
    save("losses", case, part, settings, **arrays, **results)


if __name__ == "__main__":
    main()

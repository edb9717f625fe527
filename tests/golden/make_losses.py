"""Write tests/golden/losses from PyTorch: python -m tests.golden.make_losses."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy, mse_loss, one_hot

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


def keep(case: str, part: str, settings: dict, x: torch.Tensor, targets, weights, losses: torch.Tensor) -> None:
    """Differentiate the weighted sum and save the case."""
    total = (losses * torch.tensor(weights)).sum()
    total.backward()
    arrays = {"outputs": x.detach().numpy(), "targets": targets, "weights": weights}
    results = {"losses": losses.detach().numpy(), "d_outputs": x.grad.numpy(), "mean": total.item() / weights.sum()}
    save("losses", case, part, settings, **arrays, **results)


if __name__ == "__main__":
    main()

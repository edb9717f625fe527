"""Write tests/golden/layers from PyTorch: python -m tests.golden.make_layers.

Inputs are values of float32, so that the float32 test starts from the same numbers. PyTorch's images are channels
first and its weights (filters, channels, kh, kw); what is saved is in our order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.support.golden import save

RNG = np.random.default_rng(0)


def draw(*shape: int, scale: float = 1.0, offset: float = 0.0) -> np.ndarray:
    """Normal values that float32 holds exactly."""
    return (scale * RNG.standard_normal(shape) + offset).astype(np.float32).astype(np.float64)


def first(x: np.ndarray) -> torch.Tensor:
    """NHWC to a leaf in NCHW; features stay."""
    t = torch.tensor(x)
    return (t.permute(0, 3, 1, 2) if t.ndim == 4 else t).contiguous().requires_grad_()


def last(t: torch.Tensor) -> np.ndarray:
    """NCHW to NHWC."""
    t = t.detach()
    return (t.permute(0, 2, 3, 1) if t.ndim == 4 else t).contiguous().numpy()


def keep(case: str, part: str, settings: dict[str, Any], xs: list[torch.Tensor], y: torch.Tensor, **arrays) -> None:
    """Differentiate sum(y * dy) for random dy and save. `arrays` are p_NAME, ready, or (array, leaf, to ours)."""
    dy = draw(*last(y).shape)
    (y * (torch.tensor(dy).permute(0, 3, 1, 2) if y.ndim == 4 else torch.tensor(dy))).sum().backward()
    out: dict[str, Any] = {"y": last(y), "dy": dy}
    for i, x in enumerate(xs):
        out[f"x{i}"], out[f"dx{i}"] = last(x), last(x.grad)
    for name, value in arrays.items():
        if isinstance(value, tuple):
            leaf, ours = value
            out["p_" + name], out["dp_" + name] = ours(leaf.detach().numpy()), ours(leaf.grad.numpy())
        else:
            out[name] = value
    save("layers", f"{part}-{case}", part, settings, **out)


def conv(case: str, shape: tuple[int, int, int], sides: list[int], bias: bool = True, **settings) -> None:
    """`sides` is the padding as PyTorch's F.pad takes it: left, right, top, bottom."""
    kh, kw = settings["kernel_size"]
    filters, groups = settings["filters"], settings.get("groups", 1)
    x = first(draw(2, *shape))
    w = torch.tensor(draw(filters, shape[2] // groups, kh, kw), requires_grad=True)
    b = torch.tensor(draw(filters), requires_grad=True) if bias else None
    stride, dilation = settings.get("stride", 1), settings.get("dilation", 1)
    y = F.conv2d(F.pad(x, sides), w, b, stride, 0, dilation, groups)
    leaves: dict[str, Any] = {"weight": (w, lambda a: np.ascontiguousarray(a.transpose(2, 3, 1, 0)))}
    if b is not None:
        leaves["bias"] = (b, lambda a: a)
    keep(case, "conv2d", {**settings, "bias": bias}, [x], y, **leaves)


def convolutions() -> None:
    conv("plain", (6, 7, 3), [0, 0, 0, 0], filters=4, kernel_size=[3, 3])
    conv("same-odd", (7, 5, 2), [1, 1, 1, 1], filters=3, kernel_size=[3, 3], padding="same", bias=False)
    conv("same-even-kernel", (6, 5, 5), [1, 2, 0, 1], filters=2, kernel_size=[2, 4], padding="same")
    conv("same-stride", (8, 7, 5), [1, 1, 0, 1], filters=3, kernel_size=[3, 3], stride=2, padding="same")
    conv("sides", (6, 7, 2), [0, 3, 2, 1], filters=3, kernel_size=[3, 2], stride=[2, 3], padding=[2, 1, 0, 3])
    conv("dilation", (9, 8, 6), [2, 2, 2, 2], filters=2, kernel_size=[3, 2], dilation=[2, 3], padding=2)
    conv("groups", (6, 5, 6), [1, 1, 1, 1], filters=9, kernel_size=[3, 3], groups=3, padding=1)
    conv("groups-wide", (5, 5, 12), [0, 0, 0, 0], filters=4, kernel_size=[3, 3], groups=2, stride=2)
    conv("depthwise", (6, 6, 5), [1, 1, 1, 1], filters=5, kernel_size=[3, 3], groups=5, padding=1)
    conv("pointwise", (4, 5, 7), [0, 0, 0, 0], filters=3, kernel_size=[1, 1])
    conv("pointwise-stride", (5, 6, 6), [0, 0, 0, 0], filters=4, kernel_size=[1, 1], stride=2, groups=2)
    conv("large-kernel", (12, 12, 6), [0, 0, 0, 0], filters=5, kernel_size=[5, 5])


def pools() -> None:
    def tied(*shape: int) -> np.ndarray:
        return RNG.integers(-2, 3, shape).astype(np.float64)

    for case, shape, kernel, settings in [
        ("plain", (6, 8, 3), 2, {}),
        ("rest", (7, 5, 2), 2, {}),
        ("ceil", (7, 5, 2), 2, {"ceil_mode": True}),
        ("overlap", (7, 8, 2), 3, {"stride": 2, "padding": 1}),
        ("overlap-ceil", (6, 8, 2), 3, {"stride": 2, "padding": 1, "ceil_mode": True}),
        ("stride-one", (5, 5, 1), 3, {"stride": 1, "padding": 1}),
        ("gaps", (7, 7, 2), 2, {"stride": 3}),
        ("oblong", (6, 9, 2), (2, 3), {"stride": (1, 2), "ceil_mode": True}),
    ]:
        x = first(tied(2, *shape))
        keep(case, "max_pool2d", {"kernel_size": kernel, **settings}, [x], F.max_pool2d(x, kernel, **settings))
        for include in (True, False):
            x = first(draw(2, *shape))
            y = F.avg_pool2d(x, kernel, **settings, count_include_pad=include)
            name = case if include else case + "-image-only"
            keep(name, "avg_pool2d", {"kernel_size": kernel, **settings, "count_include_pad": include}, [x], y)
    x = first(draw(2, 5, 4, 3))
    keep("plain", "global_avg_pool", {}, [x], F.adaptive_avg_pool2d(x, 1).flatten(1))


def dense() -> None:
    for case, bias in (("plain", True), ("no-bias", False)):
        x = first(draw(4, 6))
        w = torch.tensor(draw(3, 6), requires_grad=True)
        b = torch.tensor(draw(3), requires_grad=True) if bias else None
        leaves: dict[str, Any] = {"weight": (w, lambda a: np.ascontiguousarray(a.T))}
        if b is not None:
            leaves["bias"] = (b, lambda a: a)
        keep(case, "dense", {"units": 3, "bias": bias}, [x], F.linear(x, w, b), **leaves)


def batch_norms() -> None:
    for case, shape, settings, offset in [
        ("image", (4, 3, 5, 2), {}, 0.5),
        ("features", (7, 3), {"eps": 1e-3, "momentum": 0.3}, -0.5),
        ("no-affine", (3, 2, 2, 3), {"affine": False}, 0.0),
        ("far-mean", (4, 3, 3, 2), {}, 1000.0),
    ]:
        channels = shape[-1]
        for mode in ("training", "evaluation"):
            x = first(draw(*shape, offset=offset))
            mean, var = torch.tensor(draw(channels)), torch.tensor(np.abs(draw(channels)) + 0.5)
            measured = {"p_running_mean": mean.numpy().copy(), "p_running_var": var.numpy().copy()}
            leaves: dict[str, Any] = {}
            scale = shift = None
            if settings.get("affine", True):
                scale = torch.tensor(draw(channels, offset=1), requires_grad=True)
                shift = torch.tensor(draw(channels), requires_grad=True)
                leaves = {"scale": (scale, lambda a: a), "shift": (shift, lambda a: a)}
            momentum, eps = settings.get("momentum", 0.1), settings.get("eps", 1e-5)
            y = F.batch_norm(x, mean, var, scale, shift, mode == "training", momentum, eps)
            after = {"after_running_mean": mean.numpy(), "after_running_var": var.numpy()}
            keep(f"{case}-{mode}", "batch_norm", settings, [x], y, **leaves, **measured, **after)


def elementwise() -> None:
    for part, function, settings in [
        ("relu", F.relu, {}),
        ("leaky_relu", F.leaky_relu, {}),
        ("leaky_relu", lambda x: F.leaky_relu(x, 0.3), {"slope": 0.3}),
        ("tanh", torch.tanh, {}),
        ("sigmoid", torch.sigmoid, {}),
    ]:
        values = draw(3, 4, 5, 2, scale=3)
        values[0, 0] = np.array([0.0, -30.0, 30.0, -0.0, 1e-3])[:, None]
        x = first(values)
        keep("slope" if settings else "plain", part, settings, [x], function(x))


def joints() -> None:
    for part, join in (("add", sum), ("concat", lambda xs: torch.cat(xs, 1))):
        xs = [first(draw(2, 3, 4, 2)) for _ in range(3)]
        keep("three", part, {}, xs, join(xs))
    x = first(draw(2, 3, 4, 2))
    keep("image", "flatten", {}, [x], x.permute(0, 2, 3, 1).flatten(1))
    x = first(draw(2, 5, 6, 2))
    keep("plain", "pad_shortcut", {"filters": 5, "stride": 2}, [x], F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 3)))
    x = first(draw(2, 5))
    keep("nothing-dropped", "dropout", {"rate": 0.0}, [x], F.dropout(x, 0.0, training=True))


if __name__ == "__main__":
    for make in (convolutions, pools, dense, batch_norms, elementwise, joints):
        make()

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
    """NHWC to a leaf in NCHW, clips NTHWC in NCTHW; features stay."""
    t = torch.tensor(x)
    return (t.movedim(-1, 1) if t.ndim >= 4 else t).contiguous().requires_grad_()


def last(t: torch.Tensor) -> np.ndarray:
    """NCHW to NHWC."""
    t = t.detach()
    return (t.movedim(1, -1) if t.ndim >= 4 else t).contiguous().numpy()


def keep(case: str, part: str, settings: dict[str, Any], xs: list[torch.Tensor], y: torch.Tensor, **arrays) -> None:
    """Differentiate sum(y * dy) for random dy and save. `arrays` are p_NAME, ready, or (array, leaf, to ours)."""
    dy = draw(*last(y).shape)
    (y * (torch.tensor(dy).movedim(-1, 1) if y.ndim >= 4 else torch.tensor(dy))).sum().backward()
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


def convolution_kin() -> None:
    """Depthwise and transposed convolutions; ours is (kh, kw, 1 or filters / groups, filters or channels)."""

    def ours(a):
        return np.ascontiguousarray(a.transpose(2, 3, 1, 0))

    for case, shape, multiplier, settings in [
        ("plain", (6, 5, 4), 1, {"kernel_size": [3, 3], "padding": 1}),
        ("multiplied", (7, 6, 3), 2, {"kernel_size": [3, 2], "stride": 2, "dilation": [1, 2]}),
    ]:
        x = first(draw(2, *shape))
        w = torch.tensor(draw(shape[2] * multiplier, 1, *settings["kernel_size"]), requires_grad=True)
        b = torch.tensor(draw(shape[2] * multiplier), requires_grad=True)
        options = {key: value for key, value in settings.items() if key != "kernel_size"}
        y = F.conv2d(x, w, b, **options, groups=shape[2])
        leaves = {"weight": (w, ours), "bias": (b, lambda a: a)}
        keep(case, "depthwise_conv2d", {**settings, "multiplier": multiplier}, [x], y, **leaves)
    for case, shape, filters, settings in [
        ("plain", (4, 5, 3), 2, {"kernel_size": [3, 3]}),
        ("stride", (4, 3, 2), 3, {"kernel_size": [3, 3], "stride": 2, "padding": 1, "output_padding": 1}),
        ("groups", (3, 4, 4), 6, {"kernel_size": [2, 3], "stride": [3, 2], "output_padding": [2, 0], "groups": 2}),
        ("dilation", (4, 4, 2), 2, {"kernel_size": [3, 2], "dilation": 2, "padding": 1}),
        ("tiles", (3, 4, 3), 4, {"kernel_size": [2, 2], "stride": 2}),
        ("no-bias", (3, 3, 2), 2, {"kernel_size": [4, 4], "stride": 2, "padding": 1, "bias": False}),
    ]:
        x = first(draw(2, *shape))
        w = torch.tensor(draw(shape[2], filters // settings.get("groups", 1), *settings["kernel_size"]))
        leaves = {"weight": (w.requires_grad_(), ours)}
        b = None
        if settings.get("bias", True):
            b = torch.tensor(draw(filters), requires_grad=True)
            leaves["bias"] = (b, lambda a: a)
        options = {key: value for key, value in settings.items() if key not in ("kernel_size", "bias")}
        y = F.conv_transpose2d(x, w, b, **options)
        keep(case, "conv_transpose2d", {**settings, "filters": filters}, [x], y, **leaves)


def other_pools() -> None:
    x = first(RNG.integers(-2, 3, (2, 4, 5, 3)).astype(np.float64))
    keep("ties", "global_max_pool", {}, [x], F.adaptive_max_pool2d(x, 1).flatten(1))
    for case, shape, size in [
        ("even", (6, 8, 2), [3, 2]),
        ("uneven", (7, 5, 3), [3, 3]),
        ("larger", (2, 3, 2), [3, 5]),
    ]:
        x = first(draw(2, *shape))
        keep(case, "adaptive_avg_pool2d", {"output_size": size}, [x], F.adaptive_avg_pool2d(x, size))


def sample_norms() -> None:
    """Channels are the last axis in ours, so PyTorch's layer norms work on a permuted view."""

    def affine(channels: int, names: tuple[str, ...] = ("scale", "shift")) -> dict[str, Any]:
        values = [torch.tensor(draw(channels, offset=name == "scale"), requires_grad=True) for name in names]
        return {name: (value, lambda a: a) for name, value in zip(names, values, strict=True)}

    def over_channels(x: torch.Tensor, norm: Any) -> torch.Tensor:
        return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) if x.ndim == 4 else norm(x)

    for case, shape, settings in [
        ("image", (3, 4, 2, 5), {}),
        ("features", (4, 6), {"eps": 1e-3}),
        ("no-affine", (2, 3, 3, 4), {"affine": False}),
    ]:
        eps = settings.get("eps", 1e-5)
        for part, names in (("layer_norm", ("scale", "shift")), ("rms_norm", ("scale",))):
            x, leaves = first(draw(*shape, offset=0.5)), affine(shape[-1], names)
            if not settings.get("affine", True):
                leaves = {}
            weights = [leaf for leaf, _ in leaves.values()] or [None] * len(names)
            if part == "layer_norm":
                y = over_channels(x, lambda v, w=weights, e=eps: F.layer_norm(v, v.shape[-1:], *w, e))
                keep(case, part, settings, [x], y, **leaves)
            else:  # float32's own epsilon would be another, so it is always given
                y = over_channels(x, lambda v, w=weights, e=eps: F.rms_norm(v, v.shape[-1:], *w, e))
                keep(case, part, {"eps": 1e-5, **settings}, [x], y, **leaves)
    for case, shape, groups, settings in [
        ("default", (2, 2, 3, 64), 32, {}),
        ("three", (3, 4, 2, 6), 3, {"eps": 1e-3}),
        ("one", (2, 3, 3, 4), 1, {"affine": False}),
        ("features", (3, 8), 2, {}),
    ]:
        x, leaves = first(draw(*shape, offset=0.5)), affine(shape[-1])
        if not settings.get("affine", True):
            leaves = {}
        weights = [leaf for leaf, _ in leaves.values()] or [None, None]
        y = F.group_norm(x, groups, *weights, settings.get("eps", 1e-5))
        keep(case, "group_norm", {"groups": groups, **settings}, [x], y, **leaves)
    for case, settings in (("plain", {}), ("affine", {"affine": True, "eps": 1e-3})):
        x, leaves = first(draw(3, 4, 5, 2, offset=0.5)), affine(2) if settings else {}
        weights = [leaf for leaf, _ in leaves.values()] or [None, None]
        y = F.instance_norm(x, None, None, *weights, eps=settings.get("eps", 1e-5))
        keep(case, "instance_norm", settings, [x], y, **leaves)
    for case, settings in [
        ("plain", {}),
        ("strong", {"size": 3, "alpha": 0.5, "beta": 0.6, "k": 2.0}),
        ("even", {"size": 4, "alpha": 2.0}),
        ("wide", {"size": 15, "alpha": 1.0}),
    ]:
        x = first(draw(2, 3, 2, 7))
        options = {"size": 5, **settings}
        keep(case, "lrn", settings, [x], F.local_response_norm(x, **options))
    for case, names in (("plain", ("scale", "shift")), ("no-bias", ("scale",))):
        x, leaves = first(draw(2, 3, 4, 5)), affine(5, names)
        by, *shift = (leaf[:, None, None] for leaf, _ in leaves.values())
        keep(case, "scale", {"bias": len(names) == 2}, [x], x * by + (shift[0] if shift else 0), **leaves)


def more_activations() -> None:
    for case, part, function, settings in [
        ("plain", "relu6", F.relu6, {}),
        ("plain", "hard_tanh", F.hardtanh, {}),
        ("bounds", "hard_tanh", lambda x: F.hardtanh(x, -0.5, 2.0), {"low": -0.5, "high": 2.0}),
        ("plain", "hard_sigmoid", lambda x: (x / 6 + 0.5).clamp(0, 1), {}),  # PyTorch's own slope is float32's 1/6
        ("plain", "hard_swish", F.hardswish, {}),
        ("plain", "elu", F.elu, {}),
        ("alpha", "elu", lambda x: F.elu(x, 0.4), {"alpha": 0.4}),
        ("plain", "selu", F.selu, {}),
        ("plain", "softplus", F.softplus, {}),
        ("beta", "softplus", lambda x: F.softplus(x, 2.5), {"beta": 2.5}),
        ("plain", "gelu", F.gelu, {}),
        ("tanh", "gelu", lambda x: F.gelu(x, approximate="tanh"), {"approximate": "tanh"}),
        ("plain", "silu", F.silu, {}),
        ("plain", "mish", F.mish, {}),
        ("channels", "softmax", lambda x: F.softmax(x, 1), {}),
        ("channels", "log_softmax", lambda x: F.log_softmax(x, 1), {}),
    ]:
        values = draw(3, 4, 5, 2, scale=4)
        if case != "channels":
            values[0, 0] = np.array([0.1, -30.0, 30.0, -0.2, 1e-3])[:, None]
        x = first(values)
        keep(case, part, settings, [x], function(x))
    for part, function in (("softmax", F.softmax), ("log_softmax", F.log_softmax)):
        values = draw(4, 6)
        values[0] = (values[0] + 800).astype(np.float32)  # whose exponential overflows
        x = first(values)
        keep("features", part, {}, [x], function(x, 1))
    for case, count in (("shared", 1), ("channels", 3)):
        x = first(draw(2, 3, 4, 3))
        slope = torch.tensor(draw(count), requires_grad=True)
        keep(case, "prelu", {"shared": count == 1}, [x], F.prelu(x, slope), slope=(slope, lambda a: a))


def noises() -> None:
    """PyTorch's draws are its own, so only what is certain can be compared: rate 0 in training, and evaluation."""
    for part, function in [
        ("spatial_dropout2d", F.dropout2d),
        ("alpha_dropout", F.alpha_dropout),
        ("drop_path", F.dropout),
        ("gaussian_noise", F.dropout),
    ]:
        setting = "std" if part == "gaussian_noise" else "rate"
        x = first(draw(2, 3, 4, 2))
        keep("nothing-dropped", part, {setting: 0.0}, [x], function(x, 0.0, training=True))
        x = first(draw(2, 3, 4, 2))
        keep("kept-evaluation", part, {setting: 0.4}, [x], function(x, 0.4, training=False))


def movers() -> None:
    x = first(draw(2, 3, 4, 2))
    keep("plain", "identity", {}, [x], torch.nn.Identity()(x))
    xs = [first(draw(2, 3, 4, 2)) for _ in range(3)]
    keep("three", "multiply", {}, xs, xs[0] * xs[1] * xs[2])
    image, gate = first(draw(2, 3, 4, 5)), first(draw(2, 5))
    keep("gate", "multiply", {}, [image, gate], image * gate[:, :, None, None])
    for case, mode, factor in [
        ("nearest", "nearest", [2, 3]),
        ("bilinear", "bilinear", [2, 2]),
        ("bilinear-oblong", "bilinear", [3, 1]),
        ("bilinear-four", "bilinear", [4, 5]),
    ]:
        x = first(draw(2, 3, 4, 2))
        options = {"align_corners": False} if mode == "bilinear" else {}
        y = F.interpolate(x, scale_factor=tuple(map(float, factor)), mode=mode, **options)
        keep(case, "upsample", {"factor": factor, "mode": mode}, [x], y)
    x = first(draw(2, 3, 4, 2))
    keep("sides", "zero_pad2d", {"padding": [2, 0, 1, 3]}, [x], F.pad(x, (1, 3, 2, 0)))
    x = first(draw(2, 6, 7, 2))
    keep("sides", "crop2d", {"cropping": [2, 0, 1, 3]}, [x], F.pad(x, (-1, -3, -2, 0)))
    for factor in (2, 3):
        x = first(draw(2, 3, 2, 2 * factor**2))
        keep(f"by-{factor}", "pixel_shuffle", {"factor": factor}, [x], F.pixel_shuffle(x, factor))
    x = first(draw(2, 3, 4, 2))
    y = x.permute(0, 2, 3, 1).reshape(2, 6, 2, 2).permute(0, 3, 1, 2)
    keep("image", "reshape", {"shape": [6, 2, 2]}, [x], y)


def clips() -> None:
    """Layers of clips; `sides` is the padding as PyTorch's F.pad takes it: left, right, top, bottom, before, after."""
    for case, shape, sides, settings in [
        ("plain", (4, 5, 4, 2), [0] * 6, {"filters": 3, "kernel_size": [3, 3, 3]}),
        ("same-stride", (5, 4, 7, 2), [1, 1, 0, 1, 1, 1],
         {"filters": 3, "kernel_size": [3, 3, 3], "stride": 2, "padding": "same"}),
        ("sides", (3, 4, 4, 3), [1, 0, 0, 2, 2, 1],
         {"filters": 2, "kernel_size": [3, 2, 3], "stride": [1, 2, 1], "padding": [2, 1, 0, 2, 1, 0]}),
        ("dilation", (6, 5, 4, 2), [1, 1, 1, 1, 2, 2],
         {"filters": 2, "kernel_size": [3, 3, 2], "dilation": [2, 1, 2], "padding": [2, 2, 1, 1, 1, 1]}),
        ("groups", (3, 4, 4, 4), [1] * 6, {"filters": 6, "kernel_size": [3, 3, 3], "groups": 2, "padding": 1}),
        ("time-alone", (5, 3, 3, 4), [0, 0, 0, 0, 1, 1],
         {"filters": 3, "kernel_size": [3, 1, 1], "padding": [1, 1, 0, 0, 0, 0], "bias": False}),
        ("space-alone", (3, 4, 4, 3), [1, 1, 1, 1, 0, 0],
         {"filters": 3, "kernel_size": [1, 3, 3], "padding": [0, 0, 1, 1, 1, 1]}),
    ]:  # fmt: skip
        x = first(draw(2, *shape))
        groups = settings.get("groups", 1)
        w = torch.tensor(draw(settings["filters"], shape[3] // groups, *settings["kernel_size"]), requires_grad=True)
        leaves: dict[str, Any] = {"weight": (w, lambda a: np.ascontiguousarray(a.transpose(2, 3, 4, 1, 0)))}
        b = None
        if settings.get("bias", True):
            b = torch.tensor(draw(settings["filters"]), requires_grad=True)
            leaves["bias"] = (b, lambda a: a)
        y = F.conv3d(F.pad(x, sides), w, b, settings.get("stride", 1), 0, settings.get("dilation", 1), groups)
        keep(case, "conv3d", settings, [x], y, **leaves)
    for case, shape, settings in [
        ("plain", (4, 4, 6, 2), {"kernel_size": 2}),
        ("overlap-ceil", (5, 4, 6, 2), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
        ("oblong", (4, 5, 4, 3), {"kernel_size": [1, 3, 2], "stride": [1, 2, 1], "padding": [0, 1, 0]}),
    ]:
        options = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
        x = first(RNG.integers(-2, 3, (2, *shape)).astype(np.float64))
        keep(case, "max_pool3d", settings, [x], F.max_pool3d(x, **options))
        for include in (True, False):
            x = first(draw(2, *shape))
            name, own = case if include else case + "-image-only", {**settings, "count_include_pad": include}
            keep(name, "avg_pool3d", own, [x], F.avg_pool3d(x, **options, count_include_pad=include))
    x = first(draw(2, 3, 4, 2, 3))
    keep("clip", "global_avg_pool", {}, [x], F.adaptive_avg_pool3d(x, 1).flatten(1))
    x = first(RNG.integers(-2, 3, (2, 3, 4, 2, 3)).astype(np.float64))
    keep("clip-ties", "global_max_pool", {}, [x], F.adaptive_max_pool3d(x, 1).flatten(1))
    x = first(draw(2, 3, 4, 2, 6, offset=0.5))
    keep("clip", "group_norm", {"groups": 3, "affine": False}, [x], F.group_norm(x, 3))
    x = first(draw(2, 3, 4, 2, 2, offset=0.5))
    keep("clip", "instance_norm", {}, [x], F.instance_norm(x))
    x = first(draw(2, 4, 2, 3, 6))
    fold = 6 // 3  # as in temporal_shift.py of the paper's code (mit-han-lab), with fold_div 3
    y = torch.cat([F.pad(x[:, :fold, 1:], (0, 0, 0, 0, 0, 1)), F.pad(x[:, fold : 2 * fold, :-1], (0, 0, 0, 0, 1, 0)),
                   x[:, 2 * fold :]], 1)  # fmt: skip
    keep("plain", "temporal_shift", {"parts": 3}, [x], y)


LATER = (convolution_kin, other_pools, sample_norms, more_activations, noises, movers, clips)

if __name__ == "__main__":
    for make in (convolutions, pools, dense, batch_norms, elementwise, joints, *LATER):
        make()

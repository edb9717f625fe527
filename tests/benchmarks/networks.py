"""The reference networks of the benchmarks, as cnntrain layers; peers.py has the same ones in other frameworks."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.arrays import Shape


@dataclass(frozen=True)
class Network:
    """A reference network: its input, and its layers as a config has them."""

    shape: Shape
    layers: str


def _conv(filters: int, norm: bool = False) -> str:
    bias = ", bias: false" if norm else ""
    text = f"- {{type: conv2d, filters: {filters}, kernel_size: 3, padding: 1{bias}}}\n"
    return text + ("- batch_norm\n" if norm else "") + "- relu\n"


def _block(filters: int, stride: int) -> str:
    """A basic block of ResNet-20; where it changes the shape, a projection with batch norm."""
    return (
        "- type: residual\n  body:\n"
        f"  - {{type: conv2d, filters: {filters}, kernel_size: 3, padding: 1, stride: {stride}, bias: false}}\n"
        "  - batch_norm\n  - relu\n"
        f"  - {{type: conv2d, filters: {filters}, kernel_size: 3, padding: 1, bias: false}}\n"
        "  - batch_norm\n  activation: relu\n"
    )


def _separable(channels: int, filters: int, stride: int) -> str:
    """MobileNet's block: a depthwise convolution, then a pointwise one."""
    return (
        f"- {{type: conv2d, filters: {channels}, kernel_size: 3, padding: 1, stride: {stride}, groups: {channels}, "
        "bias: false}\n- batch_norm\n- relu\n"
        f"- {{type: conv2d, filters: {filters}, kernel_size: 1, bias: false}}\n- batch_norm\n- relu\n"
    )


POOL = "- {type: max_pool2d, kernel_size: 2}\n"
HEAD = "- global_avg_pool\n- {type: dense, units: auto}\n"
MOBILE = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)]  # channels, filters, stride

NETWORKS = {
    "mlp": Network((28, 28, 1), "- flatten\n- {type: dense, units: 512}\n- relu\n- {type: dense, units: auto}\n"),
    "lenet": Network(
        (28, 28, 1),
        f"- {{type: conv2d, filters: 20, kernel_size: 5}}\n{POOL}"
        f"- {{type: conv2d, filters: 50, kernel_size: 5}}\n{POOL}"
        "- flatten\n- {type: dense, units: 500}\n- relu\n- {type: dense, units: auto}\n",
    ),
    "vgg_small": Network(
        (32, 32, 3),
        _conv(32) + _conv(32) + POOL + _conv(64) + _conv(64) + POOL
        + "- flatten\n- {type: dense, units: 256}\n- relu\n- {type: dense, units: auto}\n",
    ),
    "resnet20": Network(
        (32, 32, 3),
        _conv(16, norm=True)
        + "".join(_block(f, 2 if f > 16 and i == 0 else 1) for f in (16, 32, 64) for i in range(3))
        + HEAD,
    ),
    "vgg_wide": Network(
        (32, 32, 3),
        "".join(_conv(f, norm=True) + _conv(f, norm=True) + POOL for f in (64, 128, 256)) + HEAD,
    ),
    "mobilenet": Network(
        (32, 32, 3), _conv(32, norm=True) + "".join(_separable(*block) for block in MOBILE) + HEAD
    ),
}  # fmt: skip

CLASSES = 10

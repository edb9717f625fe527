"""What a layer says when its inputs do not fit."""

from __future__ import annotations

import pytest

from cnntrain import registry


@pytest.mark.parametrize(
    ("name", "fields", "inputs", "message"),
    [
        ("conv2d", {"filters": 2, "kernel_size": 3}, [(5,)],
         "conv2d needs an image (height, width, channels), got (5,)"),
        ("conv2d", {"filters": 2, "kernel_size": 5}, [(4, 9, 1)],
         "the kernel spans 5 positions, the input's height is 4: use a kernel of at most 4, or more padding"),
        ("conv2d", {"filters": 4, "kernel_size": 3, "groups": 2}, [(5, 5, 3)],
         "groups 2 does not divide the 3 channels of the input: use one of [1, 3]"),
        ("conv2d", {"filters": 3, "kernel_size": 3, "groups": 2}, [(5, 5, 4)],
         "groups 2 does not divide the 3 filters: use one of [1, 3]"),
        ("conv2d", {"filters": "auto", "kernel_size": 3}, [(5, 5, 4)],
         "the width is 'auto': only the builder, who knows the classes, can resolve it"),
        ("dense", {"units": 3}, [(4, 4, 2)],
         "dense needs features, got an image (4, 4, 2): put flatten or global_avg_pool before"),
        ("max_pool2d", {"kernel_size": 3}, [(7,)], "max_pool2d needs an image (height, width, channels), got (7,)"),
        ("max_pool2d", {"kernel_size": 3}, [(2, 5, 1)],
         "the kernel spans 3 positions, the input's height is 2: use a kernel of at most 2, or more padding"),
        ("avg_pool2d", {"kernel_size": 3, "padding": 2}, [(9, 9, 1)],
         "padding 2 is more than half the kernel's 3: a window could lie in the padding alone"),
        ("global_avg_pool", {}, [(4,)], "global_avg_pool needs an image (height, width, channels), got (4,)"),
        ("add", {}, [(2, 3, 1), (2, 3, 2)], "add needs inputs of one shape, got (2, 3, 1) and (2, 3, 2)"),
        ("concat", {}, [(2, 3, 1), (2, 4, 1)],
         "concat needs inputs that agree in all but channels, got (2, 3, 1) and (2, 4, 1)"),
        ("pad_shortcut", {"filters": 2}, [(3, 3, 4)],
         "pad_shortcut adds channels: filters must be at least 4, got 2"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit(name, fields, inputs, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        registry.make("layers", name, **fields).output_shape(*inputs)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("conv2d", {"filters": 0, "kernel_size": 3}, "filters must be at least 1, got 0"),
        ("conv2d", {"filters": 1, "kernel_size": (3, 0)}, "kernel_size must be at least 1, got 0"),
        ("conv2d", {"filters": 1, "kernel_size": 3, "padding": (1, -1, 0, 0)}, "padding must be at least 0, got -1"),
        ("dropout", {"rate": 1.0}, r"rate must be in \[0, 1\), got 1.0"),
        ("leaky_relu", {"slope": 0.0}, r"slope must be in \(0, 1\], got 0.0"),
        ("batch_norm", {"eps": 0.0}, "eps must be greater than 0"),
        ("batch_norm", {"momentum": 1.5}, r"momentum must be in \[0, 1\], got 1.5"),
    ],
)
def test_values_out_of_range(name, fields, message):
    with pytest.raises(ValueError, match=message):
        registry.make("layers", name, **fields)

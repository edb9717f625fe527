"""What a layer says when its inputs do not fit."""

from __future__ import annotations

import pytest

from cnntrain.core import registry


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
         "the width is 'auto': only the builder, which knows the classes, can resolve it"),
        ("dense", {"units": 3}, [(4, 4, 2)],
         "dense needs features, got an image (4, 4, 2): put flatten or global_avg_pool before"),
        ("max_pool2d", {"kernel_size": 3}, [(7,)], "max_pool2d needs an image (height, width, channels), got (7,)"),
        ("max_pool2d", {"kernel_size": 3}, [(2, 5, 1)],
         "the kernel spans 3 positions, the input's height is 2: use a kernel of at most 2, or more padding"),
        ("avg_pool2d", {"kernel_size": 3, "padding": 2}, [(9, 9, 1)],
         "padding 2 is more than half the kernel's 3: a window could lie in the padding alone"),
        ("global_avg_pool", {}, [(4,)], "global_avg_pool needs an image (height, width, channels) or a clip, got (4,)"),
        ("add", {}, [(2, 3, 1), (2, 3, 2)], "add needs inputs of one shape, got (2, 3, 1) and (2, 3, 2)"),
        ("concat", {}, [(2, 3, 1), (2, 4, 1)],
         "concat needs inputs that agree in all but channels, got (2, 3, 1) and (2, 4, 1)"),
        ("pad_shortcut", {"filters": 2}, [(3, 3, 4)],
         "pad_shortcut adds channels: filters must be at least 4, got 2"),
        ("conv_transpose2d", {"filters": 2, "kernel_size": 3, "padding": 4}, [(3, 3, 1)],
         "padding 4 cuts everything off: the output would be -3x-3"),
        ("conv_transpose2d", {"filters": 2, "kernel_size": 3, "groups": 2}, [(5, 5, 3)],
         "groups 2 does not divide the 3 channels of the input: use one of [1, 3]"),
        ("group_norm", {}, [(4, 4, 48)],
         "groups 32 does not divide the 48 channels: use one of [1, 2, 3, 4, 6, 8, 12, 16, 24, 48]"),
        ("instance_norm", {}, [(1, 1, 4)], "instance_norm needs more than one pixel a channel, got (1, 1, 4)"),
        ("multiply", {}, [(2, 2, 3), (2,)],
         "multiply needs inputs of one shape, or features with as many values as the image has channels, "
         "got (2, 2, 3) and (2,)"),
        ("crop2d", {"cropping": 2}, [(4, 9, 1)], "crop2d would leave nothing of an image (4, 9, 1): cropping is 2"),
        ("pixel_shuffle", {"factor": 2}, [(4, 4, 6)], "pixel_shuffle by 2 needs a multiple of 4 channels, got 6"),
        ("reshape", {"shape": (2, 2, 2)}, [(3, 3, 1)],
         "reshape cannot make (2, 2, 2) of (3, 3, 1): 9 values, not 8"),
        ("lrn", {}, [(4,)], "lrn needs an image (height, width, channels), got (4,)"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit(name, fields, inputs, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        registry.make("layers", name, **fields).output_shape(*inputs)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", registry.own("layers"))
def test_a_layer_that_refuses_a_shape_names_no_other(name):
    """Such as the layer of images by which it computes."""
    cls = registry.own("layers")[name]
    for one in cls.examples:
        for shape in ((4,), (1, 1, 3), (2, 2, 2, 2), (1, 1, 1, 1, 1)):
            try:
                cls(**one.fields).output_shape(*[shape] * len(one.inputs))
            except ValueError as error:
                assert str(error).split()[0] not in {*registry.own("layers")} - {name}  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("conv2d", {"filters": 0, "kernel_size": 3}, "filters must be at least 1, got 0"),
        ("conv2d", {"filters": 1, "kernel_size": (3, 0)}, "kernel_size must be at least 1, got 0"),
        ("conv2d", {"filters": 1, "kernel_size": 3, "padding": (1, -1, 0, 0)}, "padding must be at least 0, got -1"),
        ("dropout", {"rate": 1.0}, r"rate must be in \[0, 1\), got 1.0"),
        ("leaky_relu", {"slope": 0.0}, r"slope must be in \(0, 1\], got 0.0"),
        (
            "conv_transpose2d",
            {"filters": 1, "kernel_size": 3, "output_padding": 1},
            "output_padding must be less than the stride of 1, got 1",
        ),
        ("hard_tanh", {"low": 1.0, "high": 0.5}, "low must be below high, got low 1 and high 0.5"),
        ("reshape", {"shape": (2, 3)}, r"shape must be \[features\], .*, got \[2, 3\]"),
        ("denormalize", {"mean": (1e39,), "std": (1.0,)}, r"mean has 1e\+39, which float32 does not hold: bring"),
        ("denormalize", {"mean": (0.0,), "std": (1e-50,)}, "std has 1e-50, which float32 does not hold: bring"),
        ("batch_norm", {"eps": 0.0}, "eps must be greater than 0"),
        ("batch_norm", {"momentum": 1.5}, r"momentum must be in \[0, 1\], got 1.5"),
    ],
)
def test_values_out_of_range(name, fields, message):
    with pytest.raises(ValueError, match=message):
        registry.make("layers", name, **fields)

"""A network of every kind of layer trains to the same bits on one, two and three threads.

In tests/engine/test_every_layer.py every registered layer does, new ones by their examples.
"""

from __future__ import annotations

import numpy as np

from cnntrain.cli import main
from cnntrain.config.dump import plain, to_yaml
from cnntrain.config.fields import Declared
from cnntrain.engine.pool import Pool
from tests.support.experiments import evidence
from tests.support.networks import declared as d
from tests.support.networks import engine_of, random_batch

KEEPING = """
    relu relu6 leaky_relu tanh sigmoid hard_tanh hard_sigmoid elu selu softplus silu mish gelu hard_swish prelu softmax
    log_softmax identity scale lrn batch_norm layer_norm rms_norm instance_norm group_norm dropout spatial_dropout2d
    drop_path alpha_dropout gaussian_noise depthwise_conv2d
"""  # layers that keep an image's shape
TOLD = {  # what they must be told
    "gaussian_noise": {"std": 0.1},
    "group_norm": {"groups": 2},
    "depthwise_conv2d": {"kernel_size": 3, "padding": 1},
}


def every_layer() -> list[Declared]:
    """Each layer of the catalogue at least once."""
    return [
        d("conv2d", filters=8, kernel_size=3, padding="same", name="stem"),
        *(d(name, **TOLD.get(name, {})) for name in KEEPING.split()),
        d("conv2d", filters=8, kernel_size=3, padding="same", name="again"),
        d("add", from_=("again", "stem")),
        d("multiply", from_=("again", "stem"), name="product"),
        d("concat", from_=("again", "product", "add_1")),
        d("max_pool2d", kernel_size=2),
        d("pad_shortcut", filters=32),
        d("pixel_shuffle", factor=2),
        d("avg_pool2d", kernel_size=2),
        d("conv_transpose2d", filters=4, kernel_size=2, stride=2),
        d("upsample", mode="bilinear"),
        d("zero_pad2d", padding=1),
        d("crop2d", cropping=2),
        d("adaptive_avg_pool2d", output_size=3),
        d("reshape", shape=(3, 2, 6)),
        d("squeeze_excite", reduction=2),
        d("flatten", name="flat"),
        d("global_avg_pool", from_="squeeze_excite_1", name="mean"),
        d("global_max_pool", from_="squeeze_excite_1", name="most"),
        d("concat", from_=("flat", "mean", "most")),
        d("dense", units=3),
    ]


def trained(threads: int) -> tuple[np.ndarray, np.ndarray]:
    with Pool(threads) as pool:
        engine = engine_of(every_layer(), pool, shard=4)
        for step in range(3):
            engine.step([random_batch(18, seed=step)], step)
            engine.params[: engine.graph.layout.trained] -= 0.01 * engine.grads[: engine.graph.layout.trained]
        return engine.params.copy(), engine.grads.copy()


def test_any_number_of_threads_gives_the_same_bits():
    one = trained(1)
    assert np.isfinite(one[0]).all()
    for threads in (2, 3):
        for a, b in zip(one, trained(threads), strict=True):
            np.testing.assert_array_equal(a, b)


def test_fit_ends_with_the_same_digests_for_j_1_2_and_3(tmp_path):
    """The command's own path, with an optimizer, validation and augmentation: every array and every metric."""
    config = tmp_path / "every.yaml"
    data = {
        "source": {"type": "synthetic", "size": 8, "channels": 3, "classes": 3, "samples": 44},
        "val": 0.2,
        "train_transforms": ["hflip", {"type": "random_crop", "padding": 1}, "mixup"],
    }
    experiment = {
        "data": data,
        "model": {"layers": [plain(layer) for layer in every_layer()]},
        "optimizer": {"type": "adam", "lr": 1e-3},
        "train": {"epochs": 2, "batch_size": 17},
    }
    config.write_text(to_yaml(experiment))
    found = []
    for threads in (1, 2, 3):
        directory = tmp_path / str(threads)
        assert main(["fit", str(config), "-j", str(threads), "-o", str(directory), "-q"]) == 0
        found.append(evidence(directory))
    assert len(found[0][0]) > 50
    assert found[0] == found[1] == found[2]

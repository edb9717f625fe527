"""The reference networks in TensorFlow, in its own operations: faster here than through Keras's layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tests.benchmarks.networks import NETWORKS, Block, Conv, Dense, Flatten, Inverted, Mean, Part, Pool

LR, MOMENTUM = 0.01, 0.9


class Model:
    """A network's variables, made when it is first applied, and its forward pass."""

    def __init__(self, network: str, training: bool) -> None:
        self._parts, self._training = NETWORKS[network].parts, training
        self._made: list[tf.Variable] = []
        self._trained: list[tf.Variable] = []
        self._next = 0

    @property
    def trained(self) -> list[tf.Variable]:
        """The variables that have a gradient."""
        return self._trained

    def __call__(self, x: Any) -> Any:
        """Logits of a batch, NHWC."""
        self._next = 0
        for part in self._parts:
            x = self._apply(part, x)
        return x

    def _variable(self, values: Any, trained: bool = True) -> Any:
        """The next variable in order of use, with these first values."""
        if self._next == len(self._made):
            with tf.init_scope():
                self._made.append(tf.Variable(values(), trainable=trained))
            if trained:
                self._trained.append(self._made[-1])
        self._next += 1
        return self._made[self._next - 1]

    def _weights(self, *shape: int, fan_in: int) -> Any:
        return self._variable(lambda: tf.random.normal(shape, stddev=math.sqrt(2 / fan_in)))

    def _apply(self, part: Part, x: Any) -> Any:
        match part:
            case Conv():
                return self._conv(part, x)
            case Block() | Inverted():
                y = x
                for conv in part.body:
                    y = self._conv(conv, y)
                if isinstance(part, Inverted):
                    return y + x if part.added else y
                same = part.stride == 1 and part.filters == x.shape[-1]
                return tf.nn.relu(y + (x if same else self._conv(part.shortcut, x)))
            case Pool():
                return tf.nn.max_pool2d(x, part.kernel_size, part.stride, "SAME" if part.padding else "VALID")
            case Mean():
                return tf.reduce_mean(x, (1, 2))
            case Flatten():
                return tf.reshape(x, (x.shape[0], -1))
            case Dense():
                features = x.shape[-1]
                y = tf.matmul(x, self._weights(features, part.units, fan_in=features))
                y = tf.nn.bias_add(y, self._variable(lambda: tf.zeros(part.units)))
                return tf.nn.relu(y) if part.relu else y

    def _conv(self, part: Conv, x: Any) -> Any:
        k, c, pad = part.kernel_size, x.shape[-1], part.padding
        padding = [(0, 0), (pad, pad), (pad, pad), (0, 0)]
        if part.depthwise:
            # Explicit padding is for conv2d alone; SAME pads as much, all of it below and right where the stride is 2.
            weights = self._weights(k, k, c, 1, fan_in=k * k)
            y = tf.nn.depthwise_conv2d(x, weights, (1, part.stride, part.stride, 1), "SAME" if pad else "VALID")
        else:
            y = tf.nn.conv2d(x, self._weights(k, k, c, part.filters, fan_in=k * k * c), part.stride, padding)
        y = self._norm(y) if part.norm else tf.nn.bias_add(y, self._variable(lambda: tf.zeros(part.filters)))
        return {"relu": tf.nn.relu, "relu6": tf.nn.relu6}[part.activation](y) if part.activation else y

    def _norm(self, x: Any) -> Any:
        c = x.shape[-1]
        scale, shift = self._variable(lambda: tf.ones(c)), self._variable(lambda: tf.zeros(c))
        mean, variance = self._variable(lambda: tf.zeros(c), False), self._variable(lambda: tf.ones(c), False)
        y, new_mean, new_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=shift, mean=mean, variance=variance,
            epsilon=1e-5, exponential_avg_factor=0.1, is_training=self._training,
        )  # fmt: skip
        if self._training:
            mean.assign(new_mean)
            variance.assign(new_variance)
        return y


def step_of(network: str, batch: int, threads: int, inference: bool, mode: str) -> Callable[[], object]:
    """A training step, or the outputs of a batch, as a `tf.function`; `mode` is "function" or "xla"."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.random.set_seed(0)
    model = Model(network, training=not inference)
    x = tf.random.uniform((batch, *NETWORKS[network].shape))
    labels = tf.random.uniform((batch,), maxval=NETWORKS[network].classes, dtype=tf.int32)
    model(x)  # makes the variables
    velocities = [tf.Variable(tf.zeros_like(variable)) for variable in model.trained]

    @tf.function(jit_compile=mode == "xla", autograph=False)  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(x)))
        for variable, velocity, gradient in zip(
            model.trained, velocities, tape.gradient(loss, model.trained), strict=True
        ):
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle, accum=velocity.handle, lr=LR, grad=gradient, momentum=MOMENTUM
            )
        return loss

    @tf.function(jit_compile=mode == "xla", autograph=False)  # type: ignore[untyped-decorator]
    def infer() -> Any:
        return model(x)

    chosen = infer if inference else step
    return lambda: chosen().numpy()

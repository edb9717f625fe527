"""Networks without convolutions: a linear classifier and the multilayer perceptron."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.config.fields import PositiveInt, Rate
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Entries, Preset, layer


@register("linear")
@dataclass(frozen=True)
class Linear(Preset):
    """Softmax regression: one dense layer on the pixels."""

    def layers(self) -> Entries:
        """Flatten, dense."""
        return layer("flatten"), layer("dense", units="auto")


@register("mlp")
@dataclass(frozen=True)
class Mlp(Preset):
    """A multilayer perceptron of relu units; by default LeNet-300-100 (LeCun et al. 1998), rectified."""

    hidden: tuple[PositiveInt, ...] = (300, 100)  # units of each hidden layer
    dropout: Rate = 0.0  # dropout rate after each hidden layer

    def layers(self) -> Entries:
        """Flatten, then dense and relu for each width."""
        entries = [layer("flatten")]
        for units in self.hidden:
            entries += [layer("dense", units=units), layer("relu")]
            if self.dropout:
                entries.append(layer("dropout", rate=self.dropout))
        return *entries, layer("dense", units="auto")

"""Advice: settings that are allowed but rarely meant, as warnings with codes that can be silenced.

`warnings: {ignore: [code]}` in the config silences one. Codes are never renamed. Only what is probably a mistake is
warned about: weight decay under a schedule that ends at zero, or a bias before batch norm, are everyday recipes and
harmless, unless the learning rate, by which the decay is multiplied, is next to nothing for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from cnntrain.config.dump import plain
from cnntrain.config.fields import Duration
from cnntrain.config.load import Loaded, problem
from cnntrain.config.schema import Experiment
from cnntrain.core.registry import did_you_mean
from cnntrain.data import build_data
from cnntrain.data.build_data import Data
from cnntrain.network import build
from cnntrain.network.build import Network
from cnntrain.network.graph import BATCH, Graph, Node
from cnntrain.parts.layers.base import Coupled
from cnntrain.parts.schedules.base import Horizon, Schedule
from cnntrain.parts.transforms.base import Transform
from cnntrain.training import data_advice

PROBES = 200  # steps at which a schedule is looked at
IDLE = 0.1  # share of the steps without a learning rate that is worth a warning
FADED = 1e-3  # share of its largest at which the rate is next to nothing; a cosine is below in the last 2% of steps


@dataclass(frozen=True)
class Situation:
    """What rules judge. `data` is None where it has not been read, `horizon` where only the data tells it."""

    loaded: Loaded
    network: Network
    horizon: Horizon | None
    data: Data | None = None

    @property
    def experiment(self) -> Experiment:
        """What the config says."""
        return self.loaded.experiment

    @property
    def graph(self) -> Graph:
        """The nodes."""
        return self.network.graph


@dataclass(frozen=True)
class Rule:
    """One warning: what it is about, for the reference, and how it is found."""

    about: str
    find: Callable[[Situation], str | None]


def _no_validation(at: Situation) -> str | None:
    if build_data.validates(at.experiment):
        return None
    return "no validation split: 'best' is judged by train/loss. Set data.val, for example to 0.1"


def _unused_validation(at: Situation) -> str | None:
    if not build_data.spare_validation(at.experiment):
        return None
    return (
        "the data has a validation split of its own, and data.val is given: that split goes unused, its samples are in "
        "no other. Set data.val to null to validate on it"
    )


def _no_shuffle(at: Situation) -> str | None:
    if at.experiment.train.order.name_in_config != "sequential":
        return None
    return (
        "train.order is sequential: every epoch has the same batches, and files sorted by class make batches of one. "
        "Leave train.order out to shuffle"
    )


def _augmentation_in_eval(at: Situation) -> str | None:
    names = [t.name_in_config for t in build_data.transforms(at.experiment.data.eval_transforms) if t.random]
    if not names:
        return None
    return f"eval_transforms change images at random ({', '.join(names)}): evaluation should see them as they are"


def _transforms_differ(at: Situation) -> str | None:
    data = at.experiment.data
    steady = [_steady(build_data.transforms(parts)) for parts in (data.train_transforms, data.eval_transforms)]
    if steady[0] == steady[1]:
        return None
    here, there = ([entry["type"] for entry in entries] for entries in steady)
    if here != there:
        what = f"{' and '.join(here) or 'nothing'}, evaluation images {' and '.join(there) or 'nothing'}"
        return f"training images get {what}: the network is judged on values it was not trained on. Use the same"
    return f"{' and '.join(here)} differs between train_transforms and eval_transforms. Use the same settings"


def _steady(transforms: tuple[Transform, ...]) -> list[Any]:
    """The transforms that change values, always the same way, and keep the shape."""
    probe = (32, 48, 3)
    found = []
    for transform in transforms:
        try:
            keeps = transform.output_shape(probe) == probe
        except ValueError:  # one that wants other channels or sides than the probe's
            keeps = False
        if keeps and not transform.random and not transform.moves_pixels_only:
            found.append(plain(transform))
    return found


def _destroyed_pixels(at: Situation) -> str | None:
    for name in ("train_transforms", "eval_transforms"):
        before: Transform | None = None  # the one after which values are no longer pixels
        for index, transform in enumerate(build_data.transforms(getattr(at.experiment.data, name))):
            if before is not None and transform.takes_pixels:
                return (
                    f"{transform.name_in_config} after {before.name_in_config} takes values for pixels in [0, 1] and "
                    f"destroys the others. Put it before ({at.loaded.where(f'data.{name}.{index}')})"
                )
            if transform.brings_pixels:
                before = None
            elif not transform.gives_pixels:
                before = before or transform
    return None


def _batch_norm_momentum(at: Situation) -> str | None:
    for node in _over_the_batch(at.graph):
        momentum: float = getattr(node.layer, "momentum", 0.1)
        if momentum >= 0.9:
            return (
                f"{node.name} has momentum {momentum:g}: it is the weight of the new value, 0.1 by default; "
                f"Keras's 0.99 is written 0.01 here ({node.where})"
            )
    return None


def _batch_norm_of_one(at: Situation) -> str | None:
    coupled = next((node for node in _over_the_batch(at.graph) if node.coupled), None)
    if at.experiment.train.batch_size > 1 or coupled is None:
        return None
    return f"{coupled.layer.name_in_config} with batch_size 1 normalizes every sample by itself"


def _mixing_of_one(at: Situation) -> str | None:
    mixing = [t.name_in_config for t in build_data.transforms(at.experiment.data.train_transforms) if t.on == "pair"]
    if at.experiment.train.batch_size > 1 or not mixing:
        return None
    return f"{mixing[0]} with batch_size 1 mixes every sample with itself: it does nothing. Raise train.batch_size"


def _dropout_before_batch_norm(at: Situation) -> str | None:
    for node in _over_the_batch(at.graph):
        before = _before(at.graph, node)
        while before is not None and _is_activation(before):
            before = _before(at.graph, before)
        if before is not None and before.layer.random:
            return (
                f"{before.name} right before {node.name}: it changes the variance that batch norm remembers, so "
                f"evaluation sees another one. Put it after the batch norm ({before.where})"
            )
    return None


def _probabilities_before_loss(at: Situation) -> str | None:
    last, loss = at.graph.nodes[-1], _from_logits(at.experiment.loss)
    if loss is None or not last.layer.emits_probabilities:
        return None
    return (
        f"{last.name} before {loss}, which takes logits and squashes them itself: gradients become small. "
        f"Remove the {last.layer.name_in_config} ({last.where})"
    )


def _rectifier_before_loss(at: Situation) -> str | None:
    last, loss = at.graph.nodes[-1], _from_logits(at.experiment.loss)
    if loss is None or not last.layer.rectifies:
        return None
    return f"{last.name} before {loss}: no logit can be negative. End with the dense layer itself ({last.where})"


def _dropout_before_loss(at: Situation) -> str | None:
    last = at.graph.nodes[-1]
    if not last.layer.random:
        return None
    return f"{last.name} is the last layer: it disturbs the outputs. Put it before the layer above ({last.where})"


def _dense_without_activation(at: Situation) -> str | None:
    if at.experiment.model.preset is not None:  # as in Caffe's cifar10_quick
        return None
    for node in filter(_is_dense, at.graph.nodes):
        before = _before(at.graph, node)
        while before is not None and before.layer.affine_map and not _is_dense(before):
            before = _before(at.graph, before)
        if before is not None and _is_dense(before):
            return (
                f"nothing but linear layers between {before.name} and {node.name}: together they can do no more than "
                f"one of them. Put an activation such as relu between ({node.where})"
            )
    return None


def _nothing_trained(at: Situation) -> str | None:
    return None if at.graph.layout.trained else "no parameter is trained: the network has none, or all are frozen"


def _warmup_beyond_end(at: Situation) -> str | None:
    warmup, horizon = getattr(at.experiment.schedule, "warmup", None), at.horizon
    if warmup is None or horizon is None:
        return None
    duration = warmup if isinstance(warmup, Duration) else warmup.duration
    steps = horizon.steps(duration)
    if steps < horizon.total_steps:
        return None
    return (
        f"the warm-up of {duration} lasts to the end of training or beyond: the learning rate never reaches "
        "optimizer.lr. Shorten schedule.warmup"
    )


def _milestone_beyond_end(at: Situation) -> str | None:
    schedules = {"schedule": at.experiment.schedule, "momentum_schedule": at.experiment.momentum_schedule}
    for name, chosen in schedules.items():
        milestones = getattr(chosen, "milestones", ())
        if not milestones or at.horizon is None:
            continue
        rise, rest = cast(Schedule, chosen).after_warmup(at.horizon)
        for milestone in milestones:
            if rise + rest.steps(milestone) >= at.horizon.total_steps:
                counted = f", counted from the end of the warm-up, step {rise}," if rise else ""
                return (
                    f"the milestone {milestone} of {name}{counted} is not before the end of training, which has "
                    f"{at.horizon.total_steps} steps: it does nothing. Train longer, or leave it out"
                )
    return None


def _freeze_beyond_end(at: Situation) -> str | None:
    horizon = at.horizon
    for index, rule in enumerate(at.experiment.train.freeze):
        if horizon is None or rule.until == rule.after:
            continue
        idle = f"the layers of {rule.match!r} are never trained"
        moments = {"until": (rule.until, idle), "after": (rule.after, "it does nothing")}
        for key, (moment, what) in moments.items():
            if moment is None or moment.unit == "%":  # 100% is meant so, whatever the length
                continue
            if horizon.steps(moment) >= horizon.total_steps:
                return (
                    f"train.freeze.{index}.{key} is {moment}, and training ends after step {horizon.total_steps}: "
                    f"{what}. Train longer, or choose an earlier time"
                )
    return None


def _average_beyond_end(at: Situation) -> str | None:
    start, horizon = getattr(at.experiment.train.average, "start", None), at.horizon
    if not isinstance(start, Duration) or horizon is None or horizon.steps(start) <= horizon.total_steps:
        return None
    return (
        f"train.average.start is {start}, and training ends after step {horizon.total_steps}: nothing is averaged. "
        "Begin earlier"
    )


def _idle_end(at: Situation) -> str | None:
    schedule, horizon = at.experiment.schedule, at.horizon
    lr = build.optimizer(at.experiment).lr
    if not lr:
        return "optimizer.lr is 0: nothing is learned"
    if horizon is None or not isinstance(schedule, Schedule):
        return None
    last = _last_above(1e-9, schedule, horizon, lr)
    if horizon.total_steps - last <= max(IDLE * horizon.total_steps, 2):
        return None
    return (
        f"the learning rate is 0 after step {last} of {horizon.total_steps}: from there on nothing is learned, and "
        "weight decay, which is multiplied by it, does nothing. Shorten train, or stretch the schedule"
    )


def _decay_fades(at: Situation) -> str | None:
    schedule, horizon, optimizer = at.experiment.schedule, at.horizon, build.optimizer(at.experiment)
    decays = optimizer.weight_decay or any(group.weight_decay for group in optimizer.groups)
    if horizon is None or not isinstance(schedule, Schedule) or not decays or not optimizer.lr:
        return None
    last = _last_above(FADED, schedule, horizon, optimizer.lr)
    if horizon.total_steps - last <= max(IDLE * horizon.total_steps, 2):
        return None
    return (
        f"the learning rate is below a thousandth of its largest after step {last} of {horizon.total_steps}, and "
        "weight_decay is multiplied by it: by then the weights are as small as they will be. Let the schedule end "
        "later or higher, or leave the decay out"
    )


def _last_above(share: float, schedule: Schedule, horizon: Horizon, lr: float) -> int:
    """The last of the steps looked at whose learning rate is above this share of the largest; 0 where none is."""
    steps = sorted({round(i * (horizon.total_steps - 1) / PROBES) for i in range(PROBES + 1)})
    rates = [schedule(step, horizon, lr) for step in steps]
    return max((step for step, rate in zip(steps, rates, strict=True) if rate > share * max(rates)), default=0)


def _coupled_decay(at: Situation) -> str | None:
    optimizer = build.optimizer(at.experiment)
    if not optimizer.divides_decay or not optimizer.weight_decay or optimizer.decoupled:
        return None
    return (
        f"{optimizer.name_in_config} with coupled weight_decay: it divides the decay by the gradient's size, so "
        "weights with large gradients hardly decay (Loshchilov and Hutter 2019). Set optimizer.decoupled: true, or "
        "use adamw"
    )


def _patience_beyond_end(at: Situation) -> str | None:
    train = at.experiment.train
    if train.early_stopping is None or train.epochs is None or train.early_stopping.patience < train.epochs:
        return None
    return (
        f"early_stopping.patience is {train.early_stopping.patience}, and training has {train.epochs} epochs: "
        "it can never stop early"
    )


def _metric_never_tells(at: Situation) -> str | None:
    tally = at.network.tally
    for metric in tally.metrics:
        if not metric.tells(tally.outputs):
            return f"{metric.label()} is the same for every network, there are {tally.outputs} classes. Leave it out"
    return None


def _empty_classes(at: Situation) -> str | None:
    return data_advice.empty_classes(at.data) if at.data else None


def _single_samples(at: Situation) -> str | None:
    return data_advice.single_samples(at.data) if at.data else None


def _classes_alike(at: Situation) -> str | None:
    return data_advice.classes_alike(at.data) if at.data else None


def _batch_beyond_data(at: Situation) -> str | None:
    if at.data is None or "train.batch_size" not in at.loaded.marks:  # the default is nobody's mistake
        return None
    return data_advice.batch_beyond_data(at.experiment, at.data)


def _targets_stay(at: Situation) -> str | None:
    return data_advice.targets_stay(at.experiment, at.data) if at.data else None


def _targets_cut_away(at: Situation) -> str | None:
    return data_advice.targets_cut_away(at.data) if at.data else None


RULES: dict[str, Rule] = {
    "no-validation": Rule("No validation split: the training loss says which checkpoint is best.", _no_validation),
    "unused-validation": Rule(
        "The data has a validation split of its own, which goes unused because `data.val` is given.", _unused_validation
    ),
    "no-shuffle": Rule("`train.order` is `sequential`.", _no_shuffle),
    "augmentation-in-eval": Rule("A random transform stands in `eval_transforms`.", _augmentation_in_eval),
    "transforms-differ": Rule("Training and evaluation images are normalized differently.", _transforms_differ),
    "destroyed-pixels": Rule(
        "A transform that takes pixels in [0, 1] stands after one that gives others, such as `normalize`.",
        _destroyed_pixels,
    ),
    "batch-norm-momentum": Rule("Batch norm has a momentum of 0.9 or more, as in Keras.", _batch_norm_momentum),
    "batch-norm-of-one": Rule("Batch norm is trained with `batch_size: 1`.", _batch_norm_of_one),
    "mixing-of-one": Rule("Samples are mixed with `batch_size: 1`.", _mixing_of_one),
    "dropout-before-batch-norm": Rule(
        "Dropout stands right before batch norm, which then remembers a variance that evaluation does not have "
        "(Li et al. 2018).",
        _dropout_before_batch_norm,
    ),
    "probabilities-before-loss": Rule(
        "The network ends with probabilities, of softmax or sigmoid for example, and the loss takes logits.",
        _probabilities_before_loss,
    ),
    "rectifier-before-loss": Rule("The network ends with relu, and the loss takes logits.", _rectifier_before_loss),
    "dropout-before-loss": Rule("The network ends with dropout.", _dropout_before_loss),
    "dense-without-activation": Rule("Two dense layers with no activation between.", _dense_without_activation),
    "nothing-trained": Rule("No parameter is trained.", _nothing_trained),
    "warmup-beyond-end": Rule("The warm-up lasts as long as the training, or longer.", _warmup_beyond_end),
    "milestone-beyond-end": Rule(
        "A milestone of `multistep` is at the end of training or beyond.", _milestone_beyond_end
    ),
    "freeze-beyond-end": Rule(
        "A rule of `train.freeze` has an `until` or `after` at the end of training or beyond.", _freeze_beyond_end
    ),
    "average-beyond-end": Rule("`train.average` begins after the end, or training ended before.", _average_beyond_end),
    "idle-end": Rule("The learning rate is 0 for the last tenth of training or more.", _idle_end),
    "decay-fades": Rule(
        "There is `weight_decay`, and the learning rate is next to 0 for the last tenth of training or more.",
        _decay_fades,
    ),
    "coupled-decay": Rule("Adam or a relative has `weight_decay` without `decoupled: true`.", _coupled_decay),
    "metric-never-tells": Rule(
        "A metric is the same for every network, such as the five largest of five outputs.", _metric_never_tells
    ),
    "empty-classes": Rule("A class has no training sample, as when labels begin at 1.", _empty_classes),
    "single-samples": Rule("None of ten or more classes has two samples, as in a column of values.", _single_samples),
    "classes-alike": Rule("Names of classes differ in capitals, spaces and hyphens alone.", _classes_alike),
    "batch-beyond-data": Rule("`train.batch_size` exceeds the number of training samples.", _batch_beyond_data),
    "targets-stay": Rule(
        "A transform moves what the picture shows, and targets that may be places in it stay.", _targets_stay
    ),
    "targets-cut-away": Rule("Boxes are out of view after `eval_transforms`.", _targets_cut_away),
    "patience-beyond-end": Rule("Early stopping has more patience than there are epochs.", _patience_beyond_end),
}


LATER: dict[str, str] = {  # found only with a parent, every file or the training itself -> what it is about
    "raw-weights-judged": "`checkpoint.best` judges weights other than the averaged ones, which evaluation uses.",
    "seen-before": "Validation samples were training samples of the run that `init_from` or a teacher names.",
    "other-range": "Pixels span another range than those on which the weights of `init_from` were trained.",
    "at-chance": "After 50 steps or more, the last answers are no better than ones that do not depend on the picture.",
    "leaked": "`check`: a sample is in training and in another split.",
    "mislabelled": "`check`: a sample is in two classes.",
    "alike": "`check`: a sample of another split looks like one of training.",
}


def check_codes(loaded: Loaded) -> None:
    """Raise ConfigError for an unknown code under warnings.ignore."""
    known = [*RULES, *LATER]
    for index, code in enumerate(loaded.experiment.warnings.ignore):
        if code not in known:
            path = f"warnings.ignore.{index}"
            raise problem(loaded, path, f"unknown warning code {code!r}{did_you_mean(code, known)}")


def of(loaded: Loaded, network: Network, horizon: Horizon | None = None, data: Data | None = None) -> Iterator[str]:
    """The warnings for an experiment, less those it ignores; the last two are None where the data was not read."""
    situation = Situation(loaded, network, horizon, data)
    for code, rule in RULES.items():
        if code not in loaded.experiment.warnings.ignore:
            yield from told(loaded, code, rule.find(situation))


def told(loaded: Loaded, code: str, message: str | None) -> Iterator[str]:
    """A message, if there is one, with the code that silences it; nothing where the config does."""
    if message and code not in loaded.experiment.warnings.ignore:
        yield f"{message} [{code}]"


def _from_logits(loss: Any) -> str | None:
    """The name of the loss, or of the first term of a sum, that takes logits; None where there is none."""
    return next((term.name_in_config for term in loss.summands() if term.from_logits), None)


def _over_the_batch(graph: Graph) -> Iterator[Node]:
    """The nodes that take statistics over the batch and remember them, frozen ones included."""
    return (node for node in graph.nodes if isinstance(node.layer, Coupled))


def _is_dense(node: Node) -> bool:
    return node.layer.name_in_config == "dense"


def _before(graph: Graph, node: Node) -> Node | None:
    """The node that it reads, where there is one and it is not the batch."""
    return graph.nodes[node.inputs[0]] if len(node.inputs) == 1 and node.inputs[0] != BATCH else None


def _is_activation(node: Node) -> bool:
    """Whether a node may be passed over on the way back: it has no parameters, and works value by value."""
    return node.layer.inplace and not node.params and not node.layer.random

"""A task is what a network is asked: what targets are, what outputs mean, how answers are reported and judged.

Everything that depends on it is in one file of this folder, and in the losses and metrics made for its targets. The
rest of the package calls the methods below and never asks which task it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.description import CLASSES, VALUES, Description, size_text
from cnntrain.core.display import Annotation, Answer, Gallery, Rendering, Section
from cnntrain.core.errors import printable
from cnntrain.core.figures import measure
from cnntrain.core.letters import isolated
from cnntrain.core.moves import Move
from cnntrain.core.registry import Part


class Scoring(Protocol):
    """What a task asks of a loss or of one of its terms."""

    @property
    def name_in_config(self) -> str:
        """What a message calls it."""

    @property
    def scores(self) -> tuple[str, ...]:
        """The targets it can score outputs against."""

    @property
    def yes_or_no(self) -> bool:
        """Whether each output is the logit of a separate yes-or-no question."""

    def summands(self) -> Sequence[Scoring]:
        """What it adds up; itself where it is no sum."""


class Measuring(Protocol):
    """What a task asks of a metric."""

    @property
    def name_in_config(self) -> str:
        """What a message calls it."""

    @property
    def scores(self) -> tuple[str, ...]:
        """The targets it can compare outputs with."""


@dataclass(frozen=True)
class Evaluation:
    """What is known of a network's outputs for the samples of a split at `indices` (n,), beside their targets.

    `outputs` are the outputs (n, units) themselves, or what `Task.kept` makes of them.
    """

    data: Description
    split: str
    indices: Array
    targets: Array
    outputs: Array


@dataclass(frozen=True)
class Explained:
    """Samples whose answer is to be explained by places in the picture: positions (n,), the output asked about (n,)."""

    positions: Array
    outputs: Array
    captions: Sequence[tuple[str, ...]]


OWN = "the network's own answer"
_TOLD = 3  # values in a caption


@dataclass(frozen=True)
class Supposed:
    """What the truth might be of some samples: targets (n, ...), and why, where nobody has named it."""

    targets: Array
    why: str = ""


@dataclass(frozen=True)
class Start:
    """What the task adds to a first config: lines of YAML, as `init` writes them."""

    loss: str  # a whole line; empty where the default will do
    optimizer: str  # a whole line
    metrics: tuple[str, ...]  # empty where the default will do
    monitor: str  # what the best epoch is judged by
    unit: str  # what each output is: "score for each class"
    shifts: bool  # whether a picture keeps its target when it is shifted a little
    head_alone: bool = False  # whether a network that classifies photographs fits, all but its last layer


@dataclass(frozen=True)
class Task(Part):
    """Base of every task.

    A task is found by the data's `Description.target` and, where several tasks share it, by the loss (`answered_by`).
    One that would answer to the losses of another is `asked_by_name`: only a config that says `task: NAME` has it.
    Targets are one array, its first axis the samples: labels (n,) int64, rows (n, k) float32, or records with named
    fields (a structured dtype), where a target has several parts or a number of them that varies. `predict` has no
    targets and takes `blank` ones.
    """

    kind: ClassVar[str] = "tasks"
    examples: ClassVar[tuple[Description, ...]] = ()  # data it is made for: every contract test runs over these
    target: ClassVar[str]  # what the data's targets are: Description.target
    shares: ClassVar[Literal["softmax", "sigmoid", ""]] = ""  # what turns outputs into the probabilities of answers
    asked_by_name: ClassVar[bool] = False  # whether it is the task only where a config names it
    loss: ClassVar[str]  # the default
    metrics: ClassVar[tuple[str, ...]] = ()  # measured in training unless the config says which
    usual_metrics: ClassVar[tuple[str, ...]]  # what a message proposes, the most telling first
    measures: ClassVar[Mapping[str, str]] = {}  # what `measured` gives, in a sentence: larger is better, in [0, 1]
    mixes: ClassVar[bool] = True  # whether weighted sums of targets mean anything: `mixable`
    renders: ClassVar[tuple[str, ...]] = ()  # suffixes of what `rendered` gives, if answers can be shown on the picture
    remains: ClassVar[str] = ""  # what an export leaves to its user to get from outputs to answers, in words
    ranks: ClassVar[bool] = False  # whether there is an order to its answers, of which the first few can be asked for
    annotates: ClassVar[bool] = False  # whether answers have the forms of annotation tools: `annotation`
    learned_from: ClassVar[str] = "sample"  # what teaches a class: a sample of it, a box, a pixel
    otherwise: ClassVar[str] = ""  # what to do where the targets were meant as classes
    follows: ClassVar[bool] = False  # whether targets are places in the picture, to be `moved` with what it shows

    # -- which task it is, and what fits it -----------------------------------------------------------------------

    def answered_by(self, loss: Scoring) -> bool:
        """Whether outputs trained on this loss mean what the task's answers mean."""
        return True

    def recognizes(self, targets: Array) -> bool:
        """Whether targets of the right kind look like this task's: what `init` goes by, where there is no loss yet."""
        return True

    def check_data(self, data: Description) -> None:
        """Raise ValueError where the data's targets are not those the task needs."""
        if data.target != self.target:
            raise ValueError(
                f"{self.name_in_config} needs {self.target}, the data has {data.target}: leave task out to have "
                "it inferred"
            )

    def check_targets(self, targets: Array) -> None:
        """Raise ValueError for targets that are of the right kind but not the task's."""

    def numbers(self, targets: Array) -> Array | None:
        """The values (n, values) on each of which the loss must be defined; None where targets are no numbers."""
        return None

    def check_loss(self, loss: Scoring) -> None:
        """Raise ValueError for a loss that does not score the task's targets, or reads its outputs differently."""
        for term in loss.summands():
            if self.target not in term.scores:
                raise ValueError(
                    f"{term.name_in_config} needs {' or '.join(term.scores)}, the data has {self.target}: "
                    f"use {self.loss}{self.otherwise if CLASSES in term.scores else ''}"
                )
        if not self.answered_by(loss):
            raise ValueError(f"{loss.name_in_config} does not fit the task {self.name_in_config}: use {self.loss}")

    def check_metric(self, metric: Measuring) -> None:
        """Raise ValueError for a metric that does not know the task's targets."""
        if self.target not in metric.scores:
            measured = f"none, {' and '.join(self.measures)} are measured anyway"
            raise ValueError(
                f"{metric.name_in_config} needs {' or '.join(metric.scores)}, the data has {self.target}: "
                f"use {' or '.join(self.usual_metrics) or measured}"
            )

    # -- the network ----------------------------------------------------------------------------------------------

    def outputs(self, data: Description) -> int:
        """How many outputs (at each place, where there are several) a network needs: `units: auto`."""
        raise NotImplementedError

    def counted(self, data: Description) -> int:
        """How many things a metric counts separately, such as classes: what `Metric.zeros` is given."""
        return self.outputs(data)

    # -- targets --------------------------------------------------------------------------------------------------

    def groups(self, data: Description) -> tuple[str, ...]:
        """Names of groups to exactly one of which each sample belongs; empty where there are no such groups."""
        return ()

    def labels(self, targets: Array, data: Description) -> Array | None:
        """The group of each sample, int64 (n,): for stratified splits, orders and balanced weights; None without."""
        return None

    def counts(self, targets: Array, data: Description) -> list[int] | None:
        """Samples of each group; None where there are no groups."""
        labels = self.labels(targets, data)
        return None if labels is None else np.bincount(labels, minlength=len(self.groups(data))).tolist()

    def occurrences(self, targets: Array, data: Description) -> list[int] | None:
        """How often each class occurs, for balanced class weights: in samples, or whatever a target is made of."""
        return self.counts(targets, data)

    def occurring(self, data: Description) -> tuple[str, ...]:
        """The names of what `occurrences` counts."""
        return self.groups(data)

    def mixable(self, targets: Array, data: Description) -> Array:
        """Targets in a form that weighted sums can be taken of, for mixup and the like: float rows (n, k)."""
        return targets

    def renumbered(self, targets: Array, numbers: Array) -> Array:
        """Targets with class k called `numbers[k]`."""
        return targets

    def blank(self, n: int, data: Description) -> Array:
        """Targets for n samples about which nothing is known; outputs do not depend on them."""
        raise NotImplementedError

    def random(self, n: int, data: Description, rng: np.random.Generator) -> Array:
        """Targets of n samples, which every loss for the task can score; for gradient checks."""
        raise NotImplementedError

    def moved(self, targets: Array, move: Move) -> Array:
        """Targets (n,) of samples after a transform moved what their pictures show: a new array.

        Asked where `follows` is true. Transforms that move something and cannot say where are then refused.
        """
        return targets

    def cut_away(self, before: Array, after: Array) -> str:
        """How much of targets is out of view `after` they were `moved`, in words after "leave out"; else empty."""
        return ""

    def joined(self, parts: Sequence[Array]) -> Array | None:
        """Targets (n,) of pictures that were put together, out of the `moved` ones of their parts; the first lead.

        None where targets cannot be put together: transforms that would do so are refused.
        """
        return None

    def things(self, targets: Array) -> Array | None:
        """Where things are in the pictures of targets (n,): boxes (n, most, 4) of x1, y1, x2, y2, NaN where none is.

        None where targets are no boxes. Transforms that look at things need them (`Transform.looks`), and contact
        sheets draw them.
        """
        return None

    def tinted(self, targets: Array) -> Array | None:
        """Colours that contact sheets lay over pictures: uint8 (n, h, w, 4) of red, green, blue and opacity.

        None where targets do not say something of every pixel.
        """
        return None

    def names(self, targets: Array, data: Description) -> list[str | None]:
        """What each sample is labelled as, where equal samples should be labelled alike; None where they need not."""
        return [None] * len(targets)

    def placed(self, targets: Array, names: Sequence[str]) -> bool:
        """Whether targets may be places, directions or sizes in the picture, which move where the picture is moved.

        `names` are what the source calls them; none where it does not.
        """
        return False

    def told(self, target: Any, data: Description) -> str:
        """One target, or a mixture, in a few words: the caption of a sample."""
        raise NotImplementedError

    # -- words ----------------------------------------------------------------------------------------------------

    def amount(self, data: Description, each: bool = False) -> str:
        """How much there is to say about a sample: "10 classes", or "3 values" ("3 values each")."""
        raise NotImplementedError

    def about(self, targets: Array, data: Description) -> str:
        """What the targets of a split are, for the head of a first config."""
        raise NotImplementedError

    def start(self, batch: int) -> Start:
        """What the task adds to a first config for batches of that size."""
        raise NotImplementedError

    def network(self, data: Description) -> tuple[str, ...]:
        """Lines of YAML below `model:` in a first config; by default none, for the layers that a classifier has."""
        return ()

    def ending(self, targets: Array, data: Description) -> str:
        """A layer that belongs after the last one of a network for such targets, in YAML; empty where none does."""
        return ""

    def within_reach(self, targets: Array) -> bool:
        """Whether a network without that `ending` learns such targets at usual learning rates."""
        return True

    def eps(self, targets: Array) -> float | None:
        """The `eps` of Adam and its kin that is as small beside gradients as usual; None where the usual one is."""
        return None

    # -- answers and judgement ------------------------------------------------------------------------------------

    def situated(self, outputs: Array, led: Move) -> Array:
        """What `answer` and `annotation` are asked about: the outputs for one sample in terms of its picture before
        that was `led` to the network; a new array where they are about places in it.
        """
        return outputs

    def answer(self, outputs: Array, data: Description, top: int = 1) -> Answer:
        """What the outputs for one sample say, `situated` in its picture; of ranked answers the first `top`."""
        raise NotImplementedError

    def annotation(self, outputs: Array, size: tuple[int, int], data: Description) -> Annotation:
        """The answer as an annotation of a picture of that size (height, width). Asked where `annotates` is true."""
        raise NotImplementedError

    def operating_point(self, judged: Array, data: Description) -> dict[str, float]:
        """The threshold that suits these samples best for answers to people, such as a score; empty without one.

        Asked of the validation samples that were `judged`, where the task has `measures`; a checkpoint keeps it.
        """
        return {}

    def operating_at(self, point: Mapping[str, Any]) -> Task:
        """This task at the operating point of a checkpoint. Raises ValueError where that is none of its own."""
        if point:
            raise ValueError(f"the task {self.name_in_config} has no operating point")
        return self

    def from_score(self, least: float) -> Task:
        """This task, answering with nothing of a lower score. Raises ValueError where answers have none to go by."""
        raise ValueError(f"an answer of the task {self.name_in_config} has no score below which it is left out")

    def page(self, data: Description) -> dict[str, Any] | None:
        """How a page that needs nothing else shows what outputs say: numbers, texts and lists of them.

        "as" is one of the functions of results/export/page/answers.js, which says what else it needs: ranked, separate,
        values, boxes, mask. None where none of them fits; such a network has no page.
        """
        return None

    def evaluated(self, data: Description) -> tuple[str, ...]:
        """Metrics that an evaluation always has, beside those of training; not computed in training steps."""
        raise NotImplementedError

    def blind(self, targets: Array, data: Description) -> dict[str, list[float]]:
        """By metric, the shares of samples that are right by answers which ignore the picture."""
        return {}

    def blind_outputs(self, targets: Array, data: Description) -> Array | None:
        """Good outputs that ignore the picture, for one loss or another: rows (m, units); None where unknown."""
        return None

    def rendered(self, picture: Array, outputs: Array, led: Move, data: Description) -> tuple[Rendering, ...]:
        """What the outputs for one sample say, shown on its picture, uint8 (h, w, 3); the first to be looked at.

        `led` took the picture to where the network saw it. Asked where `renders` is not empty.
        """
        return ()

    def compared(
        self, picture: Array, outputs: Array, target: Any, led: Move, data: Description, window: Array | None = None
    ) -> tuple[Array, ...]:
        """What is true and what the outputs say, shown on copies of a picture, to stand side by side: uint8 (h, w, 3).

        Of a `window` (x1, y1, x2, y2) alone where there is one, and enlarged by a whole factor where that helps.
        The target is that of the picture, before it was `led` to the network. Asked where `renders` is not empty.
        """
        raise NotImplementedError

    def judged(self, outputs: Array, targets: Array) -> Array:
        """What an evaluation keeps of each sample for its breakdown: numbers, the first axis the samples, n or none."""
        return np.zeros(len(outputs), np.int64)

    def kept(self, outputs: Array, targets: Array) -> Array:
        """What a report keeps of each sample: the outputs, or else numbers that take less memory, first axis as above.

        It is `Evaluation.outputs`.
        """
        return outputs

    def measured(self, judged: Array, data: Description) -> dict[str, float]:
        """The `measures` of all samples that were `judged`, which do not add up: for validation and the report."""
        return {}

    def remeasured(self, evaluation: Evaluation) -> dict[str, float]:
        """The `measures` of a report's evaluation."""
        judged = self.judged(evaluation.outputs, evaluation.targets)
        return self.measured(judged, evaluation.data)

    def breakdown(self, judged: Array, data: Description) -> dict[str, Any]:
        """Further entries of an evaluation, such as "per_class", that follow from what was `judged`."""
        return {}

    def apart(self, outputs: Array, targets: Array) -> Array:
        """Numbers about each output by itself that add up over samples: float64 (numbers, n, units); by default none.

        Outputs and targets are (n, units), n possibly 0.
        """
        return np.zeros((0, *outputs.shape))

    def figures(self, sums: Array, weight: float, data: Description) -> list[dict[str, Any]]:
        """What the sums (numbers, units) of `apart` over samples of that weight say: "name" and figures of each output.

        An evaluation has them as "per_value". A figure is None where nothing was seen that it could be of.
        """
        return []

    def census(self, targets: Array, data: Description) -> dict[str, Any]:
        """What `check` counts in the targets of a split: "per_class" where samples have one."""
        counts = self.counts(targets, data)
        return {} if counts is None else {"per_class": dict(zip(self.groups(data), counts, strict=True))}

    def reported(self, data: Description) -> tuple[str, ...]:
        """Metrics that a report lists, before the run's own."""
        return self.evaluated(data)

    def verdict(self, evaluation: Evaluation) -> str:
        """A sentence on how many answers are wrong; empty where nothing is simply wrong."""
        return ""

    def report(self, evaluation: Evaluation) -> list[Section]:
        """The sections of a report that depend on the task; the mistakes, `mistakes(...)`, among them."""
        raise NotImplementedError

    def mistakes(self, evaluation: Evaluation) -> Array:
        """Positions (m,) of the samples that count as mistakes, the worst first."""
        raise NotImplementedError

    def supposed(self, outputs: Array, data: Description, truth: str | None) -> Supposed | None:
        """What the truth might be of a sample of outputs (1, units): the one named, or one that follows from them.

        None where what outputs say is no target. Raises ValueError for a name that means nothing.
        """
        if truth is not None:
            raise ValueError(
                f"a sample of the task {self.name_in_config} has no single class, so that no true one can be named, "
                f"got {truth!r}. Leave it out"
            )
        return None

    def explained(self, evaluation: Evaluation, right: int, wrong: int) -> Explained | None:
        """Some right and wrong answers to be explained; None where an answer is not that of one output."""
        return None


@dataclass(frozen=True)
class OfValues(Task):
    """Base of the tasks whose targets are rows of numbers (n, k), one for each output."""

    target: ClassVar[str] = VALUES
    otherwise: ClassVar[str] = ", or, if they are one-hot labels, save the number of each class: y.argmax(1)"
    shown: ClassVar[int] = 24  # samples in the gallery
    worst: ClassVar[str] = "Under each, the values farthest from the truth. The largest squared errors come first."

    def numbers(self, targets: Array) -> Array | None:
        """A row of values for each sample."""
        return targets.reshape(len(targets), -1)

    def outputs(self, data: Description) -> int:
        """One for each value."""
        return data.values

    def blank(self, n: int, data: Description) -> Array:
        """Zeros."""
        return np.zeros((n, data.values), np.float32)

    def random(self, n: int, data: Description, rng: np.random.Generator) -> Array:
        """Values in [0, 1)."""
        return rng.random((n, data.values))

    def told(self, target: Any, data: Description) -> str:
        """The values."""
        return " ".join(map(measure, target.tolist()))

    def amount(self, data: Description, each: bool = False) -> str:
        """How many values there are."""
        return counted(data.values, "value") + " each" * each

    def values(self, outputs: Array) -> Array:
        """What outputs of any shape say, in the units of the targets."""
        return outputs

    def called(self, data: Description) -> tuple[str, ...]:
        """What the values are called: the names they have, else "value_1", "value_2", ..."""
        return data.columns or tuple(f"value_{number}" for number in range(1, data.values + 1))

    def page(self, data: Description) -> dict[str, Any] | None:
        """The values by their names; each a probability where the task has them."""
        return {"as": "separate" if self.shares == "sigmoid" else "values", "names": list(self.called(data))}

    def answer(self, outputs: Array, data: Description, top: int = 1) -> Answer:
        """The values, with the names they have."""
        values = self.values(outputs).tolist()
        named = {"by_name": dict(zip(data.columns, values, strict=True))} if data.columns else {}
        words = [f"{isolated(printable(name))} " for name in data.columns] or [""] * len(values)
        return Answer(
            "  ".join(f"{word}{measure(value)}" for word, value in zip(words, values, strict=True)),
            {"values": values, **named},
            self.called(data),
            (tuple(values),),
        )

    def figures(self, sums: Array, weight: float, data: Description) -> list[dict[str, Any]]:
        """A row for each value."""
        rows = zip(self.called(data), sums.T.tolist(), strict=True)
        return [{"name": name, **self.figures_of(row, weight)} for name, row in rows]

    def rows(self, outputs: Array, targets: Array, data: Description) -> list[dict[str, Any]]:
        """The figures of each value over these samples, (n, units) both."""
        return self.figures(self.apart(outputs, targets).sum(axis=1), len(targets), data)

    def figures_of(self, sums: Sequence[float], weight: float) -> dict[str, Any]:
        """The figures of one value, out of the sums of `apart`."""
        raise NotImplementedError

    def report(self, evaluation: Evaluation) -> list[Section]:
        """How each value fares, and the samples whose answers are farthest from the truth."""
        targets, data = evaluation.targets, evaluation.data
        outputs = evaluation.outputs.reshape(targets.shape)
        figures = self.rows(outputs, targets, data)
        positions = self.mistakes(evaluation)[: self.shown]
        pairs = zip(self.values(outputs[positions]), targets[positions], strict=True)
        captions = [self._caption(said, true, data) for said, true in pairs]
        nothing = f"None: every answer for {evaluation.split} is right."
        gallery = Gallery("mistakes", "worst mistakes", positions, captions, nothing)
        return [self.each(figures), Section("Worst mistakes", [gallery], self.worst if len(positions) else "")]

    def each(self, figures: list[dict[str, Any]]) -> Section:
        """The section of a report that lists the `figures` of each value."""
        raise NotImplementedError

    def mistakes(self, evaluation: Evaluation) -> Array:
        """All samples, those with the largest squared errors first."""
        targets = evaluation.targets
        errors = np.square(self.values(evaluation.outputs).reshape(targets.shape) - targets).mean(axis=1)
        return np.argsort(-errors, kind="stable")

    def _caption(self, said: Array, true: Array, data: Description) -> tuple[str, ...]:
        """The few values (k,) of a sample that are farthest from the truth: what is said, and what is true."""
        chosen = np.argsort(-np.abs(said - true), kind="stable")[:_TOLD].tolist()
        names = self.called(data) if data.columns or data.values > 1 else ("said",)
        write = self.written
        return tuple(f"{isolated(printable(names[i]))} {write(said[i])}, is {write(true[i])}" for i in chosen)

    def written(self, value: float) -> str:
        """One of its values as a caption has it."""
        return measure(value)


def share(part: float, whole: float) -> float | None:
    """A part of a whole; None where there is no whole."""
    return part / whole if whole else None


def find(data: Description, loss: Scoring) -> Task:
    """The task for this data and loss. Raises ValueError where there is none."""
    for task in of_target(data):
        if task.answered_by(loss):
            return task
    raise ValueError(f"no task is known for data with {data.target}; `cnntrain list tasks` shows all tasks")


def recognized(targets: Array, data: Description) -> Task:
    """The task for the targets of a split, where there is no loss yet. Raises ValueError where there is none."""
    for task in of_target(data):
        if task.recognizes(targets):
            return task
    raise ValueError(f"no task is known for data with {data.target}; `cnntrain list tasks` shows all tasks")


def of_target(data: Description) -> list[Task]:
    """The tasks for data with such targets that need not be asked by name, in the order of their names."""
    return [
        cls()
        for cls in registry.parts("tasks").values()
        if issubclass(cls, Task) and cls.target == data.target and not cls.asked_by_name
    ]


def measures() -> dict[str, str]:
    """What all tasks measure, by name: a sentence on each."""
    return {
        name: told
        for cls in registry.parts("tasks").values()
        if issubclass(cls, Task)
        for name, told in cls.measures.items()
    }


def places() -> dict[str, int]:
    """How much a measure or a usual metric tells about its task, by name: 0 for what tells most, then 1 and so on."""
    tasks = [cls for cls in registry.parts("tasks").values() if issubclass(cls, Task)]
    lists = [(*cls.measures, *getattr(cls, "usual_metrics", ())) for cls in tasks]
    return {name: place for names in lists for place, name in enumerate(names)}


def following(data: Description) -> Task | None:
    """The task whose targets have to be moved with the pictures of this data; None where they need not."""
    return next((task for task in of_target(data) if task.follows), None)


def told(data: Description) -> str:
    """Data in words: "28x28x1 of 10 classes"."""
    task = next(iter(of_target(data)), None)
    return f"{size_text(data.shape)} of {task.amount(data) if task else data.target}"

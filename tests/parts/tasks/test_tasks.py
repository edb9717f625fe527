"""The contract of a task, for every one that is registered; and what each answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from cnntrain.cli import mistakes
from cnntrain.config.load import load_text
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.boxes import BOXES
from cnntrain.core.description import CLASSES, VALUES, Description, size_text
from cnntrain.core.display import Gallery, Matrix, Plot, Section, Table
from cnntrain.core.errors import ConfigError, DataError
from cnntrain.core.masks import MASKS
from cnntrain.core.moves import Move
from cnntrain.data import build_data
from cnntrain.network import build
from cnntrain.parts.losses.base import own
from cnntrain.parts.tasks import base
from cnntrain.parts.tasks.base import Evaluation, OfValues, Task

TASKS = [
    pytest.param(cls(), data, id=f"{name}-{index}")
    for name, cls in registry.parts("tasks").items()
    for index, data in enumerate(cls.examples)
]
LOSSES = [
    pytest.param(registry.make("losses", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("losses").items()
    for index, fields in enumerate(cls.examples)
    if "class_weight" not in fields
]
N = 7


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def outputs_for(task: Task, data: Description, rng: np.random.Generator) -> Array:
    if data.target == BOXES:
        loss: Any = registry.make("losses", task.loss)
        return loss.trial("boxes", N, rng).outputs.astype(np.float32)
    return rng.standard_normal((N, *places(data), task.outputs(data))).astype(np.float32)


def places(data: Description) -> tuple[int, ...]:
    return data.shape[:2] if data.target == MASKS else ()


def kept(task: Task, data: Description, rng: np.random.Generator, targets: Array) -> Array:
    return task.kept(outputs_for(task, data, rng), targets)


def ending(data: Description) -> str:
    if data.target == BOXES:
        wide = 5 + len(data.classes)
        return f"{{type: conv2d, filters: {wide}, kernel_size: 1}}, {{type: box_levels, from: [input, conv2d_1]}}"
    return "{type: conv2d, filters: auto, kernel_size: 1}" if places(data) else "flatten, {type: dense, units: auto}"


def evaluation(task: Task, data: Description, rng: np.random.Generator) -> Evaluation:
    targets = task.random(N, data, rng)
    return Evaluation(data, "test", np.arange(N) * 3, targets, kept(task, data, rng, targets))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("target", [CLASSES, VALUES])
def test_exactly_one_task_fits_the_data_and_the_loss(target, loss) -> None:
    data = Description((6, 6, 1), ("a", "b") if target == CLASSES else (), 0 if target == CLASSES else 2)
    fitting = [task for task in base.of_target(data) if task.answered_by(loss)]
    advice = "`answered_by` of exactly one task must be true, but for one that is `asked_by_name`"
    assert fitting == [base.find(data, loss)], advice


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_the_default_loss_and_metrics_fit_and_find_the_task(task, data, rng) -> None:
    loss = registry.make("losses", task.loss)
    assert task.asked_by_name or base.find(data, loss) == task
    task.check_loss(loss)
    targets, outputs = task.random(N, data, rng), outputs_for(task, data, rng)
    loss.check(outputs.shape[1:], task.outputs(data), data)
    names = {*task.metrics, *task.usual_metrics, *task.evaluated(data), *task.reported(data)}
    for metric in (registry.make("metrics", name) for name in names):
        task.check_metric(metric)
        state = metric.zeros(task.counted(data))
        metric.add(state, outputs, targets, np.ones(N, np.float32))
        assert np.isfinite(metric.value(state)).all()
        assert len(state) == len(metric.zeros(task.counted(data)))


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_what_does_not_fit_is_refused_by_name(task, data) -> None:
    for name, cls in registry.parts("losses").items():
        loss = cls(**cls.examples[0])
        if task.target not in loss.scores or not task.answered_by(loss):
            advice = rf"use {task.loss}(, or, if .*)?"
            with pytest.raises(ValueError, match=rf"^({name}|cross_entropy|distillation|mse) .*: {advice}$"):
                task.check_loss(loss)
    for name, cls in registry.parts("metrics").items():
        if task.target not in cls.scores:
            with pytest.raises(ValueError, match=rf"^{name} needs .*, the data has {task.target}: use "):
                task.check_metric(cls())
    with pytest.raises(ValueError, match=f"^{task.name_in_config} needs {task.target}, the data has smells: "):
        task.check_data(Description((6, 6, 1), (), 1, "smells"))


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_targets_are_samples_first_and_every_loss_takes_them(task, data, rng) -> None:
    outputs = outputs_for(task, data, rng)
    for targets in (task.random(N, data, rng), task.blank(N, data)):
        assert len(targets) == N
        task.check_targets(targets)
        for loss in (cls(**cls.examples[0]) for cls in registry.parts("losses").values()):
            if task.target in loss.scores and task.answered_by(loss):
                losses = np.empty(N, np.float32)
                loss(outputs, targets, np.ones(N, np.float32), losses, np.empty_like(outputs))
                assert np.isfinite(losses).all()


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_mixable_targets_are_rows_and_cost_what_the_targets_cost(task, data, rng) -> None:
    if task.follows:
        return  # a transform that mixes is refused
    targets, outputs = task.random(N, data, rng), outputs_for(task, data, rng)
    rows, losses = task.mixable(targets, data), np.empty((2, N), np.float32)
    assert rows.shape == (N, task.outputs(data))
    for these, into in zip((targets, rows), losses, strict=True):
        registry.make("losses", task.loss)(outputs, these, np.ones(N, np.float32), into, None)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert all(task.told(row, data) for row in rows)


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_groups_labels_and_counts_agree(task, data, rng) -> None:
    targets = task.random(200, data, rng)
    labels, counts = task.labels(targets, data), task.counts(targets, data)
    if labels is None:
        assert (task.groups(data), counts) == ((), None)
        assert "per_class" not in task.census(targets, data)
        return
    assert labels.shape == (200,)
    assert labels.dtype == np.int64
    assert counts == [int((labels == k).sum()) for k in range(len(task.groups(data)))]
    assert list(task.census(targets, data)["per_class"]) == list(task.groups(data))
    backwards = np.arange(len(task.groups(data)))[::-1]
    renumbered = task.labels(task.renumbered(targets, backwards), data)
    assert renumbered is not None
    assert (backwards[renumbered] == labels).all()


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_answers_are_plain_and_their_cells_have_names(task, data, rng) -> None:
    still = Move(np.array([[[1.0, 0, 0], [0, 1, 0]]]), data.shape[:2], data.shape[:2])
    for outputs in outputs_for(task, data, rng):
        outputs = task.situated(outputs, still)
        answer = task.answer(outputs, data, top=2)
        assert answer.text
        assert "\n" not in answer.text
        assert json.loads(json.dumps(answer.document)) == answer.document
        assert all(len(row) == len(answer.columns) for row in answer.rows)
        assert task.answer(outputs, data, top=2).columns == answer.columns


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_a_report_is_made_of_things_to_be_shown(task, data, rng) -> None:
    judged = evaluation(task, data, rng)
    sections = task.report(judged)
    galleries = [what for part in sections for what in part.content if isinstance(what, Gallery)]
    assert all(isinstance(part, Section) and part.title for part in sections)
    assert all(isinstance(what, Table | Plot | Matrix | Gallery) for part in sections for what in part.content)
    galleries = [gallery for gallery in galleries if gallery.windows is None]
    assert len(galleries) == 1, "the mistakes"
    chosen = task.mistakes(judged)
    assert galleries[0].positions.tolist() == chosen[: len(galleries[0].positions)].tolist()
    assert len(galleries[0].captions) == len(galleries[0].positions)
    numbers = [str(judged.indices[position]) for position in galleries[0].positions.tolist()]
    told = zip(numbers, galleries[0].captions, strict=True)
    assert not [lines for number, lines in told if f"sample {number}" in lines], "a gallery names its samples itself"
    assert len(set(chosen.tolist())) == len(chosen)
    explained = task.explained(judged, 2, 2)
    if explained is not None:
        assert len(explained.positions) == len(explained.outputs) == len(explained.captions)
        assert set(explained.outputs.tolist()) <= set(range(task.outputs(data)))


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_an_evaluation_is_told_in_text_and_csv(task, data, rng) -> None:
    targets, outputs = task.random(N, data, rng), outputs_for(task, data, rng)
    result = task.breakdown(task.judged(outputs, targets), data)
    apart = (
        task.apart(outputs, targets) if outputs.ndim == 2 and targets.shape == outputs.shape else np.zeros((0, 1, 1))
    )
    if len(apart) and "per_value" not in result:
        result["per_value"] = task.figures(apart.sum(axis=1), N, data)
    rows = result.get("per_class") or result["per_value"]
    assert mistakes.as_csv(result).count("\n") == len(rows) + 1
    names = [str(row.get("class", row.get("name"))) for row in rows]
    assert len(rows) < 2 or all(name in mistakes.text(result) for name in names)


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_words(task, data, rng) -> None:
    targets = task.random(N, data, rng)
    assert str(task.outputs(data)) in task.amount(data)
    amounts = {one.amount(data) for one in (task, *base.of_target(data))}  # data alone is not told from another
    assert base.told(data) in {f"{size_text(data.shape)} of {amount}" for amount in amounts}
    assert task.about(targets, data)
    assert len(task.names(targets, data)) == N


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_the_start_of_a_config_builds_a_network_of_the_task(task, data) -> None:
    start = task.start(64)
    metrics = f", metrics: [{', '.join(start.metrics)}]" if start.metrics else ""
    text = f"""
{f"task: {task.name_in_config}" if task.asked_by_name else ""}
data: {{source: {{type: synthetic}}}}
model: {{layers: [{ending(data)}]}}
{start.loss}
{start.optimizer}
train: {{epochs: 1{metrics}}}
"""
    built = build.network(load_text(text, "start.yaml"), data)
    assert built.task == task
    assert {start.monitor.split("/")[1]} <= {
        "loss",
        *task.measures,
        *(metric.label() for metric in built.tally.metrics),
    }


CONFIG = """\
data: {source: {type: synthetic}}
model: {layers: [flatten, {type: dense, units: auto}]}
train: {epochs: 1}
"""


@pytest.mark.parametrize(("task", "data"), TASKS)
def test_a_task_by_name_brings_its_loss(task, data) -> None:
    text = CONFIG.replace("flatten, {type: dense, units: auto}", ending(data))
    loaded = load_text(f"{text}task: {task.name_in_config}\n", "named.yaml")
    built = build.network(loaded, data)
    assert built.task == task
    assert built.loss.name_in_config == task.loss
    assert [metric.label() for metric in built.tally.metrics] == list(task.metrics)


@dataclass(frozen=True)
class Angles(OfValues):
    """Values that others estimate, too."""

    loss: ClassVar[str] = "mse"
    asked_by_name: ClassVar[bool] = True


def test_a_task_asked_by_name_is_that_of_configs_that_name_it_alone(monkeypatch) -> None:
    registry.parts("tasks")
    monkeypatch.setitem(registry._parts["tasks"], "angles", Angles)
    monkeypatch.setattr(Angles, "name_in_config", "angles", raising=False)
    data = Description((6, 6, 1), (), 2)
    assert build.network(load_text(CONFIG + "loss: mse\n", "t.yaml"), data).task.name_in_config == "regress"
    assert build.network(load_text(CONFIG + "task: angles\n", "t.yaml"), data).task == Angles()


@pytest.mark.parametrize(
    ("lines", "data", "message"),
    [
        (
            "task: regress\n",
            ("a", "b"),
            "t.yaml:4:7: regress needs target values, the data has classes: leave task out",
        ),
        ("task: classify\n", (), "t.yaml:4:7: classify needs classes, the data has target values: leave task out"),
        ("task: tag\nloss: mse\n", (), "t.yaml:5:7: mse does not fit the task tag: use binary_cross_entropy"),
        ("task: regress\nloss: focal\n", (), "t.yaml:5:7: focal does not fit the task regress: use mse"),
        ("task: regress\nloss: hinge\n", (), "t.yaml:5:7: hinge needs classes, the data has target values: use mse"),
        (
            "loss: {type: sum, terms: [mse, kl_div]}\n",
            (),
            "t.yaml:4:7: kl_div needs classes, the data has target values: use mse",
        ),
    ],
)
def test_a_task_that_does_not_fit_is_an_error_at_its_line(lines, data, message) -> None:
    description = Description((6, 6, 1), data, 0 if data else 2)
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        build.network(load_text(CONFIG + lines, "t.yaml"), description)


def test_an_unknown_task_is_named_with_what_was_meant() -> None:
    with pytest.raises(ConfigError, match=r"t\.yaml:4:7: .*unknown task 'clasify'; did you mean 'classify'\?"):
        load_text(f"{CONFIG}task: clasify\n", "t.yaml")


def test_data_of_an_unknown_kind_is_an_error_at_its_source() -> None:
    with pytest.raises(ConfigError, match=r"t\.yaml:1:16: no task is known for data with smells"):
        build.network(load_text(CONFIG, "t.yaml"), Description((6, 6, 1), (), 2, "smells"))


def test_numbers_are_no_answers_to_yes_or_no_questions(tmp_path) -> None:
    y = np.array([[0, 1], [1, 3]] * 4, np.float32)
    np.savez(tmp_path / "a.npz", x_train=np.zeros((8, 4, 4, 1), np.uint8), y_train=y)
    config = f"{CONFIG}task: tag\n".replace("type: synthetic", f"type: npz, path: {tmp_path / 'a.npz'}")
    with pytest.raises(DataError, match=r"t\.yaml:4:7: tag needs 1 for yes and 0 for no, sample 1 has 3 as value 2"):
        build_data.read_data(load_text(config, "t.yaml"))


@pytest.mark.parametrize(
    ("task", "answers"),
    [("regress", [-2000.0, 0.0, 3.0]), ("tag", [0.0, 0.5, 1 / (1 + np.exp(-3))])],
)
def test_what_outputs_say(task, answers) -> None:
    outputs = np.array([-2000.0, 0.0, 3.0], np.float32)
    answer = registry.make("tasks", task).answer(outputs, Description((6, 6, 1), (), 3))
    assert answer.document["values"] == pytest.approx(answers)


def test_the_likeliest_class_comes_first() -> None:
    data = Description((6, 6, 1), ("a", "b", "c"))
    answer = registry.make("tasks", "classify").answer(np.log(np.array([1, 6, 3], np.float32)), data, top=2)
    assert answer.document["class"] == "b"
    assert answer.columns == ("class", "probability", "class_2", "probability_2", "p:a", "p:b", "p:c")
    assert answer.rows[0][::2][:2] == ("b", "c")
    assert [cell for cell in answer.rows[0] if not isinstance(cell, str)] == pytest.approx([0.6, 0.3, 0.1, 0.6, 0.3])


@pytest.mark.parametrize(
    ("target", "classes", "words"),
    [
        (np.int64(1), ("a", "b"), "b"),
        (np.array([0.25, 0.75]), ("a", "b"), "0.75 b+0.25 a"),
        (np.array([0.0, 1.0]), ("a", "b"), "1.00 b"),
        (np.array([1.5, -2]), (), "1.5 -2"),
    ],
)
def test_a_target_in_words(target, classes, words) -> None:
    data = Description((6, 6, 1), classes, 2)
    tasks = [task for task in base.of_target(data) if task.recognizes(target[None])]
    assert {task.told(target, data) for task in tasks} == {words}


def test_targets_without_a_lesson_are_their_own() -> None:
    for targets in (np.arange(3), np.ones((3, 2), np.float32)):
        assert own(targets) is targets


def test_the_truth_that_is_supposed_leaves_something_to_learn():
    """The own answer; of a network that is sure of it, whose loss has no gradient but rounding, the second guess."""
    task, data = registry.make("tasks", "classify"), Description((6, 6, 1), ("a", "b", "c"))
    for outputs, target, why in (([1, 0, 2], 2, "own answer"), ([1, 0, 20], 0, "second guess"), ([20, 0, 1], 1, "")):
        supposed = task.supposed(np.array([outputs], np.float32), data, None if why else "b")
        assert supposed.targets.tolist() == [target]
        assert why in supposed.why


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(0, "0 of them are predicted"), (1, "1 of them is predicted"), (2, "2 of them are predicted")],
)
def test_a_verdict_counts_what_is_wrong(wrong, said) -> None:
    data, targets = Description((6, 6, 1), ("a", "b")), np.array([0, 1, 0, 1])
    taken = np.where(np.arange(4) < wrong, 1 - targets, targets)
    evaluation = Evaluation(data, "val", np.arange(4), targets, np.eye(2, dtype=np.float32)[taken])
    told = registry.make("tasks", "classify").verdict(evaluation)
    assert told == f"{said} as another class ({25 * wrong}.0 %)."

"""The page: its parts under Node against what they stand for here, and the whole in Chromium against `predict`."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.core import registry
from cnntrain.core.description import Description
from cnntrain.core.errors import UsageError
from cnntrain.core.figures import measure
from cnntrain.core.moves import Move
from cnntrain.core.random import Draws
from cnntrain.engine.pool import Pool
from cnntrain.ops.trace import Trace, Value
from cnntrain.reading.pictures import _brought_to
from cnntrain.results.export import page_file
from cnntrain.results.export.files import export
from cnntrain.results.export.network import trace_transforms
from cnntrain.trained.inference import Trained
from tests.results.export.test_formats import by_numpy, by_page, exported_of
from tests.support.browser import browser
from tests.support.experiments import DETECTION, SEGMENTATION, run, write
from tests.support.interpreter import interpreter

QUICKSTART = Path("configs/quickstart.yaml")
FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def test_the_lists_of_operations_and_answers_are_those_of_the_code():
    assert sorted(interpreter().ask("operations")) == sorted({*page_file.ONE, *page_file.TWO, *page_file.STRUCTURED})
    kinds = set()
    for cls in registry.parts("tasks").values():
        kinds |= {cls().page(data)["as"] for data in cls.examples}
    assert kinds == set(interpreter().ask("answers"))


def test_values_are_written_as_elsewhere():
    values = [0, 0.125, 0.123456789, 1984, -9999.9, 9999.7, 12_500, 99_999.6, 99_999.96, 422_502.6, -1_059_123]
    assert interpreter().ask("measured", values=values) == [*map(measure, values)]


def test_resizing_is_pillows_to_the_byte():
    rng = np.random.default_rng(0)
    for case in range(120):
        height, width, rows, columns = rng.integers(1, 60, 4).tolist()
        channels, name = (1, 3)[case % 2], [*FILTERS][case % 4]
        pixels = rng.choice(np.array([0, 7, 128, 255], np.uint8), (height, width, channels))
        box = [0, 0, width, height] if case % 3 else [width * 0.13, 0, width * 0.77, height * 0.6]
        given = {"pixels": pixels.ravel().tolist(), "picture": [height, width], "channels": channels}
        given["pillow"] = page_file.PILLOW
        found = interpreter().ask("resized", **given, size=[rows, columns], box=box, filter=name)
        image = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
        expected = np.asarray(image.resize((columns, rows), FILTERS[name], box))
        np.testing.assert_array_equal(np.reshape(found, expected.shape), expected, err_msg=f"{case}: {name}")
        for fit in ("stretch", "letterbox", "cover"):
            found = interpreter().ask("fitted", **given, size=[rows, columns], fit=fit)
            expected = np.asarray(_brought_to(image, (rows, columns), fit))
            np.testing.assert_array_equal(np.reshape(found, expected.shape), expected, err_msg=f"{case}: {fit}")


def test_grey_is_pillows_to_the_byte():
    rgba = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    found = interpreter().ask("coloured", pixels=rgba.ravel().tolist(), channels=1)
    np.testing.assert_array_equal(found, np.asarray(Image.fromarray(rgba[..., :3]).convert("L")).ravel())


TRANSFORMS = [
    pytest.param(name, fields, id=f"{name}-{number}")
    for name, cls in registry.parts("transforms").items()
    for number, fields in enumerate(cls.examples)
    if not cls.random and not cls.of_sounds
]


@pytest.mark.parametrize("computed", [by_numpy, by_page])
@pytest.mark.parametrize(("name", "fields"), TRANSFORMS)
def test_every_evaluation_transform_is_traced_or_refused(name, fields, computed):
    """What stands before the network is part of the page, too."""
    transform = registry.make("transforms", name, **fields)
    shape = (12, 16, 3)
    images = np.random.default_rng(0).random((6, *shape), dtype=np.float32)
    images[0] = 0.25  # flat
    if transform.needs_fit():
        transform = transform.fit([images])
    trace, start = Trace(), Value("images", shape)
    if "trace" not in vars(type(transform)):
        with pytest.raises(UsageError, match=rf"{name}_1 \({name}, among data\.eval_transforms\) cannot be exported"):
            trace_transforms(trace, start, [transform])
        return
    output = trace_transforms(trace, start, [transform])
    found = computed(exported_of(trace, start, output), images)
    expected = transform.apply(images.copy(), Draws(0, "transform", (0, 0), np.arange(6)))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


LED = Move(np.array([[[0.5, 0, 3.0], [0, 0.4, -2.0]]]), (50, 60), (20, 32))
ABOUT = {"led": {"right": 0.5, "left": 3.0, "down": 0.4, "top": -2.0}, "picture": [50, 60]}


def test_boxes_are_those_of_predict():
    task, data = registry.make("tasks", "detect"), Description((20, 32, 1), ("a", "b"), target="boxes")
    rng = np.random.default_rng(0)
    for _ in range(20):
        corners = rng.uniform(0, 20, (80, 2))
        rows = np.zeros((80, 10), np.float32)
        rows[:, :4] = np.concatenate([corners, corners + rng.uniform(1, 12, (80, 2))], axis=1)
        rows[:, 7:] = rng.normal(0, 2, (80, 3))
        rows[:8, 0], rows[:8, 2] = 0, rng.uniform(1, 3.001, 8)  # nowhere but in the bar at the left
        expected = task.answered(task.situated(rows, LED))
        found = interpreter().ask("answer", outputs=rows.ravel().tolist(), asked=task.page(data), about=ABOUT)
        assert [one["name"] for one in found] == [data.classes[label] for label in expected.labels]
        np.testing.assert_allclose([one["score"] for one in found], expected.scores, rtol=1e-5)
        np.testing.assert_allclose([one["box"] for one in found], expected.boxes, atol=1e-4)


def test_masks_are_those_of_predict():
    task, data = registry.make("tasks", "segment"), Description((20, 32, 1), ("a", "b", "c"), target="mask")
    outputs = np.random.default_rng(0).normal(size=(20, 32, 3)).astype(np.float32)
    about = ABOUT | {"shape": [20, 32, 3]}
    found = interpreter().ask("answer", outputs=outputs.ravel().tolist(), asked=task.page(data), about=about)
    shares = {row["name"]: row["share"] for row in found["rows"]}
    expected = task.situated(outputs, LED)
    assert shares == task.answer(expected, data).document["shares"]
    labels = np.array(list(found["labels"].values())).reshape(50, 60)
    np.testing.assert_array_equal(np.where(labels < 0, 255, labels), expected)


def test_a_field_holds_everything_that_a_value_depends_on():
    """And nothing else, where windows lie side by side: pixels outside it change nothing, each side of it something."""
    trace, start = Trace(), Value("images", (9, 11, 1))
    trace.begin("n")
    rng = np.random.default_rng(0)
    weight = trace.constant("w", rng.uniform(0.5, 1, (3, 2, 1, 2)))
    numbers = {"stride": (1, 2), "padding": ((1, 0), (0, 1)), "dilation": (2, 1), "groups": 1}
    x = trace.op("conv", start, weight, None, shape=(6, 6, 2), **numbers)
    x = trace.op("max", x, 0.0)
    x = trace.op("sum_pool", x, shape=(3, 3, 2), kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))
    x = trace.op("pad", x, shape=(4, 4, 2), sides=((1, 0), (0, 1), (0, 0)))
    exported = exported_of(trace, start, x)
    asked = {"trace": page_file.program(exported), "places": [[4, r, c] for r in range(1, 4) for c in range(3)]}
    weights = base64.b64encode(page_file.constants(trace)).decode()
    image = rng.random((1, 9, 11, 1), np.float32)
    first = by_numpy(exported, image)
    for (_, row, column), (rows, columns) in zip(
        asked["places"], interpreter().ask("field", **asked, weights=weights), strict=True
    ):
        changes = np.zeros((9, 11), bool)
        for y, z in np.ndindex(9, 11):
            other = image.copy()
            other[0, y, z] += 1
            changes[y, z] = np.abs(by_numpy(exported, other) - first)[0, row, column].max() > 1e-6
        y, z = np.nonzero(changes)
        assert (rows, columns) == ([y.min(), y.max()], [z.min(), z.max()])


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """The network of the first experiment, hardly trained: what it computes is as good as after twelve epochs."""
    folder = tmp_path_factory.mktemp("page")
    run(QUICKSTART, folder / "run", ("train.epochs=1", "data.val=0.9"))
    with Pool(1) as pool:
        yield Trained(folder / "run", pool)


def test_in_a_browser_it_answers_as_predict_does(quickstart, tmp_path):
    trained, page = quickstart, tmp_path / "digits.html"
    document = export(trained, "page", page)
    assert document["files"] == [str(page)]
    assert page.stat().st_size < 3e6
    rng, paths = np.random.default_rng(0), []
    for number in range(100):
        height, width = (28, 28) if number < 50 else rng.integers(8, 90, 2).tolist()
        pixels = rng.integers(0, 256, (height, width, *(3,) * (number % 2)), np.uint8)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    _, stored = next(trained.unseen.samples(paths, trained.engine.pool, []))
    expected = trained.outputs(stored)
    ask = "return await Promise.all(given[0].map(async (text) => cnntrain.ask(await (await fetch(text)).blob())))"
    ask = ask.replace(
        "await (await fetch(text)).blob()", "new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))])"
    )
    with browser(tmp_path / "profile") as window:
        window.look(1280)
        window.open(page.as_uri())
        found = window.run(ask, [base64.b64encode(path.read_bytes()).decode() for path in paths])
        outputs = np.array([one["outputs"] for one in found])
        assert np.abs(outputs - expected).max() <= 1e-4 * np.abs(expected).max()
        for one, answer in zip(found, trained.answers_to(stored, 10), strict=True):
            assert one["answer"][0]["name"] == answer.document["class"]
        window.upload("#file", paths[1])
        shown = "while (!document.querySelector('#answers bdi')) await new Promise(requestAnimationFrame);"
        assert (
            window.run(shown + "return document.querySelector('#answers bdi').textContent") in trained.network.classes
        )
        inked = "[...document.querySelectorAll('#layers canvas')].map((one) => {"
        inked += (
            "const {width, height} = one, blank = Object.assign(document.createElement('canvas'), {width, height});"
        )
        inked += "return one.toDataURL() !== blank.toDataURL(); })"
        assert not all(window.run(f"return {inked}"))  # what is far below the window is not computed
        assert all(window.run(f"dispatchEvent(new Event('beforeprint')); return {inked}"))
        window.run(
            "document.getElementById('camera').click();"
            "while (document.getElementById('picture').width !== 640) await new Promise(requestAnimationFrame)"
        )
        assert window.complaints() == []  # nothing was loaded, refused or broken


ANSWERED = (
    "while (!document.querySelector('#answers bdi')) await new Promise(requestAnimationFrame);"
    "await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);"
    "const row = document.querySelector('#answers li');"
    "return [row.querySelector('bdi').textContent, row.querySelector('b').textContent]"
)
GIVEN = (  # a file as the clipboard or the hand of somebody has it
    "const bytes = Uint8Array.from(atob(given[0]), (c) => c.charCodeAt(0)), data = new DataTransfer();"
    "data.items.add(new File([bytes], 'own.png', {type: 'image/png'}));"
    "document.getElementById('answers').replaceChildren();"
)
WAYS = {
    "drop": "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}))",
    "paste": "document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}))",
}


def said(trained, path):
    """What `predict` says of a picture file: class and probability, as the page writes them."""
    document = trained.predict([path])[0]
    return [document["class"], f"{document['top'][0]['probability']:.4f}"]


def test_a_picture_that_is_dropped_pasted_drawn_or_filmed_is_answered_as_by_predict(quickstart, tmp_path):
    trained, page = quickstart, tmp_path / "digits.html"
    export(trained, "page", page)
    rng = np.random.default_rng(1)
    with browser(tmp_path / "profile") as window:
        window.look(1280)
        window.open(page.as_uri())
        for number, way in enumerate(WAYS):
            path = tmp_path / f"{way}.png"
            Image.fromarray(rng.integers(0, 256, (40 + number, 33, 3), np.uint8)).save(path)
            window.run(GIVEN + WAYS[way], base64.b64encode(path.read_bytes()).decode())
            assert window.run(ANSWERED) == said(trained, path), way
        picture = "return document.getElementById('picture').toDataURL().split(',')[1]"
        for touch in (False, True):
            window.run("document.getElementById('clear').click()")
            assert window.run("return document.body.className") == "empty"
            before = window.run(picture)
            window.stroke("#picture", [(0.25, 0.2), (0.75, 0.2), (0.5, 0.5), (0.4, 0.85)], touch)
            found, drawn = window.run(ANSWERED), window.run(picture)
            assert drawn != before
            assert window.run("return document.body.className") == ""
            (tmp_path / "drawn.png").write_bytes(base64.b64decode(drawn))
            share = (np.asarray(Image.open(tmp_path / "drawn.png").convert("L")) > 127).mean()
            assert 0.05 < share < 0.4  # a seven, not a dot and not a blot
            assert found == said(trained, tmp_path / "drawn.png")
        click = "document.getElementById('camera').click();"
        wait = "while (document.getElementById('picture').width !== 640) await new Promise(requestAnimationFrame);"
        stop = "await new Promise((done) => setTimeout(done, 200));" + click
        window.run(click + wait + stop)
        (tmp_path / "camera.png").write_bytes(base64.b64decode(window.run(picture)))
        assert np.asarray(Image.open(tmp_path / "camera.png")).std() > 10  # the fake camera's test picture
        assert window.run(ANSWERED) == said(trained, tmp_path / "camera.png")
        assert window.complaints() == []


def test_a_closer_look_fits_a_phone(quickstart, tmp_path):
    export(quickstart, "page", tmp_path / "page.html")
    look = (
        "await cnntrain.open(new Blob([Uint8Array.from(atob(given[0]), (c) => c.charCodeAt(0))]));"
        "const canvas = document.querySelectorAll('#layers canvas')[1]; canvas.scrollIntoView();"
        "const {left: clientX, top: clientY} = canvas.getBoundingClientRect();"
        "canvas.dispatchEvent(new PointerEvent('pointerdown', {clientX: clientX + 5, clientY: clientY + 5}));"
        "const panel = document.getElementById('detail');"
        "const tops = [...panel.querySelectorAll('figure')].map((one) => Math.round(one.getBoundingClientRect().top));"
        "return [tops, panel.scrollHeight - panel.clientHeight]"
    )
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)).save(tmp_path / "own.png")
    with browser(tmp_path / "profile") as window:
        window.look(390, height=700)
        window.open((tmp_path / "page.html").as_uri())
        tops, hidden = window.run(look, base64.b64encode((tmp_path / "own.png").read_bytes()).decode())
        assert hidden <= 0
        assert (len(tops), len(set(tops))) == (4, 2)  # its weights below the rest
        assert window.complaints() == []


@pytest.mark.parametrize(("text", "kind"), [(DETECTION, "boxes"), (SEGMENTATION, "mask")], ids=["boxes", "masks"])
def test_boxes_and_masks_are_drawn_where_predict_has_them(text, kind, tmp_path):
    run(write(tmp_path, text), tmp_path / "run", ("train.epochs=1",), threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "own.png")
    with Pool(1) as pool:
        trained = Trained(tmp_path / "run", pool, score=0.0 if kind == "boxes" else None)
        export(trained, "page", tmp_path / "page.html")
        document = trained.predict([tmp_path / "own.png"])[0]
    page = tmp_path / "page.html"
    page.write_text(re.sub(r'"shown":[0-9.]+', '"shown":0', page.read_text()))  # hardly trained, it is sure of nothing
    ask = "await cnntrain.open(new Blob([Uint8Array.from(atob(given[0]), (c) => c.charCodeAt(0))]));"
    over = (
        "const over = document.getElementById('over');"
        "return [over.width, over.height, [...over.getContext('2d').getImageData(0, 0, over.width, over.height).data]]"
    )
    clear = (
        "const over = document.getElementById('over'), {width, height} = over;"
        "const blank = Object.assign(document.createElement('canvas'), {width, height});"
        "return over.toDataURL() === blank.toDataURL()"
    )
    with browser(tmp_path / "profile") as window:
        window.look(1280)
        window.open(page.as_uri())
        assert window.run("return document.getElementById('answers').innerText") == "no picture yet"
        assert window.run(clear)  # nor is anything drawn
        width, height, data = window.run(ask + over, base64.b64encode((tmp_path / "own.png").read_bytes()).decode())
        assert window.complaints() == []
    drawn = np.reshape(data, (height, width, 4)).astype(np.uint8)
    fine = width // 120  # pixels to one of the picture, as many as the screen has
    assert (height, width) == (90 * fine, 120 * fine)
    drawn = drawn.reshape(90, fine, 120, fine, 4).max(axis=(1, 3))
    if kind == "boxes":
        x1, y1, x2, y2 = document["boxes"][0]["box"]  # the surest, which is drawn over the others
        middle = round(np.clip((y1 + y2) / 2, 0, 89)), round(np.clip((x1 + x2) / 2, 0, 119))
        edges = [(middle[0], x1), (middle[0], x2), (y1, middle[1]), (y2, middle[1])]
        inside = [(round(y), round(x)) for y, x in edges if 2 < y < 87 and 2 < x < 117]
        assert inside
        assert all(drawn[y - 1 : y + 2, x - 1 : x + 2, 3].any() for y, x in inside)
    else:
        shares = document["shares"]
        background = next(iter(shares))
        assert (drawn[..., 3] > 0).mean() == pytest.approx(1 - shares[background], abs=0.05)


def test_names_of_strangers_are_text(quickstart, tmp_path, monkeypatch):
    """A class may be called anything; the page runs none of it, and shows it as it is."""
    names = [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "\x1b[31m",
        "שלום\u202egnp",
        "👩\u200d🔬",
        "停车",
        "\u2028",
        "&lt;",
    ]
    names = (*names, "a", "b")
    monkeypatch.setattr(quickstart, "description", dataclasses.replace(quickstart.description, classes=names))
    export(quickstart, "page", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert len(re.findall("<script", text)) == 3  # those of the page itself
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', text, re.DOTALL)[1])
    assert facts["asked"]["names"] == list(names)
    with browser(tmp_path / "profile") as window:
        window.open((tmp_path / "page.html").as_uri())
        window.stroke("#picture", [(0.3, 0.3), (0.6, 0.6)])
        listed = window.run(
            "while (!document.querySelector('#answers bdi')) await new Promise(requestAnimationFrame);"
            "return [...document.querySelectorAll('#answers bdi')].map((one) => one.textContent)"
        )
        assert len(set(listed) & set(names)) == 5
        assert window.complaints() == []

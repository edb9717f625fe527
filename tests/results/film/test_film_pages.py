"""The page of a film: of every task it shows what there is and says what there is not, and a slider moves all of it."""

from __future__ import annotations

import base64
import io
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from cnntrain.core.errors import CheckpointError, UsageError
from cnntrain.results.film import strips, write
from cnntrain.rundir import checkpoint, film_files
from tests.support.browser import browser
from tests.support.experiments import DETECTION, SEGMENTATION, TINY, run
from tests.support.experiments import write as config_of

LEAST = ("train={steps: 4, batch_size: 4}", "checkpoint={film: 4}")
DENSE = "model: {layers: [flatten, {type: dense, units: auto}]}\ntrain: {steps: 4, batch_size: 4}\n"
CLIPS = """\
data: {source: {type: motion, size: 12, frames: 4, samples: 24}, val: 0.25}
model: {layers: [{type: conv3d, filters: 3, kernel_size: 3}, relu, global_avg_pool, {type: dense, units: auto}]}
train: {steps: 4, batch_size: 4}
"""
TEXTS = {"detect": DETECTION, "segment": SEGMENTATION, "clips": CLIPS}
EXPECTED = {  # what the page of each says of what it does not have, and what it says beside it
    "classify": (),
    "tag": ("no confusion matrix",),
    "regress": ("no confusion matrix",),
    "detect": ("no confusion matrix",),
    "segment": ("<h2>Confusion</h2>",),
    "clips": ("The weights of", "the moment in the middle"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    run(config_of(folder, TINY), folder / "run", ("checkpoint.film=6", "train.epochs=1"))
    return folder / "run"


def of_arrays(folder, kind):
    """A run on arrays: of values, or of tags."""
    rng = np.random.default_rng(0)
    x = rng.random((24, 6, 6, 1)).astype(np.float32)
    y = np.stack([x.mean(axis=(1, 2, 3)), x[:, 0, 0, 0]], axis=1)
    np.savez(folder / "data.npz", x_train=x, y_train=(y > 0.5).astype(np.float32) if kind == "tag" else y)
    asked = "task: tag\n" if kind == "tag" else "loss: mse\n"
    text = f"data: {{source: {{type: npz, path: {folder / 'data.npz'}}}, val: 0.25}}\n{asked}{DENSE}"
    run(config_of(folder, text), folder / "run", LEAST)
    return folder / "run"


@pytest.mark.parametrize("kind", EXPECTED)
def test_every_task_has_one(kind, finished, tmp_path):
    if kind in ("tag", "regress"):
        path = of_arrays(tmp_path, kind)
    elif kind == "classify":
        path = shutil.copytree(finished, tmp_path / "run")
    else:
        path = tmp_path / "run"
        run(config_of(tmp_path, TEXTS[kind]), path, LEAST)
    document = write([path])
    assert document["report"] == str(path / "film.html")
    page = (path / "film.html").read_text()
    for text in ("What it says", "Layer by layer", "First filters", *EXPECTED[kind]):
        assert text in page
    count = len(film_files.read(path).moments)
    assert len(re.findall(r"<i style", page)) == count
    answers = re.search(r"<h2>What it says</h2>.*?</section>", page, re.DOTALL)[0]
    assert len(re.findall(r'data-at="', answers)) == answers.count("<figure>") * count
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []


def test_a_slider_keys_and_play_move_everything_at_once(finished, tmp_path):
    write([finished], tmp_path / "film.html")
    state = (
        "const texts = [...document.querySelectorAll('[data-at]')].filter((one) => !one.hidden);"
        "const strips = [...document.querySelectorAll('.strip')].map((one) => {"
        "const [window, image] = [one, one.firstChild].map((each) => each.getBoundingClientRect());"
        "return Math.round((window.top - image.top) / image.height * one.firstChild.style.getPropertyValue('--n'))});"
        "return [document.getElementById('at').value, document.getElementById('told').innerText, "
        "[...new Set(texts.map((one) => one.dataset.at))], [...new Set(strips)]]"
    )
    with browser(tmp_path / "profile") as window:
        for width in (1280, 390):
            window.look(width)
            window.open((tmp_path / "film.html").as_uri())
            assert window.run("return document.documentElement.scrollWidth") <= width
            assert window.run(state)[::2] == ["5", ["5"]]
            window.press("\ue012")  # left
            value, told, texts, moved = window.run(state)
            assert (value, texts, moved) == ("4", ["4"], [4])
            assert told.startswith("step 6 · epoch 0.60 · loss ")
            window.press("\ue011")  # home
            assert window.run(state)[2:] == [["0"], [0]]
            window.stroke("#at", [(0.02, 0.5), (0.6, 0.5)])
            assert window.run(state)[2:] == [["3"], [3]]
            window.run(
                "document.getElementById('play').click();"
                "while (document.getElementById('at').value !== '5') await new Promise(requestAnimationFrame);"
                "const play = document.getElementById('play');"
                "while (play.textContent !== 'Play') await new Promise(requestAnimationFrame)"
            )
            assert window.run(state)[2:] == [["5"], [5]]
        assert window.complaints() == []


def test_strips_show_numbers_by_colours_of_one_scale():
    values = np.zeros((2, 1, 3, 3, 1), np.float32)
    values[0, 0, 0, 0], values[1, 0, 0, 0], values[1, 0, 2, 2] = 0.5, 1, -1
    page = str(strips.outputs(values, "<b>"))
    assert "&lt;b&gt;" in page
    data = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int)
    first, second = np.split(pixels, 2)
    assert first[3, 3, 3] == pytest.approx(128, abs=2)  # half as strong
    assert second[3, 3, 3] == second[-4, -4, 3] == 255
    assert second[3, 3, 0] > second[3, 3, 2]  # red
    assert second[-4, -4, 0] < second[-4, -4, 2]  # blue
    assert first[12, 12, 3] == 0  # zero lets the page through


@pytest.mark.parametrize("channels", [1, 3])
def test_what_lies_between_first_filters_looks_like_no_weight(channels):
    weights = np.zeros((1, 5, 5, channels, 10), np.float32)
    weights[..., 0, 0, :] = 1
    data = base64.b64decode(re.search(r"base64,([^\"]+)", str(strips.filters(weights, "")))[1])
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int)
    for page in (255, 24):  # light and dark
        shown = page + (pixels[..., :3] - page) * pixels[..., 3:] / 255
        line, zero, nothing = shown[10, 1], shown[20, 20], shown[-10, -10]
        assert np.abs(line - zero).max() > 50
        assert (nothing == page).all()  # behind the last filter


def test_what_cannot_be_shown_is_one_line(finished, tmp_path):
    config = config_of(tmp_path, TINY)
    run(config, tmp_path / "runs/a", ("train.epochs=1",))
    with pytest.raises(CheckpointError, match=r"runs/a has no film\. Train with --set checkpoint\.film=20 to keep one"):
        write([tmp_path / "runs/a"])
    shutil.copytree(finished, tmp_path / "runs/b")
    with pytest.raises(UsageError, match=r"--film shows one run, but here are 2\. Name one of them"):
        write([tmp_path / "runs"])
    film = tmp_path / "runs/b/film"
    name = film_files.name(2)
    moment = checkpoint.read(film / name)
    damaged = {
        "damaged": (film / name).read_bytes()[:-500],
        "not those of the film's last moment": moment.arrays | {"film/filters": moment.arrays["film/outputs"]},
    }
    for message, content in damaged.items():
        if isinstance(content, bytes):
            (film / name).write_bytes(content)
        else:
            checkpoint.save(film / name, moment.meta, content)
        with pytest.raises(CheckpointError, match=f"{name} is damaged.*{message.removeprefix('damaged')}"):
            write([tmp_path / "runs/b"])

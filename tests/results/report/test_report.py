"""A report: every section there, nothing loaded, the same bytes twice, and whatever is missing told."""

from __future__ import annotations

import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.core.arrays import Array
from cnntrain.core.errors import MissingExtraError, StorageError, UsageError
from cnntrain.core.extras import install
from cnntrain.results.report import Wish, curves, page, paper, svg, write
from cnntrain.results.report.charts import SERIES, css
from cnntrain.results.report.html import element, section, table
from cnntrain.results.report.judged import judging
from cnntrain.results.report.page import swatch
from cnntrain.rundir.checkpoint import find
from cnntrain.rundir.history import find_runs, read
from tests.support.browser import browser
from tests.support.experiments import DETECTION, FULL, SEGMENTATION, run
from tests.support.experiments import write as write_config

SECTIONS = ["Training", "Evaluation", "Calibration", "Confusion", "Classes"]
LAST = ["Where it looked", "First layer", "Settings"]
VOID = {"meta", "link", "img", "br", "wbr"}


class Page(HTMLParser):
    """Checks that elements nest, and collects what a browser would load, the headings and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every moving part, of two epochs."""
    folder = tmp_path_factory.mktemp("trained")
    run(write_config(folder), folder / "run", ("train.epochs=2",))
    return folder / "run"


@pytest.fixture
def a_run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run", symlinks=True))


@pytest.fixture
def with_matplotlib() -> None:
    pytest.importorskip("matplotlib")


def page_of(document) -> tuple[Page, str]:
    text = Path(document["report"]).read_text()
    return Page(text), text


def test_it_has_every_section_and_loads_nothing(a_run):
    document = write([a_run])
    assert document == {"report": str(a_run / "report.html"), "runs": [str(a_run)], "png": [], "warnings": []}
    page, text = page_of(document)
    assert [name for name in page.headings if name != "Worst mistakes"] == SECTIONS + LAST
    assert [place for place in page.loads if not place.startswith(("data:", "#"))] == []
    assert not {"script", "iframe", "object"} & set(page.tags)
    assert "@import" not in text
    at = page.texts.index("metric")
    assert page.texts[at : at + 3] == ["metric", "val", "test"]
    assert re.findall(r"url\((?!#)", text) == []
    assert page.tags.count("svg") == 14  # loss, accuracy, lr, gradient, update, dead rectifiers, calibration


def test_two_reports_of_a_run_are_the_same_bytes_whatever_the_threads(a_run, tmp_path):
    first = write([a_run], wish=Wish(threads=1))
    second = write([a_run], tmp_path / "second.html", Wish(threads=3))
    assert Path(first["report"]).read_bytes() == Path(second["report"]).read_bytes()


def test_colours_are_the_pages_so_that_light_and_dark_both_work(a_run):
    text = svg.rendered(curves.charts(read(a_run))[0])
    assert re.findall(r"#[0-9a-f]{6}", text) == []
    assert {"--ink", "--quiet", "--line", "--s0", "--s1"} == set(re.findall(r"var\((--\w+)\)", text)) - {"--font"}
    style, _, of_paper = page("", "", footer="").partition("@media print")
    assert "prefers-color-scheme:dark" in style
    assert "background:#fff" not in style.replace(" ", "")  # but for paper, where it is white
    assert "background:#fff" in of_paper


def test_charts_need_no_matplotlib_but_png_files_do(a_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(paper, "available", lambda: False)
    assert write([a_run])["warnings"] == []
    with pytest.raises(MissingExtraError, match=re.escape(install("report"))):
        write([a_run], wish=Wish(png=True))


@pytest.mark.usefixtures("with_matplotlib")
def test_png_writes_every_chart_beside_the_page(a_run, tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "_INSIDE", curves._INSIDE[:1])
    document = write([a_run], tmp_path / "paper/page.html", Wish(png=True))
    names = ["loss", "accuracy", "lr", "calibration", "confusion", "mistakes", "filters"]
    assert [Path(path).stem for path in document["png"]] == names
    for path in document["png"][:-1]:
        with Image.open(path) as image:
            assert image.size[0] > 1000
            assert image.info["Software"] == "cnntrain", "and no version of Matplotlib"


def test_several_runs_stand_side_by_side(a_run, trained, tmp_path):
    path = a_run / "config.resolved.yaml"
    path.write_text(path.read_text().replace("momentum: 0.9", "momentum: 0.8"))
    document = write([trained, a_run], tmp_path / "both.html")
    page, _ = page_of(document)
    assert page.headings[0] == "Runs"
    assert page.headings.count("Confusion") == page.headings.count("Settings") == 2
    assert {"2 runs", "momentum", "0.9", "0.8"} <= set(page.texts)


def test_a_folder_stands_for_the_runs_below_it_each_once(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "all/a")
    shutil.copytree(trained, tmp_path / "all/deeper/b")
    (tmp_path / "all/latest").symlink_to("a")
    found = find_runs([tmp_path / "all", tmp_path / "all/latest"], lambda _: None)
    assert found == [tmp_path / "all/a", tmp_path / "all/deeper/b"]


def test_what_cannot_be_judged_is_told_and_the_rest_still_comes(a_run):
    path = find(a_run)
    path.unlink()
    (a_run / "checkpoints/last.npz").unlink()
    document = write([a_run])
    assert document["warnings"][0].startswith(f"{a_run.parent.name}/run is not judged: {a_run} holds neither")
    page, _ = page_of(document)
    assert page.headings[-1] == "Settings"
    assert "is not judged" in "".join(page.texts)


def test_a_run_that_has_only_begun_has_a_report(a_run):
    lines = (a_run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (a_run / "metrics.jsonl").write_bytes(lines[0])
    for name in ("timing.jsonl", "origins.json", "env.json", "status.json"):
        (a_run / name).unlink()
    page, _ = page_of(write([a_run]))
    assert "Confusion" in page.headings
    assert "Settings" in page.headings


def test_what_is_no_run_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UsageError, match=re.escape(str(place))):
            write([place])


def test_the_config_is_shown_with_its_origins(a_run):
    origins = json.loads((a_run / "origins.json").read_text())
    assert origins["optimizer.momentum"].endswith("full.yaml:19:43")
    assert origins["train.epochs"].startswith("--set")
    assert origins["train.log_every"].endswith("full.yaml:21:63")
    assert origins["optimizer.nesterov"] == "default"
    page, _ = page_of(write([a_run]))
    assert origins["optimizer.momentum"] in page.texts


def test_names_from_strangers_are_text(tmp_path):
    names = ["<script>alert(1)</script>", "a&b", '"><img src=x onerror=y>']
    names = [name.replace("/", "∕") for name in names]
    for i, name in enumerate(names):
        for number in range(4):
            path = tmp_path / "data" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), 40 * i + number, np.uint8)).save(path)
    text = FULL.replace("{type: synthetic, size: 8, classes: 3, samples: 90, noise: 0.3}",
                        f"{{type: image_folder, root: '{tmp_path}/data', size: [8, 8]}}")  # fmt: skip
    run(write_config(tmp_path, text), tmp_path / "run", ("train.epochs=1", "data.val=0.4"))
    document = write([tmp_path / "run"])
    page, _ = page_of(document)
    assert set(names) <= set(page.texts)
    assert "script" not in page.tags
    (tmp_path / "data").rename(tmp_path / "moved")
    assert "does not exist" in write([tmp_path / "run"])["warnings"][-1]
    moved = Wish(sets=(f"data.source.root={tmp_path}/moved",))
    assert page_of(write([tmp_path / "run"], wish=moved))[0].headings == page.headings


def _trained_on(folder: Path, x: Array, y: Array, tested: int, loss: str) -> None:
    """A run, in `run`, on images with rows of values, of which the first so many are the test split."""
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x[:tested], y_test=y[:tested])
    config = folder / "values.yaml"
    config.write_text(
        f"data: {{source: {{type: npz, path: {folder}/data.npz}}}}\n"
        "model: {layers: [flatten, {type: dense, units: auto}]}\n"
        f"loss: {loss}\ntrain: {{epochs: 1, batch_size: 8}}\n"
    )
    run(config, folder / "run")


def test_regression_has_its_own(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.random((40, 6, 6, 1)).astype(np.float32)
    y = x.mean(axis=(1, 2))
    _trained_on(tmp_path, x, y, 9, "mse")
    page, _ = page_of(write([tmp_path / "run"]))
    shown = [name for name in page.headings if name != "Training"]
    assert shown == ["Evaluation", "Values", "Worst mistakes", "First layer", "Settings"]
    assert {"loss", "mse", "mae", "r2", "RMSE", "value_1"} <= set(page.texts)


def test_labels_are_reported_as_eval_has_them(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.random((40, 6, 6, 1)).astype(np.float32)
    y = (x.mean(axis=(1, 2, 3))[:, None] > [0.48, 0.52]).astype(np.float32)
    _trained_on(tmp_path, x, y, 20, "binary_cross_entropy")
    with judging(read(tmp_path / "run"), "test", (), 1) as judged:
        document = judged.trained.evaluate("test")
        assert [*judged.measured] == ["loss", "binary_accuracy", "binary_f1", "mean_ap", "mean_auc"]
        for name, value in judged.measured.items():
            assert value == pytest.approx(document[name])
        labels = judged.trained.network.task.report(judged.evaluation)[1].content[0]
        for shown, counted in zip(labels.rows, document["per_value"], strict=True):
            assert [shown[0], *(cell.value for cell in shown[2:])] == [
                counted[key] for key in ("name", "recall", "precision", "f1", "ap", "auc")
            ]
    page, _ = page_of(write([tmp_path / "run"]))
    assert "Labels" in page.headings
    assert not {"mse", "mae"} & set(page.texts)


def test_damage_is_an_error_that_names_the_file(a_run):
    (a_run / "env.json").write_text("{")
    with pytest.raises(StorageError, match=r"env\.json is damaged: not JSON"):
        write([a_run])


def test_in_a_browser_no_column_is_cut_off_on_a_desk_or_a_phone(trained, a_run, tmp_path):
    path = a_run / "config.resolved.yaml"
    path.write_text(path.read_text().replace("seed: 7", "seed: 8").replace("momentum: 0.9", "momentum: 0.8"))
    pages = [write([a_run])["report"], write([trained, a_run], tmp_path / "both.html")["report"]]
    for name, text in {"detect": DETECTION, "segment": SEGMENTATION}.items():
        run(write_config(tmp_path, text), tmp_path / name, ("train.epochs=1",), threads=1)
        pages.append(write([tmp_path / name])["report"])
    pages.append(write([trained, a_run, tmp_path / "detect"], tmp_path / "unlike.html")["report"])
    wider = (
        "document.querySelectorAll('details').forEach((one) => { one.open = true; });"
        "return [document.documentElement, ...document.querySelectorAll('.wide')]"
        ".filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.innerText.slice(0, 80))"
    )
    with browser(tmp_path / "profile") as window:
        for file in pages:
            window.open(Path(file).absolute().as_uri())
            for width in (1280, 390):
                window.look(width)
                assert window.run(wider) == []
        assert window.complaints() == []


def test_on_paper_nothing_is_cut_off_and_colours_that_mean_something_are_there(tmp_path):
    """Browsers leave out backgrounds, cannot scroll paper, and lose a part of a grid where it spans two sheets."""
    numbers = [[f"-0.{n:05}" for n in range(7)]] * 7
    two = element("div", *[table([""] * 7, numbers)] * 2, class_="two")
    legend = element("ul", element("li", swatch(css(SERIES[0])), "a run"), class_="legend")
    long = table(["key", "value"], [[f"key {n}", n] for n in range(80)])
    sections = [section("Weights", two), section("Keys", legend, long, half=True), section("More", "...", half=True)]
    (tmp_path / "page.html").write_text(page("runs", "", *sections, footer=""))
    cut = (
        "return [...document.querySelectorAll('table')].filter((one) => {"
        "const {right, height} = one.getBoundingClientRect(), box = one.parentElement;"
        "return right > 794 || (getComputedStyle(box).overflowY != 'visible' && height > box.clientHeight); }).length"
    )
    style = "const one = getComputedStyle(document.querySelector(given[0])); return one[given[1]]"
    with browser(tmp_path / "profile") as window:
        window.open((tmp_path / "page.html").as_uri())
        for dark in (False, True):
            window.as_printed(dark)
            assert window.run(cut) == 0
            assert window.run(style, "body", "backgroundColor") == "rgb(255, 255, 255)"
            assert window.run(style, "section", "backgroundColor") == "rgb(255, 255, 255)"
            assert window.run(style, ".swatch", "printColorAdjust") == "exact"
            assert window.run(style, ".swatch", "backgroundColor") == "rgb(37, 99, 235)"
            assert window.run(style, ".spread", "display") == "block"


def test_in_a_browser_a_box_that_scrolls_has_a_shadow_where_more_follows(tmp_path):
    rows = [[f"run {n}", *range(6)] for n in range(60)]
    (tmp_path / "page.html").write_text(page("runs", "", section("Runs", table([*"abcdefg"], rows)), footer=""))
    scrolled = (
        "const box = document.querySelector('.wide'); box.scrollTop = given[0];"
        "await new Promise(requestAnimationFrame);"
        "const {left, top, width, height} = box.getBoundingClientRect(); return [left + width / 2, top, top + height]"
    )
    with browser(tmp_path / "profile") as window:
        window.open((tmp_path / "page.html").as_uri())
        window.look(390)  # where the middle of the box lies between two columns
        for place, dark in ((0, (False, True)), (1000, (True, True)), (100_000, (True, False))):
            middle, top, bottom = map(round, window.run(scrolled, place))
            window.screenshot(tmp_path / "shown.png")
            shown = Image.open(tmp_path / "shown.png").convert("L")
            found = tuple(shown.getpixel((middle, y)) < 240 for y in (top + 1, bottom - 2))
            assert found == dark, place

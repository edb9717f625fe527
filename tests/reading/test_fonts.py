"""Names in pictures: each letter in a font that has it, the others as numbers that are told."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from cnntrain.checks import contact_sheet
from cnntrain.core.description import Description
from cnntrain.core.display import Matrix
from cnntrain.core.letters import isolated
from cnntrain.parts.tasks.detect import Detect
from cnntrain.reading import fonts
from cnntrain.reading.fonts import Lettering
from cnntrain.results.report import matrix, paper
from cnntrain.results.report.charts import Chart, Curve

NAMES = ["cafe\u0301", "停车", "🚗 cars", "שלום עולם", "مرحبا", "plain"]


@pytest.fixture
def no_fonts(monkeypatch):
    monkeypatch.setattr(fonts, "installed", lambda _size: ())


def latin(letter: str) -> bool:
    return letter < "\u0100"


@pytest.mark.usefixtures("no_fonts")
def test_letters_without_a_font_are_numbers_each_the_same_wherever_it_stands():
    lettering = Lettering(latin, ordered=True)
    assert [lettering.written(name) for name in NAMES] == [
        "café",
        "[1]",
        "[automobile] cars",
        "[2] [3]",
        "[4]",
        "plain",
    ]
    assert lettering.written("is 停车 · 3 %") == "is [1] · 3 %"
    assert "[1] is 停车, [2] is שלום" in lettering.missing("the sheet")
    symbols = ["👩‍🌾", "👍🏽", "🍎🍐", "🧑‍🤝‍🧑🧑‍🤝‍🧑🧑‍🤝‍🧑"]
    assert [lettering.written(name) for name in symbols] == [
        "[woman, ear of rice]",
        "[thumbs up sign]",
        "[red apple, pear]",
        "[5]",
    ]


def test_a_font_that_has_the_letters_is_used_and_order_is_never_guessed(monkeypatch):
    font = fonts.opened("DejaVuSans.ttf", 11)
    if font is None:
        pytest.skip("DejaVu Sans is not installed")
    monkeypatch.setattr(fonts, "installed", lambda _size: (font,))
    assert Lettering(latin, ordered=True).parts("שלום עולם") == [("שלום עולם", font)]
    assert Lettering(latin, ordered=True).parts("aβ") == [("a", None), ("β", font)]
    assert Lettering(latin, ordered=False).written("שלום") == "[1]"


def test_each_name_in_a_line_has_a_font_of_its_own(monkeypatch):
    """As where a sheet counts the boxes of several classes; without isolation the order would have to be guessed."""
    monkeypatch.setattr(fonts, "installed", lambda _size: (tuple("مرحبا"), tuple("日本"), tuple("שלום")))
    monkeypatch.setattr(fonts, "has", lambda font, letter: letter in font)
    lettering = Lettering(latin, ordered=True)
    line = f"3 {isolated('مرحبا')}, 2 {isolated('日本')}, 1 {isolated('שלום')}"
    parts = ["3 ", "مرحبا", ", 2 ", "日本", ", 1 ", "שלום"]
    assert lettering.parts(line) == [(part, None if latin(part[0]) else tuple(part)) for part in parts]
    assert lettering.parts(line[:6]) == [("3 ", None), (line[3:6], tuple("مرحبا"))], "a label may be cut within a name"
    told = [
        Detect().told({"labels": np.array([0, 0, 1, -1])}, Description((8, 8, 1), ("مرحبا", "日本"), target="boxes"))
    ]
    sheet = Lettering(latin, ordered=True)
    assert sheet.written(told[0]) == "2 مرحبا, 1 日本"
    assert not sheet.numbers


def test_letters_come_in_every_size_whatever_font_has_them():
    pen = ImageDraw.Draw(Image.new("RGB", (9, 9)))
    if not isinstance(ImageFont.load_default(), ImageFont.FreeTypeFont):
        pytest.skip("Pillow is without FreeType")
    for name in NAMES:
        small, large = fonts.beside_pillows(), fonts.beside_pillows(40)
        assert small.written(name) == large.written(name)
        assert 3 < large.length(pen, name) / small.length(pen, name) < 5
        (above, below), (higher, lower) = (lettering.height(pen, name) for lettering in (small, large))
        assert 0 <= higher < lower
        assert 2.5 < (lower - higher) / (below - above) < 5


def test_a_contact_sheet_has_a_letter_for_every_letter():
    own = ImageFont.load_default()
    if not isinstance(own, ImageFont.FreeTypeFont):
        pytest.skip("Pillow is without FreeType")
    lettering = fonts.beside_pillows()
    for part, font in [part for name in NAMES for part in lettering.parts(name)]:
        assert all(letter.isspace() or fonts.has(font or own, letter) for letter in part)
    told = fonts.beside_pillows()
    contact_sheet.render("停车", [contact_sheet.Strip("日本", np.zeros((6, 4, 4, 1)), NAMES)], told)
    assert {*lettering.numbers} <= {*told.numbers}


@pytest.mark.parametrize("here", [True, False], ids=["fonts", "no fonts"])
def test_charts_for_paper_have_a_letter_for_every_letter(monkeypatch, here):
    pytest.importorskip("matplotlib")
    if not here:
        monkeypatch.setattr(fonts, "installed", lambda _size: ())
    shown = Matrix("confusion", "停车 🚗", np.eye(len(NAMES), dtype=np.int64), tuple(NAMES))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as Matplotlib warns of a letter that it draws as a box
        paper.png(matrix.chart(shown))
        paper.png(Chart("loss", "مرحبا", [Curve([0, 1], [0, 1], label=name) for name in NAMES]))

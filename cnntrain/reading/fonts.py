"""The fonts of this machine write names into pictures; letters that none of them has appear as numbers.

Emoji and other symbols that none has appear as their names in Unicode, where these are short. A picture's own
font has few letters, and which others there are differs from machine to machine.
"""

from __future__ import annotations

import functools
import itertools
import unicodedata
from collections.abc import Callable

from PIL import ImageDraw, ImageFont, features

from cnntrain.core.letters import from_right, pieces

_FILES = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "segoeui.ttf", "arial.ttf", "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "NotoSansSC-Regular.otf", "SourceHanSans-Regular.ttc",
    "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "msyh.ttc", "YuGothM.ttc", "malgun.ttf",
    "PingFang.ttc", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc",
    "NotoSansHebrew-Regular.ttf", "NotoSansArabic-Regular.ttf", "NotoSansDevanagari-Regular.ttf", "Nirmala.ttf",
    "NotoEmoji-Regular.ttf", "seguiemj.ttf", "seguisym.ttf", "Apple Symbols.ttf", "Symbola.ttf",
)  # fmt: skip
_NO_LETTER = "\uffff"  # no font has it: drawn like every letter that a font lacks

_LONGEST = 24  # letters of the name of a symbol that stands for it
_JOINED = ("Mn", "Me", "Cf")  # categories of what stands on or between other letters

Font = ImageFont.FreeTypeFont


@functools.lru_cache
def installed(size: int) -> tuple[Font, ...]:
    """The fonts that are here, in the order in which they are tried."""
    return tuple(font for font in (opened(name, size) for name in _FILES) if font is not None)


def opened(name: str, size: int) -> Font | None:
    """A font by the name or the path of its file; None where it is not here, or cannot be read."""
    try:
        return ImageFont.truetype(name, size)
    except (OSError, ImportError):
        return None


def shapes() -> bool:
    """Whether Pillow brings letters from right to left into order, and joins those of Arabic."""
    return bool(features.check("raqm"))


@functools.lru_cache(4096)
def has(font: Font, letter: str) -> bool:
    """Whether a font has a letter."""
    return bytes(font.getmask(letter)) != bytes(font.getmask(_NO_LETTER))


def beside_pillows(size: int = 10) -> Lettering:
    """The lettering for Pillow's own font, which has part of Latin-1, or without FreeType all of it, in one size."""
    own = _pillows(size)

    def holds(letter: str) -> bool:
        return has(own, letter) if isinstance(own, Font) else letter < "\u0100"

    return Lettering(holds, shapes(), size + 1, own)


@functools.lru_cache
def _pillows(size: int) -> ImageFont.ImageFont | Font:
    """Pillow's own font; without FreeType, it has one size."""
    own = ImageFont.load_default()
    return ImageFont.load_default(size) if isinstance(own, Font) else own


def _name_of_symbols(text: str) -> str:
    """The name of emoji and the like, "automobile"; empty for other letters, and where the name is long."""
    letters = [letter for letter in text if unicodedata.category(letter) not in _JOINED]
    symbols = [letter for letter in letters if unicodedata.category(letter) == "So"]
    if not symbols or any(unicodedata.category(letter) not in ("So", "Sk") for letter in letters):  # Sk: skin tones
        return ""
    named = ", ".join(unicodedata.name(letter, "?").lower() for letter in symbols)
    return named if len(named) <= _LONGEST and "?" not in named else ""


class Lettering:
    """The letters of one picture or of several: which fonts they need, and which letters none has.

    numbers   the number that stands for letters which cannot be written: "停车" -> 1
    """

    def __init__(
        self, own: Callable[[str], bool], ordered: bool, size: int = 11, font: ImageFont.ImageFont | Font | None = None
    ) -> None:
        """`own` tells whether the picture's own `font` has a letter, `ordered` whether it writes from right to left."""
        self._own, self._ordered, self._size, self._plain = own, ordered, size, font
        self.numbers: dict[str, int] = {}

    def written(self, text: str) -> str:
        """The text as it can be written: letters that no font has as a number in brackets."""
        return "".join(part for part, _ in self.parts(text))

    def parts(self, text: str) -> list[tuple[str, Font | None]]:
        """The same in parts, each with its font: None for the picture's own.

        Text from right to left is one part, and so is each name that is `isolated` in a line: its font need not have
        what stands beside it.
        """
        return [part for piece in pieces(text) for part in self._parts(unicodedata.normalize("NFC", piece))]

    def _parts(self, letters: str) -> list[tuple[str, Font | None]]:
        if self._ordered and from_right(letters):
            fonts = [None, *installed(self._size)]
            whole = [font for font in fonts if all(self._writes(font, letter) for letter in letters)]
            if whole:
                return [(letters, whole[0])]
        chosen: list[Font | str | None] = []
        for letter in letters:  # an accent, or what joins emoji, goes with the letter before
            joins = chosen and unicodedata.category(letter) in _JOINED
            chosen.append(chosen[-1] if joins else self._font(letter))
        found: list[tuple[str, Font | None]] = []
        for font, group in itertools.groupby(zip(letters, chosen, strict=True), key=lambda pair: pair[1]):
            part = "".join(letter for letter, _ in group)
            if isinstance(font, str):
                said = _name_of_symbols(part) or self.numbers.setdefault(part, len(self.numbers) + 1)
                part, font = f"[{said}]", None
            found.append((part, font))
        return found

    def _font(self, letter: str) -> Font | str | None:
        """The font for a letter; a text where none has it."""
        fonts = () if from_right(letter) else (None, *installed(self._size))
        return next((font for font in fonts if self._writes(font, letter)), "none")

    def _writes(self, font: Font | None, letter: str) -> bool:
        return letter.isspace() or (self._own(letter) if font is None else has(font, letter))

    def write(self, pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, ink: tuple[int, int, int]) -> None:
        """Draw a line of text, each part of it in a font that has its letters."""
        x, y = at
        for part, font in self.parts(text):
            pen.text((x, y), part, fill=ink, font=font or self._plain)
            x += pen.textlength(part, font=font or self._plain)

    def length(self, pen: ImageDraw.ImageDraw, text: str) -> float:
        """The width of such a line, in pixels."""
        return sum(pen.textlength(part, font=font or self._plain) for part, font in self.parts(text))

    def height(self, pen: ImageDraw.ImageDraw, text: str) -> tuple[float, float]:
        """From where to where such a line reaches below the place it is written at, in pixels."""
        areas = [pen.textbbox((0, 0), part, font=font or self._plain) for part, font in self.parts(text)]
        return min(area[1] for area in areas), max(area[3] for area in areas)

    def missing(self, what: str) -> str:
        """A line that says which numbers stand for what; empty where there are none."""
        if not self.numbers:
            return ""
        told = ", ".join(f"[{number}] is {part}" for part, number in self.numbers.items())
        return f"{what}: no font here has some letters, written as numbers: {told}. Install one, such as Noto Sans"

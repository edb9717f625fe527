"""The README's terminal: what a terminal would finally show of what was written to it."""

from __future__ import annotations

from tests.support.readme_pictures import rendered, screen


def test_the_last_screen_is_what_was_not_written_over():
    written = "a line\r\n\rbar 1/2\rbar 2/2\r       \r\x1b[1;32mbest\x1b[0m and <more>\r\n"
    lines = screen(written)
    assert ["".join(letter for letter, _ in line) for line in lines] == ["a line", "best and <more>"]
    assert [coloured for _, coloured in lines[1]] == [True] * 4 + [False] * 11
    text = rendered("cnntrain fit", lines)
    assert '<tspan class="b">best</tspan><tspan class="t"> and &lt;more&gt;</tspan>' in text
    assert "$ cnntrain fit" in text

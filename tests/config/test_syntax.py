"""A mistake of syntax is told at the line that has it, in terms of lines, columns, colons and dashes."""

from __future__ import annotations

import pytest

from cnntrain.config.problems import Problems
from cnntrain.config.tree import Source, parse
from cnntrain.core.errors import ConfigError

LIST = "model:\n  layers:\n    - type: conv2d\n      filters: 6\n    - relu # a remark\n    - flatten\n"
MAP = "optimizer:\n  type: sgd\n  lr: 0.1\n  momentum: 0.9\ntrain:\n  epochs: 1\n"
FLOW = "layers: [flatten, {type: dense, units: auto}]\noptimizer: {type: sgd, lr: 0.1}\ntrain: {epochs: 1}\n"
INDENTED = "the line is indented otherwise than its neighbours: it begins at column "
KEY = "expected a key with ': ' after it"
ITEM = ", or '- ' before an item of a list"


@pytest.mark.parametrize(
    ("text", "before", "after", "place", "message"),
    [
        (LIST, "    - relu", "   - relu", "5:4", f"{INDENTED}4, and line 3 at column 5"),
        (LIST, "    - flatten", "      - flatten", "6:7", f"{INDENTED}7, and line 5 at column 5"),
        (LIST, "      filters", "     filters", "4:6", f"{INDENTED}6, and line 3 at column 7"),
        (LIST, "      filters", "        filters", "4:16", f"{INDENTED}9, and line 3 at column 7"),
        (LIST, "      filters", "    filters", "4:5", "a key among the items of a list, which begins at line 3"),
        (
            LIST,
            "- type: conv2d\n      filters: 6",
            "a: 1\n    b: 2",
            "5:5",
            "an item of a list among the keys that begin at line 3; write all with '- '",
        ),
        (LIST, "- relu", "-relu", "5:5", "put a space after the dash: '- relu'"),
        (LIST, "- relu", "relu", "5:5", KEY + ITEM),
        (LIST, "- type: conv2d", "- conv2d", "4:14", "line 3, which this line goes on with, is no key"),
        (MAP, "  lr", " lr", "3:2", f"{INDENTED}2, and line 2 at column 3"),
        (MAP, "  lr: 0.1", "# a remark\n    lr: 0.1", "4:5", f"{INDENTED}5, and line 2 at column 3"),
        (MAP, "  lr", "lr", "4:11", f"{INDENTED}3, and line 3 at column 1"),
        (MAP, "optimizer:", "optimizer", "2:7", "line 1, which this line goes on with, is no key"),
        (MAP, "train:", "train", "5:1", KEY + ITEM),
        (MAP, "lr: 0.1", "lr 0.1 # a rate", "3:3", f"{KEY}, such as 'lr: 0.1'{ITEM}"),
        (MAP, "lr: 0.1", "lr = 0.1", "3:3", f"{KEY}, such as 'lr: 0.1'{ITEM}"),
        (MAP, "lr: 0.1", "lr:0.1 # a rate", "3:3", "put a space after the colon: 'lr: 0.1'"),
        (
            FLOW,
            "auto}]",
            "auto}",
            "1:9",
            "the '[' that begins here needs its ']', or a ',' between two entries, before line 2",
        ),
        (
            FLOW,
            "0.1}",
            "0.1",
            "2:12",
            "the '{' that begins here needs its '}', or a ',' between two entries, before line 3",
        ),
        (
            FLOW,
            "epochs: 1}",
            "epochs: 1",
            "3:8",
            "the '{' that begins here needs its '}', or a ',' between two entries, before the",
        ),
        (FLOW, "0.1}", "0.1}}", "2:32", "a '}' that closes nothing; remove it"),
        (FLOW, "auto}]", "auto}]]", "1:46", "a ']' that closes nothing; remove it"),
        (FLOW, "0.1}", "0.1]", "2:31", "a ']' where the '{' of column 12 asks for '}'"),
        (FLOW, "0.1}", "0.1} x", "2:33", "expected the end of the line after '}'"),
        (FLOW, "sgd, lr", "sgd lr", "2:25", "a second ': ' in one entry; put a ',' before its key"),
        (FLOW, "flatten, {", "flatten {", "1:18", "expected ',' or ']' before this"),
        (FLOW, "sgd, lr", "sgd,, lr", "2:23", "a ',' with nothing before it"),
        (FLOW, "type: sgd", "type:\tsgd", "2:18", "a tab; write spaces"),
        (MAP, "  type", "\ttype", "2:1", "a tab; indent with spaces"),
        (MAP, "sgd", "'sgd", "2:9", 'the "\'" that begins here is not closed'),
        (MAP, "sgd", '"sgd', "2:9", "the '\"' that begins here is not closed"),
        (MAP, "sgd", "'it's'", "2:13", 'a text goes on after its closing "\'"; put quotes around all of it'),
        (MAP, "sgd", '"C:\\data"', "2:13", "in double quotes a \\ has a meaning of its own; use single ones"),
        (MAP, "sgd", '"C:\\Users"', "2:14", "in double quotes a \\ has a meaning of its own; use single ones"),
        (MAP, MAP, '{"name": "a",\n "train": {}},\n "seed": 1}', "2:14", "expected the end of the line after '}'"),
        (MAP, MAP, '{"name": "a"}}', "1:14", "a '}' that closes nothing"),
        (MAP, MAP, '"My experiment"\nname: a', "2:1", "the config is over before this"),
        (MAP, MAP, "a: 1\n|\n x", "2:1", "expected a key with ': ' after it"),
        (MAP, "sgd", "@a", "2:9", "a text cannot begin with '@'; put quotes around it"),
        (MAP, "sgd", "%a", "2:9", "a text cannot begin with '%'; put quotes around it"),
        (MAP, "sgd", "*.png", "2:10", "a '*' at the beginning of a text has a meaning of its own in YAML; put quotes"),
        (MAP, "sgd", "& a", "2:10", "a '&' at the beginning of a text has a meaning of its own in YAML; put quotes"),
        (MAP, "sgd", "|a", "2:10", "'|' and '>' begin a text that follows below"),
        (MAP, "train:", "...\ntrain:", "6:1", "a config ends at a line of '...'; remove that line"),
        (MAP, "lr:", "lr\uff1a", "3:3", "write ': ' instead of the wide colon"),
        (MAP, "sgd", "sgd, lr: 1", "2:16", "a ': ' where none may be; is a ':' missing before it, braces around"),
    ],
)
def test_a_mistake_is_told_where_it_was_made(text: str, before: str, after: str, place: str, message: str) -> None:
    assert before in text
    with pytest.raises(ConfigError) as raised:
        parse(Source("f", text.replace(before, after, 1)), Problems())
    (found,) = raised.value.problems
    assert str(found.where) == f"f:{place}"
    assert found.message.startswith(f"not valid YAML: {message}")
    assert not found.notes

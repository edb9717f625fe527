"""`data.val: {share, group}`: groups by names of files or a column stand on one side of the split, for every source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cnntrain.config.load import load_text
from cnntrain.core.errors import CnntrainError
from cnntrain.data.build_data import read_data
from cnntrain.data.loader import split_groups
from tests.support.pictures import png

SCENES = ["a", "b", "c", "d", "e"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four pictures of each of five scenes in two classes, and a table of them that says who took them."""
    rows = ["path,label,who"]
    for kind in ("cat", "dog"):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for number, scene in enumerate(SCENES):
            for shot in range(4):
                path = tmp_path / "pictures" / kind / f"{scene}_{shot}.png"
                path.write_bytes(png(2, 2, 8, 0, bytes([number * 50 + shot] * 4)))
                rows.append(f"pictures/{kind}/{path.name},{kind},{'xy'[shot % 2]}{scene}")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def read(source: str, val: str) -> Any:
    return read_data(
        load_text(
            f"data: {{source: {source}, val: {val}}}\nmodel: {{layers: [flatten, {{type: dense, units: auto}}]}}\n"
            "train: {epochs: 1}\n",
            "x.yaml",
        )
    )


SOURCES = {
    "folder": "{type: image_folder, root: ROOT/pictures}",
    "subset": "{type: subset, fraction: 1, source: {type: image_folder, root: ROOT/pictures}}",
    "concat": "{type: concat, sources: [{type: image_folder, root: ROOT/pictures}]}",
    "table": "{type: csv, path: ROOT/list.csv}",
}


@pytest.mark.parametrize("kind", SOURCES)
def test_whole_groups_validate(root: Path, kind: str) -> None:
    data = read(SOURCES[kind].replace("ROOT", str(root)), "{share: 0.2, group: '^(.)_'}")
    train, val = ({data.train.kin[i] for i in indices} for indices in (data.train_indices, data.val_indices))
    assert sorted([*train, *val]) == SCENES
    assert len(data.val_indices) == 8
    named = {Path(data.train.names[i]).name[0] for i in data.val_indices}
    assert named == val


@pytest.mark.parametrize("tenths", range(11))
def test_so_many_groups_validate_as_come_nearest_to_the_share(tenths: int) -> None:
    kin = [f"group {number % 10}" for number in range(40)]
    for seed in range(3):
        training, validation = split_groups(kin, tenths / 10, seed)
        assert len(validation) == 4 * min(max(tenths, 1), 9), "at least one group, never all"
        assert sorted([*training, *validation]) == list(range(40))
        assert not {kin[index] for index in training} & {kin[index] for index in validation}


def test_a_group_that_leads_away_from_the_share_is_left_out() -> None:
    kin = ["large"] * 30 + [name for name in "abcde" for _ in range(2)]
    for seed in range(10):
        _, validation = split_groups(kin, 0.2, seed)
        assert len(validation) == 8
        assert len({kin[index] for index in validation} & set("abcde")) == 4


def test_a_column_is_a_group_and_the_source_may_name_it_itself(root: Path) -> None:
    first = read(f"{{type: csv, path: {root}/list.csv}}", "{share: 0.3, group: who}")
    assert {*first.train.kin} == {who + scene for who in "xy" for scene in SCENES}
    second = read(f"{{type: csv, path: {root}/list.csv, group: who}}", "{share: 0.3}")
    assert second.val_indices.tolist() == first.val_indices.tolist()
    assert not {first.train.kin[i] for i in first.val_indices} & {first.train.kin[i] for i in first.train_indices}


def test_a_share_alone_is_the_share_itself(root: Path) -> None:
    source = SOURCES["folder"].replace("ROOT", str(root))
    assert read(source, "{share: 0.2}").val_indices.tolist() == read(source, "0.2").val_indices.tolist()


@pytest.mark.parametrize(
    ("source", "val", "said"),
    [
        (SOURCES["folder"], "{share: 0.2, group: who}", "group 'who' has 0 groups, expected one group"),
        (SOURCES["folder"], "{share: 0.2, group: '(z)'}", "group '(z)' finds nothing in 40 of 40 names"),
        (SOURCES["table"], "{share: 0.2, group: whose}", "list.csv has no column 'whose'; as a regular expression"),
        (SOURCES["table"][:-1] + ", group: who}", "{share: 0.2, group: '^(.)_'}", "has the group 'who' already"),
        ("{type: synthetic, pattern: shapes}", "{share: 0.2, group: '(.)'}", "are not files of their own"),
        (SOURCES["folder"], "{share: 1.5}", "share must be in (0, 1)"),
    ],
)
def test_what_is_wrong(root: Path, source: str, val: str, said: str) -> None:
    with pytest.raises(CnntrainError) as caught:
        read(source.replace("ROOT", str(root)), val)
    assert said in str(caught.value)


def test_a_group_in_two_splits_and_a_row_without_one(root: Path) -> None:
    lines = (root / "list.csv").read_text().splitlines()
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    (root / "test.csv").write_text("\n".join(lines[:2]) + "\n")
    with pytest.raises(CnntrainError, match=r"the group 'xa' is in train \(4 rows\) and in test \(1\)"):
        read(f"{{type: csv, path: {root}}}", "{share: 0.2, group: who}")
    (root / "list.csv").write_text("\n".join(lines[:3]) + "\npictures/dog/a_0.png,dog,\n")
    with pytest.raises(CnntrainError, match=r"list.csv:4: the column 'who' is empty, expected a group"):
        read(f"{{type: csv, path: {root}/list.csv}}", "{share: 0.2, group: who}")

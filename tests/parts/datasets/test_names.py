"""Classes, splits and groups out of the names of files: for pictures, clips and sounds alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.cli import main
from cnntrain.core import registry
from cnntrain.core.errors import DataError
from cnntrain.data.loader import split_groups
from cnntrain.parts.datasets.class_folders import SplitNames

SPEAKERS = ("ann", "bob", "cid")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Pictures CLASS_SPEAKER_INDEX.png in one folder: three speakers, two classes, four of each."""
    for label in range(2):
        for shade, speaker in enumerate(SPEAKERS):
            for index in range(4):
                picture = np.full((4, 4, 3), 100 * label + 20 * shade + index, np.uint8)
                Image.fromarray(picture).save(tmp_path / f"{label}_{speaker}_{index}.png")
    return tmp_path


def make(root: Path, kind: str = "image_folder", **fields: Any) -> Any:
    return registry.make("datasets", kind, root=str(root), **({"label": r"^(\d)_"} | fields))


def test_label_split_and_group_of_pictures(root: Path) -> None:
    source = make(root, split=SplitNames(test=r"_[01]\.png$", val="_2"), group=None)
    assert source.splits() == ("train", "val", "test")
    for split, indices in {"train": [3], "val": [2], "test": [0, 1]}.items():
        images = source.load(split)
        assert images.classes == ("0", "1")
        expected = [f"{label}_{who}_{i}.png" for label in (0, 1) for who in SPEAKERS for i in indices]
        assert [Path(name).name for name in images.names] == expected
        assert [Path(name).name[0] for name in images.names] == [images.classes[label] for label in images.targets]
        assert [sample[0].name for sample, _ in source.labelled_samples(split)] == expected
        assert len(source.files(split)) == len(images)


def test_a_clip_is_called_as_its_folder_is(tmp_path: Path) -> None:
    for name in ("left_a_0", "left_b_1", "right_a_0", "right_b_1"):
        (tmp_path / name).mkdir()
        for frame in range(2):
            Image.new("L", (4, 4), frame).save(tmp_path / name / f"0_{frame}.png")
    source = make(tmp_path, "frames_folder", label="^([a-z]+)_", split=SplitNames(test="_1$"), group="_(.)_", frames=2)
    assert source.load("train").classes == ("left", "right")
    assert source.load("test").kin == ("b", "b")


def test_groups_go_with_the_samples_and_stay_whole(root: Path) -> None:
    source = make(root, group="_(.*)_")
    images = source.load("train")
    assert images.kin == ("ann",) * 4 + ("bob",) * 4 + ("cid",) * 4 + ("ann",) * 4 + ("bob",) * 4 + ("cid",) * 4
    assert images.take(np.array([9, 0])).kin == ("cid", "ann")
    seen = []
    for fold in range(3):
        folds = registry.make("datasets", "k_fold", source=source, folds=3, fold=fold)
        train, val = folds.load("train"), folds.load("val")
        assert not {*train.kin} & {*val.kin}
        assert len(val) == 8
        seen += [*val.kin]
    assert sorted(seen) == sorted(images.kin)
    with pytest.raises(DataError, match=r"has 3 groups \(ann, bob, cid\), expected at least one for each of 4 folds"):
        registry.make("datasets", "k_fold", source=source, folds=4).load("train")


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("seed", range(5))
def test_a_share_takes_whole_groups_some_and_never_all(share: float, seed: int) -> None:
    kin = np.random.default_rng(seed).integers(0, 7, 100).astype(str).tolist()
    train, val = split_groups(kin, share, seed)
    assert sorted([*train, *val]) == [*range(100)]
    ours, theirs = {kin[i] for i in train}, {kin[i] for i in val}
    assert ours
    assert theirs
    assert not ours & theirs
    sizes = [kin.count(name) for name in {*kin}]
    assert abs(len(val) - 100 * share) <= max(sizes)


def test_a_run_validates_on_speakers_it_has_not_heard(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = root / "x.yaml"
    config.write_text(f"""
data:
  source: {{type: image_folder, root: {root}, channels: 1, label: '^(\\d)_', group: '_(.*)_'}}
  val: 0.3
model: {{layers: [flatten, {{type: dense, units: auto}}]}}
train: {{epochs: 1, batch_size: 4}}
""")
    assert main(["fit", str(config), "-o", str(root / "run"), "-q"]) == 0
    assert main(["eval", str(root / "run"), "--split", "val", "--json"]) == 0
    assert '"samples":8,' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"label": "_(x)_"}, "label '_(x)_' finds nothing in 24 of 24 names, such as '0_ann_0.png', '0_ann_1.png'"),
        ({"label": r"(\d)"}, "finds two different things in 18 of 24 names, such as '0_ann_1.png'"),
        ({"label": "^(.)_ann"}, "finds nothing in 16 of 24 names, such as '0_bob_0.png'"),
        ({"label": "(png)"}, "label '(png)' finds the one class 'png', expected 2 or more"),
        ({"split": SplitNames(test="_9")}, "split.test '_9' is found in none of 24 names, such as '0_ann_0.png'"),
        ({"split": SplitNames(test="_")}, "split leaves none of 24 names"),
        ({"split": SplitNames(test="ann", val="_0")}, "split.val and split.test are both found in '0_ann_0.png'"),
        (
            {"split": SplitNames(test="_0"), "group": "_(.*)_"},
            "the group 'ann' is in train (6 images) and in test (2), expected each group in one split",
        ),
        ({"group": "_(x*)_"}, "group '_(x*)_' finds nothing in 24 of 24 names"),
    ],
)
def test_what_is_wrong_with_a_pattern(root: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        make(root, **fields).load("train")
    assert str(caught.value).startswith(str(root))
    assert said in str(caught.value)


def test_folders_and_patterns_both_for_splits(root: Path) -> None:
    (root / "train").mkdir()
    with pytest.raises(DataError, match="has the folders train, and 'split' tells splits apart by names"):
        make(root, split=SplitNames(test="_0")).load("train")


def test_split_without_a_pattern_and_a_slow_label_are_refused_where_they_stand(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source, said in (
        ("split: {}", "split needs 'val', 'test' or both"),
        ("label: '(a+)+'", "label '(a+)+' repeats a group, which is not allowed"),
        ("split: {test: '(a)'}", "split.test '(a)' has 1 group, expected none"),
    ):
        (root / "x.yaml").write_text(
            f"data: {{source: {{type: image_folder, root: {root}, {source}}}}}\n"
            "model: {layers: [flatten, {type: dense, units: auto}]}\ntrain: {epochs: 1}\n"
        )
        assert main(["check", str(root / "x.yaml")]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert "x.yaml:1:" in err

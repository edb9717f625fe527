"""`cnntrain init`: for every kind of data a config that trains as it is, and nothing overwritten without a word."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.config.load import load
from cnntrain.parts.models.tiny import Tiny32
from tests.support import datasets
from tests.support.counterparts import shapes, tensor


def pictures(root, classes=("cat", "dog"), count=6, height=20, width=20, mode="RGB"):
    """A folder of random pictures for each class."""
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(pixels).convert(mode).save(root / name / f"{number}.png")


def sounds(root):
    for name, pitch in (("low", 300), ("high", 2000)):
        (root / name).mkdir(parents=True)
        for number in range(5):
            with wave.open(str(root / name / f"{number}.wav"), "wb") as sound:
                sound.setparams((1, 2, 8000, 0, "NONE", ""))
                tone = 9000 * np.sin(2 * np.pi * pitch * np.arange(4000 + number) / 8000)
                sound.writeframes(tone.astype("<i2").tobytes())


def cifar(root):
    root.mkdir()
    records = np.random.default_rng(0).integers(0, 256, (8, 3073), np.uint8)
    names = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
    for number, name in enumerate(names):
        records[:, 0] = (np.arange(8) + 8 * number) % 10
        (root / f"{name}.bin").write_bytes(records.tobytes())


def arrays(path, targets):
    x = np.random.default_rng(0).random((30, 6, 5), np.float32)
    np.savez(path, x_train=x, y_train=targets)


def listed(desk, header, *rows):
    """Pictures, and a CSV file that names them with these rows over and over."""
    pictures(desk / "shots", classes=("any",), count=12)
    lines = [f"shots/any/{number}.png,{rows[number % len(rows)]}" for number in range(12)]
    (desk / "data.csv").write_text("\n".join([header, *lines]))


def source_of(path):
    return load([path]).experiment.data.source


@pytest.mark.parametrize(
    ("kind", "make", "says"),
    [
        ("image_folder", lambda desk: pictures(desk / "data", mode="L"), "12 training samples of 20x20x1, 2 classes"),
        ("audio_folder", lambda desk: sounds(desk / "data"), "10 training samples of 40x48x1, 2 classes"),
        ("idx", lambda desk: datasets.write_idx(desk / "data"), "20 training samples of 6x5x1, 10 classes"),
        ("cifar10", lambda desk: cifar(desk / "data"), "40 training samples of 32x32x3, 10 classes"),
        ("npz", lambda desk: arrays(desk / "data.npz", np.arange(30) % 3), "30 training samples of 6x5x1, 3 classes"),
        ("npz", lambda desk: arrays(desk / "data.npz", np.eye(30, 2) / 3), "30 training samples of 6x5x1, 2 values"),
        ("npz", lambda desk: arrays(desk / "data.npz", np.eye(30, 2)), "30 training samples of 6x5x1, 2 labels"),
        ("csv", lambda desk: listed(desk, "file,class", "a", "b"), "12 training samples of 20x20x3, 2 classes"),
        ("csv", lambda desk: listed(desk, "path,x,y", "1,0", "0,1"), "12 training samples of 20x20x3, 2 labels"),
        ("csv", lambda desk: listed(desk, "path,age", "1.5", "7"), "12 training samples of 20x20x3, 1 value"),
    ],
    ids=[
        "pictures",
        "sounds",
        "idx",
        "cifar10",
        "classes",
        "values",
        "labels",
        "listed",
        "listed labels",
        "listed values",
    ],
)
def test_what_it_writes_trains_as_it_is(cnntrain, desk, kind, make, says):
    make(desk)
    data = {"npz": "data.npz", "csv": "data.csv"}.get(kind, "data")
    outcome = cnntrain("init", "--data", data)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{kind}: {says}")
    assert outcome.out.endswith("next: cnntrain fit config.yaml\n")
    assert max(map(len, (desk / "config.yaml").read_text().splitlines())) <= 120
    short = ("-s", "train.epochs=null", "-s", "train.steps=1", "-s", "schedule.warmup=null", "-q")
    trained = cnntrain("fit", "config.yaml", "-o", "run", *short)
    assert (trained.code, trained.err) == (0, "")


@pytest.mark.parametrize(("least", "most"), [(100_000, 457_000), (1950, 2020), (1e-3, 3e-3), (1e-6, 3e-6), (3, 3)])
def test_values_of_any_size_are_learned(cnntrain, desk, least, most):
    """What a picture's brightness says is soon known, in whatever units; a constant already."""
    rng = np.random.default_rng(0)
    brightness = np.linspace(0, 1, 60, dtype=np.float32)
    x = np.broadcast_to(brightness[:, None, None], (60, 6, 5)) + 0.02 * rng.standard_normal((60, 6, 5), np.float32)
    np.savez("data.npz", x_train=x.clip(0, 1), y_train=(least + (most - least) * brightness)[:, None])
    assert cnntrain("init", "--data", "data.npz").code == 0
    quick = ("-s", "train.epochs=12", "-s", "train.metrics=[r2, mae]", "-q")
    assert cnntrain("fit", "config.yaml", "-o", "run", *quick).err == ""
    found = json.loads(cnntrain("eval", "run", "--split", "val", "--json").out)
    assert found["mae"] < 0.2 * (most - least if most > least else 1)  # of a constant, init takes 1 for the spread
    assert cnntrain("export", "run", "--format", "page", "-o", "page.html").code == 0


def test_the_figures_are_those_of_the_data(cnntrain, desk):
    pictures(desk / "data", height=30, width=20)
    document = json.loads(cnntrain("init", "--data", "data", "--json").out)
    assert (document["source"], document["samples"], document["shape"]) == ("image_folder", 12, [30, 20, 3])
    assert document["classes"] == ["cat", "dog"]
    experiment = load([desk / "config.yaml"]).experiment
    pixels = experiment.data.source.load("train").pixels / 255
    (*_, normalize), (alone,) = experiment.data.train_transforms, experiment.data.eval_transforms
    assert normalize == alone
    assert normalize.mean == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=1e-3)
    assert normalize.std == pytest.approx(pixels.std(axis=(0, 1, 2)), abs=1e-3)
    text = (desk / "config.yaml").read_text()
    assert "12 training samples of 30x20x3, 2 classes: cat 6, dog 6\n" in text


@pytest.mark.parametrize(("count", "order"), [(7, "shuffle"), (30, "balanced")])
def test_classes_of_very_different_size_are_balanced(cnntrain, desk, count, order):
    pictures(desk / "data", classes=("rare",), count=6)
    pictures(desk / "data", classes=("usual",), count=count)
    assert cnntrain("init", "--data", "data").code == 0
    assert load(["config.yaml"]).experiment.train.order.name_in_config == order


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(20, 20)] * 3, (20, 20)),
        ([(300, 300)] * 3, (64, 64)),
        ([(40, 45), (50, 41), (39, 38)], (32, 32)),
        ([(400, 100), (500, 120)], (256, 64)),
        ([(100, 210), (100, 190)], (64, 128)),
        ([(9, 9), (10, 10)], (16, 16)),
    ],
)
def test_pictures_get_one_size(cnntrain, desk, sizes, expected):
    for number, (height, width) in enumerate(sizes):
        pictures(desk / "data" / "train", [f"class{number}"], 1, height, width)
    pictures(desk / "data" / "val", ["class0"], 1)
    assert cnntrain("init", "--data", "data", "--from-scratch").code == 0
    assert source_of("config.yaml").size == expected
    assert load(["config.yaml"]).experiment.data.val is None


def test_a_network_that_has_learned_gets_the_size_it_knows_and_the_last_weights_of_few_pictures(cnntrain, desk):
    pictures(desk / "data", count=4, height=60, width=90)
    text, experiment = proposed(cnntrain)
    assert experiment.data.source.size == (32, 48)
    assert "32x48x3: that of the pictures the network was trained on" in text
    assert experiment.checkpoint.best.monitor == "train/loss"
    assert "set aside are too few to tell epochs apart" in text


def test_a_picture_lying_on_its_side_counts_as_it_will_be_seen(cnntrain, desk):
    pictures(desk / "data", count=1, height=10, width=30)
    for path in (desk / "data").rglob("*.png"):
        exif = Image.Exif()
        exif[274] = 6
        Image.open(path).save(path, exif=exif)
    assert cnntrain("init", "--data", "data").code == 0
    assert source_of("config.yaml").size == (30, 10)


@pytest.mark.parametrize("counts", [(7, 1), (1, 2), (2, 2), (3, 3), (4, 5), (5, 5), (6, 7), (40, 3), (4, 1, 1, 1, 1)])
def test_no_batch_is_larger_than_what_trains(cnntrain, desk, counts):
    for number, count in enumerate(counts):
        pictures(desk / "data", classes=(f"class {number}",), count=count)
    assert cnntrain("init", "--data", "data").code == 0
    trained = cnntrain("fit", "config.yaml", "-o", "run", "-s", "train.epochs=1")
    assert trained.code == 0
    assert "train.batch_size is" not in trained.err
    samples = json.loads((desk / "run" / "data.json").read_text())["samples"]["train"]
    assert f"batch_size: {min(samples, 8)}" in (desk / "config.yaml").read_text()


def test_a_config_that_is_there_stays(cnntrain, desk):
    pictures(desk / "data")
    (desk / "config.yaml").write_text("mine")
    outcome = cnntrain("init", "--data", "data")
    assert outcome.code == 5
    assert outcome.error == (
        f"{desk / 'config.yaml'} exists already. Replace it with --overwrite, or name another with -o"
    )
    assert (desk / "config.yaml").read_text() == "mine"
    assert cnntrain("init", "--data", "data", "-o", "other.yaml").code == 0
    assert cnntrain("init", "--data", "data", "--overwrite").code == 0
    assert (desk / "config.yaml").read_text() != "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "does not exist, expected a folder or file of data"),
        ("empty", "holds 0 folders and 0 files, none of which is data of a known kind"),
        ("a.zip", "is an archive. Unpack it, and name the folder"),
        ("a.txt", "is not data of a known kind. Expected a .npz or .csv file, or a folder"),
    ],
)
def test_what_it_does_not_know_it_says(cnntrain, desk, name, message):
    (desk / "empty").mkdir()
    for file in ("a.zip", "a.txt"):
        (desk / file).write_bytes(b"x")
    outcome = cnntrain("init", "--data", name)
    assert outcome.code == 3
    assert outcome.error.startswith(f"{desk / name} {message}")
    assert not (desk / "config.yaml").exists()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            ("data_batch_1", "batches.meta"),
            "holds no CIFAR-10 files that are read. This is the Python (pickled) version",
        ),
        (("train", "test", "meta"), "holds no CIFAR-100 files that are read. This is the Python (pickled) version"),
        (("cifar-10-batches-py/data_batch_1",), "/cifar-10-batches-py holds no CIFAR-10 files that are read. This is"),
        (("cifar-100-python/train", "cifar-100-python/meta"), "/cifar-100-python holds no CIFAR-100 files"),
    ],
)
def test_cifar_in_its_python_version_is_told(cnntrain, desk, files, told):
    for file in files:
        (desk / "data" / file).parent.mkdir(parents=True, exist_ok=True)
        (desk / "data" / file).write_bytes(b"\x80\x02}q\x01.")
    outcome = cnntrain("init", "--data", "data")
    assert outcome.code == 3
    assert told in outcome.error
    assert "use the binary version" in outcome.error


def test_a_split_that_has_no_labels_is_told_before_a_config_is_written(cnntrain, desk):
    pictures(desk / "sorted" / "train")
    pictures(desk / "sorted", classes=("test",))
    pictures(desk, classes=("table",))
    (desk / "table" / "train.csv").write_text("file,class\n0.png,a\n1.png,b\n2.png,a\n3.png,b\n")
    (desk / "table" / "test.csv").write_text("file\n4.png\n")
    told = {"sorted": "test has no folder for a class, but 6 images", "table": "'class' is not among file"}
    for data, said in told.items():
        outcome = cnntrain("init", "--data", data)
        assert outcome.code == 3
        assert said in outcome.error
    assert not (desk / "config.yaml").exists()


def test_names_that_are_yaml_or_control_a_terminal_do_no_harm(cnntrain, desk):
    pictures(desk / "a: [b]\n, {c}", classes=("yes", "1e3", "{x: y}"))
    assert cnntrain("init", "--data", "a: [b]\n, {c}").code == 0
    assert source_of("config.yaml").root == "a: [b]\n, {c}"
    assert source_of("config.yaml").load("train").classes == ("1e3", "yes", "{x: y}")


@pytest.mark.parametrize("column", ["id", "width,height", "fold"])
def test_classes_are_preferred_to_running_numbers_and_sizes(cnntrain, desk, column):
    rows = [f"{number},8,dog" if column != "id" else f"{number},dog" for number in range(12)]
    rows = [row.replace("dog", ["dog", "cat"][number % 2]) for number, row in enumerate(rows)]
    header = f"filename,{'fold,size' if column == 'fold' else column},species"
    pictures(desk / "shots", classes=("any",), count=12)
    lines = [f"shots/any/{number}.png,{row}" for number, row in enumerate(rows)]
    (desk / "data.csv").write_text("\n".join([header, *lines]))
    assert cnntrain("init", "--data", "data.csv").code == 0
    assert (source_of("config.yaml").label, source_of("config.yaml").targets) == ("species", None)


def test_a_column_in_doubt_is_asked_for_and_can_be_told(cnntrain, desk):
    listed(desk, "path,breed,colour", "dog,red", "cat,blue", "dog,blue")
    outcome = cnntrain("init", "--data", "data.csv")
    assert outcome.code == 3
    assert outcome.error == (
        f"{desk / 'data.csv'}: which column is to be predicted? It could be 'breed', 'colour'. Name it with init "
        "--target COLUMN, or call it 'label'"
    )
    assert cnntrain("init", "--data", "data.csv", "--target", "colour").code == 0
    assert source_of("config.yaml").label == "colour"
    outcome = cnntrain("init", "--data", "data.csv", "--target", "coloor", "--overwrite")
    assert outcome.error == f"{desk / 'data.csv'} has no column 'coloor', found path, breed, colour. Name one of them"
    outcome = cnntrain("init", "--data", "shots", "--target", "colour", "--overwrite")
    assert outcome.error.endswith("shots is no table, and has no columns to choose among. Leave --target out")


@pytest.mark.parametrize(
    ("header", "rows", "chosen", "left"),
    [
        ("path,x,size", ("1.5,170", "2.5,140", "0.5,90"), "1 value each (column x)", "column size"),
        ("path,x,number,depth", ("1.5,7,2", "2.5,9,3"), "1 value each (column x)", "columns number, depth"),
        ("path,a,b", ("1.5,170", "2.5,140"), "2 values each (columns a, b)", ""),
        ("path,species,age,fold", ("dog,3,1", "cat,5,1"), "2 classes (column species)", "column age"),
    ],
)
def test_it_says_which_columns_it_chose_and_which_numbers_it_left_out(cnntrain, desk, header, rows, chosen, left):
    listed(desk, header, *rows)
    outcome = cnntrain("init", "--data", "data.csv")
    assert f"{chosen}\n" in outcome.out
    assert (f"\nleft out: {left}. Name others to predict with --target\n" in outcome.out) == bool(left)
    assert ("left out" in outcome.out) == bool(left)
    column = chosen.split("(")[1].rstrip(")")
    others = f"; left out: {left.partition(' ')[2]} (init --target COLUMN predicts others)" if left else ""
    assert f"  # predicted: the {column}{others}\n" in (desk / "config.yaml").read_text()


def test_nothing_is_left_out_by_who_says_what_to_predict(cnntrain, desk):
    listed(desk, "path,x,size", "1.5,170", "2.5,140")
    outcome = cnntrain("init", "--data", "data.csv", "--target", "size", "--json")
    document = json.loads(outcome.out)
    assert (document["columns"], document["left_columns"]) == (["size"], [])


@pytest.mark.parametrize(("within", "named"), [(".", "my photos"), ("my photos", "."), ("my photos/a", "..")])
def test_the_run_is_called_after_the_folder_however_it_is_named(cnntrain, desk, within, named, monkeypatch):
    for kind in "ab":
        (desk / "my photos" / kind).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (8, 8), 30 * number).save(desk / "my photos" / kind / f"{number}.png")
    monkeypatch.chdir(desk / within)
    assert cnntrain("init", "--data", named, "-o", "new.yaml").code == 0
    assert "\nname: my-photos\n" in (desk / within / "new.yaml").read_text()


def test_a_name_that_no_config_can_hold_is_told_of(cnntrain, desk):
    outcome = cnntrain("init", "--data", desk / "\udcff")
    assert (outcome.code, outcome.error) == (
        3,
        f"{desk}/\\udcff has a name that is not UTF-8, which no config can hold. Rename it",
    )
    assert not (desk / "config.yaml").exists()


def damaged(root, count):
    for number in range(count):
        (root / f"cat/bad{number}.png").write_bytes(b"<html>")


def test_where_some_pictures_are_damaged_the_config_goes_on_without_them_and_check_names_them(cnntrain, desk):
    pictures(desk / "data")
    damaged(desk / "data", 12)
    outcome = cnntrain("init", "--data", "data")
    assert outcome.code == 0
    assert f"warning: 12 of 24 images unreadable, first: {desk}/data/cat/bad0.png: not an image" in outcome.err
    assert "To have it named: cnntrain check config.yaml\n" in outcome.err
    source = source_of("config.yaml")
    assert (source.on_bad_image, source.size) == ("skip", (20, 20))
    assert "  # 12 training samples of 20x20x3, 2 classes: cat 6, dog 6\n" in (desk / "config.yaml").read_text()
    checked = cnntrain("check", "config.yaml", "--json")
    assert checked.code == 0
    assert len(json.loads(checked.out)["survey"]["skipped"]) == 12


@pytest.mark.parametrize(("count", "classes"), [(13, ("cat", "dog")), (1, ("dog", "pig"))])
def test_where_most_pictures_or_all_of_a_class_are_damaged_it_is_an_error(cnntrain, desk, count, classes):
    pictures(desk / "data", classes)
    (desk / "data/cat").mkdir(exist_ok=True)
    damaged(desk / "data", count)
    outcome = cnntrain("init", "--data", "data")
    assert outcome.code == 3
    assert outcome.error.startswith(f"{count} of {12 + count} images unreadable, first: {desk}/data/cat/bad0.png: ")
    assert outcome.error.endswith(". Mend or remove them")
    assert "warning" not in outcome.err
    assert not (desk / "config.yaml").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"\n\n"),
        ("a.csv", b"path,label\n"),
        ("a.csv", b'path,label\n"a.png,cat\nb.png,dog\n'),
        ("a.csv", b"\xff\xfe\0\0"),
        ("a.csv", b"pa\0th,label\na.png,x\nb.png,y\n"),
        ("a.csv", b"path,la\x1b[31mbel\na.png,x\nb.png,y\n"),
        ("a.csv", b"path,label\nx.png,a\ny.png,b\n"),
        ("a.npz", b""),
        ("a.npz", b"PK\3\4"),
        ("x/a.wav", b""),
        ("x/a.wav", b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\0\0\0\0\0\0\0\0\2\0\x10\0data\4\0\0\0abcd"),
        ("x/a.png", b""),
        ("x/a.png", b"\x89PNG\r\n\x1a\n"),
        ("train-images-idx3-ubyte", b""),
        ("train.csv", b""),
        ("data_batch_1.bin", b"abc"),
        ("x_train.npy", b"\x93NUMPY"),
    ],
)
def test_damaged_data_is_told_of_as_what_it_is(cnntrain, desk, name, content):
    """And is no bug: nothing is written, no crash log either."""
    place = desk / "data" / name
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    if name[:2] == "x/":
        (desk / "data" / "y").mkdir()
        (desk / "data" / "y" / place.name).write_bytes(content)
    for data in {place if place.suffix in (".csv", ".npz") else desk / "data", desk / "data"}:
        outcome = cnntrain("init", "--data", data)
        assert outcome.code == 3, outcome
        assert outcome.error
        assert [entry.name for entry in desk.iterdir()] == ["data"]


def proposed(cnntrain, *arguments):
    """The config's text, and the config."""
    outcome = cnntrain("init", "--data", "data", "--overwrite", *arguments)
    assert outcome.code == 0, outcome.err
    path = "config.yaml"
    return Path(path).read_text(), load([path]).experiment


def test_few_photographs_begin_with_the_network_that_comes_along_and_the_other_lines_stand_below(cnntrain, desk):
    pictures(desk / "data", count=6, height=40, width=40)
    text, experiment = proposed(cnntrain)
    assert experiment.model.preset.name_in_config == "tiny32"
    assert experiment.model.init_from.checkpoint == "builtin"
    assert "12 training samples are few" in text
    assert experiment.data.eval_transforms[0].mean == Tiny32.mean
    plain, scratch = proposed(cnntrain, "--from-scratch")
    lines = [line.split(" #")[0].rstrip() for line in plain.splitlines() if line.startswith("    - {type: conv2d")]
    assert lines
    assert all(f"  #   {line.strip()}" in text for line in lines)
    assert scratch.model.preset is None
    trained = cnntrain("fit", "config.yaml", "-o", "run", "-s", "train.epochs=1", "-q")
    assert trained.code == 0, trained.err


@pytest.mark.parametrize(("height", "width"), [(20, 40), (40, 160)])
def test_few_photographs_whose_sides_do_not_suit_are_told_why_they_begin_from_scratch(cnntrain, desk, height, width):
    pictures(desk / "data", height=height, width=width)
    text, experiment = proposed(cnntrain)
    why = "suits sides of 32 to 96; --pretrained begins with it all the same"
    assert experiment.model.preset is None
    assert why in text
    assert why not in proposed(cnntrain, "--from-scratch")[0]
    assert proposed(cnntrain, "--pretrained")[1].model.preset.name_in_config == "tiny32"


def test_grey_and_small_pictures_begin_so_only_if_told_to(cnntrain, desk):
    pictures(desk / "data", height=16, width=16, mode="L")
    text, experiment = proposed(cnntrain)
    assert experiment.model.preset is None
    assert "--pretrained" not in text
    _, experiment = proposed(cnntrain, "--pretrained", "--size", "32")
    assert experiment.model.preset.name_in_config == "tiny32"
    assert (experiment.data.source.size, experiment.data.source.channels) == ((32, 32), 3)
    assert cnntrain("fit", "config.yaml", "-o", "run", "-s", "train.epochs=1", "-q").code == 0


@pytest.mark.parametrize(("size", "expected"), [("24", (24, 48)), ("50", (50, 96))])
def test_a_size_keeps_proportions(cnntrain, desk, size, expected):
    pictures(desk / "data", height=100, width=200)
    text, experiment = proposed(cnntrain, "--size", size)
    assert experiment.data.source.size == expected
    assert "as you asked" in text


def test_a_size_is_that_of_the_frames_of_clips(cnntrain, desk):
    for name, step in (("left", -1), ("right", 1)):
        for number in range(3):
            (desk / "data" / name / str(number)).mkdir(parents=True)
            for moment in range(4):
                frame = Image.new("L", (40, 20), (9 * step * moment + number) % 256)
                frame.save(desk / "data" / name / str(number) / f"{moment}.png")
    text, experiment = proposed(cnntrain, "--size", "16")
    source = experiment.data.source
    assert (source.name_in_config, source.size, source.frames) == ("frames_folder", (16, 32), 4)
    assert "If each is a sample of its own,\n  # move the pictures up into the folders of their classes" in text


def test_what_is_left_out_is_told_once_however_often_the_data_is_read(cnntrain, desk):
    """`init` reads pictures of 40x40 again at 32x32; `eval` looks for a split in all that was trained on."""
    pictures(desk / "data", count=6, height=40, width=40)
    (desk / "data" / "cat" / "phone.heic").write_bytes(b"x")
    outcomes = [
        cnntrain("init", "--data", "data"),
        cnntrain("fit", "config.yaml", "-o", "run", "-s", "train.epochs=1", "-s", "schedule=constant", "-q"),
        cnntrain("eval", "run", "--split", "train"),
    ]
    assert [(outcome.code, outcome.err.count("1 .heic")) for outcome in outcomes] == [(0, 1)] * 3


def test_a_budget_of_time_makes_pictures_smaller_before_epochs_fewer(cnntrain, desk, monkeypatch):
    """An epoch takes a second for each 32x32 pixels of a picture."""
    monkeypatch.setattr(
        "cnntrain.checks.proposal._epoch_seconds", lambda found, *_: np.prod(found.images.shape[:2]) / 1024
    )
    pictures(desk / "data", height=90, width=90)
    sizes, epochs = [], []
    for minutes in ("9", "1", "0.2", "0.1"):
        text, experiment = proposed(cnntrain, "--from-scratch", "--minutes", minutes)
        sizes.append(experiment.data.source.size[0])
        epochs.append(experiment.train.epochs)
    assert sizes == [90, 64, 32, 32]
    assert epochs == [60, 15, 12, 6]
    assert "as many as the time allows; under a minute on this machine" in text


def test_pictures_with_boxes_keep_sides_that_a_detector_takes(cnntrain, desk, monkeypatch):
    """Whether the time or the user makes them smaller: in proportion, 48x60 or 64x80, which it refuses."""
    monkeypatch.setattr(
        "cnntrain.checks.proposal._epoch_seconds", lambda found, *_: np.prod(found.images.shape[:2]) / 1024
    )
    pictures(desk / "data", classes=("p",), count=4, height=160, width=200)
    rows = [f"p/{number}.png,20,30,90,120,cell" for number in range(4)]
    (desk / "data" / "train.csv").write_text("\n".join(["path,x1,y1,x2,y2,class", *rows]))
    asked = [("--minutes", "9"), ("--minutes", "1.1"), ("--minutes", "0.1"), ("--size", "64"), ("--size", "96")]
    found = [proposed(cnntrain, *arguments)[1].data.source.size for arguments in asked]
    assert found == [(160, 224), (64, 96), (32, 64), (64, 96), (96, 128)]
    assert cnntrain("check", "config.yaml").code == 0
    refused = cnntrain("init", "--data", "data", "--overwrite", "--size", "48")
    assert (refused.code, refused.error) == (2, "--size must be a multiple of 32 for boxes_csv, got 48. Change it")


def test_weights_of_a_library_bring_their_network_and_preprocessing(cnntrain, desk):
    save = pytest.importorskip("safetensors.numpy", reason="needs the extra safetensors").save_file
    pictures(desk / "data", height=64, width=64)
    save(
        {name: tensor(name, shape) for name, shape in shapes("torchvision squeezenet1_1", 64).items()}, "w.safetensors"
    )
    _, experiment = proposed(cnntrain, "--weights", "w.safetensors")
    assert experiment.model.preset.name_in_config == "squeezenet"
    assert (experiment.model.init_from.names, experiment.data.eval_transforms[0].mean[0]) == ("torchvision", 0.485)
    trained = cnntrain("fit", "config.yaml", "-o", "run", "-s", "train.epochs=null", "-s", "train.steps=1", "-q")
    assert trained.code == 0, trained.err
    assert "# all but the last layer: one score for each class\n" in (desk / "config.yaml").read_text()
    save({"a.weight": np.zeros(3, np.float32)}, "odd.safetensors")
    refused = cnntrain("init", "--data", "data", "--overwrite", "--weights", "odd.safetensors")
    assert refused.code == 2
    assert "--weights odd.safetensors fits no preset. Choose a file of " in refused.err
    assert "torchvision's resnet18" in refused.err


@pytest.mark.parametrize("unit", [1, 1000])
def test_weights_of_a_library_are_for_values_that_their_network_can_reach(cnntrain, desk, unit):
    save = pytest.importorskip("safetensors.numpy", reason="needs the extra safetensors").save_file
    listed(desk, "path,price", *(f"{unit * price}" for price in (0.5, -0.5)))
    save(
        {name: tensor(name, shape) for name, shape in shapes("torchvision squeezenet1_1", 64).items()}, "w.safetensors"
    )
    outcome = cnntrain("init", "--data", "data.csv", "--weights", "w.safetensors", "--size", "64")
    if unit == 1:
        assert outcome.code == 0, outcome.err
        assert "# all but the last layer: one for each value\n" in (desk / "config.yaml").read_text()
    else:
        assert outcome.code == 2
        assert "-500 to 500. Bring them to about -1 to 1 in the data, or leave --weights out" in outcome.error


@pytest.mark.parametrize("count", [1, 2, 3])
def test_of_few_samples_what_it_says_comes_next_can_be_done(cnntrain, desk, count):
    x = np.random.default_rng(0).random((count, 6, 5), np.float32)
    np.savez("data.npz", x_train=x, y_train=np.linspace(0.5, 7, count)[:, None])
    assert cnntrain("init", "--data", "data.npz").code == 0
    assert (load(["config.yaml"]).experiment.data.val is None) == (count < 3)
    assert cnntrain("fit", "config.yaml", "-o", "run", "-q", "-s", "train.epochs=2").code == 0


@pytest.mark.parametrize("option", [("--size", "32"), ("--pretrained",)])
def test_what_is_for_pictures_is_refused_for_arrays(cnntrain, desk, option):
    arrays(desk / "data", np.arange(30) % 3)
    (desk / "data.npz").rename(desk / "a.npz")
    outcome = cnntrain("init", "--data", "a.npz", *option)
    assert outcome.code == 2
    assert f"{option[0]} is for files of pictures" in outcome.err

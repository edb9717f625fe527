"""Every config in the repository is right: always by its shapes, and by its data where that is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnntrain.cli import main
from cnntrain.config.load import load
from cnntrain.parts.datasets.audio_folder import AudioFolder
from cnntrain.parts.datasets.cifar10 import Cifar10
from cnntrain.parts.datasets.idx import Idx
from cnntrain.parts.datasets.voc import Voc
from tests.support.datasets import SHARED

ROOT = Path(__file__).parent.parent
CONFIGS = sorted(path for folder in ("", "published") for path in (ROOT / "configs" / folder).glob("*.yaml"))
DATA = {
    "caffe-lenet": SHARED / "mnist",
    "lenet-300-100": SHARED / "mnist",
    "lenet-5": SHARED / "mnist",
    "detect-blood-cells": SHARED / "bccd",
    "mnist-lenet": SHARED / "mnist",
    "segment-membrane": SHARED / "membrane",
    "spoken-digits": SHARED / "spoken-digits" / "recordings",
}  # where a machine may have what the config's own root lacks
NETWORKS = {  # trained parameters, counted by hand from the papers' or the config's layers
    "quickstart": 80_298,  # 25*16+16 + 2*16 + 25*16*32+32 + 2*32 + 512*128+128 + 128*10+10
    "lenet-300-100": 266_610,  # 784*300+300 + 300*100+100 + 100*10+10
    "lenet-5": 61_706,  # as in LeCun et al. 1998, if its second convolution had no table
    "caffe-lenet": 431_080,
    "cifar10-quick": 145_578,
    "cifar10-full": 89_578,
    "mnist-lenet": 431_150,  # 25*20 + 2*20 + 25*20*50 + 2*50 + 800*500+500 + 500*10+10
    "fashion-cnn": 94_186,  # 9*(32 + 32*64 + 64*128) + 2*(32+64+128) + 128*10+10
    "cifar10-small": 307_946,  # 9*(3*32 + 32*32 + 32*64 + 64*64 + 64*128 + 128*128) + 4*(32+64+128) + 2048*10+10
    # 2*24 + 9*(24*64 + 64*64 + 64*256 + 3*256*256) + 2*64 + 4*256 + 256*10: batch norms have only a shift
    "cifar10-94": 1_971_376,
    "pretrained-tiny32": 279_466,  # 9*(3*32 + 32*64 + 64*64 + 64*128 + 128*128) + 2*(32 + 2*64 + 2*128) + 128*10+10
    "cifar10-resnet20": 269_722,  # 0.27M in He et al. 2015, table 6
    "resnet-20": 269_722,
    # 9*(3*96 + 2*96*96 + 96*192 + 3*192*192) + 192*192 + 192*10 + 3*96 + 5*192 + 10
    "all-cnn-c": 1_369_738,
    # stem 9*3*8, stages of f channels 9*(f/2*f + f*f) + f/2*f for 16 to 128, pyramid (128 + 64 + 32)*32, head
    # 4*9*32*32 + 9*32*(5 + 3) + 5 + 3, and 2*(8 + 3*(16+32+64+128) + 3*32 + 4*32) of batch norms
    "detect-shapes": 353_104,
    "detect-blood-cells": 1_403_544,  # the same twice as wide
    # 9*(3*8 + 8*8 + 8*16 + 16*16 + 16*32 + 32*32 + 32*64 + 64*64 + 64*32 + 32*32 + 32*16 + 16*16 + 16*8 + 8*8)
    # + 4*(8+16+32+64 + 8+16+32) + 4*(64*32 + 32*16 + 16*8) + 32+16+8 + 8*4+4
    "segment-shapes": 121_204,
    "video-motion": 26_292,  # 9*16 + 27*(16*24 + 24*24) + 2*(16+24+24) + 24*4+4
    "speech-vowels": 67_322,  # 25*16 + 9*16*32 + 30*32*64 + 2*(16+32+64) + 64*10+10
    "segment-membrane": 1_942_306,  # the same for 1 channel, widths of 16 to 256 and 2 classes
}
BY_DATA = {"spoken-digits"}  # whose classes only the names of the files say


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_configs_are_those_of_the_table():
    assert {path.stem for path in CONFIGS} == set(NETWORKS) | BY_DATA


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.stem not in BY_DATA], ids=lambda path: path.stem)
def test_passes_check_without_its_data_and_has_the_parameters_it_should(path, capsys):
    assert main(["check", "--no-data", "--json", str(path.relative_to(ROOT))]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["parameters"] == NETWORKS[path.stem]
    assert not err, "a config of the repository draws no warning"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_passes_check_where_its_data_is(path, capsys):
    source: Any = load([path]).experiment.data.source
    if not hasattr(source, "root"):
        sets = []
        if getattr(source, "pictures", None) and not Path(source.pictures).is_dir():
            there = {key: DATA[path.stem] / Path(getattr(source, key)).name for key in ("pictures", "masks")}
            if not there["pictures"].is_dir():
                pytest.skip(f"{path.stem} needs {source.pictures}, which is not there")
            sets = [word for key, place in there.items() for word in ("--set", f"data.source.{key}={place}")]
        assert main(["check", *sets, str(path)]) == 0
        assert capsys.readouterr().out.endswith(f"{path.stem}: ready to train\n")
        return
    root = next((root for root in (Path(_root(path)), DATA.get(path.stem)) if root and root.is_dir()), None)
    if root is None:
        pytest.skip(f"{path.stem} needs {_root(path)}, which is not there")
    assert main(["check", "--set", f"data.source.root={root}", str(path)]) == 0
    assert capsys.readouterr().out.endswith(f"{path.stem}: ready to train\n")


def _root(path: Path) -> str:
    source = load([path]).experiment.data.source
    assert isinstance(source, (Idx, Cifar10, AudioFolder, Voc))
    return source.root

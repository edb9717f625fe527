"""What feeding costs can be measured, and the measurement leaves nothing behind."""

from __future__ import annotations

import sys

from tests.benchmarks import feeding


def test_what_feeding_costs_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(feeding, "NETWORKS", ("vgg_small",))
    monkeypatch.setattr(feeding, "BATCH", 4)
    monkeypatch.setattr(sys, "argv", ["feeding", "--steps", "1", "--jpegs", "12"])
    feeding.main()
    shown = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in shown] == ["vgg_small", "waiting for 12 JPEGs"]
    assert shown[1].count("%") == 3
    assert list(tmp_path.iterdir()) == []

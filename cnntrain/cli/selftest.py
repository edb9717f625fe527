"""`cnntrain selftest` tests an installation on the machine it runs on."""

from __future__ import annotations

from pathlib import Path

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json
from cnntrain.cli.text import show, table
from cnntrain.core.counts import counted


@click.command(cls=Command, examples=["cnntrain selftest", "cnntrain selftest --part my_layer.py"])
@click.option("--part", type=PATH, metavar="FILE", help="Check the parts that this Python file registers instead.")
@as_json
@debug
def command(part: Path | None, as_json: bool) -> None:
    """Compare every part with PyTorch's numbers, and one thread with several; exit code 9 if any differ.

    With --part, the file is imported and its parts are checked against the contract of their kind: gradients that match
    central differences, equal bits, a bound on every number, and more.
    """
    from cnntrain.checks.selftest import run

    if part is not None:
        _check(part, as_json)
        return
    report = run()
    if as_json:
        print_json(report.document())
    else:
        rows = [
            [
                check.name,
                str(check.cases),
                f"{check.worst:.1e}",
                f"{check.tolerance:.0e}",
                "ok" if check.passed else f"FAILED: {check.worst_case}",
                check.note,
            ]
            for check in report.checks
        ]
        show(table([["check", "cases", "deviation", "allowed", "", ""], *rows], right={1, 2, 3}))
        show(f"\n{counted(len(report.checks), 'check')} in {report.seconds:.1f} s")
    report.require()


def _check(path: Path, as_json: bool) -> None:
    """Check a file's parts against their contracts."""
    from cnntrain.checks.contracts.check import check

    outcome = check(path)
    if as_json:
        print_json(outcome.document())
    else:
        rows = [
            [verdict.part, verdict.check, str(verdict.cases), f"FAILED: {verdict.problem}" if verdict.problem else "ok"]
            for verdict in outcome.verdicts
        ]
        show(table([["part", "check", "cases", ""], *rows], right={2}, fold=3))
        show(f"\n{counted(len(outcome.verdicts), 'check')} in {outcome.seconds:.1f} s")
    outcome.require()

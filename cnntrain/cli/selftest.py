"""`cnntrain selftest` proves an installation on the machine it runs on."""

from __future__ import annotations

import click

from cnntrain.cli.options import Command, as_json, debug, print_json
from cnntrain.cli.text import show, table


@click.command(cls=Command, examples=["cnntrain selftest"])
@as_json
@debug
def command(as_json: bool) -> None:
    """Compare every part with PyTorch's numbers, and threads with each other; exit code 9 where they differ."""
    from cnntrain.selftest import run

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
        show(f"\n{len(report.checks)} checks in {report.seconds:.1f} s")
    report.require()

"""``dgaal doctor``."""

import os

import typer

from dgaal_cli.commands._context import Context
from dgaal_cli.escaping import show

MARKS = {"ok": "ok     ", "missing": "missing", "old": "too old", "risk": "at risk"}


def doctor(ctx: typer.Context) -> None:
    """Check versions, devices and packages; print the command that installs what is missing."""
    from dgaal_cli.api.doctor import doctor as examine

    context: Context = ctx.obj
    findings = examine(os.environ, context.workspace_if_any(is_checked=False))
    if context.printed_json(findings):
        return
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{MARKS[finding.level]}  {finding.name:<{width}}  {show(finding.found)}")
    remedies = list(dict.fromkeys(f.remedy for f in findings if f.remedy))
    if remedies:
        print("\nto fix this:")
        for remedy in remedies:
            print(f"  {show(remedy)}")

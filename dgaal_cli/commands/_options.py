"""Options that several commands share, each written once."""

from typing import Annotated

import typer

Device = Annotated[
    str, typer.Option(help="Processor: auto, cpu, cuda or cuda:N.", metavar="DEVICE")
]
"""Of commands that run exported files: no engine of theirs runs on mps, unlike training."""
Seed = Annotated[int | None, typer.Option(help="Source of all randomness.", min=0)]
Assignments = Annotated[
    list[str],
    typer.Option("--set", help="Lay key.path=value over dgaal.toml; may be repeated."),
]
Events = Annotated[
    bool, typer.Option("--events", help="Print progress as one JSON line an event on stdout.")
]


def assignments(pairs: dict[str, object | None], extra: list[str]) -> list[str]:
    """Turn daily options into assignments, then append what ``--set`` gave; None was not given."""
    return [f"{key}={value}" for key, value in pairs.items() if value is not None] + extra

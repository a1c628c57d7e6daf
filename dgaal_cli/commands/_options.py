"""Options shared by several commands."""

from typing import Annotated

import typer

Device = Annotated[
    str, typer.Option(help="Processor: auto, cpu, cuda or cuda:N.", metavar="DEVICE")
]
"""For commands that run exported files: their engines do not support mps, unlike training."""
TrainingDevice = Annotated[
    str | None, typer.Option(help="Processor: auto, cpu, cuda, cuda:N or mps.")
]
Seed = Annotated[int | None, typer.Option(help="Random seed.", min=0)]
Assignments = Annotated[
    list[str],
    typer.Option("--set", help="Override a key of dgaal.toml: key.path=value; may be repeated."),
]
Events = Annotated[
    bool, typer.Option("--events", help="Print each progress event as one JSON line on stdout.")
]
TrustTorchScript = Annotated[
    bool,
    typer.Option(
        "--trust-torchscript", help="Run TorchScript files of others; they can run any code."
    ),
]
NetworkFolder = Annotated[
    bool,
    typer.Option("--i-know", help="Allow a network file system; only for one person on one host."),
]


def assignments(pairs: dict[str, object | None], extra: list[str]) -> list[str]:
    """Convert options to ``key=value`` and append those of ``--set``; None means not given."""
    return [f"{key}={value}" for key, value in pairs.items() if value is not None] + extra

"""``dgaal train``."""

import importlib
import os
import shlex
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dgaal_cli.commands._context import Context, needing
from dgaal_cli.commands._options import Assignments, Events, Seed, TrainingDevice, assignments
from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show
from dgaal_cli.events import AnyEvent, encode

if TYPE_CHECKING:
    from dgaal_cli.config.schema import Config
    from dgaal_cli.rounds.resume_state import ResumeState


def train(
    ctx: typer.Context,
    device: TrainingDevice = None,
    seed: Seed = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; 0 = automatic.", min=0)] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="auto, fp32 or bf16; auto is bf16 on a GPU that supports it, else fp32."),
    ] = None,
    time_budget: Annotated[
        str | None,
        typer.Option(
            help="Time limit of the round: 90s, 10m or 1.5h; pauses excluded. Uses fewer steps.",
            metavar="TIME",
        ),
    ] = None,
    is_fresh: Annotated[
        bool, typer.Option("--fresh", help="Restart the round instead of resuming it.")
    ] = False,
    is_resumed: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume an interrupted round with its options; an error if there is none.",
        ),
    ] = False,
    is_inexact_allowed: Annotated[
        bool,
        typer.Option(
            "--allow-inexact", help="Resume with different threads, device, precision or versions."
        ),
    ] = False,
    has_event_files: Annotated[
        bool,
        typer.Option("--tensorboard", help="Write TensorBoard event files to the round's folder."),
    ] = False,
    extra: Assignments = [],  # noqa: B006 - Typer: may be repeated
    prints_events: Events = False,
) -> None:
    """Train the next round on the current labels; an interrupted round is resumed."""
    began = time.perf_counter()
    context: Context = ctx.obj
    if is_fresh and is_resumed:
        raise UsageError("--fresh and --resume contradict each other; use one")
    workspace = context.workspace()
    from dgaal_cli.rounds.resume_state import merge_overrides, newest_resume_state

    begun = None if is_fresh else newest_resume_state(workspace)
    own = merge_overrides(
        begun,
        assignments(
            {"device": device, "seed": seed, "threads": threads, "precision": precision}, extra
        ),
    )
    config = context.config(own)
    from dgaal_cli.api.train import train as run
    from dgaal_cli.training.launch import is_first_process, parse_duration

    _check_packages(config, has_event_files=has_event_files)
    is_printing = not prints_events and is_first_process(os.environ)
    if is_printing:
        _tell_start(context, begun, time_budget)
    result = run(
        workspace,
        config,
        emit=print_event if prints_events else context.listener(),
        is_fresh=is_fresh,
        must_resume=is_resumed,
        budget_s=None if time_budget is None else parse_duration(time_budget),
        began=began,
        assignments=own,
        is_inexact_allowed=is_inexact_allowed,
        has_event_files=has_event_files,
    )
    if not is_printing:
        return
    document = asdict(result)
    document["health"] = document.pop("metrics")
    if context.printed_json(document):
        return
    measured = "no accuracy yet"
    if result.accuracy is not None:
        where = f"{result.measured_count} {result.measured_on}"
        measured = f"accuracy {result.accuracy:.1%} on {where}"
    print(f"round {result.round}: {result.labels} labels, {measured}, {result.seconds:.1f} s")
    if result.synthesized:
        context.note(f"{result.synthesized} synthetic images were added to the candidates")
    context.note(f"next: {context.dgaal} query")


def _check_packages(config: "Config", *, has_event_files: bool) -> None:
    from dgaal_cli.methods.registry import trains_no_network

    if not trains_no_network(config):
        with needing("train", command=f"dgaal train with the method '{config.method}'"):
            importlib.import_module("dgaal_cli.api.train_networks")
    if has_event_files:
        with needing("tensorboard", command="dgaal train --tensorboard"):
            importlib.import_module("dgaal_cli.rounds.event_files")


def print_event(event: AnyEvent) -> None:
    """Write one event as a JSON line on stdout."""
    sys.stdout.buffer.write(encode(event) + b"\n")
    sys.stdout.buffer.flush()


def _tell_start(context: Context, begun: "ResumeState | None", time_budget: str | None) -> None:
    """Name the options of an interrupted round, and what happens before the first step."""
    resumed = [f"--set {shlex.quote(text)}" for text in begun.assignments] if begun else []
    if begun and begun.budget_s is not None and time_budget is None:
        resumed.append(f"--time-budget {begun.budget_s:.12g}s")
    if resumed:
        context.note(f"with the options of the interrupted round: {show(' '.join(resumed))}")
    context.note("reading the pool and its labels")

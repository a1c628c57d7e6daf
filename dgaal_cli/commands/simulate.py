"""``dgaal simulate``."""

import shlex
import sys
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dgaal_cli.commands._context import Context, needing
from dgaal_cli.commands._options import Assignments, TrainingDevice
from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show

if TYPE_CHECKING:
    from dgaal_cli.simulation.plan import Plan

DEFAULT_METHODS = "random,margin,dgaal"
MAX_SEEDS = 10_000


def simulate(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="Labeled images to choose from: a SOURCE.")] = "",
    preset: Annotated[str, typer.Option(help="Published experiment to repeat.")] = "",
    lists_presets: Annotated[
        bool, typer.Option("--list-presets", help="List the published experiments.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the preset's data files.", metavar="DIR")
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(help="Labeled images to measure accuracy on; default: a part of the pool."),
    ] = None,
    test_share: Annotated[
        float | None, typer.Option(help="Fraction held out for testing.", min=0.0, max=1.0)
    ] = None,
    has_new_test: Annotated[
        bool, typer.Option("--new-test", help="Hold out other images for each seed.")
    ] = False,
    group_by: Annotated[
        str | None,
        typer.Option(
            help="Images that are held out together: folder, or a regular expression with one "
            "group, applied to names."
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Methods: random,margin,dgaal[generation.share=0;coevolve.folds=2]."),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Number or list of seeds: 5 or 0,1,7.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Number of query rounds.")] = None,
    initial: Annotated[int | None, typer.Option(help="Labels before the first query.")] = None,
    query_size: Annotated[
        str | None,
        typer.Option("--query-size", "-n", help="Images asked per round: 50, or 10,10,20,40,80."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Pretrained encoder, or pixels.", metavar="ENCODER")
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help="Also measure T on features as 'query' fits it: auto, graph; linear = do not.",
            metavar="HEAD",
        ),
    ] = None,
    pool_size: Annotated[int | None, typer.Option(help="Random pool images to use.")] = None,
    test_size: Annotated[int | None, typer.Option(help="Random test images to use.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels: 8, 16, 32, 64.")] = None,
    classes: Annotated[str | None, typer.Option(help="Use only these classes: a,b.")] = None,
    absent_classes: Annotated[
        str | None, typer.Option(help="Classes without first labels: a,b.")
    ] = None,
    absent_count: Annotated[
        int | None, typer.Option(help="More such classes, chosen by the seed.", min=0)
    ] = None,
    imbalance: Annotated[
        str | None, typer.Option(help="Fraction of a class to keep: cat=0.1 or random:3=0.1.")
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(help="Noise: uniform:0.2, within:0.2:MAP.json, recorded:KEY:LABELS.npz."),
    ] = None,
    oracle_confidence: Annotated[
        float | None,
        typer.Option(help="Min confidence to label a synthetic image.", min=0.0, max=1.0),
    ] = None,
    is_balanced: Annotated[
        bool, typer.Option("--balanced-start", help="Same number of first labels for each class.")
    ] = False,
    measures_full: Annotated[
        bool, typer.Option("--full-data", help="Also train on all labels, for comparison.")
    ] = False,
    measures_guesses: Annotated[
        bool, typer.Option("--guesses", help="Count the key presses that guesses save.")
    ] = False,
    device: TrainingDevice = None,
    extra: Assignments = [],  # noqa: B006 - Typer: may be repeated
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of the results.", metavar="DIR")
    ] = Path("dgaal-simulation"),
    jobs: Annotated[int, typer.Option(help="Parallel processes, one thread each.", min=1)] = 1,
) -> None:
    """Compare methods, each with several seeds, with known labels as the oracle.

    An interrupted run resumes; seeds and methods can be added later.
    """
    context: Context = ctx.obj
    if lists_presets:
        _list_presets(context)
        return
    import msgspec

    from dgaal_cli.simulation.plan import merge_assignment, parse_methods

    plan = _base_plan(source, preset, context.base / (data or Path()))
    changes: dict[str, Any] = {
        "test": test,
        "test_share": test_share,
        "seeds": None if seeds is None else _seeds(seeds),
        "rounds": rounds,
        "initial": initial,
        "pool_size": pool_size,
        "test_size": test_size,
        "image_size": image_size,
        "classes": _names(classes),
        "absent_classes": _names(absent_classes),
        "absent_count": absent_count,
        "imbalance": imbalance,
        "oracle_confidence": oracle_confidence,
        "noise": noise,
        "start": "balanced" if is_balanced else None,
        "full_data": measures_full or None,
        "guesses": measures_guesses or None,
        "new_test": has_new_test or None,
        "group_by": group_by,
        "arms": None if methods is None else parse_methods(methods),
    }
    changes |= {} if query_size is None else _query_sizes(query_size, rounds)
    given = {key: value for key, value in changes.items() if value is not None}
    assignments = [*extra, *([f"device={device}"] if device else [])]
    assignments += [f"classifier.head={head}"] if head else []
    config = reduce(merge_assignment, assignments, plan.config)
    if encoder is not None:
        config = config | {"encoder": {"source": encoder}}
    plan = msgspec.structs.replace(plan, **given, config=config)
    with needing("train", command="dgaal simulate"):
        from dgaal_cli.api.simulate import document
        from dgaal_cli.api.simulate import simulate as run
        from dgaal_cli.simulation import table
    result = run(
        plan,
        output,
        base=context.base,
        jobs=jobs,
        command=f"dgaal {shlex.join(sys.argv[1:])}",
        on_message=context.note,
    )
    if context.printed_json(document(result)):
        return
    print(table.text(result.plan, result.summary, test_images=result.facts["test_images"]))
    context.note(f"\nresults in {show(str(result.folder))}; plot them with:")
    context.note(f"  dgaal report {show(shlex.quote(str(output)))}")


def _list_presets(context: Context) -> None:
    from dgaal_cli.simulation.presets import load_preset, simulation_presets

    plans = [load_preset(name) for name in simulation_presets()]
    document = [{"name": p.preset, "follows": p.follows, "note": p.note} for p in plans]
    if context.printed_json(document):
        return
    for plan in plans:
        print(f"{plan.preset}\n    {plan.follows}")


def _base_plan(source: str, preset: str, data: Path) -> "Plan":
    import msgspec

    from dgaal_cli.simulation.plan import Plan, parse_methods
    from dgaal_cli.simulation.presets import load_preset

    if not source and not preset:
        raise UsageError(
            "give labeled images or a preset: dgaal simulate builtin:digits#train "
            "--test builtin:digits#test, or dgaal simulate --list-presets"
        )
    plan = load_preset(preset, data=data) if preset else Plan(arms=parse_methods(DEFAULT_METHODS))
    # A preset's test images belong to its own pool.
    return msgspec.structs.replace(plan, pool=source, test="") if source else plan


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(filter(None, (name.strip() for name in text.split(","))))


def _query_sizes(text: str, rounds: int | None) -> dict[str, Any]:
    """Return the values of a plan; several sizes are as many rounds, unless these are given."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
        raise UsageError(f"--query-size {text!r} is not valid; write 50 or 10,10,20,40,80")
    sizes = tuple(map(int, parts))
    if len(sizes) == 1:
        return {"query_size": sizes[0], "query_sizes": ()}
    return {"query_sizes": sizes, "rounds": len(sizes) if rounds is None else rounds}


def _seeds(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and len(part) < 20 for part in parts):
        raise UsageError(f"--seeds {text!r} is not valid; write 5 or 0,1,7")
    if len(parts) > 1:
        return tuple(map(int, parts))
    if int(parts[0]) > MAX_SEEDS:
        raise UsageError(f"--seeds is {parts[0]}; the maximum is {MAX_SEEDS}")
    return tuple(range(int(parts[0])))

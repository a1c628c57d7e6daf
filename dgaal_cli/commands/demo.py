"""``dgaal demo``."""

from pathlib import Path
from typing import Annotated

import typer

from dgaal_cli.commands._context import Context, needing
from dgaal_cli.escaping import show
from dgaal_cli.workspace import keep_private


def demo(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Folder to create.")] = Path("dgaal-demo"),
    seed: Annotated[
        int, typer.Option(help="Random seed of the first labels and of training.", min=0)
    ] = 0,
) -> None:
    """Run the whole loop without a person on built-in digits, compared with random selection."""
    context: Context = ctx.obj
    with needing("train", command="dgaal demo"):
        from dgaal_cli.api.demo import demo as run
    keep_private(directory)
    result = run(directory, seed=seed, emit=context.listener(), on_message=context.note)
    document = {
        "workspace": result.workspace.root,
        "test_images": result.test_images,
        "rounds": result.rows,
        "paths": result.paths,
    }
    if context.printed_json(document):
        return
    if result.was_complete:
        context.note("this demo is already complete; its results:")
    print(f"accuracy on {result.test_images} test images (one seed: a demo, not evidence)")
    print("dgaal's model also trains on the unlabeled images, random's only on its labels")
    print("labels   dgaal  random")
    for row in result.rows:
        print(f"{row.labels:>6}  {row.dgaal:>6.1%}  {row.random:>6.1%}")
    print("\nwritten:")
    for path in result.paths:
        print(f"  {show(str(path))}")
    print(f"\nlabel the next query yourself:\n  dgaal label -C {show(str(directory))}")

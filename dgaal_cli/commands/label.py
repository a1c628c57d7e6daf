"""``dgaal label``: answer the open query in the terminal."""

import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from dgaal_cli.commands._context import Context, needing
from dgaal_cli.errors import UsageError

_IMAGES = ("auto", "half", "half5", "half256", "kitty", "gray", "ascii")


def label(
    ctx: typer.Context,
    *,
    annotator: Annotated[
        str, typer.Option(help="Annotator name; default: the operating system's user.")
    ] = "",
    images: Annotated[
        str,
        typer.Option(
            help="auto, half, half5 (slow connections), half256, kitty, gray or ascii.",
            metavar="MODE",
        ),
    ] = "auto",
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Ask and answer line by line, for screen readers and pipes."),
    ] = False,
    review: Annotated[
        bool, typer.Option("--review", help="Start with the review of the previous answers.")
    ] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show the terminal in a browser on this machine.")
    ] = False,
    port: Annotated[
        int, typer.Option(help="Port of --serve; 0 = any free port.", min=0, max=65535)
    ] = 8321,
) -> None:
    """Label the open query in the terminal, or run the next round."""
    from dgaal_cli.api.label import open_session
    from dgaal_cli.labeling.annotators import default_annotator
    from dgaal_cli.labeling.background_features import features_in_background

    context: Context = ctx.obj
    if images not in _IMAGES:
        raise UsageError(f"--images must be one of {', '.join(_IMAGES)}")
    if serve:
        if images == "kitty":
            raise UsageError("a browser cannot show kitty images; omit --images with --serve")
        if plain:
            raise UsageError("--serve shows the screen, --plain asks line by line; use one of them")
        _serve(context, annotator=annotator, images=images, port=port, is_review_first=review)
        return
    is_plain = plain or os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    if not is_plain and not _is_terminal():
        raise UsageError(
            "dgaal label needs a terminal for keys and screen; "
            "use --plain to answer line by line, or 'dgaal labels import' for a file of labels"
        )
    workspace, config = context.workspace(), context.config()
    name = annotator or default_annotator()
    # Imported by name: the command line and the terminal interface do not depend on each other.
    terminal: Any = import_module("dgaal_cli.tui.start")
    with (
        open_session(workspace, config, annotator=name) as opener,
        features_in_background(workspace, config),
    ):
        if is_plain:
            code = terminal.start_plain(opener)
        else:
            code = terminal.start_screen(
                opener,
                workspace,
                config,
                images=images,
                is_review_first=review,
                dgaal=context.dgaal,
                say=context.note,
            )
    raise typer.Exit(code)


def _serve(
    context: Context, *, annotator: str, images: str, port: int, is_review_first: bool
) -> None:
    """Serve this command to a browser; each tab is one process."""
    from dgaal_cli.labeling.annotators import check_annotator, default_annotator

    root = context.workspace().root
    name = annotator or default_annotator()
    check_annotator(name)
    with needing("serve", command="dgaal label --serve"):
        import_module("textual_serve")  # its page is read with the first request only
        server: Any = import_module("dgaal_cli.tui.serve.server")
    mode = "half" if images == "auto" else images
    argv = [sys.executable, "-m", "dgaal_cli", "-C", str(root), "label"]
    argv += ["--annotator", name, "--images", mode, *(["--review"] if is_review_first else [])]

    def announce(address: str, port: int) -> None:
        print(address, flush=True)
        context.note("open it on this machine; to open it on your own, first run there:")
        context.note(f"  ssh -L {port}:127.0.0.1:{port} THIS-HOST")
        context.note(f"anyone with the address can label as {name}; Ctrl-C stops the server")

    server.serve(argv, port=port, announce=announce)


def _is_terminal() -> bool:
    """Textual reads stdin and draws on stderr; stdout may be a file."""
    if os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver"):
        return True  # a tab of --serve: keys and screen use pipes
    streams = (sys.__stdin__, sys.__stderr__)
    return all(stream is not None and stream.isatty() for stream in streams)

"""The command line: the only place that turns errors into text on stderr and an exit code."""

import atexit
import contextlib
import errno
import gc
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from dgaal_cli.commands._context import Context
from dgaal_cli.errors import DgaalError
from dgaal_cli.escaping import show
from dgaal_cli.parent import end_with_parent
from dgaal_cli.version import __version__

COMMANDS = {
    "demo": "Run the whole loop on built-in digits.",
    "init": "Create a workspace for a pool of images.",
    "encoders": "List pretrained encoders, and export one.",
    "features": "Compute the features of images once, for all rounds.",
    "train": "Train the next round on the current labels.",
    "query": "Choose the next images to label.",
    "label": "Label the open query in the terminal.",
    "export": "Export sampler, generator and classifier files.",
    "score": "Score images offline with an exported sampler.",
    "generate": "Synthesize images with a generator.",
    "labels": "Export, import and review labels.",
    "pool": "Compare the pool with the workspace, and add its new images.",
    "simulate": "Compare methods on labeled images.",
    "report": "Plot curves, queries and health on one page.",
    "plan": "Plan some hours of labeling.",
    "status": "Show the state of the workspace.",
    "doctor": "Check versions, devices and packages.",
}
"""Name and help line of each command; its module in ``commands`` is imported on use."""


class LazyGroup(TyperGroup):
    """Lists commands without importing them: ``dgaal --help`` loads neither torch nor Textual."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the command names in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a placeholder with the help line; ``resolve_command`` loads the command."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command to run."""
        name, placeholder, rest = super().resolve_command(ctx, args)
        if placeholder is None or name is None:
            return name, placeholder, rest
        return name, _load(name), rest


def _load(name: str) -> Any:
    module = import_module(f"dgaal_cli.commands.{name}")
    group = getattr(module, "app", None)
    if group is None:
        function = getattr(module, name)
        group = typer.Typer(add_completion=False, rich_markup_mode=None)
        group.command(name, help=function.__doc__)(function)
    command = typer.main.get_command(group)
    command.name = name
    return command


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_requested: bool) -> None:  # noqa: FBT001 - Typer's signature
    if is_requested:
        print(f"dgaal {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    ctx: typer.Context,
    directory: Annotated[
        Path | None, typer.Option("-C", metavar="DIR", help="Workspace to use.")
    ] = None,
    as_json: Annotated[  # noqa: FBT002
        bool, typer.Option("--json", help="Print the result as one JSON document.")
    ] = False,
    is_quiet: Annotated[  # noqa: FBT002
        bool, typer.Option("-q", "--quiet", help="Print no messages and no progress.")
    ] = False,
    verbose: Annotated[  # noqa: ARG001 - main reads it, for errors before this call
        int,
        typer.Option(
            "-v", "--verbose", count=True, help="Print more details; -vv shows tracebacks."
        ),
    ] = 0,
    version: Annotated[  # noqa: ARG001, FBT002
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Adversarial active learning for images, from the terminal."""
    ctx.obj = Context(directory=directory, json=as_json, quiet=is_quiet, at_end=ctx.call_on_close)


def main() -> None:
    """Run the command line and exit with its exit code."""
    end_with_parent()
    # The OpenMP threads of torch spin while they wait, which slows a busy host. torch reads this
    # when it is loaded; child processes inherit it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Imports create hundreds of thousands of objects, none of them garbage. Collecting during the
    # imports and at exit takes a fifth of the time of a short command.
    gc.set_threshold(100_000, 20, 50)
    atexit.register(_skip_final_collection)
    arguments = _globals_first(sys.argv[1:])
    is_traced = arguments.count("-v") > 1 or "-vv" in arguments
    try:
        app(args=arguments, prog_name="dgaal")
    except DgaalError as error:
        _fail(_with_notes(str(error), error), error.exit_code, is_traced=is_traced)
    except KeyboardInterrupt:
        _fail(
            "interrupted; run the command again to continue or repeat it",
            128 + signal.SIGINT,
            is_traced=False,
        )
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        _fail("out of memory; use a smaller batch or image size", 8, is_traced=is_traced)
    except OSError as error:
        where = f" {show(str(error.filename))}" if error.filename else ""
        if error.errno in _NAME_ERRORS:
            _fail(f"cannot use{where}: {error.strerror}", 2, is_traced=is_traced)
        if error.errno not in _STORAGE_ERRORS:
            _bug(error, is_traced=is_traced)
        text = f"cannot read or write{where}: {error.strerror}"
        _fail(_with_notes(text, error), 8, is_traced=is_traced)
    except Exception as error:  # noqa: BLE001 - report it as a bug
        _bug(error, is_traced=is_traced)


_STORAGE_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
)


def _skip_final_collection() -> None:
    # With torch loaded, a dependency of torch reports each uncollected object on stderr.
    if "torch" not in sys.modules:
        gc.freeze()


_NAME_ERRORS = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR)
_GLOBAL_FLAGS = ("--json", "-q", "--quiet", "-v", "-vv", "--verbose")


def _globals_first(arguments: list[str]) -> list[str]:
    """Move global options in front of the command; they are accepted after it too."""
    own: list[str] = []
    rest: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            rest += [argument, *left]
            break
        if argument in _GLOBAL_FLAGS:
            own.append(argument)
        elif argument == "-C" and left:
            own += [argument, left.pop(0)]
        else:
            rest.append(argument)
    return own + rest


def _with_notes(text: str, error: BaseException) -> str:
    """Append the notes of the error, such as what was saved."""
    return "; ".join([text, *map(show, getattr(error, "__notes__", []))])


def _fail(message: str, exit_code: int, *, is_traced: bool) -> None:
    if is_traced:
        import traceback

        traceback.print_exc()
    print(f"dgaal: {message}", file=sys.stderr)
    sys.exit(exit_code)


def _bug(error: Exception, *, is_traced: bool) -> None:
    kind = type(error).__name__
    hint = "" if is_traced else "; run the command again with -vv for the traceback"
    _fail(
        f"this is a bug in dgaal ({kind}: {show(str(error))}){hint}; "
        "check the labels with 'dgaal labels check'",
        1,
        is_traced=is_traced,
    )

"""The context of every command: global options, workspace, configuration and output."""

import json
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgaal_cli.errors import MissingExtraError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.workspace import Workspace, find_workspace, keep_private

if TYPE_CHECKING:
    from dgaal_cli.config.schema import Config
    from dgaal_cli.events import Emit

_ARRAY_PART = 1000
"""Items of an array that are printed at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The global options."""

    directory: Path | None
    json: bool
    quiet: bool
    at_end: Callable[[Callable[[], None]], object]
    """Register a function that is called when the command ends, before an error is printed."""

    @property
    def base(self) -> Path:
        """Base folder of relative paths on the command line."""
        return Path.cwd()

    @property
    def dgaal(self) -> str:
        """Command prefix that calls dgaal for the same workspace."""
        return "dgaal" if self.directory is None else f"dgaal -C {show(str(self.directory))}"

    def workspace(self) -> Workspace:
        """Find the workspace: the one given by ``-C``, else the current folder or a parent.

        New files of this process are private from then on.
        """
        is_named = self.directory is not None
        workspace = find_workspace(self.directory or Path.cwd(), is_named=is_named)
        keep_private(workspace.root)
        return workspace

    def checked_workspace(self) -> Workspace:
        """Find the workspace and check its configuration, of which the command needs no value."""
        self.config()
        return self.workspace()

    def workspace_if_any(self, *, is_checked: bool = True) -> Workspace | None:
        """Find the workspace and check its configuration; None without one, except with ``-C``."""
        try:
            workspace = self.workspace()
        except UsageError:
            if self.directory is not None:
                raise
            return None
        return self.checked_workspace() if is_checked else workspace

    def config(self, assignments: Iterable[str] = ()) -> "Config":
        """Read the workspace's configuration and merge ``--set`` values over it."""
        # Slow: a third of the time of --help.
        from dgaal_cli.methods.configuration import configuration

        return configuration(self.workspace(), *assignments)

    def note(self, text: str) -> None:
        """Print a message on stderr; silent with ``-q``."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def printed_json(self, document: object) -> bool:
        """Print the document on stdout, and return True, if ``--json`` is given.

        Dataclasses become objects, bytes hexadecimal text.
        """
        if self.json:
            print(_indented(_dumped(document)))
        return self.json

    def printed_json_array(self, items: Iterator[object]) -> bool:
        """Print an array as ``printed_json`` does, in parts, so that a long one needs no memory."""
        if self.json:
            for part in _array_parts(items):
                print(part, end="")
            print()
        return self.json

    def listener(self) -> "Emit":
        """Return an event listener that shows progress on stderr; silent with ``-q``."""
        if self.quiet:
            from dgaal_cli.events import ignore

            return ignore
        from dgaal_cli.commands._listener import Progress

        progress = Progress()
        self.at_end(progress.close)
        return progress


def _dumped(document: object) -> str:
    # No document contains itself, and looking for it takes a third of the time.
    return json.dumps(document, default=_to_json, check_circular=False)


def _indented(text: str) -> str:
    """Indent JSON as ``json.dumps(..., indent=1)`` does, which takes five times longer."""
    import msgspec

    try:
        return msgspec.json.format(text, indent=1)
    except msgspec.DecodeError:  # a number that is not finite
        return json.dumps(json.loads(text), indent=1)


def _array_parts(items: Iterator[object]) -> Iterator[str]:
    before = "["
    while page := list(islice(items, _ARRAY_PART)):
        text = _array_text(page)
        yield before + text.removeprefix("[").removesuffix("\n]")
        before = ","
    yield "[]" if before == "[" else "\n]"


def _array_text(page: list[object]) -> str:
    """Write a page as ``_indented(_dumped(page))`` does, in a third of the time."""
    import msgspec

    data = msgspec.json.encode(page, enc_hook=_to_json)
    # Other characters are escaped, since the output may be in any encoding.
    return (
        msgspec.json.format(data, indent=1).decode() if data.isascii() else _indented(_dumped(page))
    )


def _to_json(value: object) -> Any:
    if names := _field_names(type(value)):
        # The encoder comes back for what is inside; asdict would copy it all first.
        return {name: getattr(value, name) for name in names}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"no JSON form for {type(value).__name__}")


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    """Return the fields of a dataclass; none for other types."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


@contextmanager
def needing(extra: str, *, command: str) -> Generator[None]:
    """Context for the optional imports of ``command``.

    Raises:
        MissingExtraError: A third-party package is missing; the message names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = error.name or "a package"
        if missing.partition(".")[0] in ("dgaal_cli", "exporters"):
            raise
        raise MissingExtraError(command, extra, missing) from error

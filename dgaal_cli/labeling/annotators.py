"""Annotator names and ids of actions."""

import getpass
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager

from dgaal_cli.errors import UsageError


def default_annotator() -> str:
    """Return the name of the operating system's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def check_annotator(name: str) -> None:
    """Check that a name is valid; it is part of a lock file's name."""
    if not name or name.startswith(".") or not all(c.isalnum() or c in "._-@+" for c in name):
        raise UsageError(
            "the annotator's name may hold letters, digits and . _ - @ +; "
            "give another one with --annotator NAME"
        )
    if len(name.encode()) > 100:
        raise UsageError("the annotator's name is longer than 100 bytes; give a shorter one")


def new_op_id() -> str:
    """Return a new id of a key press."""
    return secrets.token_hex(16)


class OperationIds:
    """Ids of actions: a failed action that is repeated keeps its id.

    An error may come after COMMIT: with another id, asking again would undo a second answer.
    """

    def __init__(self) -> None:
        self._unfinished = ("", "")

    def forget(self) -> None:
        """Forget the failed action, because another one was done."""
        self._unfinished = ("", "")

    @contextmanager
    def same_until_done(self, action: str) -> Generator[str]:
        """Return an id; the previous one if the same action failed last."""
        if self._unfinished[0] != action:
            self._unfinished = (action, new_op_id())
        yield self._unfinished[1]
        self.forget()

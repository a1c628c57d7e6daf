"""Who answers, and the identities of what they do."""

import getpass
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager

from dgaal_cli.errors import UsageError


def default_annotator() -> str:
    """Name of the operating system's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def check_annotator(name: str) -> None:
    """Refuse names that are no file name, since a lock file carries them."""
    if not name or name.startswith(".") or not all(c.isalnum() or c in "._-@+" for c in name):
        raise UsageError(
            "the annotator's name may hold letters, digits and . _ - @ +; "
            "give another one with --annotator NAME"
        )
    if len(name.encode()) > 100:
        raise UsageError("the annotator's name is longer than 100 bytes; give a shorter one")


def new_op_id() -> str:
    """Identity of one key press, made when the key is pressed."""
    return secrets.token_hex(16)


class OperationIds:
    """Ids of actions: an action that failed and is asked for again keeps its id.

    An error may come after COMMIT: with another id, asking again would undo a second answer.
    """

    def __init__(self) -> None:
        self._unfinished = ("", "")

    def forget(self) -> None:
        """Something else was done since: what failed is over."""
        self._unfinished = ("", "")

    @contextmanager
    def same_until_done(self, action: str) -> Generator[str]:
        """Give an id; the same again if the last action was this one and failed."""
        if self._unfinished[0] != action:
            self._unfinished = (action, new_op_id())
        yield self._unfinished[1]
        self.forget()

"""Who answers, and what one key press is called."""

import getpass
import os
import secrets

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

"""Check and find class names; error messages list close names."""

import difflib
import unicodedata
from collections.abc import Sequence

from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show, without_joiners
from dgaal_cli.store.records import ClassRecord

MAX_NAME = 255


def clean_name(name: str) -> str:
    """Return the name as it is stored: NFC, without outer spaces.

    Raises:
        UsageError: The name is empty, too long, or has characters that cannot be printed.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    if not clean:
        raise UsageError("a class name must not be empty")
    if len(clean) > MAX_NAME:
        raise UsageError(
            f"class name {clean[:20]}... has {len(clean)} characters; at most {MAX_NAME}"
        )
    if not without_joiners(clean).isprintable() or show(clean) != clean:
        raise UsageError(f"class name {clean} has characters that cannot be printed")
    return clean


def folded(name: str) -> str:
    """Return what names that look alike have in common: case and joiners make no difference."""
    return without_joiners(name.casefold())


def by_name(known: Sequence[ClassRecord], name: str) -> ClassRecord:
    """Find a class by its exact name.

    Raises:
        UsageError: No class has the name; the message lists the closest and known names.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    for record in known:
        if record.name == clean:
            return record
    raise UsageError(f"no class is named {name}; {suggest(known, clean)}")


def suggest(known: Sequence[ClassRecord], name: str) -> str:
    """Return "did you mean 'cat'? known: ..." for an error message."""
    if not known:
        return "there are no classes yet"
    names = {record.name.casefold(): record.name for record in known}
    close = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=0.5)
    shown = ", ".join(show(record.name) for record in known[:12]) + (
        ", ..." if len(known) > 12 else ""
    )
    return (f"did you mean '{show(names[close[0]])}'? " if close else "") + f"known: {shown}"

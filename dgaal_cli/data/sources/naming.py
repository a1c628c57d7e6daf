"""Interpret a name in a pool: its class folder, its split, whether it is hidden."""

import re

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show

SPLITS = frozenset({"train", "val", "valid", "validation", "test"})
"""Top folders with these names are splits of a data set, not classes."""

NO_LABEL = -1
"""Number that means "no label" in data sets of Hugging Face and scikit-learn."""

_DRIVE = re.compile(r"[A-Za-z]:")
_MAX_LENGTH = 4096


def label_and_split(name: str, *, top: str = "") -> tuple[str | None, str]:
    """Derive label and split from a relative path.

    Args:
        name: Path with ``/`` between its parts.
        top: A first folder that all paths share, with its ``/``; it is ignored.

    Returns:
        The label, which is the first folder, or the second if the first is a split; and the split.
        None and an empty text if these folders do not exist.
    """
    first, slash, rest = name.removeprefix(top).partition("/")
    if not slash:
        return None, ""
    if first.lower() not in SPLITS:
        return first, ""
    second, slash, _ = rest.partition("/")
    return (second if slash else None), first.lower()


def is_hidden(name: str) -> bool:
    """Return whether any part of a path is hidden, or belongs to macOS's metadata."""
    return name.startswith((".", "__MACOSX/")) or "/." in name


def member_name(name: str) -> str:
    """Return a member's name without parts ``.``: ``cat/1.png`` for ``./cat/1.png``."""
    if "./" not in name and not name.endswith("/."):
        return name
    return "/".join(part for part in name.split("/") if part != ".")


def check_member(name: str, archive: str) -> None:
    """Refuse an archive with a member name that leads outside.

    Nothing is extracted, so such a name is harmless here, but the archive is malicious or damaged.

    Raises:
        InputDataError: The name is absolute, contains ``..``, or is not a valid name.
    """
    parts = name.replace("\\", "/").split("/")
    is_bad = (
        not name
        or "\0" in name
        or len(name) > _MAX_LENGTH
        or parts[0] == ""
        or ".." in parts
        or _DRIVE.match(name) is not None
    )
    if is_bad:
        raise refused(archive, f"its member {show(name[:200])!r} has a name that leads outside")


def refused(archive: str, why: str) -> InputDataError:
    """Return the error for an archive that is refused."""
    return InputDataError(
        f"the archive {archive} was refused: {why}; create it again from the images"
    )


class Names:
    """The member names of one archive: checks that they are unique and finds their top folder."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._seen: set[int] = set()
        self._top: str | None = None
        self.count = 0

    def add(self, name: str) -> None:
        """Add one name.

        Raises:
            InputDataError: The name occurs twice or leads outside, or there are too many.
        """
        check_member(name, self._archive)
        # Python's hash has 64 bits and a random seed, so collisions cannot be constructed.
        key = hash(name)
        if key in self._seen:
            raise refused(self._archive, f"it contains {show(name)!r} twice")
        self._seen.add(key)
        first, slash, _ = name.partition("/")
        top = f"{first}/" if slash else ""
        self._top = top if self._top in (None, top) else ""
        self.count += 1
        if self.count > MAX_MEMBERS:
            raise refused(self._archive, f"it contains more than {MAX_MEMBERS:,} files")

    @property
    def top(self) -> str:
        """The folder that all names share, with its ``/``; empty if none or if it is a split."""
        top = self._top or ""
        return "" if top.rstrip("/").lower() in SPLITS else top


MAX_MEMBERS = 10_000_000

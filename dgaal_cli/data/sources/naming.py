"""What a name inside a pool means: whether it may be an image, its class folder, its split."""

import re

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show

SPLITS = frozenset({"train", "val", "valid", "validation", "test"})
"""Top folders of these names are parts of a data set, not classes."""

NO_IMAGES = frozenset(
    f".{suffix}"
    for suffix in (
        *("txt", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "toml", "cls"),
        *("md", "rst", "html", "ini", "db", "log", "py"),
        *("npz", "parquet", "onnx", "ts"),
    )
)
"""Files that commonly lie beside images, dgaal's own among them; every other name is judged by its
content."""

_DRIVE = re.compile(r"[A-Za-z]:")
_MAX_LENGTH = 4096


def may_be_image(name: str) -> bool:
    """Tell whether a file is worth opening: only well-known text files are not."""
    stem, dot, suffix = name.rpartition(".")
    return not (stem and dot and f".{suffix.lower()}" in NO_IMAGES)


def label_and_split(name: str, *, top: str = "") -> tuple[str | None, str]:
    """Read class and split off a relative path.

    Args:
        name: Path with ``/`` between its parts.
        top: A first folder that all paths share, with its ``/``; it means nothing.

    Returns:
        The first folder as label, unless it is named as a split is: then the second. None and an
        empty text where there are no such folders.
    """
    first, slash, rest = name.removeprefix(top).partition("/")
    if not slash:
        return None, ""
    if first.lower() not in SPLITS:
        return first, ""
    second, slash, _ = rest.partition("/")
    return (second if slash else None), first.lower()


def is_hidden(name: str) -> bool:
    """Tell whether any part of a path is hidden, or macOS put it there for itself."""
    return name.startswith((".", "__MACOSX/")) or "/." in name


def check_member(name: str, archive: str) -> None:
    """Refuse an archive whose member names try to lead outside.

    Nothing is ever extracted, so such a name could do no harm here; it shows that the archive was
    made to do harm, or damaged.

    Raises:
        InputDataError: The name is absolute, leads upward, or is no name at all.
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
    """Build the error for an archive that is not read at all."""
    return InputDataError(
        f"the archive {show(archive)} was refused: {why}; make it again from the images"
    )


class Names:
    """The member names of one archive: all different, and what folder they share."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._seen: set[int] = set()
        self._top: str | None = None
        self.count = 0

    def add(self, name: str) -> None:
        """Take one name.

        Raises:
            InputDataError: It was there before, or leads outside, or there are too many.
        """
        check_member(name, self._archive)
        # Python's own hash is 64 bits and seeded at random: nobody can make two names collide.
        key = hash(name)
        if key in self._seen:
            raise refused(self._archive, f"it holds {show(name)!r} twice")
        self._seen.add(key)
        first, slash, _ = name.partition("/")
        top = f"{first}/" if slash else ""
        self._top = top if self._top in (None, top) else ""
        self.count += 1
        if self.count > MAX_MEMBERS:
            raise refused(self._archive, f"it holds more than {MAX_MEMBERS:,} files")

    @property
    def top(self) -> str:
        """The folder that all names share, with its ``/``, unless it is a split's; or nothing."""
        top = self._top or ""
        return "" if top.rstrip("/").lower() in SPLITS else top


MAX_MEMBERS = 10_000_000

"""Interpret a name in a pool: its class folder, its split, whether it is hidden."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from dgaal_cli.data.image_names import may_be_image
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show

SPLITS = frozenset(
    (
        *("train", "training", "val", "valid", "validation", "dev"),
        *("eval", "evaluation", "test", "testing"),
    )
)
"""Folders with these names may be splits of a data set, in lower case."""

NO_LABEL = -1
"""Number that means "no label" in data sets of Hugging Face and scikit-learn."""

_DRIVE = re.compile(r"[A-Za-z]:")
_MAX_LENGTH = 4096


class Layout(NamedTuple):
    """What the folders of a pool mean; the same for folders, zip and tar archives.

    Folders that all images share are ignored while images lie in folders below them. The next
    folder is the class. Only if all of these are named like splits, they are splits, and the
    folders below them are the classes.
    """

    top: str = ""
    """The folders that all images share, with their ``/``."""
    has_splits: bool = False


def find_layout(folders: Iterable[str]) -> Layout:
    """Return the layout of a pool.

    Args:
        folders: Each folder that contains images, with ``/`` at its end; empty for the pool itself.
    """
    inside, top = set(folders), ""
    while True:
        firsts = {folder.partition("/")[0] for folder in inside} - {""}
        first = next(iter(firsts), "")
        is_shared = len(firsts) == 1 and "" not in inside and inside != {f"{first}/"}
        if not is_shared or is_split(first):
            return Layout(top, bool(firsts) and all(map(is_split, firsts)))
        top += f"{first}/"
        inside = {folder.removeprefix(f"{first}/") for folder in inside}


def is_split(folder: str) -> bool:
    """Return whether a folder is named like a split of a data set."""
    return folder.lower() in SPLITS


def label_and_split(name: str, layout: Layout) -> tuple[str | None, str]:
    """Return the label and the split of an image, by its path with ``/`` between the parts.

    The label is None and the split is empty where the path has no such folder.
    """
    first, slash, rest = name.removeprefix(layout.top).partition("/")
    if not slash:
        return None, ""
    if not layout.has_splits:
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
    """The member names of one archive: checks that they are unique and finds their layout."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._seen: set[int] = set()
        self._folders: set[str] = set()
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
        if not is_hidden(name) and may_be_image(name):
            folder, slash, _ = name.rpartition("/")
            self._folders.add(folder + slash)
        self.count += 1
        if self.count > MAX_MEMBERS:
            raise refused(self._archive, f"it contains more than {MAX_MEMBERS:,} files")

    def layout(self) -> Layout:
        """Return what the folders of the images mean."""
        return find_layout(self._folders)


MAX_MEMBERS = 10_000_000

"""Find the images that the lines of a file name: by the whole path, else by a unique part of it."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.exchange.base import Parsed
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ItemKey

_NAMED = 5
"""Max. number of unknown images that an error names."""
_SEPARATORS = re.compile(r"[/\\]")
_DRIVE = re.compile(r"[A-Za-z]:")


class ImageFinder:
    """Finds images by name; a part of a path is enough where no other image ends alike."""

    def __init__(self, store: Store, *, skips_unknown: bool) -> None:
        """Start without an image.

        Args:
            store: Store with the images.
            skips_unknown: Leave out lines about unknown images instead of raising an error.
        """
        self._store = store
        self._skips_unknown = skips_unknown
        self._items: Mapping[SampleId, ItemKey] = {}
        self._ends: _PathEnds | None = None
        self._exact: set[ItemId] = set()
        """Images that were found by their whole path."""
        self._parts: dict[ItemId, str] = {}
        """Names of the other images that were found."""
        self.by_part: dict[str, SampleId] = {}
        """Images that were found by a part of their path, by the name in the file."""
        self.unknown: list[tuple[Parsed, str]] = []
        """Lines about unknown images."""

    def load(self, lines: Iterable[Parsed]) -> None:
        """Look up the names of the next lines, which ``find`` needs."""
        self._items = self._store.items_by_sample(
            [SampleId(name) for line in lines for name in line.names]
        )

    def find(self, line: Parsed) -> ItemKey | None:
        """Return the image of a line; None if the workspace does not have it.

        Raises:
            InputDataError: Several images fit, or the image has other bytes than the labeled one.
        """
        for name in line.names:
            item = self._items.get(SampleId(name))
            if item is None:
                continue
            if line.sha256 is None or line.sha256 == item.sha256.hex():
                return self._once(line, name, item)
            if not line.synthetic:  # copies give the same names to what they synthesize
                raise InputDataError(
                    f"{line.where}, {line.part} sha256: {name} has other bytes in this workspace "
                    "than the labeled image"
                )
        if line.synthetic:
            return None
        item = self._by_part(line)
        if item is None:
            self.unknown.append((line, line.names[0]))
        return item

    def check(self) -> None:
        """Raise ``InputDataError`` for unknown images, unless they are skipped."""
        if not self.unknown or self._skips_unknown:
            return
        (line, first), *others = self.unknown
        more = ""
        if others:
            names = ", ".join(show(name) for _, name in others[: _NAMED - 1])
            dots = ", ..." if len(others) >= _NAMED else ""
            more = f", nor {len(others):,} others ({names}{dots})"
        raise InputDataError(
            f"{line.where}, {line.part} file_name: this workspace has no image {first}{more}; "
            "--skip-unknown leaves such lines out"
        )

    def _by_part(self, line: Parsed) -> ItemKey | None:
        if self._ends is None:
            self._ends = _PathEnds(self._store.paths())
        for name in line.names:
            fitting = self._ends.fitting(name)
            found = self._store.items_by_sample(fitting)
            items = {item.item_id: item for item in found.values()}
            if line.sha256 is not None:
                items = {n: item for n, item in items.items() if item.sha256.hex() == line.sha256}
            if len(items) > 1:
                raise InputDataError(
                    f"{line.where}, {line.part} file_name: {name} may be each of "
                    f"{', '.join(show(each) for each in fitting[:_NAMED])}; give more of the path"
                )
            for item in items.values():
                self.by_part[name] = fitting[0]
                return self._once(line, name, item, is_part=True)
        return None

    def _once(self, line: Parsed, name: str, item: ItemKey, *, is_part: bool = False) -> ItemKey:
        """Return the item, unless another name led to it and one of the two by a part only."""
        number = item.item_id
        first = self._parts.get(number, item.sample_id if number in self._exact else name)
        if first != name and (is_part or number in self._parts):
            raise InputDataError(
                f"{line.where}, {line.part} file_name: {name} and {first} may both be "
                f"{item.sample_id}; give the paths as in the pool"
            )
        if is_part:
            self._parts[number] = name
        else:
            self._exact.add(number)
        return item


class _PathEnds:
    """The paths of a pool by the last part, with and without suffix."""

    def __init__(self, paths: Iterable[SampleId]) -> None:
        self._by_end: defaultdict[str, list[SampleId]] = defaultdict(list)
        for path in paths:
            end = _nfc(path.rpartition("/")[2])
            self._by_end[end].append(path)
            if (stem := end.rpartition(".")[0]) and stem != end:
                self._by_end[stem].append(path)

    def fitting(self, name: str) -> list[SampleId]:
        """Return the paths that end as a name does, or as which it ends: those with most parts."""
        parts = _parts(name)
        if not parts:
            return []
        best: list[SampleId] = []
        most = 0
        for path in self._by_end.get(parts[-1], ()):
            folders = _nfc(path).split("/")[:-1]
            shared = _shared(parts[:-1], folders)
            if shared < min(len(folders), len(parts) - 1):
                continue  # they are in different folders
            if shared >= most:
                best = [*(best if shared == most else ()), path]
                most = shared
        return best


def _parts(name: str) -> list[str]:
    parts = [part for part in _SEPARATORS.split(_nfc(name)) if part not in ("", ".")]
    if parts and _DRIVE.fullmatch(parts[0]):
        del parts[0]
    return [] if ".." in parts else parts


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)

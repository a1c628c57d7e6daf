"""Images in tar archives or WebDataset shards, read in place without extraction."""

import gzip
import json
import os
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, cast

from dgaal_cli.data.image_names import may_be_image
from dgaal_cli.data.sources.base import ContainerSource, Entry, Source, gone, held
from dgaal_cli.data.sources.naming import Layout, Names, is_hidden, label_and_split, refused
from dgaal_cli.data.sources.tar_stream import Member, TarStream
from dgaal_cli.data.sources.zip_archive import MAX_RATIO, MAX_TOTAL_BYTES
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId

_MAX_LABEL_BYTES = 2**16
_LABEL_SUFFIXES = (".cls", ".json")
_LABEL_KEYS = ("label", "cls", "class")
_BRACES = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
_MAX_SHARDS = 100_000

Read = Callable[[], bytes]


class TarSource(ContainerSource):
    """Files of a ``.tar`` or ``.tar.gz`` archive, in its order.

    A member ``NAME.cls`` or ``NAME.json`` contains the label of the image ``NAME.jpg``, as in
    WebDataset; otherwise the name of a folder may be the label.
    """

    def __init__(self, path: Path, *, prefix: str = "") -> None:
        """Check every header once.

        Args:
            path: The archive.
            prefix: Prefix of all ids.

        Raises:
            InputDataError: A member is bad; the whole archive is refused.
        """
        super().__init__(path)
        self._prefix = prefix
        self._is_compressed = path.name.lower().endswith((".gz", ".tgz"))
        self._count, self._layout = self._survey()
        if not self._count:
            raise InputDataError(f"the archive {self.spec} contains no images")

    def entries(self) -> Iterator[Entry]:
        """Stream members in the order of the archive."""
        with self._open() as stream:
            tar = TarStream(stream, self.spec)
            for _, group in groupby(self._readable(tar), key=lambda item: _key(item[0].name)):
                yield from self._group(list(group))

    def count(self) -> int | None:
        return self._count

    def get(self, sample_id: SampleId) -> Entry:
        if not self._is_compressed:
            return super().get(sample_id)
        for entry in self.entries():  # up to this one, since an index would keep all data
            if entry.id == sample_id:
                return entry
        raise gone(sample_id, self.spec)

    def _survey(self) -> tuple[int, Layout]:
        names = Names(self.spec)
        count = total = 0
        with self._open() as stream:
            size = max(1, self._path.stat().st_size)
            for member in TarStream(stream, self.spec).members():
                names.add(member.name)
                total += member.size
                if self._is_compressed and total > max(MAX_TOTAL_BYTES, MAX_RATIO * size):
                    raise refused(self.spec, f"it unpacks to over {MAX_RATIO} times its size")
                if not self._is_compressed and member.offset + member.size > size:
                    raise refused(self.spec, "it ends within a member")
                count += not is_hidden(member.name) and may_be_image(member.name)
        return count, names.layout()

    def _readable(self, tar: TarStream) -> Iterator[tuple[Member, Read]]:
        for member in tar.members():
            if is_hidden(member.name):
                continue
            if self._is_compressed:  # the stream is forward-only, so read the data now
                yield member, held(tar.read(member))
            else:
                yield member, partial(_read_at, self._path, member)

    def _group(self, group: list[tuple[Member, Read]]) -> Iterator[Entry]:
        sidecars = [item for item in group if item[0].name.lower().endswith(_LABEL_SUFFIXES)]
        sidecar_label = _label(sidecars) if sidecars else None
        images = [item for item in group if may_be_image(item[0].name)]
        has_main = any(not _is_part(member.name) for member, _ in images)
        for member, read in images:
            label, split = label_and_split(member.name, self._layout)
            if sidecar_label is not None:
                label = None if has_main and _is_part(member.name) else sidecar_label
            yield Entry(
                id=SampleId(f"{self._prefix}{member.name}"),
                label=label,
                split=split,
                path=f"{self.spec}!{member.name}",
                read=read,
            )

    @contextmanager
    def _open(self) -> Generator[BinaryIO]:
        try:
            with self._path.open("rb") as raw:
                if self._is_compressed:
                    with gzip.GzipFile(fileobj=raw) as compressed:
                        yield cast("BinaryIO", _ForwardOnly(compressed))
                else:
                    yield raw
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise refused(self.spec, "it is not a complete gzip file") from None
        except OSError as error:
            reason = error.strerror or "i/o error"
            raise InputDataError(f"cannot read {self.spec}: {reason}") from None


class ShardSource(Source):
    """Several tar archives as one pool; ids start with the shard's name.

    If shards in different folders have the same name, ids start with the folder.
    """

    def __init__(self, spec: str, paths: list[Path]) -> None:
        self.spec = spec
        self._shards = {
            name: TarSource(path, prefix=f"{name}/") for name, path in _names(paths).items()
        }

    def entries(self) -> Iterator[Entry]:
        """Stream shard after shard."""
        for shard in self._shards.values():
            yield from shard.entries()

    def count(self) -> int | None:
        return sum(shard.count() or 0 for shard in self._shards.values())

    def stamp(self) -> str:
        return " ".join(shard.stamp() for shard in self._shards.values())

    def get(self, sample_id: SampleId) -> Entry:
        parts = sample_id.split("/")
        for count in range(1, len(parts)):
            shard = self._shards.get("/".join(parts[:count]))
            if shard is not None:
                return shard.get(sample_id)
        raise gone(sample_id, self.spec)


def expand_braces(pattern: str) -> list[str]:
    """Expand ``pool-{000..127}.tar`` to its names; empty for a text without braces.

    Raises:
        InputDataError: The pattern has more than 100,000 names.
    """
    match = _BRACES.search(pattern)
    if match is None:
        return []
    first, last = int(match[1]), int(match[2])
    width = len(match[1])
    if not 0 <= last - first < _MAX_SHARDS:
        raise InputDataError(
            f"{pattern} is not a valid list of shards; write {{000..127}}, smaller first"
        )
    names = [
        f"{pattern[: match.start()]}{number:0{width}d}{pattern[match.end() :]}"
        for number in range(first, last + 1)
    ]
    if _BRACES.search(names[0]) is None:
        return names
    expanded = [inner for name in names for inner in expand_braces(name)]
    if len(expanded) > _MAX_SHARDS:
        raise InputDataError(f"{pattern} names over {_MAX_SHARDS:,} shards; use fewer")
    return expanded


def _names(paths: list[Path]) -> dict[str, Path]:
    """Name each shard by its file name, or by its path below the common folder if names repeat."""
    unique = list(dict.fromkeys(paths))  # overlapping braces may name a shard twice
    if len({path.name for path in unique}) == len(unique):
        return {path.name: path for path in unique}
    top = os.path.commonpath([path.parent for path in unique])
    return {path.relative_to(top).as_posix(): path for path in unique}


class _ForwardOnly:
    """A compressed stream without seek, which would decompress from the start again."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self.read = stream.read

    def seekable(self) -> bool:
        return False


def _key(name: str) -> str:
    folder, _, base = name.rpartition("/")
    return f"{folder}/{base.partition('.')[0]}"


def _is_part(name: str) -> bool:
    """Return whether a file is another part of a sample, like the mask ``a.seg.png``."""
    return name.rpartition("/")[2].count(".") > 1


def _label(sidecars: list[tuple[Member, Read]]) -> str | None:
    member, read = sidecars[0]
    if member.size > _MAX_LABEL_BYTES:
        return None
    text = read().decode("utf-8", "replace").strip()
    if member.name.lower().endswith(".cls"):
        return text or None
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, Any]", value)
    found = next((fields[key] for key in _LABEL_KEYS if key in fields), None)
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else None


def _read_at(path: Path, member: Member) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(descriptor, member.size, member.offset)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnreadableImageError(f"cannot be read: {error.strerror or 'i/o error'}") from None
    if len(data) != member.size:
        raise UnreadableImageError("damaged archive member")
    return data

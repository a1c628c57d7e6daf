"""Images in a zip file, read in place without extraction."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from dgaal_cli.data.image_names import may_be_image
from dgaal_cli.data.regular_files import MAX_FILE_BYTES
from dgaal_cli.data.sources.base import ContainerSource, Entry, gone
from dgaal_cli.data.sources.naming import (
    Names,
    is_hidden,
    label_and_split,
    member_name,
    refused,
)
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.ids import SampleId

MAX_RATIO = 100
"""Large files with a higher compression ratio are refused as zip bombs."""
SMALL_BYTES = 16 * 2**20
"""Files up to this size may have any ratio: images of one color compress a thousandfold."""
MAX_TOTAL_BYTES = 4 * 2**30
"""Max. uncompressed size of an archive, or ``MAX_RATIO`` times its size if that is larger."""
_MAX_DIRECTORY_BYTES = 2**30
_END = struct.Struct("<4s4H2LH")
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 1


class ZipSource(ContainerSource):
    """Files of a zip archive; an archive with a bad member is refused before any image is read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        _check_end(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise refused(
                self.spec, f"it is not a complete zip file ({show(str(error))[:100]})"
            ) from None
        members = self._archive.infolist()
        if not all(info.filename for info in members):
            raise refused(self.spec, "a member has no name")
        infos = [info for info in members if not info.is_dir()]
        names = Names(self.spec)
        named = {member_name(info.filename): info for info in infos}
        for info in infos:
            names.add(member_name(info.filename))
            _check_info(info, self.spec)
        _check_layout(infos, self._archive.start_dir, self.spec)
        self._layout = names.layout()
        self._infos = {
            name: info
            for name, info in sorted(named.items())
            if not is_hidden(name) and may_be_image(name)
        }
        if not self._infos:
            raise InputDataError(f"the archive {self.spec} contains no images")

    def entries(self) -> Iterator[Entry]:
        """Stream members, sorted by name."""
        return map(self._entry, self._infos)

    def count(self) -> int | None:
        return len(self._infos)

    def get(self, sample_id: SampleId) -> Entry:
        if sample_id not in self._infos:
            raise gone(sample_id, self.spec)
        return self._entry(sample_id)

    def _entry(self, name: str) -> Entry:
        label, split = label_and_split(name, self._layout)
        return Entry(
            id=SampleId(name),
            label=label,
            split=split,
            path=f"{self.spec}!{name}",
            read=partial(self._read, self._infos[name]),
        )

    def _read(self, info: zipfile.ZipInfo) -> bytes:
        try:
            with self._archive.open(info) as stream:
                data = stream.read(info.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError):
            raise UnreadableImageError("damaged archive member") from None
        except OSError as error:
            raise UnreadableImageError(f"cannot be read: {error.strerror or 'i/o error'}") from None
        if len(data) != info.file_size:
            raise UnreadableImageError("damaged archive member")
        return data


def _check_end(path: Path) -> None:
    """Refuse a huge directory before the zip reader loads it."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - 65_557))
            tail = stream.read()
    except OSError as error:
        raise InputDataError(f"cannot read {path}: {error.strerror}") from None
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        raise refused(str(path), "it is not a complete zip file (its end is missing)")
    directory_bytes = _END.unpack_from(tail, at)[5]
    if directory_bytes not in (0xFFFFFFFF,) and directory_bytes > min(size, _MAX_DIRECTORY_BYTES):
        raise refused(str(path), "its directory claims to be larger than it can be")


def _check_info(info: zipfile.ZipInfo, archive: str) -> None:
    name = show(info.filename[:200])
    if info.flag_bits & _ENCRYPTED:
        raise refused(archive, f"its member {name!r} is encrypted")
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise refused(archive, f"its member {name!r} is a link or a device")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refused(archive, f"its member {name!r} is neither stored nor deflated")
    if info.file_size > MAX_FILE_BYTES:
        raise refused(archive, f"its member {name!r} is over {MAX_FILE_BYTES // 2**20} MiB")
    if info.file_size > max(SMALL_BYTES, MAX_RATIO * info.compress_size):
        raise refused(archive, f"its member {name!r} unpacks to over {MAX_RATIO} times its size")


def _check_layout(infos: list[zipfile.ZipInfo], directory_at: int, archive: str) -> None:
    """Refuse members that share bytes, by which a small file could unpack to petabytes."""
    end = 0
    total = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise refused(archive, "its members overlap")
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size
        total += info.file_size
    if end > directory_at:
        raise refused(archive, "a member reaches into its directory")
    if total > max(MAX_TOTAL_BYTES, MAX_RATIO * directory_at):
        raise refused(archive, f"it unpacks to over {MAX_RATIO} times its size")

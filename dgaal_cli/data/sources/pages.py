"""Pages of TIFF and frames of DICOM files as images: ``SPEC#pages=each`` and ``SPEC#pages=max``."""

import contextlib
import mmap
import os
from collections.abc import Iterator
from typing import NamedTuple

from dgaal_cli.data.decoders.further_pages import dicom_frames, tiff_pages
from dgaal_cli.data.decoders.page_bytes import ALL_PAGES, with_page
from dgaal_cli.data.page_names import file_and_page, page_name
from dgaal_cli.data.regular_files import read_file
from dgaal_cli.data.sources.base import Entry, FileBytes, Source, file_stamp, gone
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId

EACH, MAX = "each", "max"
RULES = (EACH, MAX)
MARK = "pages="
"""What follows ``#`` in a SOURCE, before one of ``RULES``."""

_TIFF, _DICOM = (".tif", ".tiff"), (".dcm",)


class PageBytes(NamedTuple):
    """Reads one page of a file, or all; its bytes are those of the file and the page's number."""

    path: str
    page: int
    """Number of the page in the file, from 0, or ``ALL_PAGES``."""

    def __call__(self) -> bytes:
        """Return the bytes, which ``decoders.load`` decodes."""
        return with_page(read_file(os.fsencode(self.path)), self.page)

    def stamp(self) -> str:
        """Return size and modification time of the file; empty if it is missing."""
        return file_stamp(self.path)


class PagedSource(Source):
    """A source whose files with several pages are read by a rule; archives are read as before.

    With ``each``, the first page keeps the id of its file, and further ones get ``#page=2`` and so
    on. With ``max``, an image is the brightest sample of all pages.
    """

    def __init__(self, source: Source, rule: str) -> None:
        if rule not in RULES:
            raise InputDataError(
                f"{source.spec}#{MARK}{rule} is not understood; write #{MARK}{EACH} or #{MARK}{MAX}"
            )
        self.spec = f"{source.spec}#{MARK}{rule}"
        self._source = source
        self._rule = rule

    def entries(self) -> Iterator[Entry]:
        """Stream the entries in the order of the source, pages in the order of the file."""
        for entry in self._source.entries():
            yield from self._of_file(entry)

    def get(self, sample_id: SampleId) -> Entry:
        name, number = file_and_page(sample_id)
        if number == 1 or self._rule == MAX:
            return next(self._of_file(self._source.get(sample_id)))
        entry = self._source.get(SampleId(name))
        for page in self._of_file(entry):
            if page.id == sample_id:
                return page
        raise gone(sample_id, self.spec)

    def path_of(self, sample_id: SampleId) -> str | None:
        name, number = file_and_page(sample_id)
        return self._source.path_of(SampleId(name)) if number == 1 and self._rule == EACH else None

    def stamp(self) -> str:
        return self._source.stamp()

    def _of_file(self, entry: Entry) -> Iterator[Entry]:
        pages = _pages(entry.read.path) if isinstance(entry.read, FileBytes) else [0]
        if len(pages) < 2 or not isinstance(entry.read, FileBytes):
            yield entry
            return
        path = entry.read.path
        if self._rule == MAX:
            yield entry._replace(read=PageBytes(path, ALL_PAGES))
            return
        yield entry
        for number, page in enumerate(pages[1:], start=2):
            yield entry._replace(
                id=SampleId(page_name(entry.id, number)),
                path=page_name(entry.path, number),
                read=PageBytes(path, page),
            )


def _pages(path: str) -> list[int]:
    """Return the numbers of the pages of a file, from 0; one for a file that cannot be read."""
    name = path.lower()
    if not name.endswith((*_TIFF, *_DICOM)):
        return [0]
    # A damaged file is read, and reported, by its decoder.
    with contextlib.suppress(Exception), open(path, "rb") as stream:  # noqa: PTH123 - hot
        if name.endswith(_DICOM):
            return [0] if _is_deflated(path) else list(range(dicom_frames(stream)))
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return tiff_pages(data)
    return [0]


def _is_deflated(path: str) -> bool:
    """Return whether a DICOM file must be inflated as a whole, without a limit, to be read."""
    from pydicom import filereader

    return filereader.read_file_meta_info(path).TransferSyntaxUID.is_deflated

"""Hugging Face ``imagefolder``: images and ``metadata.jsonl`` with one line per image.

Imports read ``metadata.csv`` as well.
"""

import re
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii as _quoted
from pathlib import Path, PurePosixPath

import msgspec

from dgaal_cli.escaping import spell, unspell
from dgaal_cli.ids import SampleId
from dgaal_cli.store.exchange.base import ExportJob, Parsed, with_and_without_suffix
from dgaal_cli.store.exchange.csv_table import CsvTable
from dgaal_cli.store.exchange.folders import ImagePlacer
from dgaal_cli.store.exchange.json_lines import parse_lines
from dgaal_cli.store.records import AnswerRecord

METADATA = "metadata.jsonl"
METADATA_CSV = "metadata.csv"
_MISREAD = re.compile(r"train|test|val|dev|(^|/)(\.[^./]|__)|^images/|[^ -~]", re.IGNORECASE)
"""Names that ``datasets`` takes for a split or for hidden, that are not ASCII, or that may be equal
to a name that is given here."""
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")


class HuggingFace:
    """``file_name`` is the path relative to the metadata, ``id`` the image, ``label`` the class.

    ``datasets`` takes names that hold train, test or alike for splits, and then leaves out all
    other files: such images are written as ``images/NUMBER``.
    """

    def fill(self, folder: Path, job: ExportJob) -> int:
        """Write the effective labels by name."""
        count, images = 0, ImagePlacer(job)
        with (folder / METADATA).open("wb") as stream:
            for count, (label, uid) in enumerate(job.class_labels("hf"), start=1):
                name = images.place(label, folder, name=_file_name(label, count))
                stream.write(_line(job, label, name, job.names[uid]))
        return count

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the labels of a folder or of its metadata file, which may be CSV."""
        if path.is_dir():
            path /= METADATA if (path / METADATA).is_file() else METADATA_CSV
        if path.suffix.lower() == ".csv":
            for parsed in CsvTable().read(path):
                names = [reading for n in parsed.names for reading in with_and_without_suffix(n)]
                yield msgspec.structs.replace(parsed, names=tuple(dict.fromkeys(names)))
            return
        for parsed in parse_lines(path):
            file_name, *ids = parsed.names
            names = (*with_and_without_suffix(file_name), *ids)
            if ids and parsed.exported:  # an exported file may have the name of another image
                names = (unspell(ids[0]),)
            yield msgspec.structs.replace(parsed, names=names, is_image_label=True)


def _line(job: ExportJob, answer: AnswerRecord, file_name: str, label: str) -> bytes:
    """Return what ``json.dumps`` returns of these values, in half of its time."""
    return (
        f'{{"file_name": {_quoted(file_name)}, "id": {_quoted(spell(answer.sample_id))}, '
        f'"label": {_quoted(label)}, "annotator": {_quoted(answer.annotator)}, '
        f'"provenance": "{answer.provenance}", "at": "{answer.at}", '
        f'"round": {"null" if answer.round is None else answer.round}, '
        f'"exported": {_quoted(job.mark_of(answer))}{job.audited_member(answer)}}}\n'
    ).encode()


def _file_name(label: AnswerRecord, number: int) -> SampleId:
    """Return the path of an image below the export, without words that ``datasets`` interprets."""
    if not _MISREAD.search(label.sample_id):
        return label.sample_id
    suffix = PurePosixPath(label.sample_id).suffix
    return SampleId(f"images/{number:07d}{suffix if _SUFFIX.fullmatch(suffix) else ''}")

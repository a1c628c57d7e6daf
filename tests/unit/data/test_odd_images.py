"""Unusual, malicious and corrupt image files: each is handled and none ends a process."""

import csv
import zipfile
from pathlib import Path

import pytest

from dgaal_cli.data.decode_stream import decode_stream
from dgaal_cli.data.sources import open_source

ARCHIVE = Path(__file__).parents[3] / "../shared/data/odd_images.zip"
ALLOWED = {"JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM", "TGA"}

pytestmark = pytest.mark.skipif(not ARCHIVE.exists(), reason="needs the shared test images")


def test_every_unusual_file_decodes_or_has_a_reason() -> None:
    source = open_source(str(ARCHIVE), base=Path("/"))
    found = {}
    for batch in decode_stream(source.entries(), size=32, channels=3, workers=2):
        for entry, is_ok, reason in zip(batch.entries, batch.ok, batch.errors, strict=True):
            assert is_ok == (reason == "")
            assert reason.isprintable()
            assert not reason.startswith(("crashed", "took longer"))
            found[entry.id.rpartition("/")[2]] = reason
    with zipfile.ZipFile(ARCHIVE) as archive, archive.open("odd_images/manifest.csv") as stream:
        rows = list(csv.DictReader(line.decode() for line in stream))
    assert len(found) == len(rows) == 195
    unexpected = {
        row["file"]
        for row in rows
        if (found[row["file"]] == "") != (row["outcome"] == "ok" and row["format"] in ALLOWED)
    }
    # Float samples in 0..255 and negative samples have no defined brightness.
    assert unexpected <= {"10ct_32bit_128.tiff", "separate_planar_extra_samples.tiff"}

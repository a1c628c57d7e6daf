"""Selecting a few entries of a large source."""

from pathlib import Path

import numpy as np
import pytest
from sample_images import encoded, pixels

from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.data.sources.selection import detached, entries_at, entries_named
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId

IMAGES = np.stack([pixels(number) for number in range(40)])


@pytest.fixture
def array(tmp_path: Path) -> Source:
    np.savez(tmp_path / "p.npz", x=IMAGES)
    return open_source("p.npz", base=tmp_path)


def test_entries_at_keeps_the_order_of_the_rows(array: Source) -> None:
    rows = [7, 31, 0, 12]
    for row, entry in zip(rows, entries_at(array, rows), strict=True):
        np.testing.assert_array_equal(entry.read(), IMAGES[row])
    assert entries_at(array, []) == []


def test_detached_entry_copies_its_pixels(array: Source) -> None:
    entry = next(array.entries())
    view, copy = entry.read(), detached(entry).read()
    assert isinstance(view, np.ndarray)
    assert isinstance(copy, np.ndarray)
    assert view.base is not None
    assert copy.base is None
    np.testing.assert_array_equal(copy, view)


def test_entries_named_reads_a_container_once_up_to_the_last_name(
    array: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(array), "get", None)  # `get` would load the array or index the archive
    read_ids: list[str] = []
    original = type(array).entries

    def entries(self: Source):
        for entry in original(self):
            read_ids.append(entry.id)
            yield entry

    monkeypatch.setattr(type(array), "entries", entries)
    names = [SampleId("000020"), SampleId("000003")]
    assert [entry.id for entry in entries_named(array, names)] == sorted(names)
    assert read_ids == [f"{row:06d}" for row in range(21)]


def test_entries_named_looks_up_files_without_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encoded(IMAGES[number]))
    source = open_source(".", base=tmp_path)
    monkeypatch.delattr(type(source), "entries")
    names = [SampleId("2.png"), SampleId("0.png")]
    found = [entry.read() for entry in entries_named(source, names)]
    assert found == [encoded(IMAGES[2]), encoded(IMAGES[0])]
    with pytest.raises(InputDataError, match="contains no image"):
        list(entries_named(source, [SampleId("9.png")]))

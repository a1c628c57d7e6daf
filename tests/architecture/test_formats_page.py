"""The page of file formats explains each format, column and key that dgaal has."""

import io
import json
from pathlib import Path

import pytest
from feature_workspaces import feature_workspace

from dgaal_cli.api.labels import export_labels
from dgaal_cli.data.sources import manifest
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.scoring import rows
from dgaal_cli.store.exchange import csv_table
from dgaal_cli.store.exchange.registry import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()


def explained(text: str) -> set[str]:
    """Return the names in the first column of the page's tables."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name.strip(" `") for cell in cells for name in cell.split(",")}


@pytest.mark.parametrize(
    "names",
    [manifest.COLUMNS, csv_table.COLUMNS, rows.COLUMNS, tuple(FORMATS)],
    ids=["manifest", "csv", "scores", "formats"],
)
def test_each_column_and_format_is_explained(names: tuple[str, ...]):
    assert set(names) - explained(PAGE) == set()


def test_each_key_of_jsonl_is_explained(tmp_path: Path):
    made = feature_workspace(tmp_path / "work")
    written = io.BytesIO()
    export_labels(made, configuration(made), format="jsonl", target=written)
    keys = json.loads(written.getvalue().splitlines()[0]).keys()
    assert set(keys) - explained(PAGE) == set()


def test_control_missing_columns_are_found():
    assert set(csv_table.COLUMNS) - explained(PAGE.replace("| `provenance`", "| provenance"))

"""The weekly job and the documented commands run every deep test."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name", [".github/workflows/ci.yml", "docs/reliability.md", "CONTRIBUTING.md"]
)
def test_commands_run_all_deep_tests(name: str):
    """No command selects a folder, a file or a keyword, which would exclude deep tests."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if "pytest -m deep" in line]
    assert lines
    for line in lines:
        arguments = line.partition("pytest -m deep")[2].split()
        assert not any(
            argument.startswith(("tests", "-k", "--ignore", "--deselect")) for argument in arguments
        )

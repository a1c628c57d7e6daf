"""The weekly job and the README's command run every test that is left out by default."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [".github/workflows/ci.yml", "README.md", "CONTRIBUTING.md"])
def test_deep_tests_run_wherever_they_lie(name: str):
    """No command names a folder, a file or a keyword, which would leave deep tests out."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if "pytest -m deep" in line]
    assert lines
    for line in lines:
        words = line.partition("pytest -m deep")[2].split()
        assert not any(word.startswith(("tests", "-k", "--ignore", "--deselect")) for word in words)

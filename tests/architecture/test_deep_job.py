"""The weekly job and the README's command run every test that is left out by default."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", [".github/workflows/ci.yml", "README.md"])
def test_deep_tests_run_wherever_they_lie(name):
    (line,) = (line for line in (ROOT / name).read_text().splitlines() if "pytest -m deep" in line)
    folders = [word for word in line.split() if word.startswith("tests")]
    deep = [path for path in (ROOT / "tests").rglob("test_*.py") if "mark.deep" in path.read_text()]
    assert len(deep) > 10
    for path in deep:
        assert any(path.is_relative_to(ROOT / folder) for folder in folders), path

"""The page docs/add-a-method.md, followed literally in a copy of the project."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEXT_ENTRY = '    "margin": MethodInfo('
LAST_ROW = "| baseline | `random` |"
COPIED = ("dgaal_cli", "exporters", "tests/support", "tests/contracts", "tests/unit/methods")


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as the page leaves it."""
    folder = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    page = (ROOT / "docs" / "add-a-method.md").read_text()
    for path, body in re.findall(r"`(dgaal_cli/\S+\.py)`:\n\n```python\n(.*?)```", page, re.DOTALL):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(body)
    assert len(list((folder / "dgaal_cli/methods/linear_ae").iterdir())) == 3
    [entry] = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    registry = folder / "dgaal_cli" / "methods" / "registry.py"
    replaced(registry, NEXT_ENTRY, entry + NEXT_ENTRY)
    shutil.copy(ROOT / "README.md", folder)
    replaced(folder / "README.md", LAST_ROW, LAST_ROW.replace("` |", "`, `linear-ae` |"))
    return folder


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def contracts(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_example_of_the_page_passes_the_contract_of_methods(copied: Path) -> None:
    output = contracts(
        copied,
        "tests/unit/methods/test_registry.py",
        "tests/contracts/test_methods.py",
        *("-k", "test_registry or linear-ae"),
    )
    assert "failed" not in output, output
    assert int(re.findall(r"(\d+) passed", output)[0]) > 20, output


@pytest.mark.slow
def test_an_example_with_a_false_entry_does_not(copied: Path) -> None:
    registry = copied / "dgaal_cli" / "methods" / "registry.py"
    right = 'factory="linear_ae.method:LinearAe"'
    replaced(registry, right, f'{right}, generator="prior"')
    try:
        output = contracts(
            copied, "tests/contracts/test_methods.py", "-k", "registry_says and linear-ae"
        )
    finally:
        replaced(registry, f'{right}, generator="prior"', right)
    assert "1 failed" in output, output
    assert "{'generator'}" in output
